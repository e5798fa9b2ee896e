"""SWEEP.yaml, read strictly."""
import math
from typing import NamedTuple

import yaml

from experiment.log import events_of, exit_fault
from experiment.settings import (Field, Plan, assignments, check_place, choice, jobs_fields, read_time, read_values, real, seconds_of, text,
                                 whole)
from sweep import halving, results
from sweep.space import Parameter

METHODS = ("grid", "random", "halving", "range_test")
MOST_TRIALS, MOST_POINTS = 10_000, 1000
OWN_KEYS = ("run", "seed", "job.until_step", "evaluation.metric")
RANGE_KEYS = ("optimizer.learning_rate", "optimizer.schedule", "optimizer.final_fraction", "optimizer.warmup", "evaluation.every",
              "checkpoint.every", "checkpoint.minutes", "guard.spike")
LENGTHS = ("train.steps", "train.epochs")
RANGE = "[LOW, HIGH], two numbers, the lower one first"
PARAMETER = ("a list of values, as in [8, 16, 32], or a range, as in {uniform: [0, 0.1]}, {log_uniform: [1e-5, 1e-3]}, with `points: 5` for a "
             "grid, `whole: true` for whole numbers")


class Halving(NamedTuple):
    first_steps: int
    eta: int


class Confirm(NamedTuple):
    best: int
    seeds: int


class Range(NamedTuple):
    low: float
    high: float


def read_ends(reader, node, field, positive):
    legal = RANGE + (" and above 0" if positive else "")
    found = [float(n.value) if isinstance(n, yaml.ScalarNode) and is_number(n.value) else reader.no(n, field, legal)
             for n in reader.items(node, field, legal)]
    if len(found) != 2 or not found[0] < found[1] or positive and found[0] <= 0:
        reader.no(node, field, legal)
    return tuple(found)


def is_number(value):
    try:
        return math.isfinite(float(value)) and "_" not in value
    except ValueError:
        return False


SPREAD = {"uniform": Field(lambda r, n, f: read_ends(r, n, f, False), RANGE), "log_uniform": Field(lambda r, n, f: read_ends(r, n, f, True), RANGE),
          "whole": choice(("true", "false"), "false"), "points": whole(2, MOST_POINTS, 0)}


def read_range(reader, node, field):
    found = reader.mapping(node, field, SPREAD)
    log = found["log_uniform"] is not None
    if log == (found["uniform"] is not None):
        reader.no(node, field, "either uniform or log_uniform")
    low, high = found["log_uniform"] if log else found["uniform"]
    if found["whole"] == "true" and (low != int(low) or high != int(high)):
        reader.no(node, field, "whole numbers at both ends, with whole: true")
    return Parameter(field.split(".", 1)[1], (), low, high, log, found["whole"] == "true", found["points"])


def read_choices(reader, node, field):
    found = reader.each(node, field, PARAMETER, lambda i, p: reader.text(i, p, "a value of the key"))
    return Parameter(field.split(".", 1)[1], tuple(found))


def read_parameter(reader, node, field):
    if isinstance(node, yaml.SequenceNode):
        return read_choices(reader, node, field)
    if not isinstance(node, yaml.MappingNode):
        reader.no(node, field, PARAMETER)
    return read_range(reader, node, field)


class AnyKey(dict):
    """Fields of a mapping whose keys the configuration knows, and not this file."""

    def __contains__(self, key):
        return True

    def __getitem__(self, key):
        return Field(read_parameter, PARAMETER)


def read_parameters(reader, node, field):
    if not isinstance(node, yaml.MappingNode) or not node.value:
        reader.no(node, field, "a mapping of keys of the configuration to values")
    reader.mapping(node, field, AnyKey())  # refuses what is given twice
    return {key.value: read_parameter(reader, value, f"{field}.{key.value}") for key, value in node.value}


def read_lengths(kind, fields):
    legal = "a mapping with " + " and ".join(fields)
    return Field(lambda r, n, f: kind(**r.mapping(n, f, fields)), legal)


