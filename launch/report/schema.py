"""The document of a report: which fields it has, and the refusal of what is not one (docs/reports.md shows the same)."""
import json
from typing import Callable, NamedTuple

from report.command import is_number, refuse

FORMAT, VERSION = "trireme-report", 1
FORMS = ("number", "integer", "percent", "bytes", "seconds", "text")
PARALLEL = ("best", "good", "other")
STYLES = ("line", "dashed", "points")
BARS = ("bar", "thin", "idle")
VERDICTS = ("ok", "warn", "error", "info")
DEEPEST = 4  # details in details


class Field(NamedTuple):
    check: Callable
    legal: str
    needed: bool = True
    parts: str = ""  # name in FIELDS of what the list holds


def is_text(value):
    return isinstance(value, str)


def is_real(value):
    """A number, NaN and infinity among them, or null: what is not defined."""
    return value is None or isinstance(value, (int, float)) and not isinstance(value, bool)


def is_list_of(check):
    return lambda value: isinstance(value, list) and all(map(check, value))


def is_scalar(value):
    return value is None or isinstance(value, (str, int, float))


def one_of(names):
    return lambda value: isinstance(value, str) and value in names


def count(value):
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def is_bool(value):
    return isinstance(value, bool)


TEXT = Field(is_text, "a text")
MAYBE_TEXT = Field(is_text, "a text", False)
NAMES = Field(is_list_of(is_text), "a list of texts")
REALS = Field(is_list_of(is_real), "a list of numbers, null where not defined")
MAYBE_REALS = REALS._replace(needed=False)
SHARE = Field(lambda v: is_real(v) and v is not None and 0 <= v <= 1, "a number from 0 to 1")
MAYBE_SHARE = Field(lambda v: v is None or SHARE.check(v), "a number from 0 to 1, null where not defined")
SCALE = Field(one_of(("linear", "log")), "linear, log", False)
FORM = Field(one_of(FORMS), ", ".join(FORMS), False)


def list_of(parts, needed=True):
    return Field(is_list_of(lambda v: isinstance(v, dict)), "a list of objects", needed, parts)


FIGURE = {"title": TEXT, "alt": MAYBE_TEXT, "caption": MAYBE_TEXT}
AXES = {"x_label": TEXT, "y_label": TEXT, "x_scale": SCALE, "y_scale": SCALE}
FIELDS = {
    "document": {"format": Field(one_of((FORMAT,)), FORMAT), "version": Field(lambda v: v == VERSION and count(v), str(VERSION)),
                 "title": TEXT, "summary": MAYBE_TEXT, "sections": list_of("section")},
    "section": {"title": TEXT, "blocks": list_of("block")},
    "text": {"text": TEXT},
    "table": {"caption": TEXT, "columns": list_of("column"), "row_header": Field(is_bool, "true, false", False),
              "rows": Field(is_list_of(is_list_of(is_scalar)), "a list of lists of texts, numbers, true, false, null")},
    "column": {"name": TEXT, "unit": MAYBE_TEXT, "form": FORM, "digits": Field(lambda v: count(v) and v <= 17, "a whole number from 0 to 17", False)},
    "verdicts": {"items": list_of("verdict")},
    "verdict": {"verdict": Field(one_of(VERDICTS), ", ".join(VERDICTS)), "name": TEXT, "text": MAYBE_TEXT},
    "code": {"title": TEXT, "text": TEXT},
    "tokens": {"title": TEXT, "text": MAYBE_TEXT, "groups": NAMES._replace(needed=False), "tokens": list_of("token")},
    "token": {"text": TEXT, "value": Field(is_real, "a number, null where not defined", False), "group": Field(count, "a place in groups, from 0", False)},
    "details": {"title": TEXT, "blocks": list_of("block")},
    "curves": FIGURE | AXES | {"series": list_of("curve")},
    "curve": {"name": TEXT, "x": REALS, "y": REALS, "low": MAYBE_REALS, "high": MAYBE_REALS,
              "style": Field(one_of(STYLES), ", ".join(STYLES), False), "labels": NAMES._replace(needed=False)},
    "bars": FIGURE | {"categories": NAMES, "value_label": TEXT, "form": FORM, "series": list_of("bar")},
    "bar": {"name": TEXT, "values": REALS, "low": MAYBE_REALS, "high": MAYBE_REALS},
    "matrix": FIGURE | {"row_label": TEXT, "column_label": TEXT, "rows": NAMES, "columns": NAMES,
                        "values": Field(is_list_of(is_list_of(is_real)), "a list of lists of numbers")},
    "reliability": FIGURE | {"bins": list_of("bin")},
    "parallel": FIGURE | {"axes": list_of("axis"), "lines": list_of("line")},
    "axis": {"name": TEXT, "scale": SCALE, "names": NAMES._replace(needed=False)},
    "line": {"name": TEXT, "values": REALS, "style": Field(one_of(PARALLEL), ", ".join(PARALLEL), False)},
    "timeline": FIGURE | {"x_label": TEXT, "rows": NAMES, "kinds": list_of("kind"), "spans": list_of("span")},
    "kind": {"name": TEXT, "style": Field(one_of(BARS), ", ".join(BARS))},
    "span": {"row": Field(count, "a place in rows, from 0"), "kind": Field(count, "a place in kinds, from 0"),
             "begin": Field(is_number, "a number"), "end": Field(is_number, "a number"), "label": MAYBE_TEXT},
    "bin": {"low": SHARE, "high": SHARE, "count": Field(lambda v: count(v) and v < 1 << 53, "a whole number from 0 to 9007199254740991"),
            "confidence": MAYBE_SHARE, "accuracy": MAYBE_SHARE},
}
BLOCKS = ("text", "table", "figure", "verdicts", "code", "tokens", "details")
PICTURES = ("curves", "bars", "matrix", "reliability", "parallel", "timeline")


