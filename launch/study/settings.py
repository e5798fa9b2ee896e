"""STUDY.yaml, read strictly."""
import re
from typing import NamedTuple

from experiment.log import events_of, exit_fault
from experiment.settings import Field, Plan, assignments, check_place, choice, jobs_fields, read_time, read_values, real, seconds_of, text, whole
from study import measure


class Layout(NamedTuple):
    name: str
    set: list


class Target(NamedTuple):
    tokens: float
    nodes: int
    layout: str
    scaling: str
    restarts: float


OWN_KEYS = ("run", "batch.global", "train.steps", "train.epochs", "evaluation.every", "checkpoint.every", "checkpoint.minutes",
            "guard.sensitivity", "guard.compare_replicas")
SET = assignments(OWN_KEYS, "study")
NAME = re.compile(r"[a-z0-9][a-z0-9_]{0,30}")


def read_name(reader, node, field):
    legal = "small letters, digits and _, not _ first, at most 31"
    if not NAME.fullmatch(reader.text(node, field, legal)):
        reader.no(node, field, legal)
    return node.value


def read_layouts(reader, node, field):
    legal = "a list of layouts, as in [{name: zero1, set: [parallel.zero=1]}]"
    fields = {"name": Field(read_name, "a name", needed=True), "set": SET}
    found = reader.each(node, field, legal, lambda i, p: Layout(**reader.mapping(i, p, fields)))
    names = [one.name for one in found]
    for item, name in zip(node.value, names):
        if names.count(name) > 1:
            reader.no(item.value[0][1], f"{field}.name", "each name once")
    return found


def read_nodes(reader, node, field):
    legal = "a list of whole numbers from 1 to 100000, rising, as in [1, 2, 4]"
    found = reader.each(node, field, legal, lambda i, p: reader.whole(i, p, 1, 100_000, legal))
    if found != sorted(found):
        reader.no(node, field, legal)
    return found


TARGET = {"tokens": real(needed=True), "nodes": whole(1, 100_000, needed=True), "layout": text("the name of a layout"),
          "scaling": choice(("strong", "weak")), "restarts": real(0.0, zero=True)}
SCALINGS = Field(lambda r, n, f: r.each(n, f, "strong, weak", lambda i, p: r.one_of(i, p, ("strong", "weak"))), "strong, weak",
                 ["strong"])
FIELDS = {
    "study": text("a folder, made if it does not exist", needed=True),
    "run": text("the run, as YAML (`explain-config --keys`)", needed=True),
    "title": text("a text"),
    "where": choice(("local", "slurm"), needed=True),
    "nodes": Field(read_nodes, "a list of whole numbers, as in [1, 2, 4]", needed=True),
    "ranks_per_node": whole(1, 1024, needed=True),
    "scaling": SCALINGS,
    "layouts": Field(read_layouts, "a list of layouts", [Layout("as_configured", [])]),
    "set": SET,
    "steps": whole(2, 1_000_000, needed=True),
    "warmup": whole(0, 1_000_000, 5),
    "repeats": whole(1, 100, 3),
    "time": Field(read_time, "MINUTES, H:MM:SS or D-HH:MM:SS", needed=True),
    "node_hours": real(needed=True),
    **jobs_fields(),
    "machine": text("a file of configs/machines, or the path of one"),
    "sequence": whole(1, 1_000_000_000),
    "peak_tflops": real(),
    "gpus_per_node": whole(0, 1024, 0),
    "cores_per_node": whole(1, 100_000),
    "target": Field(lambda r, n, f: Target(**r.mapping(n, f, TARGET)), "a mapping with tokens and nodes"),
}


class Study(Plan):
    """Values of STUDY.yaml."""
    kind = "study"

    def limit(self, _):
        """Seconds that a cell may take."""
        return seconds_of(self.time)

    def lead(self, cell):
        """Seconds before its end at which a job is told: a measurement that was cut short is not gone on with, so few."""
        return max(1, min(10, self.limit(cell) // 2))

    def at_once(self):
        return (self.jobs_at_once or 4) if self.where == "slurm" else 1  # cells of one machine would disturb each other

    def fault_of(self, cell, attempt, code):
        """Why a run that ended with `code` is no measurement; empty if it is one."""
        return exit_fault(attempt, code) if code else measure.fault_of(events_of(cell.run_folder(attempt) / "metrics.jsonl"), self)


def check_together(study):
    """Refuses values that are legal alone and not beside the others."""
    if study.warmup >= study.steps:
        study.no("warmup", study.warmup, f"less than steps, which is {study.steps}")
    check_place(study)
    target, names = study.target, [layout.name for layout in study.layouts]
    if target and target.nodes not in study.nodes:
        study.no("target.nodes", target.nodes, ", ".join(map(str, study.nodes)) + ", the counts that are measured")
    if target and target.layout and target.layout not in names:
        study.no("target.layout", target.layout, ", ".join(names))
    if target and target.scaling and target.scaling not in study.scaling:
        study.no("target.scaling", target.scaling, ", ".join(study.scaling))


def read_study(path):
    study = Study(path, read_values(path, "study", FIELDS, "a study, as YAML (docs/studies.md)"))
    check_together(study)
    return study
