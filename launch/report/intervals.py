"""Intervals of metrics: percentile bootstrap over samples (Efron and Tibshirani: An Introduction to the Bootstrap, 1993, chapter 13).

A resample of n samples with replacement counts each pair of label and prediction as a multinomial draw of n does, so that
the pairs are drawn and not the samples: exact, and as fast for a million samples as for ten.
"""
import math

import numpy

RESAMPLES, SEED, LEVEL = 2000, 0, 0.95
NAME = "95 % interval"


def sums(drawn, places, classes):
    """[resample, class] of [resample, cell], whose cell belongs to the class at its place."""
    order = numpy.argsort(places, kind="stable")
    starts = numpy.searchsorted(places[order], numpy.unique(places))
    found = numpy.zeros((len(drawn), classes))
    found[:, numpy.unique(places)] = numpy.add.reduceat(drawn[:, order], starts, axis=1)
    return found


def scores(drawn, label, prediction, classes):
    """{metric: values} of [resample, cell] samples with such a label and prediction: accuracy, F1 as scikit-learn's macro mean
    over the classes that occur or are predicted, and Matthews' correlation, NaN where not defined."""
    right = label == prediction
    hits = numpy.zeros((len(drawn), classes))
    hits[:, label[right]] = drawn[:, right]
    labels, predictions = sums(drawn, label, classes), sums(drawn, prediction, classes)
    samples, seen = drawn.sum(1), labels + predictions
    f1 = numpy.where(seen > 0, 2 * hits / numpy.maximum(seen, 1), 0).sum(1) / (seen > 0).sum(1)
    covariance = hits.sum(1) * samples - (labels * predictions).sum(1)
    spread = (samples**2 - (labels**2).sum(1)) * (samples**2 - (predictions**2).sum(1))
    mcc = numpy.where(spread > 0, covariance / numpy.sqrt(numpy.maximum(spread, 1)), numpy.nan)
    return {"accuracy": hits.sum(1) / samples, "f1": f1, "mcc": mcc}


def of_confusion(confusion, resamples=RESAMPLES):
    """{metric: (low, high)} of the metrics that are functions of the confusion matrix; none without two samples."""
    counts = numpy.array(confusion, float)
    samples = int(counts.sum())
    if samples < 2:
        return {}
    label, prediction = numpy.nonzero(counts)
    shares = counts[label, prediction] / samples
    generator, parts = numpy.random.default_rng(SEED), []
    for size in numpy.diff(numpy.linspace(0, resamples, max(1, len(shares) // 1000) + 1).astype(int)):  # bounds the memory
        drawn = generator.multinomial(samples, shares, size).astype(float)
        parts.append(scores(drawn, label, prediction, len(counts)))
    ends = {}
    for name in parts[0]:
        values = numpy.concatenate([part[name] for part in parts])
        if not numpy.isnan(values).all():
            ends[name] = tuple(float(v) for v in numpy.nanquantile(values, ((1 - LEVEL) / 2, (1 + LEVEL) / 2)))
    return ends


class Mean:
    """Mean of values that pass by, with its interval by the central limit theorem (Welford 1962: no two passes)."""

    def __init__(self):
        self.count, self.mean, self.squares = 0, 0.0, 0.0

    def add(self, value):
        self.count += 1
        before = value - self.mean
        self.mean += before / self.count
        self.squares += before * (value - self.mean)

    def interval(self):
        if self.count < 2:
            return None
        reach = 1.959963984540054 * math.sqrt(self.squares / (self.count - 1) / self.count)
        return self.mean - reach, self.mean + reach
