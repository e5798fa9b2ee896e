"""Tensors in which two checkpoints differ, as `trireme checkpoint diff` tells them, and what they have in common."""
import dataclasses
import re
import subprocess

from report.command import fail

LINE = re.compile(r"(\S+): (\d+) of (\d+) elements differ, by at most (\S+); norm of the difference / norm: (\S+)")
SHOWN = 10


@dataclasses.dataclass
class Difference:
    tensor: str
    unequal: int
    elements: int
    largest: float
    relative: float

    def line(self):
        return (f"{self.tensor}: {self.unequal} of {self.elements} elements differ, by at most {self.largest:.3g}; "
                f"norm of the difference / norm: {self.relative:.3g}")


def differences(first, second, step, tolerance=0.0):
    """Differences between the weights and moments of two arms after a step, largest first; those within the tolerance of a tensor's
    norm are left out."""
    folders = [str(arm.checkpoint(step)) for arm in (first, second)]
    done = subprocess.run([first.program, "checkpoint", "diff", *folders], capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1) or "tensors are equal bit by bit" not in done.stdout:
        fail(f"checkpoint diff {' '.join(folders)}: {(done.stderr.strip().splitlines() or [done.returncode])[-1]}")
    found = []
    for line in done.stdout.splitlines():
        if told := LINE.fullmatch(line):
            found.append(Difference(told[1], int(told[2]), int(told[3]), float(told[4]), float(told[5])))
        elif re.match(r"(weight|moment\d|average)/", line):
            fail(f"the two have other tensors: {line}")
    return sorted((d for d in found if not d.relative <= tolerance), key=lambda d: -d.relative)


def origin(found, losses_equal):
    """Says what the first step that differs tells of the place: `found` is not empty."""
    moments = [d for d in found if not d.tensor.startswith("weight/")]
    weights = [d for d in found if d.tensor.startswith("weight/")]
    if not moments:
        return "gradients (moments) are equal: what differs came after the backward pass, in the update or in memory"
    if not weights:
        return "weights are still equal: only moments differ"
    if not losses_equal:
        return "the loss of that step differs: what differs came in the forward pass, or in the data"
    return "the loss of that step is equal: what differs came in the backward pass, or between it and the update"
