"""Statistics of a study: intervals, outliers, and fits of the laws of scaling, by scipy."""
import math
import statistics

import numpy
from scipy import optimize, stats

CONFIDENCE = 0.95
FAR, APART = 3.5, 0.25
RULE = (f"A repeat is flagged whose step is more than {100 * APART:.0f} % off: of three and more repeats off their median, and with a modified z-score by the "
        f"median absolute deviation, 0.6745 |x - median| / MAD, above {FAR} (Iglewicz and Hoaglin 1993); of two, the slower off the other. A single "
        "one cannot be judged. Flagged repeats are kept in the tables of cells and left out of means, intervals and fits; the efficiency with them "
        "is told beside the other.")


def outliers(values):
    """Says whether each of the repeats of one configuration is flagged (RULE)."""
    if len(values) == 2:
        return [value > min(values) * (1 + APART) for value in values]
    if len(values) < 2:
        return [False] * len(values)
    middle = statistics.median(values)
    deviation = statistics.median(abs(value - middle) for value in values)
    far = [0.6745 * abs(value - middle) > FAR * deviation for value in values]
    return [one and abs(value - middle) > APART * middle for one, value in zip(far, values)]


def interval(values):
    """(low, high) of the mean by Student's t; None of fewer than two values."""
    if len(values) < 2:
        return None, None
    half = stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))
    return statistics.mean(values) - half, statistics.mean(values) + half


def ratio_interval(above, below):
    """Interval of mean(above) / mean(below), two independent samples: relative variances add up, degrees of freedom as Welch's."""
    if len(above) < 2 or len(below) < 2:
        return None, None
    parts = [statistics.variance(v) / len(v) / statistics.mean(v) ** 2 for v in (above, below)]
    whole, ratio = sum(parts), statistics.mean(above) / statistics.mean(below)
    if whole == 0:
        return ratio, ratio
    freedom = whole**2 / sum(part**2 / (len(v) - 1) for part, v in zip(parts, (above, below)))
    half = stats.t.ppf((1 + CONFIDENCE) / 2, freedom) * math.sqrt(whole) * ratio
    return ratio - half, ratio + half


def quality(y, fitted):
    """The largest relative residual."""
    return float(max(abs(numpy.asarray(fitted) / numpy.asarray(y) - 1)))


def least_squares(columns, y):
    """Coefficients >= 0 that make the smallest sum of squares of relative residuals."""
    matrix, y = numpy.array(columns, float).T, numpy.array(y, float)
    scaled = matrix / y[:, None]
    size = numpy.linalg.norm(scaled, axis=0)
    found = optimize.nnls(scaled / size, numpy.ones(len(y)))[0] / size
    found[found * size < 1e-12] = 0  # rounding, not a law
    return found, matrix @ found


def amdahl(nodes, seconds):
    """T(n) = serial + parallel / n of strong scaling; `serial_fraction` is the share of the smallest count's step."""
    if len(nodes) < 2:
        return None
    base = nodes[0]
    (serial, parallel), fitted = least_squares([[1] * len(nodes), [base / n for n in nodes]], seconds)
    return {"law": "amdahl", "serial_s": serial, "parallel_s": parallel, "serial_fraction": serial / (serial + parallel),
            "largest_residual": quality(seconds, fitted), "free": len(nodes) - 2}


def gustafson(nodes, speedups):
    """S(n) = s + (1 - s) n of weak scaling, in multiples of the smallest count; s from 0 to 1."""
    if len(nodes) < 2:
        return None
    multiples = numpy.array(nodes, float) / nodes[0]
    grown = multiples - 1
    serial = float(numpy.clip(1 - (grown @ (numpy.array(speedups) - 1)) / (grown @ grown), 0, 1))
    fitted = serial + (1 - serial) * multiples
    return {"law": "gustafson", "serial_fraction": serial, "largest_residual": quality(speedups, fitted), "free": len(nodes) - 1}


def alpha_beta(scaling, ranks, seconds, message):
    """T(p) = compute + a ring all-reduce of `message` bytes: 2 (p - 1) alpha + 2 (p - 1) / p x message / beta. The computing of
    strong scaling is divided by p. None of fewer than three counts, of which three unknowns cannot be told."""
    if len(ranks) < 3:
        return None
    work = [ranks[0] / p if scaling == "strong" else 1 for p in ranks]
    columns = [work, [2 * (p - 1) for p in ranks], [2 * (p - 1) / p for p in ranks]]
    (compute, alpha, passed), fitted = least_squares(columns, seconds)
    return {"law": "alpha-beta", "compute_s": compute, "alpha_s": alpha, "message_s": passed,
            "beta_bytes_per_s": message / passed if message and passed else None, "largest_residual": quality(seconds, fitted), "free": len(ranks) - 3}


def seconds_at(fit, scaling, nodes, base, ranks_per_node):
    """Seconds of a step on `nodes`, by a fit of amdahl or alpha-beta."""
    if fit["law"] == "amdahl":
        return fit["serial_s"] + fit["parallel_s"] * base / nodes
    p, first = nodes * ranks_per_node, base * ranks_per_node
    work = fit["compute_s"] * (first / p if scaling == "strong" else 1)
    return work + 2 * (p - 1) * fit["alpha_s"] + 2 * (p - 1) / p * fit["message_s"]
