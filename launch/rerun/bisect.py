"""Search for the first step after which two arms differ, with few checkpoints at a time on the disk."""
import pathlib
import shutil

from rerun.arm import Start
from rerun.tensors import differences

CHECKPOINTS = 8  # of each arm at once


def said(found):
    return "equal" if not found else "1 tensor differs" if len(found) == 1 else f"{len(found)} tensors differ"


def first_difference(first, second, start, last, tolerance):
    """(step, differences), or None if the arms agree up to step `last`. Each round saves up to CHECKPOINTS steps of the range that is left,
    compares them in their order, and goes on between the last that was equal, which the first arm saved, and the one after it."""
    keep = first.folder.parent / "equal"
    while True:
        every = -(-(last - start.step) // CHECKPOINTS)
        marks = [*range(start.step - start.step % every + every, last, every), last]
        for arm in (first, second):
            arm.compute(start, last, every)
        equal, found = start.step, []
        for mark in marks:
            found = differences(first, second, mark, tolerance)
            print(f"  step {mark}: {said(found)}", flush=True)
            if found:
                break
            equal = mark
        if not found:
            return None
        if mark - equal == 1:
            return mark, found
        start, last = taken(first, equal, start, keep), mark


def taken(arm, step, start, keep):
    """Keeps the arm's checkpoint of a step as the next start."""
    if step == start.step:
        return start
    shutil.rmtree(keep, ignore_errors=True)
    keep.mkdir()
    source = arm.checkpoint(step)
    target = pathlib.Path(keep, source.name)
    shutil.move(source, target)
    return Start(step, target)
