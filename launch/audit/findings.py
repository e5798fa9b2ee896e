"""Findings: their names, how grave each is unless the user says otherwise, and a bounded list of examples of each."""
import array

from report.command import refuse

LEVELS = ("error", "warn", "ignore")
MOST_EXAMPLES = 20
# name: (level, what it says of a row, of a class or of the data)
FINDINGS = {
    "leaks": ("error", "texts of training that stand in another split too"),
    "near-leaks": ("error", "texts of training that are nearly those of another split"),
    "conflicting-labels": ("error", "equal texts with different labels"),
    "near-conflicts": ("warn", "nearly equal texts with different labels"),
    "exact-duplicates": ("warn", "texts that repeat an earlier one of their split"),
    "near-duplicates": ("warn", "texts that nearly repeat an earlier one of their split"),
    "empty-texts": ("warn", "rows without text"),
    "unlabelled": ("warn", "rows without a label"),
    "class-balance": ("warn", "classes of training that are rare beside the largest one"),
    "missing-classes": ("error", "classes that a split lacks"),
    "length-balance": ("warn", "classes whose texts are much longer than another's"),
    "truncation": ("warn", "texts longer than --max-length"),
    "flipped-labels": ("warn", "labels that the text contradicts, as far as its words tell"),
    "language": ("warn", "texts in another language than nearly all"),
    "mojibake": ("warn", "texts that were decoded by the wrong encoding"),
    "replacement-characters": ("warn", "texts with U+FFFD, which stands for bytes that were lost"),
    "control-characters": ("warn", "texts with control characters"),
    "html-entities": ("warn", "texts with HTML entities"),
    "mixed-normalisation": ("warn", "texts that are not in Unicode's normal form C"),
    "email": ("warn", "e-mail addresses"),
    "phone": ("warn", "phone numbers"),
    "iban": ("warn", "bank accounts (IBAN, checksum valid)"),
    "credit-card": ("warn", "numbers of credit cards (Luhn valid)"),
    "ip-address": ("warn", "public IP addresses"),
    "national-id": ("warn", "national identity numbers (checksum valid)"),
    "missing-groups": ("error", "groups of --groups that no row of a split has"),
    "rare-groups": ("warn", "groups of --groups that few rows have"),
    "size": ("warn", "little data for the task or the model"),
}
DROPPED = ("empty-texts", "conflicting-labels", "leaks", "near-leaks", "exact-duplicates", "near-duplicates")


def levels_of(words):
    """Defaults, and NAME=LEVEL of --severity; NAME=LEVEL with the name `all` is for every one."""
    levels = {name: level for name, (level, _) in FINDINGS.items()}
    for word in words:
        name, divided, level = word.partition("=")
        if not divided or level not in LEVELS:
            refuse(f"--severity: {word}: legal: NAME=LEVEL with a LEVEL of {', '.join(LEVELS)}")
        if name != "all" and name not in FINDINGS:
            refuse(f"--severity: {name}: no such finding; legal: all, {', '.join(FINDINGS)}")
        levels.update({n: level for n in (FINDINGS if name == "all" else (name,))})
    return levels


class Finding:
    """One kind of finding: how often, which rows, and the first examples (dicts; `row` and `partner` are numbers of rows)."""

    def __init__(self, name, level):
        self.name, self.level, self.count, self.rows, self.examples, self.note = name, level, 0, array.array("q"), [], ""

    def add(self, example):
        self.count += 1
        if "row" in example:
            self.rows.append(example["row"])
        if len(self.examples) < MOST_EXAMPLES:
            self.examples.append(example)

    def wants(self):
        """Is there room for an example?"""
        return len(self.examples) < MOST_EXAMPLES


class Findings:
    def __init__(self, levels):
        self.all = {name: Finding(name, levels[name]) for name in FINDINGS}

    def __getitem__(self, name):
        return self.all[name]

    def active(self, name):
        return self.all[name].level != "ignore"

    def found(self):
        """Errors first."""
        return sorted((f for f in self.all.values() if f.count and f.level != "ignore"), key=lambda f: LEVELS.index(f.level))
