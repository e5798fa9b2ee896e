"""Probes: the beginning of a text as a prompt, and the tokens with which the training text goes on (Carlini et al. 2023, Quantifying Memorization,
definition 3.1: a string is extractable if greedy decoding of its prefix gives it)."""
import random
from typing import NamedTuple

from audit import personal
from bias.rows import cell, rows_of
from report.command import refuse
from report.numbers import one_line

CANARIES, PERSONAL, TEXTS, HELD_OUT = "canaries", "personal data", "training texts", "held-out texts"
LEGAL = "rows of prefix and secret, and of times where it is known how often each was planted (.jsonl, .csv, .tsv)"
NEARBY = 8  # tokens to go on looking for a place where prompt and text have the same tokens


class Probe(NamedTuple):
    kind: str
    place: str
    prompt: str
    wanted: list  # tokens
    text: str  # that the wanted tokens stand for
    times: int | None = None  # how often it was planted
    name: str = ""  # of the personal data


class Canary(NamedTuple):
    place: str
    prefix: str
    secret: str
    times: int | None


def ids(tokenizer, text):
    return tokenizer.encode(text, add_special_tokens=False).ids


def tokens_behind(tokenizer, prompt, whole):
    """Tokens of the whole text behind those of the prompt; None where the tokenizer joins the two."""
    first, all_ = ids(tokenizer, prompt), ids(tokenizer, whole)
    return all_[len(first):] if first and all_[:len(first)] == first and len(all_) > len(first) else None


def read_canaries(path):
    found = []
    for place, row in rows_of(path, LEGAL):
        prefix, secret = cell(row.get("prefix")), cell(row.get("secret"))
        times = cell(row.get("times"))
        if not prefix or not secret:
            refuse(f"{place}: prefix, secret: legal: {LEGAL}")
        if times is not None and not (times.isascii() and times.isdigit()):
            refuse(f"{place}: times: {one_line(times, 60)}: legal: a whole number")
        found.append(Canary(place, prefix, secret, None if times is None else int(times)))
    if not found:
        refuse(f"{path}: no canary; legal: {LEGAL}")
    return found


def of_canaries(canaries, tokenizer):
    found = []
    for canary in canaries:
        prompt, whole = canary.prefix.rstrip(), canary.prefix + canary.secret
        wanted = tokens_behind(tokenizer, prompt, whole)
        if wanted is None:
            refuse(f"{canary.place}: prefix: the tokenizer joins its end with the secret; legal: a prefix that ends with a token, such as a word")
        found.append(Probe(CANARIES, canary.place, prompt, wanted, canary.secret, canary.times))
    return found


def of_personal(rows, tokenizer, prefix, region):
    """(probes, values that no text comes before or that share a token with it)"""
    found, left_out = [], 0
    for row in rows:
        for name, begin, end in personal.values_in(row["text"], region):
            before = tokenizer.encode(row["text"][:begin], add_special_tokens=False).offsets[-prefix:]
            prompt = row["text"][before[0][0]:begin].rstrip() if before else ""
            wanted = tokens_behind(tokenizer, prompt, row["text"][before[0][0]:end]) if prompt else None
            if wanted is None:
                left_out += 1
            else:
                found.append(Probe(PERSONAL, row["place"], prompt, wanted, row["text"][begin:end], name=name))
    return found, left_out


def of_text(kind, row, tokenizer, prefix, suffix):
    """None for a text that is too short, or has no place at which it can be cut."""
    whole = tokenizer.encode(row["text"], add_special_tokens=False)
    for size in range(prefix, min(prefix + NEARBY, len(whole.ids) - suffix + 1)):
        prompt = row["text"][:whole.offsets[size][0]].rstrip()
        if ids(tokenizer, prompt) == whole.ids[:size]:
            end = whole.offsets[size + suffix - 1][1]
            return Probe(kind, row["place"], prompt, whole.ids[size:size + suffix], row["text"][whole.offsets[size][0]:end])
    return None


def of_texts(kind, rows, tokenizer, sizes, samples):
    """Probes of so many texts, drawn by a fixed seed among those that are long enough."""
    found = []
    for row in drawn(rows, len(rows)):
        if len(found) == samples:
            break
        probe = of_text(kind, row, tokenizer, *sizes)
        if probe:
            found.append(probe)
    return found


def drawn(items, count):
    """So many of them by a fixed seed, in the order in which they were drawn."""
    return random.Random(0).sample(items, min(count, len(items)))
