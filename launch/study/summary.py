"""Works out what a study found from the rows of cells.csv and nothing else but the constants of STUDY.yaml and the model's size."""
import statistics

from study import fits

ENOUGH = 0.75  # parallel efficiency, as CSC asks for its large partition
COLUMNS = ("scaling", "layout", "nodes", "ranks", "batch", "repeats", "failed", "flagged", "wall_s", "step_s", "step_low_s", "step_high_s", "step_half_s",
           "step_median_s", "step_p5_s", "step_p95_s", "tokens_per_s", "tokens_per_s_low", "tokens_per_s_high", "tokens_per_s_per_rank", "speedup",
           "speedup_low", "speedup_high", "efficiency", "efficiency_low", "efficiency_high", "efficiency_all", "verdict", "utilisation", "data_share",
           "waiting_share", "startup_s", "warmup_s", "energy_j", "peak_memory_bytes", "predicted_step_s")


def mean_of(rows, name):
    values = [row[name] for row in rows if row[name] is not None]
    return statistics.mean(values) if values else None


def flag(rows):
    """Sets `flagged` of each row, among the repeats of its configuration."""
    groups = {}
    for row in rows:
        row["flagged"] = False
        if row["state"] == "ok":
            groups.setdefault((row["layout"], row["nodes"], row["batch"]), []).append(row)
    for group in groups.values():
        for row, far in zip(group, fits.outliers([row["step_s"] for row in group])):
            row["flagged"] = far


def configuration(scaling, rows, peak, flop_per_token):
    """One line of a table: the repeats of one layout on one count of nodes."""
    good = [row for row in rows if row["state"] == "ok" and not row["flagged"]]
    first = rows[0]
    line = dict.fromkeys(COLUMNS)
    line |= {name: first[name] for name in ("layout", "nodes", "ranks", "batch", "predicted_step_s")}
    line |= {"scaling": scaling, "repeats": len(good), "failed": sum(row["state"] == "failed" for row in rows),
             "flagged": sum(row["flagged"] for row in rows)}
    line["rates"] = [row["tokens_per_s"] for row in good]
    line["rates_all"] = [row["tokens_per_s"] for row in rows if row["state"] == "ok"]
    if not good:
        return line
    for name in ("wall_s", "step_s", "step_median_s", "step_p5_s", "step_p95_s", "tokens_per_s", "tokens_per_s_per_rank", "data_share",
                 "waiting_share", "startup_s", "warmup_s", "energy_j"):
        line[name] = mean_of(good, name)
    line["step_low_s"], line["step_high_s"] = fits.interval([row["step_s"] for row in good])
    line["step_half_s"] = line["step_high_s"] - line["step_s"] if line["step_high_s"] is not None else None
    line["tokens_per_s_low"], line["tokens_per_s_high"] = fits.interval(line["rates"])
    line["peak_memory_bytes"] = max(row["peak_memory_bytes"] for row in good)
    if peak and flop_per_token:
        line["utilisation"] = line["tokens_per_s_per_rank"] * flop_per_token / peak
    return line


def compare(lines):
    """Adds speed-up and efficiency against the smallest count that was measured."""
    base = next((line for line in lines if line["step_s"] is not None), None)
    for line in lines:
        if line["step_s"] is None:
            continue
        grown = line["nodes"] / base["nodes"]
        line["speedup"] = line["tokens_per_s"] / base["tokens_per_s"]
        if line is not base:
            line["speedup_low"], line["speedup_high"] = fits.ratio_interval(line["rates"], base["rates"])
        for end in ("", "_low", "_high"):
            value = line["speedup" + end]
            line["efficiency" + end] = value / grown if value is not None else None
        line["efficiency_all"] = statistics.mean(line["rates_all"]) / statistics.mean(base["rates_all"]) / grown
        line["verdict"] = "base" if line is base else "pass" if line["efficiency"] >= ENOUGH else "fail"
    return lines


def laws(scaling, lines, message):
    """Fits over the counts of one series."""
    told = [line for line in lines if line["step_s"] is not None]
    nodes, seconds = [line["nodes"] for line in told], [line["step_s"] for line in told]
    found = [fits.amdahl(nodes, seconds)] if scaling == "strong" else [fits.gustafson(nodes, [line["speedup"] for line in told])]
    found.append(fits.alpha_beta(scaling, [line["ranks"] for line in told], seconds, message))
    return [fit for fit in found if fit]


class Series:
    """One layout in one kind of scaling."""

    def __init__(self, scaling, layout, lines, message):
        self.scaling, self.layout, self.lines = scaling, layout, compare(lines)
        self.fits = laws(scaling, lines, message)

    def measured(self):
        return [line for line in self.lines if line["step_s"] is not None]


def series_of(rows, study, parameters):
    """All series of a study. FLOP of a token: 6 x parameters, as PaLM counts without attention; message of the all-reduce: 4 bytes
    of each parameter."""
    flag(rows)
    peak = study.peak_tflops * 1e12 if study.peak_tflops else None
    found = []
    for scaling in study.scaling:
        for layout in [one.name for one in study.layouts]:
            mine = [row for row in rows if row["layout"] == layout and scaling in row["scaling"].split()]
            lines = [configuration(scaling, [row for row in mine if row["nodes"] == nodes], peak, 6 * parameters if parameters else None)
                     for nodes in study.nodes]
            found.append(Series(scaling, layout, lines, 4 * parameters if parameters else None))
    return found


def cost(study, series, parameters):
    """Cost of the target run at the speed that was measured; None without one, or without a measurement."""
    target = study.target
    if not target:
        return None
    scaling, layout = target.scaling or study.scaling[-1], target.layout or study.layouts[0].name
    line = next(line for one in series if (one.scaling, one.layout) == (scaling, layout) for line in one.lines if line["nodes"] == target.nodes)
    if line["tokens_per_s"] is None:
        return None
    hours = target.tokens / line["tokens_per_s"] / 3600 * (1 + target.restarts)
    return {"tokens": target.tokens, "scaling": scaling, "layout": layout, "nodes": target.nodes, "tokens_per_s": line["tokens_per_s"],
            "restarts": target.restarts, "hours": hours, "node_hours": hours * target.nodes,
            "gpu_hours": hours * target.nodes * study.gpus_per_node or None,
            "core_hours": hours * target.nodes * study.cores_per_node if study.cores_per_node else None,
            "flop": 6 * parameters * target.tokens if parameters else None}
