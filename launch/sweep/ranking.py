"""Standing of the configurations of a sweep, and what may be said of the best."""
from typing import NamedTuple

from sweep import certainty


class Row(NamedTuple):
    name: str
    values: tuple  # of the parameters: ((key, text), ...)
    seeds: int
    mean: float
    low: float  # 95 % interval of the mean over seeds; None: not known
    high: float
    probability: float  # of being the best of those that are compared; None: not known


class Ranking(NamedTuple):
    rows: list  # best first
    deviation: float  # of the seeds of one configuration; None: not known
    freedom: int


def rank(search, stage):
    """The configurations of one stage, of which no seed failed, by their means."""
    values = search.values(stage)
    sure = certainty.probability_of_best(values, search.smaller) if values else None
    deviation, freedom = (sure.deviation, sure.freedom) if sure else (None, 0)
    rows = []
    for name, found in values.items():
        low, high = certainty.interval(found, deviation, freedom)
        rows.append(Row(name, search.configurations[name], len(found), sum(found) / len(found), low, high, sure.probability[name] if sure else None))
    return Ranking(sorted(rows, key=lambda row: row.mean if search.smaller else -row.mean), deviation, freedom)


def deciding(stages):
    """The last stage of which all configurations are known, and have a cell."""
    return next((stage for stage in reversed(stages) if stage.known and stage.cells), None)


def at_the_edge(parameters, row):
    """Keys of ranges whose end the best is at, or within a tenth of: the best of all may lie beyond."""
    found, values = [], dict(row.values)
    for p in parameters:
        if p.choices:
            continue
        x = float(values[p.key])
        place = share(p, x)
        if place < 0.1 or place > 0.9:
            found.append((p.key, "lower" if place < 0.1 else "upper"))
    return found


def share(parameter, x):
    """Place of a number in a range from 0 to 1, by its distribution."""
    from math import log
    low, high = parameter.low, parameter.high
    return log(x / low) / log(high / low) if parameter.log else (x - low) / (high - low)
