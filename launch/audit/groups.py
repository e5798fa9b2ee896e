"""Groups that the user names, and how many rows of each split have them."""
import re

import regex

from report import reading
from report.command import refuse

LEGAL = ('a JSON object like {"women": {"words": ["she", "her"]}, "years": {"regex": "\\\\b19[0-9]{2}\\\\b"}, '
         '"north": {"column": "region", "values": ["north"]}}')
SECONDS = 1.0  # that an expression may take on one text
LEAST_SHARE = 0.01


class Group:
    def __init__(self, path, name, given):
        self.name, self.path, self.pattern, self.column, self.values = name, path, None, "", ()
        where = f"{path}: {name}"
        if not isinstance(given, dict) or set(given) not in ({"words"}, {"regex"}, {"column", "values"}):
            refuse(f"{where}: legal: words, or regex, or column and values, as in {LEGAL}")
        if "column" in given:
            self.column, self.values = self.text(where, "column", given["column"]), set(self.texts(where, "values", given["values"]))
        elif "words" in given:
            words = "|".join(regex.escape(w) for w in self.texts(where, "words", given["words"]))
            self.pattern = regex.compile(rf"(?<!\w)(?:{words})(?!\w)", regex.IGNORECASE)
        else:
            try:
                self.pattern = regex.compile(self.text(where, "regex", given["regex"]), regex.IGNORECASE)
            except (regex.error, RecursionError) as error:
                refuse(f"{where}: regex: {str(error).splitlines()[0]}; legal: a regular expression of Python's `regex`")

    @staticmethod
    def text(where, field, value):
        if not isinstance(value, str) or not value:
            refuse(f"{where}: {field}: legal: a text that is not empty")
        return value

    def texts(self, where, field, value):
        if not isinstance(value, list) or not value:
            refuse(f"{where}: {field}: legal: a list of one text or more")
        return [self.text(where, field, v) for v in value]

    def has(self, text, cells, place):
        """`place`: FILE:LINE, for the refusal."""
        if self.column:
            return cells[self.column] in self.values
        try:
            return self.pattern.search(text, timeout=SECONDS) is not None
        except TimeoutError:
            refuse(f"{self.path}: {self.name}: takes more than {SECONDS:g} s on {place}; legal: an expression without repetitions in one another")


def read_groups(path):
    found = reading.read_json(path, LEGAL)
    if not isinstance(found, dict) or not found:
        refuse(f"{path}: legal: {LEGAL}")
    for name in found:
        if not name or re.search(r"[\x00-\x1f]", name):
            refuse(f"{path}: a group has no name, or one with control characters; legal: {LEGAL}")
    return [Group(path, name, given) for name, given in found.items()]
