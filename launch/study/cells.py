"""Cells of a study: one run of one layout on one number of nodes, once. Nothing here touches a disk or starts a process."""
from typing import NamedTuple

from report.command import refuse

QUIET = ("evaluation.every={late}", "checkpoint.every={late}", "checkpoint.minutes=0", "guard.sensitivity=off", "guard.compare_replicas=0")


class Cell(NamedTuple):
    name: str
    scaling: str  # names of the studies that it belongs to, with a blank between them
    layout: str
    nodes: int
    ranks: int
    batch: int  # batch.global
    repeat: int  # from 1
    set: tuple  # KEY=VALUE of its run, but for the folder

    def run_folder(self, attempt):
        return attempt.path / "run"

    def assignments(self, folder):
        return [*self.set, f"run={folder}"]


def batch_of(study, scaling, nodes, batch):
    """Samples of a step: of strong scaling those of the configuration, of weak scaling so many for the smallest count of nodes."""
    if scaling == "strong":
        return batch
    if batch * nodes % study.nodes[0]:
        refuse(f"{study.path}: nodes: {nodes}: legal: with weak scaling from {study.nodes[0]} nodes and batch.global {batch}, counts that make a "
               f"whole number of samples")
    return batch * nodes // study.nodes[0]


def assignments(study, layout, batch):
    late = study.steps + 1  # but for its end, a timed run neither evaluates nor saves
    return (*study.set, *layout.set, f"batch.global={batch}", f"train.steps={study.steps}", *(text.format(late=late) for text in QUIET))


def cells_of(study, batch):
    """All cells, repeat by repeat, so that what slowly changes on a machine meets each of them. `batch`: batch.global of the run."""
    unique = {}
    for layout in study.layouts:
        for scaling in study.scaling:
            for nodes in study.nodes:
                key = layout.name, nodes, batch_of(study, scaling, nodes, batch)
                unique.setdefault(key, (layout, []))[1].append(scaling)
    return [Cell(f"{name}-n{nodes}-b{size}-r{repeat}", " ".join(scalings), name, nodes, nodes * study.ranks_per_node, size, repeat,
                 assignments(study, layout, size))
            for repeat in range(1, study.repeats + 1) for (name, nodes, size), (layout, scalings) in unique.items()]
