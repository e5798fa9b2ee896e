"""A document (schema.py) as one page of HTML that needs no other file, no network and no script."""
import functools
import pathlib

import jinja2
from markupsafe import Markup

from report import colours
from report.command import is_number
from report.numbers import is_defined, one_line, plain, shown

HERE = pathlib.Path(__file__).parent
# Bounds, so that no document makes a page that cannot be opened; what is over them is left out with a line that says so.
MOST_ROWS, MOST_COLUMNS, MOST_TABLE = 1000, 60, 1_000_000  # of a table; the last: characters
MOST_CELL, MOST_TEXT, MOST_CODE, MOST_TOKENS, MOST_VERDICTS, MOST_GROUPS = 2000, 100_000, 200_000, 5000, 1000, len(colours.GROUPS)
MOST_PAGE = 20_000_000  # characters of all blocks
MARKS = {"ok": "\u2713", "warn": "!", "error": "\u2717", "info": "i"}
WORDS = {"ok": "ok", "warn": "warning", "error": "error", "info": "note"}
NEVER = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def bounded(items, most, what):
    """The first `most`, and a line about the others, or None."""
    if len(items) <= most:
        return items, None
    return items[:most], f"{most:,} of {len(items):,} {what} are shown."


def paragraphs(text):
    return [part for part in plain(text, MOST_TEXT).split("\n\n") if part.strip()]


class Table:
    """Cells as texts, within the bounds."""

    def __init__(self, caption, columns, rows, row_header=True):
        self.caption, self.row_header, self.notes = one_line(caption, 500), row_header, []
        self.columns, note = bounded(columns, MOST_COLUMNS, "columns")
        self.note(note)
        heads = [one_line(c["name"], 200) + (f" ({one_line(c['unit'], 40)})" if c.get("unit") else "") for c in self.columns]
        sides = ["number" if any(is_number(row[i]) for row in rows[:20]) else "" for i in range(len(self.columns))]
        if row_header and sides:
            sides[0] = ""  # headers of rows stand on the left, numbers too
        self.heads = list(zip(heads, sides))
        self.rows, size = [], 0
        for row in rows[:MOST_ROWS]:
            self.rows.append([self.cell(value, column) for value, column in zip(row, self.columns)])
            size += sum(len(text) for text, _ in self.rows[-1])
            if size > MOST_TABLE:
                break
        self.note(bounded(rows, len(self.rows), "rows")[1])

    def note(self, line):
        if line:
            self.notes.append(line)

    @staticmethod
    def cell(value, column):
        """(text, class)"""
        text = plain(value, MOST_CELL) if isinstance(value, str) else shown(value, column.get("form", "number"), column.get("digits"))
        if not is_defined(value):
            return text, "number none"
        return text, "" if isinstance(value, (str, bool)) else "number"


def token_class(token, strongest):
    if "group" in token:
        return f"group-{token['group'] % MOST_GROUPS}"
    value = token.get("value")
    if not is_number(value) or not value:
        return ""
    level = min(2, int(abs(value) / strongest * 3))
    return f"{'for' if value > 0 else 'against'}-{level}"


def token_view(block):
    tokens, note = bounded(block["tokens"], MOST_TOKENS, "tokens")
    groups = [one_line(name, 60) for name in block.get("groups", ())]
    values = [abs(t["value"]) for t in tokens if is_number(t.get("value"))]
    strongest = max(values, default=0)
    view = [{"text": plain(t["text"], 200).replace("\n", "\u21b5\n") or "\u2205", "class": token_class(t, strongest),
             "note": groups[t["group"]] if "group" in t else shown(t["value"]) if "value" in t else ""} for t in tokens]
    return {"tokens": view, "note": note, "groups": groups, "signed": bool(values), "strongest": shown(strongest)}


