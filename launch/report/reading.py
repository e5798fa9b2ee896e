"""Files of JSON and of JSON lines, or their refusal."""
import json

from report.command import reason_of, refuse, size_of

MOST_BYTES = 1 << 30
MOST_LINE_BYTES = 1 << 24


def once(pairs):
    """An object, unless a name is there twice."""
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the name {json.dumps(next(n for n in names if names.count(n) > 1))[:60]} is there twice")
    return found


def parsed(text, where):
    try:
        return json.loads(text, object_pairs_hook=once)
    except RecursionError:
        refuse(f"{where}: not JSON: too deep; legal: JSON in UTF-8")
    except ValueError as error:  # a text that is not UTF-8 too
        refuse(f"{where}: not JSON: {str(error).splitlines()[0]}; legal: JSON in UTF-8")


def read_json(path, what):
    """`what`: which file is legal, for the refusal."""
    try:
        size_of(path, MOST_BYTES)
        with open(path, "rb") as file:
            content = file.read()
    except OSError as error:
        refuse(f"{path}: {reason_of(error)}; legal: {what}")
    return parsed(content, path)


def read_json_lines(path, what):
    """Yields (place, object) line by line; `place` is FILE:LINE."""
    try:
        size_of(path, 1 << 40)
        with open(path, "rb") as file:
            for number, line in enumerate(iter(lambda: file.readline(MOST_LINE_BYTES), b""), 1):
                where = f"{path}:{number}"
                if len(line) == MOST_LINE_BYTES:
                    refuse(f"{where}: longer than {MOST_LINE_BYTES} bytes; legal: {what}")
                if not line.strip():
                    continue
                found = parsed(line, where)
                if not isinstance(found, dict):
                    refuse(f"{where}: {json.dumps(found)[:60]}: legal: {what}")
                yield where, found
    except OSError as error:
        refuse(f"{path}: {reason_of(error)}; legal: {what}")
