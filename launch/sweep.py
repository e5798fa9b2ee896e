"""A sweep over hyperparameters: trireme sweep SWEEP.yaml (docs/sweeps.md)."""
import difflib
import os
import pathlib
import shutil
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))  # -I leaves it out

from experiment import program
from experiment.budget import check_cap, most, spent
from experiment.command import parser_of, until_stopped
from experiment.folder import Folder
from experiment.log import events_of
from experiment.work import Work, is_open
from report.command import Output, deliver, fail, parse, refuse
from report.run_config import SMALLER_IS_BETTER
from sweep import results, settings, start
from sweep.trials import Search

SAME = ("where", "nodes", "ranks_per_node", "method", "seed", "repeats", "steps", "halving", "range", "confirm", "set")


def arguments_of():
    parser, options, taken = parser_of(
        "sweep",
        "Tries configurations of a run (grid, random, successive halving, range test of the learning rate)\n"
        "under mpirun or Slurm within a cap of node-hours, and tells which is the best and how sure that is:\n"
        "report.html, CSV, best.yaml. Killed at any moment, it goes on with the same command.",
        ["trireme sweep configs/sweeps/film-reviews.yaml --dry-run", "trireme sweep --init configs/film-reviews.yaml --output sweep.yaml"])
    taken += [options.add_argument("--init", metavar="CONFIG", help="write a sweep of this run: ranges around the values of `trireme init`, each\n"
                                                                    "with its source"),
              options.add_argument("--output", metavar="FILE", help="file that --init writes; must not exist"),
              options.add_argument("--force", action="store_true", help="replace the file of --output")]
    options.add_argument("-h", "--help", action="help", help="show this help")
    given = parse(parser, taken, [])
    check_arguments(given)
    return given


def check_arguments(given):
    if given.init and given.file:
        refuse(f"--init: {given.init}: legal: without SWEEP.yaml, which it writes")
    if bool(given.init) != bool(given.output):
        refuse("--output: missing; legal: with --init, the file to write" if given.init else f"--output: {given.output}: legal: with --init")
    if not given.init and not given.file:
        refuse("SWEEP.yaml: missing; legal: a sweep, as YAML (docs/sweeps.md)")


class Job:
    """A sweep with its folder and its stages."""

    def __init__(self, given):
        self.given, self.sweep = given, settings.read_sweep(given.file)
        self.folder = Folder(given.folder or self.sweep.sweep, "sweep")
        values = program.values_of(self.sweep.run, self.sweep.set)
        self.check_parameters(values)
        self.seed, self.sweep.metric = int(values["seed"]), values["evaluation.metric"]
        self.smaller = self.sweep.metric in SMALLER_IS_BETTER
        self.search = Search(self.sweep, self.seed, self.score, self.is_over, self.smaller)
        if self.sweep.method in ("random", "halving") and len(self.search.configurations) < self.sweep.trials:
            self.sweep.no("trials", self.sweep.trials, f"at most {len(self.search.configurations)}, as many combinations as there are")
        self.digest = program.digest(self.sweep.run)
        self.folder.check_same(self.sweep, self.fixed())
        self.scores = {}

    def check_parameters(self, values):
        """Refuses keys that no configuration has."""
        for key in self.sweep.parameters:
            if key not in values:
                near = difflib.get_close_matches(key, values, 1)
                self.sweep.no(f"parameters.{key}", "no such key" + (f"; did you mean {near[0]}?" if near else ""),
                              "the keys of `trireme explain-config --keys`")

    def fixed(self):
        """Values that must not change while the folder is gone on with. More trials of a random search are no change."""
        sweep = self.sweep
        return {**{name: as_json(getattr(sweep, name)) for name in SAME}, "run": self.digest,
                "trials": sweep.trials if sweep.method == "halving" else None, "parameters": [as_json(p) for p in sweep.parameters.values()]}

    def result(self, cell):
        return self.folder.result(cell)

    def is_over(self, cell):
        return not is_open(self.folder, cell, self.given.retry)

    def score(self, cell):
        """The best value of the metric up to the end of a cell that went well; None of others."""
        last = self.folder.last(cell)
        result = last.read("result") if last else None
        if not result or result["state"] != "ok":
            return None
        if last.path not in self.scores:
            found = results.best_at(events_of(cell.run_folder(last) / "metrics.jsonl"), cell.until, self.sweep.metric)
            self.scores[last.path] = found[self.sweep.metric] if found else None
        return self.scores[last.path]

    def cells(self):
        """All cells that are known by now."""
        return [cell for stage in self.search.stages() if stage.known for cell in stage.cells]

    def remaining(self):
        return [cell for cell in self.cells() if not self.is_over(cell)]

    def worst(self):
        """All cells that may still be run, those among them whose configurations are not decided."""
        return self.remaining() + [cell for stage in self.search.stages() if not stage.known for cell in stage.cells]

    def check(self):
        """Refuses what cannot go well, before anything is written."""
        check_cap(self.sweep, spent(self.folder, self.cells()), self.worst())
        for cell in {cell.trial.configuration: cell for cell in self.remaining()}.values():
            told = ", ".join(f"{key}={value}" for key, value in cell.trial.values)
            program.check_run(self.sweep.run, cell, str(self.folder.path / "none"), f"{self.sweep.path}: {told or self.sweep.method}: ")

    def begin(self):
        """Makes the folder, and writes what is told of the place."""
        self.folder.open()
        shutil.copyfile(self.sweep.path, self.folder.path / "sweep.yaml")
        shutil.copyfile(self.sweep.run, self.folder.path / "run.yaml")
        facts = self.folder.facts()
        self.folder.save_facts(facts | {"fixed": self.fixed(), "versions": program.versions(), "surroundings": program.surroundings(),
                                        "host": os.uname().nodename, "begun": facts.get("begun", time.time()),
                                        "command": [program.trireme(), "sweep", *sys.argv[1:]]})


def as_json(value):
    return list(map(as_json, value)) if isinstance(value, (tuple, list)) else value


def say(line):
    print(line, flush=True)


def show(job):
    for stage in job.search.stages():
        for cell in stage.cells:
            result = job.result(cell) if stage.known else None
            values = "  ".join(f"{key}={value}" for key, value in cell.trial.values) if stage.known else "(the best of the stage before)"
            name = cell.name if stage.known else f"any-to{cell.until}" if cell.until else "any"
            print(f"{stage.name:<12} {name:<24} {result['state'] if result else 'not run':<12} {values}")
    worst = job.worst()
    print(f"\n{len(worst)} cells to run, at most {most(job.sweep, worst):.4g} node-hours; {spent(job.folder, job.cells()):.4g} used so far; "
          f"the cap is {job.sweep.node_hours:.6g}\nnothing was written")


def run(job):
    job.check()
    job.begin()
    work = Work(job.sweep, job.folder, say)
    work.take_up(job.cells())
    while remaining := job.remaining():
        work.run(remaining)
        job.given.retry = False  # once: what fails again has failed


def work_on(job):
    if job.given.report:
        job.folder.open()
    else:
        run(job)
    from sweep import outputs  # scipy takes a second
    if not outputs.write_all(job, say):
        fail(f"{job.folder.path}: no trial has a result; see report.html, and the outputs in its cells")


def main():
    given = arguments_of()
    if given.init:
        output = Output(given.output, given.force)
        return deliver(output, start.text_of(given.init).encode())
    job = Job(given)
    if given.dry_run:
        job.check()
        return show(job)
    until_stopped(job.folder, lambda: work_on(job))


if __name__ == "__main__":
    main()
