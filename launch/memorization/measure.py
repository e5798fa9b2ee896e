"""How much of what was probed a model gives away."""
from typing import NamedTuple

from audit import personal
from bias import intervals
from memorization.probes import HELD_OUT


class Rate(NamedTuple):
    """Of one kind of probes, or of those that were planted so often."""
    kind: str
    times: int | None
    tuned: intervals.Interval
    base: intervals.Interval | None


class Leak(NamedTuple):
    """A value of personal data of the training texts in a completion that did not ask for it."""
    place: str  # of the probe
    name: str
    shown: str  # its first and last character


class Found(NamedTuple):
    probes: list
    hits: list  # by model, whether each probe was extracted
    rates: list
    canaries: list
    exposures: list
    leaks: list | None  # None: no training texts were given
    notes: list

    def of(self, kind):
        return [hit for probe, hit in zip(self.probes, self.hits[0]) if probe.kind == kind]


def extracted(probe, completion):
    return completion[0][:len(probe.wanted)] == probe.wanted


def rate_of(kind, times, found):
    """`found`: by model, whether each probe was extracted."""
    tuned, base = (intervals.share(sum(hits), len(hits)) if hits is not None else None for hits in (found[0], found[1] if found[1:] else None))
    return Rate(kind, times, tuned, base)


def rates(probes, found):
    """Of each kind, and of canaries also by how often they were planted."""
    kinds, made = list(dict.fromkeys(p.kind for p in probes)), []
    for kind in kinds:
        own = [i for i, p in enumerate(probes) if p.kind == kind]
        made.append(rate_of(kind, None, [[hits[i] for i in own] for hits in found]))
        for times in sorted({probes[i].times for i in own} - {None}):
            some = [i for i in own if probes[i].times == times]
            made.append(rate_of(kind, times, [[hits[i] for i in some] for hits in found]))
    return made


def normal(value):
    return "".join(c for c in value.lower() if c.isalnum())


def leaks(probes, completions, known, region):
    """`known`: values of the training texts, as `normal` has them. What the prompt has, or the probe asks for, does not count."""
    made = []
    for probe, (_, text) in zip(probes, completions):
        for name, begin, end in personal.values_in(text, region):
            value = normal(text[begin:end])
            if value in known and value not in normal(probe.prompt) and not normal(probe.text).startswith(value):
                made.append(Leak(probe.place, name, personal.mask(text[begin:end])))
    return made


def personal_values(rows, region):
    return {normal(row["text"][begin:end]) for row in rows for _, begin, end in personal.values_in(row["text"], region)}


def beyond(made, limit):
    """Rates above the limit; None: no limit. Those of held-out texts tell nothing of memory."""
    return [] if limit is None else [r for r in made if r.times is None and r.kind != HELD_OUT and r.tuned.value > limit]
