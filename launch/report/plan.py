"""The CSV file that `trireme plan --csv` wrote: which layouts fit, what they cost in time and in memory, and the front of both."""
import csv
import math

from report.command import reason_of, refuse, size_of
from report.evaluation import table
from report.schema import FORMAT, VERSION

LEGAL = "CSV file that `trireme plan --csv` wrote"
DEGREES = ("pipeline", "replicate", "shard", "tensor", "zero", "virtual_stages", "micro_batch_samples", "micro_steps", "fullest_stage")
PARTS = {"compute": "compute_s", "tensor axis": "tensor_s", "pipeline axis": "pipeline_s", "bubble": "bubble_s",
         "data axes": "data_parallel_s", "optimizer": "optimizer_s"}
CLASSES = ("weights", "gradients", "optimizer", "activations", "buffers", "data", "library")
NUMBERS = ("step_s", "tokens_per_s", "peak_bytes", *PARTS.values(), *(f"{name}_bytes" for name in CLASSES))
COLUMNS = (*DEGREES, *NUMBERS, "schedule", "recompute", "offload", "fits")
MOST_BYTES, MOST_LAYOUTS, MOST_NAMED, MOST_OTHERS = 1 << 30, 2_000_000, 8, 300


def number(path, row, line, name):
    try:
        value = float(row[name])
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value) or value < 0:
        refuse(f"{path}:{line}: {name}: {str(row[name])[:60]}: legal: a number of 0 or more")
    return value


def rows_of(path, file):
    reader = csv.DictReader(file)
    missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
    if missing:
        refuse(f"{path}: {missing[0]}: no such column; legal: {LEGAL}")
    rows = []
    for row in reader:
        row |= {name: number(path, row, reader.line_num, name) for name in (*DEGREES, *NUMBERS)}
        rows.append(row)
        if len(rows) > MOST_LAYOUTS:
            refuse(f"{path}: more than {MOST_LAYOUTS} layouts; legal: {LEGAL}")
    return rows


def read_layouts(path):
    """Every layout, as the file has them: those that fit, the fastest first, then the others."""
    try:
        size_of(path, MOST_BYTES)
        with open(path, encoding="utf-8", newline="") as file:
            return rows_of(path, file)
    except OSError as error:
        refuse(f"{path}: {reason_of(error)}; legal: {LEGAL}")
    except (UnicodeDecodeError, csv.Error) as error:
        refuse(f"{path}: {error}; legal: {LEGAL}")


def front_of(layouts):
    """Layouts than which none is faster and smaller, the fastest first."""
    front = []
    for layout in sorted(layouts, key=lambda row: (row["step_s"], row["peak_bytes"])):
        if not front or layout["peak_bytes"] < front[-1]["peak_bytes"]:
            front.append(layout)
    return front


def name_of(layout):
    """Names a layout as framework/planning/layout_search.cpp does, so that page and terminal agree."""
    whole = {name: int(layout[name]) for name in DEGREES}
    chunks = f" x {whole['virtual_stages']}" if whole["virtual_stages"] > 1 else ""
    schedule = f" ({layout['schedule']}{chunks})" if whole["pipeline"] > 1 else ""
    offload = ", offload optimizer" if layout["offload"] != "none" else ""
    return (f"tensor {whole['tensor']}, pipeline {whole['pipeline']}{schedule}, replicate {whole['replicate']}, shard {whole['shard']}, "
            f"zero {whole['zero']}, recompute {layout['recompute']}{offload}, micro-batch {whole['micro_batch_samples']}")


def points(name, layouts, **more):
    return {"name": name, "x": [row["peak_bytes"] / 1e9 for row in layouts], "y": [row["step_s"] for row in layouts], **more}


def picture(fitting, front):
    on_front = {id(row) for row in front}
    others = [row for row in fitting if id(row) not in on_front]
    labels = [str(i + 1) if i % math.ceil(len(front) / MOST_NAMED) == 0 else "" for i in range(len(front))]
    series = [points("front: no layout is both faster and smaller", front, labels=labels)]
    shown = others[:: math.ceil(len(others) / MOST_OTHERS)] if others else []
    if shown:  # below the front
        series.insert(0, points(f"{len(shown):,} of {len(others):,} other layouts that fit", shown, style="points"))
    return {"kind": "figure", "picture": "curves", "title": "Time of a step against the peak of memory of the fullest rank", "x_label": "peak memory (GB)",
            "y_label": "step (s)", "y_scale": "log", "series": series,
            "caption": "Numbers name layouts of the tables below. Libraries of the device are counted."}


def front_section(fitting, front):
    columns = ["no.", ("step s", "number", 4), ("peak GB", "number", 2), ("tokens/s", "integer"), *((part, "percent") for part in PARTS)]
    rows = [[str(i + 1), row["step_s"], row["peak_bytes"] / 1e9, row["tokens_per_s"],
             *(row[name] / row["step_s"] if row["step_s"] else None for name in PARTS.values())] for i, row in enumerate(front)]
    layouts = [[str(i + 1), name_of(row)] for i, row in enumerate(front)]
    return {"title": "Time against memory", "blocks": [picture(fitting, front), table("The front, and where a step's time goes", columns, rows),
                                                       table("Its layouts", ["no.", "layout"], layouts)]}


def memory_section(front):
    columns = ["no.", ("peak GB", "number", 2), *((name, "number", 2) for name in CLASSES), ("fullest stage", "integer")]
    rows = [[str(i + 1), row["peak_bytes"] / 1e9, *(row[f"{name}_bytes"] / 1e9 for name in CLASSES), int(row["fullest_stage"])]
            for i, row in enumerate(front)]
    return {"title": "Memory", "blocks": [table("GB of the fullest rank at its peak, by class", columns, rows)]}


def document_of(path, title):
    layouts = read_layouts(path)
    fitting = [row for row in layouts if row["fits"] == "yes"]
    front = front_of(fitting)
    if not front:
        refuse(f"{path}: no layout fits; legal: {LEGAL}, of a run that fits its machine")
    summary = (f"{len(fitting):,} of {len(layouts):,} layouts fit, {len(front):,} of them on the front of time and memory. "
               f"The fastest takes {front[0]['step_s']:.4g} s a step and {front[0]['peak_bytes'] / 1e9:.4g} GB: {name_of(front[0])}.")
    return {"format": FORMAT, "version": VERSION, "title": title or "Plan", "summary": summary,
            "sections": [front_section(fitting, front), memory_section(front)]}