class Renderer:
    def __init__(self):
        self.environment = jinja2.Environment(loader=jinja2.FileSystemLoader(HERE), autoescape=True, trim_blocks=True, lstrip_blocks=True,
                                              undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
        self.blocks = self.environment.get_template("blocks.html.j2")
        self.size = self.pictures = 0

    def block(self, block):
        if self.size > MOST_PAGE:
            return Markup('<p class="bound">Left out: the page is at its limit of {:,} characters.</p>\n').format(MOST_PAGE)
        html = getattr(self, block["kind"])(block)
        if block["kind"] != "details":
            self.size += len(html)
        return Markup(html)

    def made(self, macro, **values):
        return getattr(self.blocks.module, macro)(**values)

    def text(self, block):
        return self.made("text", paragraphs=paragraphs(block["text"]))

    def table(self, block):
        return self.made("table", table=Table(block["caption"], block["columns"], block["rows"], block.get("row_header", True)))

    def verdicts(self, block):
        items, note = bounded(block["items"], MOST_VERDICTS, "verdicts")
        view = [{"verdict": i["verdict"], "mark": MARKS[i["verdict"]], "word": WORDS[i["verdict"]], "name": one_line(i["name"], 300),
                 "text": plain(i.get("text", ""), MOST_CELL)} for i in items]
        return self.made("verdicts", items=view, note=note)

    def code(self, block):
        text, title = block["text"], one_line(block["title"], 300)
        note = f"{MOST_CODE:,} of {len(text):,} characters are shown." if len(text) > MOST_CODE else None
        return self.made("code", title=title, text=plain(text, MOST_CODE), note=note)

    def tokens(self, block):
        return self.made("tokens", title=one_line(block["title"], 300), paragraphs=paragraphs(block.get("text", "")), **token_view(block))

    def details(self, block):
        return self.made("details", title=one_line(block["title"], 300), blocks=[self.block(b) for b in block["blocks"]])

    def figure(self, block):
        from report import charts, pictures  # matplotlib takes most of a second
        self.pictures += 1
        title = one_line(block["title"], 300)
        with pictures.settings():
            drawn, numbers, notes = charts.DRAW[block["picture"]](block)
            alt = plain(block.get("alt", ""), MOST_CELL) or described(block)
            svg = pictures.embedded(drawn, self.pictures, title, alt)
        table = None
        if numbers:
            table = Table(f"Numbers of \u201c{title}\u201d", [{"name": name} for name in numbers[0]], numbers[1])
        return self.made("figure", title=title, caption=plain(block.get("caption", ""), MOST_CELL), svg=Markup(svg), notes=notes, table=table)


def described(block):
    """Text that is read out for a picture without `alt`."""
    if block["picture"] == "matrix":
        return f"Matrix of {len(block['rows'])} rows ({one_line(block['row_label'], 40)}) and {len(block['columns'])} columns ({one_line(block['column_label'], 40)})."
    if block["picture"] == "reliability":
        return "Accuracy over confidence, with the number of samples in each bin below."
    if block["picture"] == "parallel":
        return f"{len(block['lines'])} lines over {', '.join(one_line(a['name'], 40) for a in block['axes'][:8])}."
    if block["picture"] == "timeline":
        return f"{len(block['rows'])} rows over {one_line(block['x_label'], 60)}: {', '.join(one_line(k['name'], 40) for k in block['kinds'][:8])}."
    over = one_line(block["x_label"], 60) if block["picture"] == "curves" else f"{len(block['categories'])} categories"
    of = one_line(block["y_label"] if block["picture"] == "curves" else block["value_label"], 60)
    return f"{of} over {over}: {', '.join(one_line(s['name'], 40) for s in block['series'][:8])}."


@functools.cache
def style():
    return Markup(colours.style_rules() + (HERE / "page.css").read_text(encoding="utf-8"))


def render(document):
    """The page, in UTF-8; equal documents give equal bytes. The document has passed schema.check."""
    renderer = Renderer()
    sections = [{"title": one_line(s["title"], 300), "blocks": [renderer.block(b) for b in s["blocks"]]} for s in document["sections"]]
    page = renderer.environment.get_template("page.html.j2")
    return page.render(title=one_line(document["title"], 300), summary=paragraphs(document.get("summary", "")), sections=sections,
                       policy=NEVER, style=style()).encode("utf-8")
