"""Exposure of canaries (Carlini et al. 2019, The Secret Sharer): log2 of the number of secrets of a canary's form, less log2 of the rank that the
planted one has among them by its likelihood behind the prefix. Of a form with few secrets all are ranked, of others a sample, whose rank is that
of the sample."""
import math
import random
import string
from typing import NamedTuple

CLASSES = (string.digits, string.ascii_lowercase, string.ascii_uppercase)
TEMPLATE = {"template": "{question}{choice}"}


class Exposure(NamedTuple):
    bits: float
    most: float  # that the number of candidates allows
    exact: bool  # all secrets of the form were ranked


def alphabets(secret):
    """What may stand in the place of each character: digits for digits, letters for letters, all else as it is."""
    return [next((c for c in CLASSES if char in c), char) for char in secret]


def space(secret):
    return math.prod(len(a) for a in alphabets(secret))


def candidates(secret, count):
    """Other secrets of the form: all if there are no more than `count`, else so many, drawn by the secret."""
    choices = alphabets(secret)
    if space(secret) - 1 <= count:
        found = [""]
        for alphabet in choices:
            found = [before + char for before in found for char in alphabet]
        return [other for other in found if other != secret]
    draw, found = random.Random(secret), {secret: None}
    while len(found) <= count:
        found["".join(map(draw.choice, choices))] = None
    return list(found)[1:]


def of_scores(scores, secret):
    """`scores`: of the planted secret first, and of the candidates; equal ones count before it."""
    rank, ranked = 1 + sum(s >= scores[0] for s in scores[1:]), len(scores)
    return Exposure(math.log2(ranked) - math.log2(rank), math.log2(ranked), ranked == space(secret))
