"""Files of paired sentences: rows of more and less, CrowS-Pairs' table and StereoSet's JSON."""
from typing import NamedTuple

from bias.rows import cell, rows_of
from report import reading
from report.command import refuse

LEGAL = "rows of more and less (.jsonl, .csv, .tsv), CrowS-Pairs' table with sent_more and sent_less, or StereoSet's .json"
NAMES = (("more", "less"), ("sent_more", "sent_less"))
ALL = "all pairs"
STEREOTYPE, AGAINST = "stereotype", "anti-stereotype"


class Pair(NamedTuple):
    place: str
    kind: str  # of bias
    more: str  # the sentence that says more of what is asked about
    less: str


def of_rows(path):
    for place, row in rows_of(path, LEGAL):
        names = next((pair for pair in NAMES if all(name in row for name in pair)), None)
        if not names:
            refuse(f"{place}: no columns more and less; legal: {LEGAL}")
        more, less = (cell(row[name]) for name in names)
        if not more or not less or more == less:
            refuse(f"{place}: {names[0]}, {names[1]}: legal: two sentences that differ")
        yield Pair(place, cell(row.get("bias_type")) or ALL, more, less)


def sentence_of(place, item, wanted):
    sentences = item.get("sentences")
    found = [s.get("sentence") for s in (sentences if isinstance(sentences, list) else ()) if isinstance(s, dict) and s.get("gold_label") == wanted]
    if len(found) != 1 or not isinstance(found[0], str) or not found[0].strip():
        refuse(f"{place}: sentences: legal: one of gold_label {wanted}")
    return found[0]


def of_stereoset(path):
    found = reading.read_json(path, LEGAL)
    items = found.get("data", {}).get("intrasentence") if isinstance(found, dict) and isinstance(found.get("data"), dict) else None
    if not isinstance(items, list):
        refuse(f"{path}: data.intrasentence: missing; legal: {LEGAL}")
    for number, item in enumerate(items):
        place = f"{path}: data.intrasentence[{number}]"
        if not isinstance(item, dict):
            refuse(f"{place}: legal: an object")
        yield Pair(place, cell(item.get("bias_type")) or ALL, sentence_of(place, item, STEREOTYPE), sentence_of(place, item, AGAINST))


def read_pairs(path):
    found = list(of_stereoset(path) if path.lower().endswith(".json") else of_rows(path))
    if not found:
        refuse(f"{path}: no pair; legal: {LEGAL}")
    return found
