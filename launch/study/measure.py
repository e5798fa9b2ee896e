"""Numbers of one cell out of what its training logged (docs/metrics.md). Each is in the CSV, and reports know no others."""
import statistics

from experiment.budget import node_hours
from experiment.log import events_of, of_kind

# Columns of cells.csv, in this order.
COLUMNS = ("cell", "scaling", "layout", "nodes", "ranks", "batch", "repeat", "attempt", "state", "reason", "job_id", "host", "started",
           "elapsed_s", "node_hours", "energy_j", "startup_s", "warmup_s", "steps", "wall_s", "step_s", "step_median_s", "step_p5_s", "step_p95_s",
           "tokens", "tokens_per_s", "tokens_per_s_per_rank", "logged_s", "load_s", "compute_s", "norm_s", "update_s", "data_share",
           "waiting_share", "slowest_ratio", "peak_memory_bytes", "predicted_step_s")
PHASES = ("load", "compute", "norm", "update")


def percentile(values, share):
    """Linear between the two nearest, as numpy's default."""
    ordered, place = sorted(values), share * (len(values) - 1)
    low = int(place)
    return ordered[low] + (ordered[min(low + 1, len(ordered) - 1)] - ordered[low]) * (place - low)


def steady(steps, ranks):
    """Measures the steps after the warm-up; those before it pay for what happens once."""
    seconds = [step["seconds"] for step in steps]
    wall, tokens = sum(seconds), sum(step["tokens"] for step in steps)
    return {"steps": len(steps), "wall_s": wall, "step_s": wall / len(steps), "step_median_s": statistics.median(seconds),
            "step_p5_s": percentile(seconds, 0.05), "step_p95_s": percentile(seconds, 0.95), "tokens": tokens, "tokens_per_s": tokens / wall,
            "tokens_per_s_per_rank": tokens / wall / ranks}


def shares(events):
    """Says where time went in the steps that events of kind `ranks` tell of: a median rank's own seconds by phase; the rest is waiting."""
    told = of_kind(events, "ranks")
    if not told:
        return {}
    logged = sum(step["seconds"] for step in of_kind(events, "train") if step["step"] <= told[-1]["step"])
    own = {phase: sum(event["seconds"].get(phase, {}).get("median", 0) for event in told) for phase in PHASES}
    return {"logged_s": logged, **{f"{phase}_s": value for phase, value in own.items()}, "data_share": own["load"] / logged,
            "waiting_share": max(0.0, 1 - sum(own.values()) / logged), "slowest_ratio": max(event["ratio"] for event in told)}


def fault_of(events, study):
    """Why a run whose exit code was 0 is no measurement; empty if it is one."""
    if len(of_kind(events, "job")) != 1:
        return "its log does not tell of one job from the first step on"
    steps = [event["step"] for event in of_kind(events, "train")]
    if steps != list(range(1, study.steps + 1)):
        return f"its log has {len(steps)} steps instead of {study.steps}"
    return "" if of_kind(events, "end") else "its log has no end"


def numbers_of(events, study, cell, started):
    """Columns of a run that went well. `started`: seconds since 1970, None if not known."""
    steps = of_kind(events, "train")
    first = steps[0]["time"] - steps[0]["seconds"]
    return {"host": of_kind(events, "job")[0]["host"], "startup_s": max(0.0, first - started) if started else None,
            "warmup_s": sum(step["seconds"] for step in steps[: study.warmup]), **steady(steps[study.warmup:], cell.ranks), **shares(events),
            "peak_memory_bytes": max(step["peak_memory"] for step in steps)}


def row_of(study, cell, attempt, predicted):
    """A row of cells.csv."""
    row = dict.fromkeys(COLUMNS)
    row |= {"cell": cell.name, "scaling": cell.scaling, "layout": cell.layout, "nodes": cell.nodes, "ranks": cell.ranks, "batch": cell.batch,
            "repeat": cell.repeat, "state": "not run", "predicted_step_s": predicted}
    if attempt is None:
        return row
    started, result = attempt.read("started") or {}, attempt.read("result")
    row |= {"attempt": attempt.number, "state": "running", "started": started.get("time")}
    if result is None:
        return row
    row |= {name: result.get(name) for name in ("state", "reason", "job_id", "elapsed_s", "energy_j")}
    row["node_hours"] = node_hours(cell, result)
    if result["state"] == "ok":
        row |= numbers_of(events_of(cell.run_folder(attempt) / "metrics.jsonl"), study, cell, result.get("started"))
    return row


def step_rows(cell, row, attempt):
    """Rows of steps.csv: [cell, step, seconds, tokens]."""
    if row["state"] != "ok":
        return []
    return [[row["cell"], step["step"], step["seconds"], step["tokens"]] for step in of_kind(events_of(cell.run_folder(attempt) / "metrics.jsonl"), "train")]