FIELDS = {
    "sweep": text("a folder, made if it does not exist", needed=True),
    "run": text("the run, as YAML (`explain-config --keys`)", needed=True),
    "title": text("a text"),
    "where": choice(("local", "slurm"), needed=True),
    "nodes": whole(1, 100_000, 1),
    "ranks_per_node": whole(1, 1024, 1),
    "method": choice(METHODS, needed=True),
    "parameters": Field(read_parameters, "a mapping of keys of the configuration to values", {}),
    "trials": whole(1, MOST_TRIALS),
    "seed": whole(0, 1_000_000_000, 0),
    "repeats": whole(1, 100, 1),
    "steps": whole(1, 1_000_000_000),
    "halving": read_lengths(Halving, {"first_steps": whole(1, 1_000_000_000, needed=True), "eta": whole(2, 100, 3)}),
    "range": Field(lambda r, n, f: Range(*read_ends(r, n, f, True)), RANGE),
    "confirm": read_lengths(Confirm, {"best": whole(1, 1000, needed=True), "seeds": whole(1, 100, needed=True)}),
    "set": assignments(OWN_KEYS, "sweep"),
    "time": Field(read_time, "MINUTES, H:MM:SS or D-HH:MM:SS", needed=True),
    "startup": Field(read_time, "MINUTES, H:MM:SS or D-HH:MM:SS", "0:02:00"),
    "node_hours": real(needed=True),
    **jobs_fields(),
}


class Sweep(Plan):
    """Values of SWEEP.yaml. `metric` is that of the configuration, once it is known."""
    kind, metric = "sweep", "loss"

    def limit(self, cell):
        """Seconds that a cell may take, in whole minutes: to start, and its share of the time that all steps may take."""
        seconds = seconds_of(self.startup) + seconds_of(self.time) * cell.share(self.steps)
        return math.ceil(seconds / 60) * 60

    def rungs(self):
        """Rungs of the method; the last one trains as long as `steps` say, None: as the configuration does."""
        if self.method != "halving":
            return [halving.Rung(0, self.steps)]
        return halving.rungs(self.trials, self.halving.first_steps, self.halving.eta, self.steps)

    def lead(self, cell):
        """Seconds before its end at which a job is told to save."""
        return min(120, self.limit(cell) // 4)

    def at_once(self):
        return self.jobs_at_once or (4 if self.where == "slurm" else 1)

    def fault_of(self, cell, attempt, code):
        """Why a cell whose training ended with `code` has no result; empty if it has one."""
        events = events_of(cell.run_folder(attempt) / "metrics.jsonl")
        if self.method == "range_test":
            return "" if code == 0 or results.rates_of(events) else exit_fault(attempt, code)
        return results.fault_of(events, cell.until, self.metric, code) if code in results.GOOD else exit_fault(attempt, code)


NEEDS = {"grid": ("parameters",), "random": ("parameters", "trials"), "halving": ("parameters", "trials", "steps", "halving"),
         "range_test": ("range", "steps")}
ONLY = {"trials": ("random", "halving"), "halving": ("halving",), "range": ("range_test",), "parameters": ("grid", "random", "halving"),
        "confirm": ("grid", "random", "halving")}


def check_method(sweep):
    """Refuses what the method needs and lacks, and what it has no use for."""
    for field in NEEDS[sweep.method]:
        if not getattr(sweep, field):
            sweep.no(field, "missing", f"with method: {sweep.method}, {FIELDS[field].legal}")
    for field, methods in ONLY.items():
        if getattr(sweep, field) and sweep.method not in methods:
            sweep.no(field, "is given", f"with method: {', '.join(methods)}")
    for p in sweep.parameters.values():
        if not p.choices and bool(p.points) != (sweep.method == "grid"):
            sweep.no(f"parameters.{p.key}.points", p.points or "missing", "with method: grid, a whole number from 2 to 1000; none with others")


def check_keys(sweep):
    """Refuses a key that has two values, or one that the sweep sets itself."""
    own = OWN_KEYS + (LENGTHS if sweep.steps else ()) + (RANGE_KEYS if sweep.method == "range_test" else ())
    given = [assignment.partition("=")[0] for assignment in sweep.set]
    for key in [*sweep.parameters, *given]:
        field = "set" if key in given else f"parameters.{key}"
        if key in own:
            sweep.no(field, key, f"keys but {', '.join(own)}, which the sweep sets itself or compares by")
        if key in given and (key in sweep.parameters or given.count(key) > 1):
            sweep.no("set", key, "each key once, in set or in parameters")


def check_halving(sweep):
    """Refuses rungs that are none, or that no configuration would reach."""
    found = sweep.rungs()
    if sweep.halving.first_steps >= sweep.steps:
        sweep.no("halving.first_steps", sweep.halving.first_steps, f"less than steps, which is {sweep.steps}")
    if found[-1].count == 0:
        sweep.no("trials", sweep.trials, f"at least {sweep.halving.eta ** (len(found) - 1)}, so that one is left after {len(found) - 1} times a share of "
                                         f"1/{sweep.halving.eta}")


def read_sweep(path):
    sweep = Sweep(path, read_values(path, "sweep", FIELDS, "a sweep, as YAML (docs/sweeps.md)"))
    check_place(sweep)
    check_method(sweep)
    check_keys(sweep)
    if sweep.method == "halving":
        check_halving(sweep)
    return sweep
