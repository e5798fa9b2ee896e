"""Labels that the text contradicts: confident learning (Northcutt, Jiang and Chuang, JAIR 2021) over probabilities of a naive
Bayes model of words and pairs of words (Wang and Manning, ACL 2012), each row judged by a model that has not seen it.

Naive Bayes is far too sure of itself, and surer of long texts: its log-odds are divided by the root of the number of words, and
its probabilities tempered to the power that makes the labels most likely. Classes of which it knows less than half are not judged.
"""
import re
import zlib

import numpy as np

FEATURES, FOLDS, SMOOTHING = 1 << 18, 5, 0.5
MOST_ROWS, MOST_CELLS = 200_000, 1 << 26  # judged; folds x classes x features
LEAST_ROWS, LEAST_OF_CLASS = 200, 10
MOST_PROBABLE = 0.2  # a suspect's own label has at most this probability
WORD = re.compile(r"\w+(?:'\w+)?")
FOLD_OF = np.uint64(0x9E3779B97F4A7C15)


def features(text, size):
    """Places of the words and pairs of words, each once."""
    words = WORD.findall(text[:20000].lower())
    names = words + [f"{a} {b}" for a, b in zip(words, words[1:])]
    return np.unique(np.fromiter((zlib.crc32(n.encode("utf-8", "surrogatepass")) for n in names or [""]), np.uint32, max(1, len(names))) % np.uint32(size)).astype(np.uint32)


class Sample:
    """At most MOST_ROWS rows, chosen by the hash of their text, with their features."""

    def __init__(self):
        self.stride, self.rows, self.keys, self.labels, self.features = 1, [], [], [], []

    def add(self, row, key, label, text):
        if key % self.stride:
            return
        for part, value in ((self.rows, row), (self.keys, key), (self.labels, label), (self.features, features(text, FEATURES))):
            part.append(value)
        if len(self.rows) > MOST_ROWS:
            self.stride *= 2
            kept = [i for i, k in enumerate(self.keys) if k % self.stride == 0]
            for name in ("rows", "keys", "labels", "features"):
                part = getattr(self, name)
                setattr(self, name, [part[i] for i in kept])


def log_odds(parts, labels, folds, classes):
    """[rows, classes]: log-probabilities of multinomial naive Bayes, each by the folds that the row is not in."""
    size = max(1 << 12, min(FEATURES, MOST_CELLS // (classes * FOLDS)))
    lengths = np.array([len(p) for p in parts])
    flat, row = np.concatenate(parts).astype(np.int64) % size, np.repeat(np.arange(len(parts)), lengths)
    cells = (folds[row] * classes + labels[row]) * size + flat
    counts = np.bincount(cells, minlength=FOLDS * classes * size).reshape(FOLDS, classes, size).astype(np.float32)
    total, scores = counts.sum(0), np.zeros((len(parts), classes))
    for fold in range(FOLDS):
        inside = folds[row] == fold
        seen = total - counts[fold] + SMOOTHING
        table = np.log(seen / seen.sum(1, keepdims=True))
        own_rows, own = row[inside], flat[inside]
        for c in range(classes):
            scores[:, c] += np.bincount(own_rows, table[c][own], len(parts))
        scores[folds == fold] += np.log(np.bincount(labels[folds != fold], minlength=classes) + SMOOTHING)
    return scores / np.sqrt(lengths)[:, None]


def probabilities(scores):
    shares = np.exp(scores - scores.max(1, keepdims=True))
    return shares / shares.sum(1, keepdims=True)


def tempered(scores, labels):
    """Probabilities to the power that makes the given labels most likely (Guo et al., ICML 2017, for one parameter)."""
    places = np.arange(len(labels))
    best = min(np.geomspace(0.005, 4, 60), key=lambda power: -np.log(probabilities(scores * power)[places, labels] + 1e-30).mean())
    return probabilities(scores * best)


def suspects(sample, names):
    """(row, given class, likelier class, probability of it) of the most certain first, and the accuracy; None if the rows are
    too few to judge."""
    kept = np.bincount(sample.labels, minlength=len(names)) >= LEAST_OF_CLASS if sample.labels else np.zeros(0, bool)
    usable = [i for i, label in enumerate(sample.labels) if kept[label]]
    if len(usable) < LEAST_ROWS or kept.sum() < 2:
        return None
    number = np.cumsum(kept) - 1
    back = np.flatnonzero(kept)
    labels = number[np.array(sample.labels)[usable]]
    folds = ((np.array(sample.keys, np.uint64)[usable] * FOLD_OF) >> np.uint64(33)).astype(np.int64) % FOLDS
    if len(np.unique(folds)) < 2:
        return None
    shares = tempered(log_odds([sample.features[i] for i in usable], labels, folds, int(kept.sum())), labels)
    places = np.arange(len(labels))
    own = shares[places, labels]
    thresholds = np.bincount(labels, own) / np.bincount(labels)
    above = np.where(shares >= thresholds, shares, -1)
    likelier = np.where(above.max(1) > 0, above.argmax(1), labels)
    guess = shares.argmax(1)
    known = np.bincount(labels, guess == labels) >= 0.5 * np.bincount(labels)
    found = np.flatnonzero((likelier != labels) & (own <= MOST_PROBABLE) & known[labels] & known[guess])
    found = found[np.argsort(own[found], kind="stable")]
    accuracy = float((guess == labels).mean())
    return [(sample.rows[usable[i]], int(back[labels[i]]), int(back[likelier[i]]), float(shares[i, likelier[i]])) for i in found], accuracy, len(labels)
