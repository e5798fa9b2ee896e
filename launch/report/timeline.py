"""Timelines: a row for each of those that did something, bars for what it was, from when to when."""
from matplotlib.patches import Patch, Rectangle

from report.colours import LINES, SERIES
from report.numbers import LARGEST, one_line
from report.pictures import INK, SURFACE, label, new_figure, spare, ticks

GROUND = LINES["grid"][0]
# Kinds in the order of the legend, told apart by hatches as well.
STYLES = [(SERIES[0][0], None), (SERIES[1][0], None), (SERIES[2][0], "...."), (SERIES[4][0], "////"), (SERIES[3][0], "xxxx"), (SERIES[5][0], "\\\\\\\\")]
PALE = (GROUND, None)  # a kind called idle: as good as nothing
MOST_ROWS, MOST_SPANS, MOST_LABELS = 64, 20_000, 1500
WIDE = 9.4  # inches


def style_of(kind, number):
    return PALE if kind["style"] == "idle" else STYLES[number % len(STYLES)]


def bar(axes, row, span, style, height):
    colour, hatch = style
    width = max(0.0, span["end"] - span["begin"])
    axes.add_patch(Rectangle((span["begin"], row - height / 2), width, height, facecolor=colour, hatch=hatch, edgecolor=SURFACE, linewidth=0.3))


def name_bar(axes, row, span, pixels, ink):
    """The label of a bar that has room for it."""
    text = one_line(span["label"], 12)
    if (span["end"] - span["begin"]) * pixels < 5.2 * len(text) + 2:
        return 0
    axes.text((span["begin"] + span["end"]) / 2, row, text, ha="center", va="center_baseline", fontsize=7, color=ink, clip_on=True)
    return 1


def timeline(block):
    """(figure, its numbers as a table, notes) of a block of the schema."""
    notes = []
    rows, placed = block["rows"][:MOST_ROWS], [s for s in block["spans"] if s["row"] < MOST_ROWS]
    spans = [s for s in placed if abs(s["begin"]) < LARGEST and abs(s["end"]) < LARGEST]
    if len(spans) < len(placed):
        notes.append(f"{len(placed) - len(spans):,} bars are not shown: their times are too large to draw.")
    if len(rows) < len(block["rows"]):
        notes.append(f"The picture shows the first {len(rows)} of {len(block['rows']):,} rows.")
    if len(spans) > MOST_SPANS:
        notes.append(f"The picture shows the {MOST_SPANS:,} longest of {len(spans):,} bars.")
        spans = sorted(sorted(spans, key=lambda s: s["begin"] - s["end"])[:MOST_SPANS], key=lambda s: s["begin"])
    figure = new_figure(WIDE, 1.15 + 0.42 * max(1, len(rows)))
    axes = figure.subplots()
    low, high = min((s["begin"] for s in spans), default=0), max((s["end"] for s in spans), default=1)
    axes.set(xlim=(low, high if high > low else low + 1), ylim=(len(rows) - 0.5, -0.5), xlabel=label(block["x_label"], 60))
    axes.set_yticks(range(len(rows)), [label(name) for name in rows], fontsize=8)
    axes.tick_params(axis="y", length=0)
    ticks(axes.xaxis, "linear")
    spare(axes, "x")
    pixels, named = 72 * (WIDE - 1.2) / max(1e-12, high - low), 0
    for span in spans:
        kind = block["kinds"][span["kind"]]
        style = style_of(kind, span["kind"])
        bar(axes, span["row"], span, style, 0.5 if kind["style"] == "thin" else 0.84)
        if span.get("label") and named < MOST_LABELS and style[1] is None:
            named += name_bar(axes, span["row"], span, pixels, INK if style == PALE else SURFACE)
    used = sorted({span["kind"] for span in spans})
    handles = [Patch(facecolor=style_of(block["kinds"][k], k)[0], hatch=style_of(block["kinds"][k], k)[1], edgecolor=SURFACE, linewidth=0.3,
                     label=label(block["kinds"][k]["name"], 40)) for k in used]
    if handles:
        figure.legend(handles=handles, loc="outside lower center", ncols=min(4, len(handles)))
    table = [[rows[s["row"]], block["kinds"][s["kind"]]["name"], s.get("label", ""), s["begin"], s["end"]] for s in spans]
    return figure, (["row", "kind", "label", "from", "to"], table) if 0 < len(table) <= 200 else None, notes
