"""Where the time of a run's steps went, by its events `performance` (docs/live-metrics.md)."""
from report.command import is_number
from report.evaluation import table
from report.events import by_step

SHOWN = ("mean", "most")


def parts_of(event, key):
    """(name, mean, most) of what took any time at all."""
    found = event.get(key)
    for name, part in (found.items() if isinstance(found, dict) else ()):
        if isinstance(part, dict) and all(is_number(part.get(k)) for k in SHOWN) and part["most"] > 0:
            yield name, *(part[k] for k in SHOWN)


def utilisation_rows(event):
    for key, form in (("flops_per_second", lambda v: f"{v / 1e12:.4g} TFLOP/s"), ("utilisation", lambda v: f"{v:.1%}")):
        found = event.get(key)
        for name, value in (found.items() if isinstance(found, dict) else ()):
            if is_number(value):
                yield [f"{key.replace('_', ' ')} of a rank, as {name} counts", form(value)]


def section(events):
    """A list with the section, or an empty one where there are no such events."""
    found = by_step(events, "performance")
    if not found:
        return []
    last = found[-1]
    parts = [(name, *values) for name, *values in parts_of(last, "phases")] + [(f"waits: {name}", *values) for name, *values in parts_of(last, "exposed")]
    bars = {"kind": "figure", "picture": "bars", "title": f"Seconds of a step by phase, and waits by axis, up to step {last['step']}", "value_label": "seconds",
            "form": "seconds", "categories": [name for name, *_ in parts],
            "series": [{"name": name, "values": [values[k] for _, *values in parts]} for k, name in enumerate(("mean of the ranks", "the most of one"))],
            "caption": "A rank's own work by phase, and what it waited for others with nothing of its own to do."}
    rows = list(utilisation_rows(last))
    if is_number(last.get("planned_memory")) and is_number(last.get("peak_memory")):
        rows.append(["peak memory of the fullest rank, beside the plan", f"{last['peak_memory'] / 1e9:.3g} of {last['planned_memory'] / 1e9:.3g} GB"])
    blocks = [bars] if parts else []
    if rows:
        blocks.append(table("Against the machine", ["", "value"], rows))
    return [{"title": "Where a step's time went", "blocks": blocks}] if blocks else []
