"""Trials of a sweep and the cells that run them. A trial is one configuration with one seed, and one run folder; a cell is one job of it, up
to a step. Nothing here touches a disk or starts a process."""
from typing import NamedTuple

from sweep import halving, space


class Trial(NamedTuple):
    configuration: str  # its name
    values: tuple  # ((key, text), ...)
    seed: int

    @property
    def name(self):
        return f"{self.configuration}-seed{self.seed}"


class Cell(NamedTuple):
    trial: Trial
    first: int  # step at which it goes on
    until: int  # step at which it ends; None: as the configuration says
    nodes: int
    ranks: int
    set: tuple  # KEY=VALUE of its run, but for the folder

    @property
    def name(self):
        return f"{self.trial.name}-{'to%d' % self.until if self.until else 'whole'}"

    def share(self, steps):
        """Share of the steps of a whole trial."""
        return (self.until - self.first) / steps if steps and self.until else 1.0

    def run_folder(self, attempt):
        return attempt.path.parents[2] / "trials" / self.trial.name / "run"

    def assignments(self, folder):
        return [*self.set, f"run={folder}"]


class Stage(NamedTuple):
    name: str
    cells: list
    seeds: tuple
    known: bool  # False: which configurations these are is not decided yet; then names stand for any


def configurations(sweep):
    """{name: values} of all configurations that are tried."""
    parameters = list(sweep.parameters.values())
    if sweep.method == "range_test":
        points = [()]
    else:
        points = space.grid_points(parameters) if sweep.method == "grid" else space.random_points(parameters, sweep.trials, sweep.seed)
    digits = max(2, len(str(len(points) - 1)))
    return {f"c{i:0{digits}}": tuple(values) for i, values in enumerate(points)}


def range_assignments(sweep):
    low, high = sweep.range
    late = sweep.steps + 1  # but for its end, the test neither evaluates nor saves
    return (f"optimizer.learning_rate={high!r}", "optimizer.schedule=range_test", f"optimizer.final_fraction={low / high!r}", "optimizer.warmup=0",
            f"evaluation.every={late}", f"checkpoint.every={late}", "checkpoint.minutes=0", "guard.spike=0")


class Search:
    """Stages of a sweep as far as results decide them. `seed`: that of the configuration; `score(cell)`: its value, None where it failed;
    `is_over(cell)`: says whether it has one or failed."""

    def __init__(self, sweep, seed, score, is_over, smaller_is_better):
        self.sweep, self.score, self.is_over, self.smaller = sweep, score, is_over, smaller_is_better
        self.configurations = configurations(sweep)
        self.seeds = tuple(range(seed, seed + sweep.repeats))
        self.fresh = tuple(range(seed + sweep.repeats, seed + sweep.repeats + sweep.confirm.seeds)) if sweep.confirm else ()

    def cell(self, name, seed, first, until):
        sweep, values = self.sweep, self.configurations[name]
        words = [f"{key}={value}" for key, value in values] + (list(range_assignments(sweep)) if sweep.method == "range_test" else [])
        words += [f"seed={seed}"] + ([f"train.steps={sweep.steps}"] if sweep.steps else [])
        words += [f"job.until_step={until}"] if until and until < sweep.steps else []
        return Cell(Trial(name, values, seed), first, until, sweep.nodes, sweep.nodes * sweep.ranks_per_node, (*sweep.set, *words))

    def cells_of(self, names, seeds, first, until):
        """Seed by seed, so that what slowly changes on a machine meets all configurations."""
        return [self.cell(name, seed, first, until) for seed in seeds for name in names]

    def scores(self, cells):
        """{configuration: mean over its seeds}; None where a seed failed."""
        found = {}
        for cell in cells:
            found.setdefault(cell.trial.configuration, []).append(self.score(cell))
        return {name: None if None in values else sum(values) / len(values) for name, values in found.items()}

    def values(self, stage):
        """{configuration: [value of each seed]} of those of which no seed failed."""
        found = {}
        for cell in stage.cells:
            found.setdefault(cell.trial.configuration, []).append(self.score(cell))
        return {name: values for name, values in found.items() if None not in values}

    def stages(self):
        """All stages; those whose configurations depend on what is not over yet have names that stand for any."""
        rungs, names, known, first, found = self.sweep.rungs(), list(self.configurations), True, 0, []
        for i, rung in enumerate(rungs):
            title = f"rung {i + 1} of {len(rungs)}" if len(rungs) > 1 else "search"
            found.append(Stage(title, self.cells_of(names, self.seeds, first, rung.steps), self.seeds, known))
            wanted = rungs[i + 1].count if i + 1 < len(rungs) else self.sweep.confirm.best if self.sweep.confirm else 0
            names, known = self.next(found[-1], names, wanted)
            first = rung.steps
        if self.sweep.confirm:
            names += self.runners_up(found, names)
            found.append(Stage("confirmation", self.cells_of(names, self.fresh, 0, self.sweep.steps), self.fresh, known))
        return found

    def runners_up(self, stages, names):
        """Configurations that are confirmed beside those of the last rung, where it has too few: the best that did not go on, latest rung first."""
        wanted, more = min(self.sweep.confirm.best, len(self.configurations)) - len(names), []
        for stage in reversed(stages[:-1]):
            known = stage.known and all(map(self.is_over, stage.cells))
            order = halving.best_of(self.scores(stage.cells), len(stage.cells), self.smaller) if known else list(self.configurations)
            more += [name for name in order if name not in names and name not in more]
        return more[:max(0, wanted)]

    def next(self, stage, names, wanted):
        """(the best of a stage, True) if it is over, else (any, False)."""
        if stage.known and all(map(self.is_over, stage.cells)):
            return halving.best_of(self.scores(stage.cells), wanted, self.smaller), True
        return names[:wanted], False
