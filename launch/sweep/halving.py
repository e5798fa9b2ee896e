"""Successive halving (Jamieson and Talwalkar 2016: Non-stochastic Best Arm Identification and Hyperparameter Optimization), with the numbers
of one bracket of Hyperband (Li et al. 2018, algorithm 1): in rung i there are floor(n / eta^i) configurations with r eta^i steps each."""
from typing import NamedTuple


class Rung(NamedTuple):
    count: int  # configurations
    steps: int  # of each, from its beginning


def rungs(count, first_steps, eta, steps):
    """All rungs, the last of which trains to `steps`. A rung that no configuration would reach has the count 0."""
    found, length, power = [], first_steps, 1
    while length < steps:
        found.append(Rung(count // power, length))
        length *= eta
        power *= eta
    return [*found, Rung(count // power, steps)]


def best_of(scores, count, smaller_is_better):
    """Names of the `count` best of {name: score}, best first, equal ones in their order; None, which a failure has, is never among them."""
    some = [name for name, score in scores.items() if score is not None]
    return sorted(some, key=lambda name: scores[name] if smaller_is_better else -scores[name])[:count]
