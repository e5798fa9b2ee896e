"""Keeps hashes and numbers of each row, never the text, so that memory is bounded."""
import array
import hashlib

import numpy as np

RANKS = ("train", "validation", "test")  # a text in two splits is the fault of the earlier one


def hash_of(text):
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


class Columns:
    def __init__(self):
        self.parts = {"key": array.array("Q"), "label": array.array("Q"), "class": array.array("i"), "file": array.array("I"), "line": array.array("q"),
                      "rank": array.array("B"), "language": array.array("h"), "length": array.array("I"), "blank": array.array("B")}
        self.bands = []

    def add(self, **values):
        for name, value in values.items():
            self.parts[name].append(value)

    def __getitem__(self, name):
        part = self.parts[name]
        return np.frombuffer(part, part.typecode) if len(part) else np.empty(0, part.typecode)

    def __len__(self):
        return len(self.parts["key"])

    def band_keys(self):
        """All of them, once; what the batches held is given back."""
        keys = np.concatenate(self.bands) if self.bands else np.empty((0, 1), np.uint32)
        self.bands = []
        return keys


class Equal:
    """Equal texts: rows that leak, repeat, contradict. Each is (rows, partners)."""

    def __init__(self, columns):
        keys, ranks, labels = columns["key"], columns["rank"], columns["label"]
        rows = np.flatnonzero(columns["blank"] == 0)
        order = rows[np.lexsort((rows, -ranks[rows].astype(np.int8), keys[rows]))]
        self.first = np.zeros(len(keys), bool)  # of its text in its split
        none = np.empty(0, np.int64)
        self.leaks = self.repeats = self.conflicts = (none, none)
        if not order.size:
            return
        key, rank = keys[order], ranks[order]
        begins = np.concatenate([[True], key[1:] != key[:-1]])
        runs = begins | np.concatenate([[True], rank[1:] != rank[:-1]])
        group = np.cumsum(begins) - 1
        head, run_head = order[begins][group], order[runs][np.cumsum(runs) - 1]
        self.first[order[runs]] = True
        self.leaks = self.pairs(order, head, rank < ranks[head])
        self.repeats = self.pairs(order, run_head, ~runs)
        starts = np.flatnonzero(begins)
        differ = np.minimum.reduceat(labels[order], starts) != np.maximum.reduceat(labels[order], starts)
        partner = np.where(begins, np.roll(order, -1), head)
        self.conflicts = self.pairs(order, partner, differ[group])

    @staticmethod
    def pairs(order, partner, chosen):
        rows, partners = order[chosen], partner[chosen]
        by_row = np.argsort(rows, kind="stable")
        return rows[by_row], partners[by_row]
