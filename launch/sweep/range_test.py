"""The learning-rate range test (Smith 2017: Cyclical Learning Rates, section 3.3): one run whose rate rises by the same factor every step,
and what its losses say about the rate."""
import math
from typing import NamedTuple

WINDOW = 20  # losses are smoothed over this part of the steps: one in so many
DIVERGED = 4.0  # times the lowest loss, after which nothing is looked at, as in fastai's finder
BEFORE = 10.0  # the rate that is taken lies this factor below that of the lowest loss (Gugger 2018, "How do you find a good learning rate")
FEWEST = 10  # steps


class Finding(NamedTuple):
    rates: list
    losses: list
    smooth: list
    lowest: float  # rate at the lowest smooth loss
    steepest: float  # rate at which the smooth loss falls fastest over the logarithm of the rate
    suggestion: float
    diverged: bool  # the test went on until the loss rose


def smoothed(losses, window):
    """Means over `window` steps around each, of fewer at the ends: they do not lag behind the rate, as an exponential mean would."""
    half = window // 2
    parts = [losses[max(0, i - half):i + half + 1] for i in range(len(losses))]
    return [sum(part) / len(part) for part in parts]


def find(rates, losses):
    """The finding of one run; None where there are too few steps. Losses that are not finite end the test."""
    whole = next((i for i, loss in enumerate(losses) if loss is None or not math.isfinite(loss)), len(losses))
    smooth = smoothed(losses[:whole], max(3, len(losses) // WINDOW))
    low = math.inf
    end = whole
    for i, value in enumerate(smooth):
        low = min(low, value)
        if value > DIVERGED * low and i > FEWEST:
            end = i + 1
            break
    if end < FEWEST:
        return None
    stopped = end < len(losses)
    rates, losses, smooth = rates[:end], losses[:end], smooth[:end]
    place = min(range(end), key=lambda i: smooth[i])
    slopes = [(smooth[i + 1] - smooth[i - 1]) / math.log(rates[i + 1] / rates[i - 1]) for i in range(1, end - 1)]
    steepest = rates[1 + min(range(len(slopes)), key=lambda i: slopes[i])]
    return Finding(rates, losses, smooth, rates[place], steepest, rates[place] / BEFORE, stopped or smooth[-1] > 1.5 * smooth[place])
