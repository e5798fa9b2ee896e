"""A cleaned copy: the files without the rows that the audit drops, and drops.jsonl, which says of each line why."""
import json
import pathlib

import numpy as np

from report.command import refuse

KINDS = (".jsonl", ".csv", ".tsv")


def check(files, folder):
    if not folder:
        return
    names = {}
    for file in files:
        name = pathlib.Path(file).name
        if not name.lower().endswith(KINDS):
            refuse(f"--fix: {file}: legal: files of {', '.join(KINDS)}, whose lines can be left out")
        if names.setdefault(name, file) != file or name == "drops.jsonl":
            refuse(f"--fix: {file}: the copy would have the name of {names[name] if names[name] != file else 'the list of dropped lines'}; "
                   "legal: files of different names")


def lines_of(path):
    """Lines as bytes, counted as the reader of rows counts them: Python's csv ends one at a carriage return too."""
    if path.lower().endswith(".jsonl"):
        with open(path, "rb") as file:
            yield from file
    else:
        with open(path, encoding="latin-1", newline="") as file:  # keeps all bytes, whatever they mean
            for line in file:
                yield line.encode("latin-1")


def write(folder, files, columns, drops):
    """Returns {reason: rows}. `drops`: {row: (reason, partner or None)}."""
    numbers, lines, counts = columns["file"], columns["line"], {}
    for number, path in enumerate(files):
        own = np.flatnonzero(numbers == number)
        ends = dict(zip(own.tolist(), lines[own][1:].tolist()))  # line of the next row; the last one has none
        left_out = sorted((int(lines[row]), ends.get(row)) for row in own.tolist() if row in drops)
        left_out.reverse()
        with open(f"{folder}/{pathlib.Path(path).name}", "wb") as copy:
            for place, line in enumerate(lines_of(path), 1):
                while left_out and left_out[-1][1] is not None and place >= left_out[-1][1]:
                    left_out.pop()
                if not (left_out and place >= left_out[-1][0]):
                    copy.write(line)
    with open(f"{folder}/drops.jsonl", "w", encoding="utf-8", errors="replace") as out:
        for row, (reason, partner) in sorted(drops.items()):
            counts[reason] = counts.get(reason, 0) + 1
            other = {} if partner is None else {"partner": {"file": files[numbers[partner]], "line": int(lines[partner])}}
            out.write(json.dumps({"file": files[numbers[row]], "line": int(lines[row]), "reason": reason, **other}, ensure_ascii=False) + "\n")
    return counts