def shown_value(value):
    return json.dumps(value)[:60]


class Checker:
    """Walks a document; `name` begins each refusal, as in "report.json: sections[0].title: 1: legal: a text"."""

    def __init__(self, name):
        self.name = name

    def no(self, path, value, legal):
        refuse(f"{self.name}: {path}: {shown_value(value)}: legal: {legal}")

    def fields(self, value, kind, path, extra=(), depth=0):
        fields = FIELDS[kind]
        dot = path + "." if path else ""
        for key in value:
            if key not in fields and key not in extra:
                refuse(f"{self.name}: {dot}{json.dumps(key)[1:60].rstrip(chr(34))}: no such field; legal: {', '.join([*extra, *fields])}")
        for key, field in fields.items():
            if key not in value:
                if field.needed:
                    refuse(f"{self.name}: {dot}{key}: missing; legal: {field.legal}")
                continue
            if not field.check(value[key]):
                self.no(dot + key, value[key], field.legal)
            for i, part in enumerate(value[key] if field.parts else ()):
                self.part(part, field.parts, f"{dot}{key}[{i}]", depth)

    def part(self, value, kind, path, depth):
        if kind != "block":
            return self.fields(value, kind, path, depth=depth)
        if value.get("kind") not in BLOCKS:
            self.no(path + ".kind", value.get("kind"), ", ".join(BLOCKS))
        if value["kind"] == "details" and depth == DEEPEST:
            self.no(path, "details", f"at most {DEEPEST} details in one another")
        if value["kind"] != "figure":
            self.fields(value, value["kind"], path, ("kind",), depth + 1)
        elif value.get("picture") not in PICTURES:
            self.no(path + ".picture", value.get("picture"), ", ".join(PICTURES))
        else:
            self.fields(value, value["picture"], path, ("kind", "picture"))
        self.lengths(value, path)

    def same(self, path, found, wanted):
        if found != wanted:
            self.no(path, found, f"as many as there are places: {wanted}")

    def named(self, axes, line, path):
        """Values at an axis with names are places in these."""
        for i, (axis, value) in enumerate(zip(axes, line["values"])):
            if "names" in axis and value is not None and not (count(value) and value < len(axis["names"])):
                self.no(f"{path}[{i}]", value, f"a place in the names of {axis['name']}, from 0")

    def lengths(self, block, path):
        """Lists that belong together are equally long."""
        kind = block.get("picture", block["kind"])
        if kind == "table":
            for i, row in enumerate(block["rows"]):
                self.same(f"{path}.rows[{i}] has a length of", len(row), len(block["columns"]))
        if kind == "matrix":
            self.same(f"{path}.values has a length of", len(block["values"]), len(block["rows"]))
            for i, row in enumerate(block["values"]):
                self.same(f"{path}.values[{i}] has a length of", len(row), len(block["columns"]))
        for i, line in enumerate(block.get("lines", ())):
            self.same(f"{path}.lines[{i}].values has a length of", len(line["values"]), len(block["axes"]))
            self.named(block["axes"], line, f"{path}.lines[{i}].values")
        for i, series in enumerate(block.get("series", ())):
            wanted = len(series["x"]) if "x" in series else len(block["categories"])
            for key in ("y", "values", "low", "high", "labels"):
                if key in series:
                    self.same(f"{path}.series[{i}].{key} has a length of", len(series[key]), wanted)
        for i, span in enumerate(block.get("spans", ())):
            for key, places in (("row", block["rows"]), ("kind", block["kinds"])):
                if span[key] >= len(places):
                    self.no(f"{path}.spans[{i}].{key}", span[key], f"a place in {key}s, from 0")
            if span["end"] < span["begin"]:
                self.no(f"{path}.spans[{i}].end", span["end"], "a number that is not below begin")
        for i, token in enumerate(block.get("tokens", ()) if kind == "tokens" else ()):
            if "group" in token and token["group"] >= len(block.get("groups", ())):
                self.no(f"{path}.tokens[{i}].group", token["group"], "a place in groups, from 0")


def check(document, name):
    """Refuses what is not a document (exit code 2); `name`: the file that it was read from."""
    if not isinstance(document, dict):
        refuse(f"{name}: {shown_value(document)}: legal: an object with the fields {', '.join(FIELDS['document'])}")
    Checker(name).fields(document, "document", "")
