"""Rows of a file with a header or of JSON lines: texts, and columns beside them."""
import csv
import json
import os

from report import reading
from report.command import reason_of, refuse
from report.numbers import one_line

KINDS = (".jsonl", ".csv", ".tsv")
MOST_ROWS = 1_000_000


def cell(value):
    """Text of a cell; None where there is none."""
    if value is None or isinstance(value, str):
        return value if value and value.strip() else None
    return json.dumps(value, ensure_ascii=False)


def of_table(path, what):
    """(place, {column: text}) of each row."""
    # A .tsv has no quoting, as `prepare` reads one.
    form = {"delimiter": "\t", "quoting": csv.QUOTE_NONE} if path.lower().endswith(".tsv") else {"strict": True}
    csv.field_size_limit(reading.MOST_LINE_BYTES)
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file, **form)
            for row in rows:
                if None in row or None in row.values():
                    refuse(f"{path}:{rows.line_num}: more or fewer cells than the header has; legal: {what}")
                yield f"{path}:{rows.line_num}", row
    except OSError as error:
        refuse(f"{path}: {reason_of(error)}; legal: {what}")
    except UnicodeDecodeError:
        refuse(f"{path}: not UTF-8; legal: {what}")
    except csv.Error as error:
        refuse(f"{path}: {error}; legal: {what}")


def rows_of(path, what):
    if not path.lower().endswith(KINDS):
        refuse(f"{path}: legal: {what}, a file of {', '.join(KINDS)}")
    if not os.path.isfile(path):
        refuse(f"{path}: no such file; legal: {what}")
    rows = (reading.read_json_lines if path.lower().endswith(".jsonl") else of_table)(path, what)
    for number, (place, row) in enumerate(rows):
        if number == MOST_ROWS:
            refuse(f"{path}: more than {MOST_ROWS:,} rows; legal: a sample of them")
        yield place, row


def read_texts(path, columns):
    """Rows that have a text, as {"place", "text"} and what else `columns` ({role: name}) names."""
    found = []
    for place, row in rows_of(path, "a file of texts"):
        for role, name in columns.items():
            if name not in row:
                option = {"text": "--text", "label": "--label"}.get(role, "--groups")
                refuse(f"{option}: {name}: {place} has no such column; legal: {one_line(', '.join(map(str, list(row)[:20])), 300)}")
        if cell(row[columns["text"]]) is not None:
            found.append({"place": place, **{role: cell(row[name]) for role, name in columns.items()}})
    if not found:
        refuse(f"{path}: no row with a text; legal: one or more")
    return found
