"""Counterfactual texts: words of one group in the place of another's."""
import itertools
from typing import NamedTuple

import regex

from report import reading
from report.command import refuse
from report.numbers import one_line

LEGAL = 'a JSON object like {"gender": {"men": ["he", "man"], "women": ["she", "woman"]}}: lists of equal lengths, word for word'


class Version(NamedTuple):
    """One text in two versions."""
    place: str
    first: str
    second: str


class Swap:
    """One set of groups, whose words stand for one another by their places in the lists."""

    def __init__(self, path, name, given):
        self.name, self.groups = name, given
        where = f"{path}: {one_line(name, 60)}"
        self.check(where)
        self.of = {}  # {word in lower case: (group, place)}
        for group, words in given.items():
            for place, word in enumerate(words):
                known = self.of.setdefault(word.lower(), (group, place))
                if known[0] != group:
                    refuse(f"{where}: {one_line(word, 60)}: is a word of {one_line(known[0], 60)} and of {one_line(group, 60)}; legal: a word of one group")
        longest_first = sorted(self.of, key=len, reverse=True)
        self.pattern = regex.compile(rf"(?<!\w)(?:{'|'.join(map(regex.escape, longest_first))})(?!\w)", regex.IGNORECASE)

    def check(self, where):
        if not isinstance(self.groups, dict) or len(self.groups) < 2:
            refuse(f"{where}: legal: two groups or more, as in {LEGAL}")
        for group, words in self.groups.items():
            if not isinstance(words, list) or not words or not all(isinstance(w, str) and w.strip() for w in words):
                refuse(f"{where}: {one_line(group, 60)}: legal: a list of words")
        sizes = {group: len(words) for group, words in self.groups.items()}
        if len(set(sizes.values())) > 1:
            refuse(f"{where}: {', '.join(f'{one_line(g, 60)} has {n}' for g, n in sizes.items())} words; legal: lists of equal lengths, word for word")

    def groups_in(self, text):
        return {self.of[match[0].lower()][0] for match in self.pattern.finditer(text)}

    def version(self, text, group):
        """The text with the group's words in the places of all others'."""
        def other(match):
            own, place = self.of[match[0].lower()]
            return match[0] if own == group else cased(self.groups[group][place], match[0], self.groups[own][place])
        return self.pattern.sub(other, text)

    def contrasts(self):
        """(first, second): each pair of groups, of which the second is compared with the first."""
        return list(itertools.combinations(self.groups, 2))

    def versions(self, rows):
        """(texts that have words of one group, how many have words of several)"""
        one, several = [], 0
        for row in rows:
            found = self.groups_in(row["text"])
            several += len(found) > 1
            if len(found) == 1:
                one.append(row)
        return one, several

    def pairs(self, rows, first, second):
        made = (Version(row["place"], self.version(row["text"], first), self.version(row["text"], second)) for row in rows)
        return [version for version in made if version.first != version.second]


def cased(word, found, listed):
    """The word as the one that was found is written: as listed, in capitals, with one, or without."""
    if found == listed:
        return word
    if found.isupper() and len(found) > 1:
        return word.upper()
    return word[0].upper() + word[1:] if found[0].isupper() else word.lower()


def read_swaps(path):
    found = reading.read_json(path, LEGAL)
    if not isinstance(found, dict) or not found:
        refuse(f"{path}: legal: {LEGAL}")
    return [Swap(path, name, given) for name, given in found.items()]
