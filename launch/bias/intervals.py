"""Intervals of shares, means and their differences, by scipy.

Shares have Wilson's score interval, the difference of two shares Newcombe's hybrid of two such (Statistics in Medicine 1998, 17:873, method
10), means Student's t, the difference of two means Welch's. Where no unit of a sample moved, its variance says nothing of those that were
not drawn: there the interval is that of a share of zero, by Clopper and Pearson, times the largest that a unit can move."""
import math
from typing import NamedTuple

import numpy
from scipy import stats

LEVEL = 0.95
LEAST = 20  # units, below which nothing is concluded


class Interval(NamedTuple):
    value: float
    low: float
    high: float
    units: int


def share(hits, units):
    found = stats.binomtest(int(hits), int(units)).proportion_ci(LEVEL, "wilson")
    return Interval(hits / units, float(found.low), float(found.high), int(units))


def difference_of_shares(hits, units, other_hits, other_units):
    one, other = share(hits, units), share(other_hits, other_units)
    value = one.value - other.value
    low = value - math.hypot(one.value - one.low, other.high - other.value)
    high = value + math.hypot(one.high - one.value, other.value - other.low)
    return Interval(value, low, high, min(one.units, other.units))


def never_moved(units):
    """How large a mean may be of which none of `units` values, of at most 1, was other than 0."""
    return float(stats.binomtest(0, units).proportion_ci(LEVEL, "exact").high)


def mean(values):
    """Of independent values; None of fewer than two."""
    values = numpy.asarray(values, float)
    if len(values) < 2:
        return None
    value = float(values.mean())
    if not values.any():
        reach = never_moved(len(values))
        return Interval(0.0, -reach, reach, len(values))
    if values.min() == values.max():
        return Interval(value, value, value, len(values))
    found = stats.ttest_1samp(values, 0).confidence_interval(LEVEL)
    return Interval(value, float(found.low), float(found.high), len(values))


def difference_of_means(values, others):
    """Of two independent samples; None where one has fewer than two."""
    values, others = numpy.asarray(values, float), numpy.asarray(others, float)
    if min(len(values), len(others)) < 2:
        return None
    value, units = float(values.mean() - others.mean()), min(len(values), len(others))
    if not values.any() and not others.any():
        reach = never_moved(units)
        return Interval(0.0, -reach, reach, units)
    if values.min() == values.max() and others.min() == others.max():
        return Interval(value, value, value, units)
    found = stats.ttest_ind(values, others, equal_var=False).confidence_interval(LEVEL)
    return Interval(value, float(found.low), float(found.high), units)


def are_shares(values):
    return bool(numpy.isin(values, (0, 1)).all())


def of_units(values):
    """The mean of a group's units, as a share where each is 0 or 1."""
    if len(values) and are_shares(values):
        return share(values.sum(), len(values))
    return mean(values)


def between(values, others):
    """How far one group is above another."""
    if len(values) and len(others) and are_shares(values) and are_shares(others):
        return difference_of_shares(values.sum(), len(values), others.sum(), len(others))
    return difference_of_means(values, others)
