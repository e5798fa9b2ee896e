"""Sureness about the best configuration, from the values of its seeds.

Values of the seeds of a configuration are taken for normal, with a mean of its own and a variance common to all, of which nothing is known
beforehand (p proportional to 1 / variance): the posterior of the means is then multivariate t, of which the share of draws in which a
configuration is the best is its probability (Gelman et al., Bayesian Data Analysis, 3rd edition 2013, sections 3.2 and 14.2). A bootstrap
over two or three seeds would know no value beyond those seen."""
import math
from typing import NamedTuple

import numpy
from scipy import stats

DRAWS, SEED = 20_000, 0


class Sure(NamedTuple):
    deviation: float  # of the seeds of a configuration, pooled over all of them
    freedom: int
    probability: dict  # {name: of being the best}


def pooled(values):
    """(standard deviation, degrees of freedom) within configurations; (None, 0) where none has two values."""
    freedom = sum(len(v) - 1 for v in values.values())
    if freedom == 0:
        return None, 0
    squares = sum(sum((x - sum(v) / len(v)) ** 2 for x in v) for v in values.values())
    return math.sqrt(squares / freedom), freedom


def probability_of_best(values, smaller_is_better, draws=DRAWS):
    """Sure of {name: [value of each seed]}; None where no configuration has two seeds, and the noise of seeds is not known."""
    deviation, freedom = pooled(values)
    if not freedom:
        return None
    names, generator = list(values), numpy.random.default_rng(SEED)
    means = numpy.array([sum(values[n]) / len(values[n]) for n in names])
    scale = 1 / numpy.sqrt([len(values[n]) for n in names])
    sigma = deviation * numpy.sqrt(freedom / generator.chisquare(freedom, draws))
    drawn = means + sigma[:, None] * scale * generator.standard_normal((draws, len(names)))
    best = (numpy.argmin if smaller_is_better else numpy.argmax)(drawn, axis=1)
    shares = numpy.bincount(best, minlength=len(names)) / draws
    return Sure(deviation, freedom, dict(zip(names, shares.tolist())))


def interval(values, deviation, freedom):
    """(low, high) that hold the mean of the seeds with 95 %, by Student's t with the common deviation; None where it is not known."""
    if not freedom:
        return None, None
    mean, half = sum(values) / len(values), float(stats.t.ppf(0.975, freedom)) * deviation / math.sqrt(len(values))
    return mean - half, mean + half
