"""Pictures of a study, as figures of launch/report."""
import numpy

from study import fits

POINTS = 27  # of a curve: more than the renderer marks one by one


def grid(nodes):
    """Counts at which laws are drawn: equal steps of the logarithm."""
    return [float(n) for n in numpy.geomspace(nodes[0], nodes[-1], POINTS if nodes[-1] > nodes[0] else 1)]


def points(name, nodes, lines, field, low, high):
    ends = [[line[key] if line[key] is not None else line[field] for line in lines] for key in (low, high)]
    return {"name": name, "x": nodes, "y": [line[field] for line in lines], "low": ends[0], "high": ends[1], "style": "points"}


def figure(title, x_label, y_label, series, scale):
    return {"kind": "figure", "picture": "curves", "title": title, "x_label": x_label, "y_label": y_label, "x_scale": scale, "y_scale": scale,
            "series": series}


def scale_of(lines, low):
    """Logarithmic over a wide range, unless an interval reaches below zero."""
    nodes, lows = [line["nodes"] for line in lines], [line[low] for line in lines if line[low] is not None]
    return "log" if nodes[-1] >= 8 * nodes[0] and min(lows, default=1) > 0 else "linear"


def law_speedup(one, fit, at, base):
    """Speed-up that a fit tells at counts `at`."""
    if fit["law"] == "gustafson":
        return [fit["serial_fraction"] + (1 - fit["serial_fraction"]) * n / base for n in at]
    return [fits.seconds_at(fit, one.scaling, base, base, 1) / fits.seconds_at(fit, one.scaling, n, base, 1) for n in at]


def speedup(one):
    lines = one.measured()
    nodes = [line["nodes"] for line in lines]
    at = grid(nodes)
    series = [points("measured", nodes, lines, "speedup", "speedup_low", "speedup_high"),
              {"name": "ideal", "x": at, "y": [n / nodes[0] for n in at]},
              {"name": "75 % efficiency", "x": at, "y": [0.75 * n / nodes[0] for n in at], "style": "dashed"}]
    series += [{"name": fit["law"].capitalize(), "x": at, "y": law_speedup(one, fit, at, nodes[0]), "style": "dashed"}
               for fit in one.fits if fit["law"] != "alpha-beta"]
    predicted = [line for line in lines if line["predicted_step_s"]]
    if len(predicted) > 1:
        first = predicted[0]
        rate = [line["batch"] / line["predicted_step_s"] / (first["batch"] / first["predicted_step_s"]) for line in predicted]
        series.append({"name": "trireme plan", "x": [line["nodes"] for line in predicted], "y": rate})
    return figure(f"Speed-up, {one.scaling} scaling, {one.layout}", "nodes", f"speed-up against {nodes[0]}", series, scale_of(lines, "speedup_low"))


def seconds(one, ranks_per_node):
    lines = one.measured()
    nodes = [line["nodes"] for line in lines]
    at = grid(nodes)
    ideal = [lines[0]["step_s"] * (nodes[0] / n if one.scaling == "strong" else 1) for n in at]
    series = [points("measured", nodes, lines, "step_s", "step_low_s", "step_high_s"), {"name": "ideal", "x": at, "y": ideal}]
    series += [{"name": fit["law"].capitalize(), "x": at, "style": "dashed",
                "y": [fits.seconds_at(fit, one.scaling, n, nodes[0], ranks_per_node) for n in at]} for fit in one.fits if fit["law"] != "gustafson"]
    predicted = [line for line in lines if line["predicted_step_s"]]
    if predicted:
        series.append({"name": "trireme plan", "x": [line["nodes"] for line in predicted], "y": [line["predicted_step_s"] for line in predicted]})
    return figure(f"Seconds of a step, {one.scaling} scaling, {one.layout}", "nodes", "seconds of a step", series, scale_of(lines, "step_low_s"))


def layouts(series, study):
    """Tokens/s per rank of all layouts beside each other."""
    blocks = []
    for scaling in study.scaling:
        mine = [one for one in series if one.scaling == scaling]
        bars = [{"name": one.layout, "values": [line["tokens_per_s_per_rank"] for line in one.lines]} for one in mine]
        blocks.append({"kind": "figure", "picture": "bars", "title": f"Tokens/s per rank, {scaling} scaling",
                       "categories": [f"{nodes} node{'s' if nodes > 1 else ''}" for nodes in study.nodes], "value_label": "tokens/s per rank", "series": bars})
    return blocks
