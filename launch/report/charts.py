"""Figures of a document as pictures: each function takes a block and gives a figure, the numbers in it as a table, and
lines that say what was left out."""
import math

import numpy
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from report.colours import DARK_FROM, ON_CELL, RAMP, SERIES
from report.numbers import floats, is_defined, one_line, shown
from report.parallel import parallel
from report.pictures import AXIS, INK, LONGEST_NAME, MOST_POINTS, SURFACE, WIDTH, label, new_figure, spare, ticks
from report.timeline import timeline

DASHES = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)))
MARKERS = "osD^vPX*"
HATCHES = (None, "////", "....", "\\\\\\\\", "xxxx", "----")
MOST_SERIES = 24  # as many as colours and dashes can tell apart
MOST_CATEGORIES, MOST_CLASSES, MOST_COUNTED, MOST_NAMED = 60, 60, 12, 20


def kept(x, y, most, line):
    """Places of the points that are drawn, at most about `most`: of a line the lowest and the highest of each stretch, so
    that no peak is lost, else points at equal distances."""
    if len(x) <= most:
        return numpy.arange(len(x))
    if not line:
        return numpy.unique(numpy.linspace(0, len(x) - 1, most).astype(int))
    places = {0, len(x) - 1}
    for stretch in numpy.array_split(numpy.arange(len(x)), max(1, most // 2)):
        if not numpy.isnan(y[stretch]).all():
            places |= {int(stretch[numpy.nanargmin(y[stretch])]), int(stretch[numpy.nanargmax(y[stretch])])}
    return numpy.array(sorted(places))


def first(items, most, what, notes):
    if len(items) > most:
        notes.append(f"The picture shows the first {most} of {len(items):,} {what}.")
    return items[:most]


def style_of(i):
    return {"color": SERIES[i % len(SERIES)][0], "linestyle": DASHES[i // len(SERIES) % len(DASHES)]}


def draw_curve(axes, series, i, most, notes):
    style, x, y = series.get("style", "line"), floats(series["x"]), floats(series["y"])
    at = kept(x, y, most, style != "points")
    if len(at) < len(x):
        how = "points at equal distances" if style == "points" else "the lowest and the highest of each stretch"
        notes.append(f"{one_line(series['name'], 80)}: {len(at):,} of {len(x):,} points are drawn: {how}.")
    drawn = style_of(i) | {"label": label(series["name"], 48), "marker": MARKERS[i % len(MARKERS)], "markersize": 4.5}
    if style == "points":
        drawn["linestyle"] = "none"
    elif len(at) > 25:
        drawn["marker"] = None
    if style == "dashed":
        drawn |= {"linestyle": DASHES[1], "linewidth": 1.2}
    if "low" in series and "high" in series:
        low, high = floats(series["low"])[at], floats(series["high"])[at]
        if style == "points":
            axes.errorbar(x[at], y[at], (numpy.maximum(y[at] - low, 0), numpy.maximum(high - y[at], 0)), fmt="none", ecolor=drawn["color"], elinewidth=1)
        else:
            axes.fill_between(x[at], low, high, color=drawn["color"], alpha=0.18, linewidth=0)
    axes.plot(x[at], y[at], **drawn)
    return [(x[k], y[k], series["labels"][k]) for k in at if "labels" in series and series["labels"][k]]


def name_points(figure, axes, points, notes):
    """Names beside points, where there is room."""
    if len(points) > MOST_NAMED:
        notes.append(f"{MOST_NAMED} of {len(points):,} points are named.")
    figure.draw_without_rendering()
    taken, left_out = [], 0
    for x, y, name in points[:MOST_NAMED]:
        for dx, dy, side in ((6, 4, "left"), (-6, 4, "right"), (6, -11, "left"), (-6, -11, "right")):
            text = axes.annotate(label(name), (x, y), xytext=(dx, dy), textcoords="offset points", ha=side, fontsize=8,
                                 bbox={"facecolor": SURFACE, "edgecolor": "none", "alpha": 0.8, "pad": 0.6})
            box = text.get_window_extent().padded(1)
            if axes.bbox.x0 <= box.x0 and box.x1 <= axes.bbox.x1 and not any(box.overlaps(other) for other in taken):
                taken.append(box)
                break
            text.remove()
        else:
            left_out += 1
    if left_out:
        notes.append(f"{left_out} names of points had no room.")


def no_points(axes):
    axes.text(0.5, 0.5, "no value is defined", transform=axes.transAxes, ha="center", va="center")


def legend(figure, axes):
    """Below the picture, where it hides nothing, in as many columns as its names leave room for; the picture grows."""
    names = axes.get_legend_handles_labels()[1]
    if len(names) > 1:
        columns = max(1, min(len(names), 4, int(57 / (max(map(len, names)) + 7))))
        figure.set_figheight(figure.get_figheight() + 0.19 * math.ceil(len(names) / columns))
        figure.legend(loc="outside lower center", ncols=columns)


def curves(block):
    notes, named = [], []
    series = first(block["series"], MOST_SERIES, "series", notes)
    figure = new_figure(WIDTH, 2.9)
    axes = figure.subplots()
    for i, one in enumerate(series):
        named += draw_curve(axes, one, i, min(2000, MOST_POINTS // len(series)), notes)
    for axis, scale in (("x", block.get("x_scale", "linear")), ("y", block.get("y_scale", "linear"))):
        getattr(axes, f"set_{axis}scale")(scale, **({"nonpositive": "mask"} if scale == "log" else {}))
        ticks(getattr(axes, axis + "axis"), scale)
    axes.set(xlabel=label(block["x_label"], 60), ylabel=label(block["y_label"], 40))
    spare(axes)
    legend(figure, axes)
    if not any(numpy.isfinite(floats(s["x"]) + floats(s["y"])).any() for s in series):
        no_points(axes)
    if named:
        axes.margins(x=0.12, y=0.12)
        name_points(figure, axes, named, notes)
    ranges = any("low" in s and "high" in s for s in series)
    head = ["series", block["x_label"], block["y_label"], *(["low", "high"] if ranges else [])]
    rows = []
    for s in series:
        extra = [s.get(k, [None] * len(s["x"])) for k in ("low", "high")] if ranges else []
        rows += [list(row) for row in zip([s["name"]] * len(s["x"]), s["x"], s["y"], *extra)][: 201 - len(rows)]
    return figure, (head, rows) if 0 < len(rows) <= 200 else None, notes


def bars(block):
    notes = []
    names = first(block["categories"], MOST_CATEGORIES, "categories", notes)
    series = first(block["series"], len(HATCHES), "series", notes)
    form, thick = block.get("form", "number"), 0.8 / max(1, len(series))
    figure = new_figure(WIDTH, min(16, 1.0 + 0.3 * len(names) * max(1, 0.7 * len(series))))
    axes = figure.subplots()
    ends = [0.0]
    for i, one in enumerate(series):
        values = floats(one["values"])[: len(names)]
        at = numpy.arange(len(names)) + (i - (len(series) - 1) / 2) * thick
        error = None
        if "low" in one and "high" in one:
            low, high = floats(one["low"])[: len(names)], floats(one["high"])[: len(names)]
            error = (numpy.nan_to_num(numpy.maximum(values - low, 0)), numpy.nan_to_num(numpy.maximum(high - values, 0)))
        axes.barh(at, numpy.nan_to_num(values), thick * 0.9, xerr=error, color=SERIES[i][0], hatch=HATCHES[i], edgecolor=SURFACE,
                  linewidth=0.4, label=label(one["name"], 48), error_kw={"ecolor": INK, "elinewidth": 1})
        for place, value, reach in zip(at, values, numpy.nan_to_num(values) + (error[1] if error else 0)):
            text = shown(None if math.isnan(value) else float(value), form)
            axes.annotate(text, (max(reach, 0), place), xytext=(4, 0), textcoords="offset points", va="center", fontsize=8)
        drawn = [values] if error is None else [values, values - error[0], values + error[1]]
        ends += [end for many in drawn for end in many[numpy.isfinite(many)]]
    axes.set_yticks(numpy.arange(len(names)), [label(n) for n in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    low, high = min(ends), max(ends) or 1.0 * (min(ends) == 0)
    axes.set_xlim(low * 1.05, high + 0.2 * (high - low))
    ticks(axes.xaxis, "linear")
    axes.set_xlabel(label(block["value_label"], 60))
    spare(axes, "x")
    legend(figure, axes)
    rows = [[name, *(s["values"][i] for s in series)] for i, name in enumerate(names)]
    return figure, (["category", *(s["name"] for s in series)], rows), notes


def row_shares(values):
    """Each row divided by its sum, by which it is shaded; a row without anything stays without shade."""
    sums = numpy.nansum(values, axis=1, keepdims=True)
    return numpy.nan_to_num(numpy.divide(values, sums, out=numpy.zeros_like(values), where=sums > 0))


def largest(block, values, notes):
    """Places of the rows and columns that are shown: of many classes those with the most in them."""
    rows, columns = len(block["rows"]), len(block["columns"])
    if max(rows, columns) <= MOST_CLASSES:
        return numpy.arange(rows), numpy.arange(columns)
    notes.append(f"The picture shows the {MOST_CLASSES} largest of {max(rows, columns):,} classes.")
    sums = [numpy.nansum(values, axis=axis) for axis in (1, 0)]
    if block["rows"] == block["columns"]:
        sums = [sums[0] + sums[1]] * 2
    return tuple(numpy.sort(numpy.argsort(-s, kind="stable")[:MOST_CLASSES]) for s in sums)


def matrix(block):
    notes = []
    values = numpy.array([floats(row) for row in block["values"]]).reshape(len(block["rows"]), len(block["columns"]))
    shares = row_shares(values)
    rows, columns = largest(block, values, notes)
    values, shares = values[numpy.ix_(rows, columns)], shares[numpy.ix_(rows, columns)]
    row_names, column_names = [label(block["rows"][i]) for i in rows], [label(block["columns"][i]) for i in columns]
    most = max(len(rows), len(columns), 1)
    cell = 0.8 if most <= 4 else 0.46 if most <= MOST_COUNTED else 0.27 if most <= 25 else 0.165
    names = max(map(len, row_names + column_names), default=1)
    small = 9 if most <= 25 else 7.5
    aside = 0.6 + 0.0088 * small * names
    upright = max(map(len, column_names), default=1) * 0.0092 * small > cell  # names that are wider than a cell are turned
    figure = new_figure(max(3.2, cell * len(columns) + aside), max(1.6, cell * len(rows) + (aside if upright else 0.8)))
    axes = figure.subplots()
    levels = numpy.minimum((shares * len(RAMP)).astype(int), len(RAMP) - 1)
    levels[(levels == 0) & (values > 0)] = 1  # a single sample is told from none
    for (i, j), level in numpy.ndenumerate(levels):
        axes.add_patch(rectangle(j, i, RAMP[level][0]))
        if most <= MOST_COUNTED:
            text = shown(int(values[i, j]) if values[i, j] == int(values[i, j]) else float(values[i, j])) if is_defined(values[i, j]) else "\u2013"
            axes.text(j, i, text, ha="center", va="center", fontsize=9 if len(text) < 6 else 7, color=ON_CELL[int(level >= DARK_FROM)][0])
    axes.set(xlim=(-0.5, len(columns) - 0.5), ylim=(len(rows) - 0.5, -0.5), aspect="equal")
    axes.set_xticks(range(len(columns)), column_names, fontsize=small, rotation=90 if upright else 0)
    axes.set_yticks(range(len(rows)), row_names, fontsize=small)
    axes.tick_params(length=0)
    axes.set(xlabel=label(block["column_label"], 40), ylabel=label(block["row_label"], 40))
    notes.append("Cells are shaded by their share of the row.")
    found = [[row, column, value] for row, line in zip(block["rows"], block["values"]) for column, value in zip(block["columns"], line)
             if value or not is_defined(value)]
    found.sort(key=lambda cell: -cell[2] if is_defined(cell[2]) else math.inf)
    return figure, ([block["row_label"], block["column_label"], "value"], found[:200]), notes


def rectangle(column, row, colour):
    return Rectangle((column - 0.5, row - 0.5), 1, 1, facecolor=colour, edgecolor=SURFACE, linewidth=0.6)


def reliability(block):
    bins = [b for b in block["bins"] if b["count"] and is_defined(b["confidence"]) and is_defined(b["accuracy"])]
    figure = new_figure(4.4, 4.3)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3.4, 1))
    above.plot([0, 1], [0, 1], color=AXIS, linestyle=DASHES[1], linewidth=1.2, label="calibrated")
    for b in bins:
        above.bar(b["low"], b["accuracy"], b["high"] - b["low"], align="edge", color=SERIES[0][0], alpha=0.35, edgecolor=SERIES[0][0], linewidth=0.8)
        below.bar(b["low"], b["count"], b["high"] - b["low"], align="edge", color=SERIES[5][0], edgecolor=SURFACE, linewidth=0.8)
    above.plot([b["confidence"] for b in bins], [b["accuracy"] for b in bins], **style_of(1), marker="o", markersize=4.5, label="model")
    above.set(xlim=(0, 1), ylim=(0, 1.02), ylabel="accuracy")
    below.set(xlabel="confidence", ylabel="samples")
    for axes in (above, below):
        spare(axes)
        ticks(axes.yaxis, "linear")
        ticks(axes.xaxis, "linear")
    below.yaxis.set_major_locator(MaxNLocator(3, integer=True))
    if not bins:
        no_points(above)
    legend(figure, above)
    rows = [[f"{shown(b['low'])} to {shown(b['high'])}", b["count"], b["confidence"], b["accuracy"]] for b in block["bins"]]
    return figure, (["confidence from, to", "samples", "mean confidence", "accuracy"], rows), []


DRAW = {"curves": curves, "bars": bars, "matrix": matrix, "reliability": reliability, "parallel": parallel, "timeline": timeline}
