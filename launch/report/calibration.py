"""Calibration as Guo et al. 2017 (arXiv:1706.04599) define it: confidence and accuracy in bins of equal width."""
import numpy

BINS = 15  # as there


class Calibration:
    """Sums by bin; bin m holds confidences in (m / BINS, (m + 1) / BINS], 0 in the first."""

    def __init__(self, bins=BINS):
        self.edges = numpy.arange(bins + 1) / bins
        self.counts, self.right = numpy.zeros(bins, int), numpy.zeros(bins, int)
        self.confidence = numpy.zeros(bins)

    def add(self, confidence, right):
        place = max(0, int(numpy.searchsorted(self.edges, confidence, side="left")) - 1)
        self.counts[place] += 1
        self.right[place] += bool(right)
        self.confidence[place] += confidence

    def samples(self):
        return int(self.counts.sum())

    def error(self):
        """Sum over bins of (samples in the bin / all samples) x |accuracy - mean confidence|."""
        return float(numpy.abs(self.right - self.confidence).sum() / self.samples())

    def bins(self):
        """Bins as in the block `reliability`; an empty bin has no confidence and no accuracy."""
        return [{"low": float(low), "high": float(high), "count": int(n), "confidence": float(c / n) if n else None, "accuracy": float(r / n) if n else None}
                for low, high, n, c, r in zip(self.edges, self.edges[1:], self.counts, self.confidence, self.right)]
