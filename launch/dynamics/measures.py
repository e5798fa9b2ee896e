"""Measures of each sample over its visits: confidence, variability and correctness of Swayamdipta et al. 2020 (Dataset Cartography), forgetting
events of Toneva et al. 2019 (An Empirical Study of Example Forgetting).

The probability of a visit is exp(-loss / trained labels): of a classifier that of the true class, of tokens their geometric mean. It is read from
the training step itself, before its update and under its dropout, as in both papers."""
from typing import NamedTuple

import numpy


class Dynamics(NamedTuple):
    """Arrays over the samples of the training split; those that were never visited are NaN."""
    visits: numpy.ndarray
    confidence: numpy.ndarray  # mean probability
    variability: numpy.ndarray  # its standard deviation over the visits
    correctness: numpy.ndarray  # share of the visits in which all of its labels were predicted right
    forgotten: numpy.ndarray  # visits that were wrong right after one that was right
    last: numpy.ndarray  # probability at the last visit


def of(samples, records):
    records = records[(records["trained"] > 0) & numpy.isfinite(records["loss"])]
    order = numpy.argsort(records["sample"], kind="stable")  # visits of a sample stay in the order of steps
    mine = records[order]
    sample = mine["sample"]
    probability = numpy.exp(-numpy.maximum(mine["loss"], 0) / mine["trained"])
    right = mine["correct"] == mine["trained"]
    visits = numpy.bincount(sample, minlength=samples)
    sums = lambda values: numpy.bincount(sample, values, minlength=samples)
    with numpy.errstate(invalid="ignore", divide="ignore"):
        confidence = sums(probability) / visits
        spread = sums((probability - confidence[sample]) ** 2) / visits
        correctness = sums(right.astype(float)) / visits
    lost = numpy.zeros(len(mine), bool)
    lost[1:] = (sample[1:] == sample[:-1]) & right[:-1] & ~right[1:]
    last = numpy.full(samples, numpy.nan)
    last[sample] = probability  # the last of equal places stays
    return Dynamics(visits, confidence, numpy.sqrt(spread), correctness, sums(lost.astype(float)).astype(int), last)


def least_confident(found, share):
    """Numbers of the least confident share of the visited samples, least first; ties by number."""
    visited = numpy.flatnonzero(found.visits > 0)
    order = visited[numpy.argsort(found.confidence[visited], kind="stable")]
    return order[: max(1, round(share * len(visited)))]


def suspects(found, share):
    """The least confident share, but for those that were mostly predicted right: hard, and not wrong."""
    chosen = least_confident(found, share)
    return chosen[found.correctness[chosen] < 0.5]
