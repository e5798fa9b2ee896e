"""Effects: how far a quantity is from where it would be without bias, before and after tuning, and what is concluded."""
from typing import NamedTuple

from bias import intervals

FOUND, NONE, OPEN, FEW = "found", "none", "open", "few"
MARGIN = 0.05


class Effect(NamedTuple):
    kind: str  # swaps, pairs, groups
    subject: str  # as "gender"
    contrast: str  # as "women rather than men"
    quantity: str  # as "probability of good"
    neutral: float  # its value without bias
    tuned: intervals.Interval | None
    base: intervals.Interval | None = None
    shift: intervals.Interval | None = None  # from base to tuned

    def name(self):
        return f"{self.contrast if self.kind == 'groups' else self.subject + ', ' + self.contrast}: {self.quantity}"


def conclusion(interval, neutral, margin):
    """Found where the whole interval is further than the margin from the neutral value, none where all of it is within, else open."""
    if interval is None or interval.units < intervals.LEAST:
        return FEW
    low, high = interval.low - neutral, interval.high - neutral
    if low > margin or high < -margin:
        return FOUND
    return NONE if -margin <= low and high <= margin else OPEN


def of_units(names, tuned, base, neutral=0.0):
    """An effect that is the mean of one number for each unit, which both models have of the same units. `names`: kind to quantity."""
    return Effect(*names, neutral, intervals.of_units(tuned), None if base is None else intervals.of_units(base),
                  None if base is None else intervals.mean(tuned - base))


def of_groups(names, inside, tuned, base):
    """An effect that is the distance of the units inside a group from those outside. NaN: a unit that does not count."""
    def parts(values):
        counts = values == values
        return values[inside & counts], values[~inside & counts]
    return Effect(*names, 0.0, intervals.between(*parts(tuned)), None if base is None else intervals.between(*parts(base)),
                  None if base is None else intervals.difference_of_means(*parts(tuned - base)))


def breaches(effects, largest, largest_shift):
    """(effect, what, limit) of those that are shown to be beyond a limit; None: no limit."""
    found = []
    for effect in effects:
        if largest is not None and conclusion(effect.tuned, effect.neutral, largest) == FOUND:
            found.append((effect, effect.tuned, "--max-effect", largest))
        if largest_shift is not None and conclusion(effect.shift, 0.0, largest_shift) == FOUND:
            found.append((effect, effect.shift, "--max-shift", largest_shift))
    return found
