"""Spaces of hyperparameters, and the points of them that are tried. Pure: a draw is a function of the seed, its number and the key, so that
neither more trials nor another parameter changes the draws that were there."""
import hashlib
import itertools
import math
from typing import NamedTuple

MOST_DRAWS = 1000  # for each trial, until one is new


class Parameter(NamedTuple):
    """One key: a choice of texts, or a range of numbers."""
    key: str
    choices: tuple = ()
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    whole: bool = False
    points: int = 0  # of a grid over a range; 0: not given

    def count(self):
        """Values that there are; infinite for a range of real numbers."""
        if self.choices:
            return len(self.choices)
        return int(self.high - self.low) + 1 if self.whole else math.inf

    def at(self, share):
        """The value as text at a share from 0 to below 1 of the distribution. Whole numbers as in Optuna: each of a uniform range is
        equally likely, those of a logarithmic one have the share of [n - 1/2, n + 1/2)."""
        if self.choices:
            return self.choices[int(share * len(self.choices))]
        half = 0.5 if self.whole else 0.0
        low, high = self.low - half, self.high + half
        value = low * (high / low) ** share if self.log else low + (high - low) * share
        return text_of(min(max(round(value), self.low), self.high) if self.whole else value)

    def grid(self):
        """Values of a grid, both ends among them, by equal steps or by equal factors; whole numbers once each."""
        if self.choices:
            return list(self.choices)
        shares = [i / (self.points - 1) for i in range(self.points)]
        values = [self.low * (self.high / self.low) ** s if self.log else self.low + (self.high - self.low) * s for s in shares]
        return list(dict.fromkeys(text_of(round(v) if self.whole else v) for v in values))


def text_of(value):
    """A number with six digits, as configurations have it."""
    return str(int(value)) if value == int(value) and abs(value) < 1e6 else f"{value:.6g}"


def share_of(seed, number, key):
    """A number from 0 to below 1, uniform in its 53 bits."""
    digest = hashlib.sha256(f"{seed}/{number}/{key}".encode()).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / 2**53


def draw(parameters, seed, number):
    return tuple((p.key, p.at(share_of(seed, number, p.key))) for p in parameters)


def random_points(parameters, count, seed):
    """The first `count` draws that differ: fewer only where there are no more."""
    found = {}
    for number in range(count * MOST_DRAWS):
        if len(found) == count:
            break
        found.setdefault(draw(parameters, seed, number))
    return list(found)


def grid_points(parameters):
    """Every combination, the last parameter changing fastest."""
    values = [[(p.key, value) for value in p.grid()] for p in parameters]
    return list(itertools.product(*values))
