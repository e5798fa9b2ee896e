"""A scaling study: trireme study STUDY.yaml (docs/studies.md)."""
import os
import pathlib
import shutil
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))  # -I leaves it out

from report.command import parse, refuse
from experiment import program
from experiment.budget import check_cap, most, spent
from experiment.command import parser_of, until_stopped
from experiment.folder import Folder
from experiment.work import Work, is_open
from study import cells, measure, settings
from study.program import parameters_of

SAME = ("where", "ranks_per_node", "steps", "warmup", "set")  # cells that differ in these are not compared


def arguments_of():
    parser, options, taken = parser_of(
        "study",
        "Runs a configuration on several numbers of nodes and in several layouts, repeatedly, and tells how\n"
        "it scales: report.html, report.pdf, tables for LaTeX, CSV. Killed at any moment, it goes on with\n"
        "the same command.",
        ["trireme study configs/studies/film-reviews.yaml --dry-run", "trireme study configs/studies/film-reviews.yaml --cell zero0-n1-b32-r1"])
    taken.append(options.add_argument("--cell", metavar="NAME", help="run this cell alone, and print one line about it"))
    options.add_argument("-h", "--help", action="help", help="show this help")
    given = parse(parser, taken, [])
    if not given.file:
        refuse("STUDY.yaml: missing; legal: a study, as YAML (docs/studies.md)")
    return given


class Job:
    """A study with its folder and its cells."""

    def __init__(self, given):
        self.given, self.study = given, settings.read_study(given.file)
        self.folder = Folder(given.folder or self.study.study, "study")
        values = program.values_of(self.study.run, self.study.set)
        self.seed, self.cells = int(values["seed"]), cells.cells_of(self.study, int(values["batch.global"]))
        self.digest = program.digest(self.study.run)
        self.folder.check_same(self.study, self.fixed())

    def fixed(self):
        """Values that must not change while the folder is gone on with."""
        return {**{name: getattr(self.study, name) for name in SAME}, "run": self.digest,
                "layouts": {layout.name: layout.set for layout in self.study.layouts}}

    def wanted(self):
        """Cells of this call: all, or the one that was asked for."""
        if not self.given.cell:
            return self.cells
        found = [cell for cell in self.cells if cell.name == self.given.cell]
        if not found:
            refuse(f"--cell: {self.given.cell}: legal: {', '.join(cell.name for cell in self.cells)}")
        return found

    def remaining(self):
        return [cell for cell in self.wanted() if is_open(self.folder, cell, self.given.retry)]

    def check(self):
        """Refuses what cannot go well, before anything is written."""
        check_cap(self.study, spent(self.folder, self.cells), self.remaining())
        told = ""
        for cell in {(c.layout, c.nodes, c.batch): c for c in self.wanted()}.values():
            told = program.check_run(self.study.run, cell, str(self.folder.path / "none"))
        return parameters_of(told)

    def begin(self, parameters):
        """Makes the folder, and writes what is told of the place."""
        self.folder.open()
        shutil.copyfile(self.study.path, self.folder.path / "study.yaml")
        shutil.copyfile(self.study.run, self.folder.path / "run.yaml")
        facts = self.folder.facts()
        layouts = facts.get("fixed", {}).get("layouts", {})
        now = self.fixed()
        facts |= {"fixed": now | {"layouts": layouts | now["layouts"]}, "parameters": parameters, "seed": self.seed, "versions": program.versions(),
                  "surroundings": program.surroundings(), "host": os.uname().nodename, "folder": os.getcwd(),
                  "begun": facts.get("begun", time.time()), "command": [program.trireme(), "study", *sys.argv[1:]]}
        self.folder.save_facts(facts)


def say(line):
    print(line, flush=True)


def show(job):
    study, remaining = job.study, job.remaining()
    for cell in job.cells:
        result = job.folder.result(cell)
        state = result["state"] if result else "not run"
        print(f"{cell.name:<40} {cell.scaling:<12} {cell.nodes:>5} nodes {cell.ranks:>6} ranks {cell.batch:>7} samples a step  {state}")
    worst = most(study, remaining)
    print(f"\n{len(remaining)} of {len(job.cells)} cells to run, at most {worst:.4g} node-hours; {spent(job.folder, job.cells):.4g} used so far; "
          f"the cap is {study.node_hours:.6g}\nnothing was written")


def line_of(job, cell):
    """One line that JUBE's and ReFrame's regular expressions read."""
    row = measure.row_of(job.study, cell, job.folder.last(cell), None)
    numbers = [f"{name}={row[name]:.6g}" for name in ("step_s", "tokens_per_s", "tokens_per_s_per_rank", "startup_s") if row[name] is not None]
    return " ".join(["cell", cell.name, f"state={row['state'].replace(' ', '-')}", *numbers])


def run(job):
    job.begin(job.check())
    work = Work(job.study, job.folder, say)
    work.take_up(job.wanted())
    work.run(job.remaining())
    if job.given.cell:
        say(line_of(job, job.wanted()[0]))


def work_on(job):
    if job.given.report:
        job.folder.open()
    else:
        run(job)
    if not job.given.cell:
        from study import outputs  # scipy takes a second
        outputs.write_all(job.study, job.folder, job.cells, say)


def main():
    given = arguments_of()
    job = Job(given)
    if given.dry_run:
        job.check()
        return show(job)
    until_stopped(job.folder, lambda: work_on(job))


if __name__ == "__main__":
    main()
