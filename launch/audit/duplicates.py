"""Equal and nearly equal texts: MinHash signatures (rensa), bands of them compared (LSH), and every candidate verified by the
true Jaccard similarity of its shingles.

A shingle is 8 bytes of the UTF-8 of the text, case-folded, in normal form KC, with single blanks: as a number of 64 bits it
needs no hash, so that the similarity is exact. LSH: Indyk and Motwani, STOC 1998; MinHash: Broder, 1997.
"""
import unicodedata

import numpy as np
import rensa

SHINGLE, PERMUTATIONS, BANDS, ROWS = 8, 128, 25, 5
MULTIPLIERS = np.random.default_rng(18).integers(1, 1 << 63, ROWS, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
HEAD = 320  # characters that are kept to be shown
MOST_BYTES = 1 << 18  # of a text: its beginning is compared


def normal(text):
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    return " ".join(text.casefold().split())


def padded(text):
    """UTF-8 of the normal form, at least one shingle long."""
    return normal(text).encode("utf-8", "surrogatepass")[:MOST_BYTES].ljust(SHINGLE, b"\0")


def windows(content):
    return np.ndarray((len(content) - SHINGLE + 1,), "<u8", content, 0, (1,))


def shingles(text):
    return np.unique(windows(padded(text)))


def jaccard(a, b):
    common = np.intersect1d(a, b, assume_unique=True).size
    return common / (a.size + b.size - common)


def band_keys(texts):
    """An array of one key of 32 bits for each text and band; equal keys make candidates."""
    contents = [padded(text) for text in texts]
    ends = np.cumsum([len(c) for c in contents])
    joined = b"".join(contents)
    keep = np.ones(len(joined) - SHINGLE + 1, bool)
    keep[(ends[:-1, None] - np.arange(1, SHINGLE)).ravel()] = False
    offsets = np.concatenate([[0], ends - (SHINGLE - 1) * np.arange(1, len(texts) + 1)]).astype(np.uint64)
    matrix = rensa.RMinHash.digest_matrix_from_flat_token_hashes(windows(joined)[keep], offsets, num_perm=PERMUTATIONS, seed=1)
    rows = np.array(matrix.to_rows(), np.uint64)[:, :BANDS * ROWS].reshape(len(texts), BANDS, ROWS)
    return ((rows * MULTIPLIERS).sum(2, dtype=np.uint64) >> np.uint64(32)).astype(np.uint32)


def candidates(keys, skip):
    """Pairs (earlier, later) of rows of which a band is equal: each row with the first of its run and with the one before it,
    so that there are at most 2 x BANDS for a row. `keys`: [rows, BANDS]; `skip`: rows that are not compared."""
    rows = np.flatnonzero(~skip)
    found = np.empty(0, np.int64)
    total = len(keys)
    for band in range(BANDS):
        order = rows[np.argsort(keys[rows, band], kind="stable")]
        sorted_keys = keys[order, band]
        begins = np.concatenate([[True], sorted_keys[1:] != sorted_keys[:-1]]) if order.size else np.empty(0, bool)
        firsts = order[np.maximum.accumulate(np.where(begins, np.arange(order.size), 0))]
        later = order[~begins]
        for earlier in (firsts[~begins], order[np.flatnonzero(~begins) - 1]):
            found = np.union1d(found, earlier * total + later)
    return found // max(total, 1), found % max(total, 1)


class Verifier:
    """Takes the rows that have candidates once more, in order, and keeps their shingles until the last partner has come."""

    def __init__(self, earlier, later, least, found):
        """`found`: called with each pair that holds: earlier row, later row, similarity, and the beginnings of both texts."""
        order = np.argsort(later, kind="stable")
        self.earlier, self.later, self.least = earlier[order], later[order], least
        self.wanted = np.union1d(earlier, later)
        self.uses = dict(zip(*(a.tolist() for a in np.unique(earlier, return_counts=True))))
        self.open, self.next, self.found = {}, 0, found

    def take(self, row, text):
        own = shingles(text)
        while self.next < len(self.later) and self.later[self.next] == row:
            partner = int(self.earlier[self.next])
            other, head = self.open[partner]
            similarity = jaccard(other, own)
            if similarity >= self.least:
                self.found(partner, row, similarity, head, text[:HEAD])
            self.uses[partner] -= 1
            if not self.uses[partner]:
                del self.open[partner]
            self.next += 1
        if self.uses.get(row):
            self.open[row] = own, text[:HEAD]
