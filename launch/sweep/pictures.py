"""Pictures of a sweep, as figures of launch/report."""
import statistics

from report.command import is_number
from sweep import results

MOST_CURVES = 12


def number(text):
    try:
        return float(text)
    except ValueError:
        return None


def places(parameter, texts):
    """(numbers, names): what stands at an axis; names where a choice is of words, numbered by their order."""
    if all(number(text) is not None for text in parameter.choices):
        return [number(text) for text in texts], []
    return [parameter.choices.index(text) for text in texts], list(parameter.choices)


def is_log(parameter):
    values = [number(text) for text in parameter.choices]
    return parameter.log or len(values) > 2 and all(v is not None and v > 0 for v in values) and max(values) >= 8 * min(values)


def parallel(parameters, rows, metric):
    """Parallel coordinates: a line for each configuration over its parameters and its result."""
    axes, columns = [], []
    for p in parameters:
        numbers, names = places(p, [dict(row.values)[p.key] for row in rows])
        axes.append({"name": p.key, "scale": "log" if is_log(p) else "linear", **({"names": names} if names else {})})
        columns.append(numbers)
    axes.append({"name": metric, "scale": "linear"})
    columns.append([row.mean for row in rows])
    quarter = -(-len(rows) // 4)
    lines = [{"name": row.name, "values": [column[i] for column in columns], "style": "best" if i == 0 else "good" if i < quarter else "other"}
             for i, row in enumerate(rows)]
    return {"kind": "figure", "picture": "parallel", "title": "Parallel coordinates", "axes": axes, "lines": lines,
            "caption": "One line for each configuration: the best thick, the rest of the best quarter in full, others faint."}


def response(parameter, rows, metric):
    """The result against one parameter; of a choice of words as bars of means."""
    texts = [dict(row.values)[parameter.key] for row in rows]
    title = f"{metric} against {parameter.key}"
    numbers, names = places(parameter, texts)
    if names:
        groups = {name: [row.mean for row, text in zip(rows, texts) if text == name] for name in names}
        return {"kind": "figure", "picture": "bars", "title": title, "categories": names, "value_label": f"{metric}, mean of the configurations",
                "series": [{"name": metric, "values": [statistics.mean(v) if v else None for v in groups.values()]}]}
    order = sorted(range(len(rows)), key=lambda i: numbers[i])
    intervals = all(row.low is not None for row in rows)
    series = {"name": "configurations", "x": [numbers[i] for i in order], "y": [rows[i].mean for i in order], "style": "points"}
    if intervals:
        series |= {"low": [rows[i].low for i in order], "high": [rows[i].high for i in order]}
    best = {"name": f"the best, {rows[0].name}", "x": [numbers[0]], "y": [rows[0].mean], "style": "points"}
    return {"kind": "figure", "picture": "curves", "title": title, "x_label": parameter.key, "y_label": metric,
            "x_scale": "log" if is_log(parameter) else "linear", "series": [series, best]}


def curves(logs, metric):
    """The metric over the steps; `logs`: [(name, events)], best first."""
    series = []
    for name, events in logs[:MOST_CURVES]:
        found = [e for e in results.until_step(events, "evaluation", None) if is_number(e.get(metric))]
        if found:
            series.append({"name": name, "x": [e["step"] for e in found], "y": [e[metric] for e in found]})
    return {"kind": "figure", "picture": "curves", "title": f"Validation: {metric}", "x_label": "step", "y_label": metric, "series": series,
            **({"caption": f"The best {MOST_CURVES} trials of the last stage."} if len(logs) > MOST_CURVES else {})}


def range_test(finding, name):
    """Losses of a range test over its rates."""
    marks = [("lowest", finding.lowest), ("steepest fall", finding.steepest), ("suggestion", finding.suggestion)]
    top, bottom = max(finding.smooth), min(finding.smooth)
    return {"kind": "figure", "picture": "curves", "title": f"Loss over the rate, {name}", "x_label": "learning rate", "y_label": "training loss",
            "x_scale": "log", "series": [{"name": "loss", "x": finding.rates, "y": finding.losses, "style": "points"},
                                         {"name": "mean", "x": finding.rates, "y": finding.smooth},
                                         *({"name": title, "x": [rate, rate], "y": [bottom, top], "style": "dashed"} for title, rate in marks)]}
