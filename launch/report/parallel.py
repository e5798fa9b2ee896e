"""Parallel coordinates (Inselberg 1985): an upright axis for each quantity, a line for each thing that has them."""
import math

import numpy

from report.colours import SERIES
from report.numbers import floats, shown
from report.pictures import AXIS, INK, SURFACE, WIDTH, label, new_figure

STYLES = {"best": {"color": SERIES[1][0], "linewidth": 2.6, "zorder": 4, "marker": "o", "markersize": 5},
          "good": {"color": SERIES[0][0], "linewidth": 1.5, "zorder": 3, "marker": "s", "markersize": 3.5},
          "other": {"color": SERIES[5][0], "linewidth": 0.8, "zorder": 2, "linestyle": (0, (4, 2)), "marker": ".", "markersize": 3.5}}
NAMES = {"best": "the best", "good": "best quarter", "other": "others"}
MOST_LINES, MOST_AXES, TICKS = 500, 12, 5
EDGE = 0.04  # of the height, above and below the outermost values


def heights(axis, values):
    """(heights of the values from 0 to 1, {height: text} of the ticks) of one axis; NaN where a value is not defined or has no logarithm."""
    values = floats(values)
    if "names" in axis:
        low, high = 0.0, max(1.0, len(axis["names"]) - 1.0)
        at, told = numpy.arange(len(axis["names"])), [label(name) for name in axis["names"]]
        scaled = values
    else:
        log = axis.get("scale") == "log"
        scaled = numpy.log(numpy.where(values > 0, values, math.nan)) if log else values
        finite = scaled[numpy.isfinite(scaled)]
        low, high = (finite.min(), finite.max()) if len(finite) else (0.0, 1.0)
        few = numpy.unique(finite)
        at = few if 0 < len(few) <= TICKS else numpy.linspace(low, high, TICKS)
        told = [shown(float(f"{math.exp(x) if log else x:.3g}")) for x in at]
    span = high - low or 1.0
    place = lambda x: EDGE + (1 - 2 * EDGE) * (x - low) / span if high > low else x * 0 + 0.5
    return place(scaled), dict(zip(place(numpy.asarray(at, float)).tolist(), told))


def draw_axis(axes, x, axis, ticks):
    axes.plot([x, x], [0, 1], color=AXIS, linewidth=1, zorder=1)
    for height, text in ticks.items():
        axes.annotate(text, (x, height), xytext=(4, 0), textcoords="offset points", va="center", fontsize=8, color=INK, zorder=5,
                      bbox={"facecolor": SURFACE, "edgecolor": "none", "alpha": 0.8, "pad": 0.4})


def parallel(block):
    """(figure, its numbers as a table, notes) of a block of the schema."""
    notes = []
    lines, places = block["lines"][:MOST_LINES], block["axes"][:MOST_AXES]
    for whole, part, what in ((block["lines"], lines, "lines"), (block["axes"], places, "axes")):
        if len(part) < len(whole):
            notes.append(f"The picture shows the first {len(part)} of {len(whole):,} {what}.")
    figure = new_figure(max(WIDTH, 1.15 * len(places)), 3.4)
    axes = figure.subplots()
    found = [heights(axis, [line["values"][i] for line in lines]) for i, axis in enumerate(places)]
    told = set()
    for k, line in reversed(list(enumerate(lines))):
        style = line.get("style", "other")
        axes.plot(range(len(places)), [column[k] for column, _ in found], **STYLES[style], label="_" if style in told else NAMES[style])
        told.add(style)
    for i, axis in enumerate(places):
        draw_axis(axes, i, axis, found[i][1])
    axes.set(xlim=(-0.1, len(places) - 0.55), ylim=(-0.02, 1.02))
    axes.set_xticks(range(len(places)), [two_lines(a["name"]) for a in places], fontsize=8)
    axes.set_yticks([])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    if len(told) > 1:
        figure.set_figheight(figure.get_figheight() + 0.2)
        figure.legend(loc="outside lower center", ncols=3)
    rows = [[line["name"], *(a["names"][int(v)] if "names" in a and v is not None else v for a, v in zip(places, line["values"]))] for line in lines[:200]]
    return figure, (["name", *(a["name"] for a in places)], rows) if rows else None, notes


def two_lines(name):
    """A key on two lines: its section above its name."""
    head, dot, rest = name.partition(".")
    return f"{label(head)}.\n{label(rest)}" if dot else label(name)
