"""The report on a study, as a document of launch/report."""
import os
import time

from study import fits, pictures
from study.summary import ENOUGH

COLUMNS = (("nodes", "nodes", "integer", ""), ("ranks", "ranks", "integer", ""), ("batch", "samples a step", "integer", ""),
           ("wall_s", "wall time", "seconds", ""), ("step_s", "step", "seconds", ""), ("step_half_s", "\u00b1", "seconds", ""),
           ("tokens_per_s", "tokens/s", "number", ""), ("tokens_per_s_per_rank", "tokens/s per rank", "number", ""),
           ("speedup", "speed-up", "number", ""), ("efficiency", "efficiency", "percent", ""), ("verdict", "75 %", "text", ""))
TIMES = (("layout", "layout", "text", ""), ("nodes", "nodes", "integer", ""), ("repeats", "repeats used", "integer", ""),
         ("startup_s", "start-up", "seconds", ""), ("warmup_s", "warm-up", "seconds", ""), ("step_median_s", "median step", "seconds", ""),
         ("step_p5_s", "5th percentile", "seconds", ""), ("step_p95_s", "95th percentile", "seconds", ""))
SHARES = (("layout", "layout", "text", ""), ("nodes", "nodes", "integer", ""), ("data_share", "data", "percent", ""),
          ("waiting_share", "communication and waiting", "percent", ""), ("utilisation", "utilisation", "percent", ""),
          ("peak_memory_bytes", "memory of rank 0", "bytes", ""), ("energy_j", "energy of the job, J", "number", ""))
CELLS = (("cell", "cell", "text", ""), ("told", "state", "text", ""), ("job_id", "job", "text", ""), ("startup_s", "start-up", "seconds", ""),
         ("step_s", "step", "seconds", ""), ("tokens_per_s", "tokens/s", "number", ""), ("node_hours", "node-hours", "number", ""),
         ("reason", "reason", "text", ""))


def table(caption, columns, rows):
    """A table whose first column heads its rows where it is a text."""
    heads = [{"name": title, "form": form, **({"unit": unit} if unit else {})} for _, title, form, unit in columns]
    return {"kind": "table", "caption": caption, "columns": heads, "row_header": columns[0][2] == "text", "rows": [[row.get(name) for name, *_ in columns] for row in rows]}


def text(words):
    return {"kind": "text", "text": words}


def percent(value):
    return f"{value * 100:.1f} %"


def name_of(one):
    return f"{one.scaling} scaling, {one.layout}"


def told(row):
    """State of a cell, and its attempt where it is not the first."""
    return ", ".join([row["state"], *(["flagged"] if row["flagged"] else []), *([f"attempt {row['attempt']}"] if (row["attempt"] or 1) > 1 else [])])


def every_cell(study, rows):
    columns = [column for column in CELLS if column[0] != "job_id" or study.where == "slurm"]
    return table("Cells, failed ones among them", columns, [row | {"told": told(row)} for row in rows])


def verdict_of(one):
    """A sentence about the largest count of one series."""
    others = [line for line in one.measured() if line["verdict"] != "base"]
    if not others:
        return {"verdict": "warn", "name": name_of(one), "text": "fewer than two counts of nodes were measured: no efficiency can be told"}
    last = others[-1]
    low, high = last["efficiency_low"], last["efficiency_high"]
    sure = f" (95 % interval {percent(low)} to {percent(high)})" if low is not None else ""
    if any(line["flagged"] for line in one.measured()):
        sure += f", {percent(last['efficiency_all'])} with the flagged repeats"
    enough = [line["nodes"] for line in others if line["verdict"] == "pass"]
    return {"verdict": "ok" if last["verdict"] == "pass" else "error", "name": name_of(one),
            "text": f"{percent(last['efficiency'])} parallel efficiency at {last['nodes']} nodes{sure}; at least {percent(ENOUGH)} is asked for"
                    + (f", which {max(enough)} nodes have." if enough else ", which no count above the smallest has.")}


def verdicts(rows, series):
    items = [verdict_of(one) for one in series]
    items += [{"verdict": "error", "name": row["cell"], "text": f"failed: {row['reason']}"} for row in rows if row["state"] == "failed"]
    items += [{"verdict": "warn", "name": row["cell"], "text": f"flagged: a step took {row['step_s']:.4g} s, unlike its other repeats; left out of means"}
              for row in rows if row["flagged"]]
    items += [{"verdict": "warn", "name": f"{name_of(one)}, {line['nodes']} nodes", "text": f"{percent(line['efficiency'])} is more than ideal: what "
               "the smallest count was measured with may be slow"} for one in series for line in one.measured() if line["efficiency"] > 1.1]
    waiting = [row["cell"] for row in rows if row["state"] not in ("ok", "failed")]
    if waiting:
        items.append({"verdict": "warn", "name": f"{len(waiting)} cells without a result", "text": ", ".join(waiting)})
    long = [line for one in series for line in one.measured() if line["startup_s"] and line["startup_s"] > line["wall_s"]]
    if long:
        items.append({"verdict": "info", "name": "start-up", "text": f"longer than the steps that were measured in {len(long)} configurations: "
                      "it is told apart, and no part of any speed here"})
    return {"kind": "verdicts", "items": items}


def method(study, facts):
    words = (f"One cell is one run of the configuration from its first step, in a job of its own: {study.warmup} steps of warm-up, then "
             f"{study.steps - study.warmup} steps that are measured, without evaluation and checkpoints in between. Each configuration was to be run "
             f"{study.repeats} times; cells went repeat by repeat, so that a machine's slow changes meet all of them.\n\n"
             "Wall time is the sum of the measured steps, start-up (from the start of the job to the first step) and warm-up apart. Strong scaling "
             "keeps the samples of a step, weak scaling the samples of a node. Speed-up is tokens/s against the smallest count of nodes that was "
             "measured, which for equal work is (time there) / (time here); parallel efficiency is speed-up / (nodes here / nodes there). "
             "Intervals hold the mean with 95 % by Student's t over repeats; those of ratios add relative variances, with Welch's degrees of "
             f"freedom.\n\n{fits.RULE}\n\n"
             "Data and waiting: of a median rank, as the run logs it every 50 steps; what is neither loading, computing, norm nor update is "
             "communication that nothing hides, and waiting for other ranks. Not defined for runs of fewer than 50 steps.")
    peak = f" / {study.peak_tflops:g} TFLOP/s of a rank" if study.peak_tflops else "; peak_tflops is not given, so it is not defined"
    return words + ("\n\nUtilisation: 6 FLOP for each of " + f"{facts['parameters']:,} parameters and token, without attention (as in PaLM)" + peak + "."
                    if facts.get("parameters") else "")


def series_blocks(one, ranks_per_node):
    base = one.measured()
    if not base:
        return [text(f"{name_of(one)}: no cell of it went well.")]
    return [table(f"{one.scaling.capitalize()} scaling, {one.layout}", COLUMNS, one.lines), pictures.speedup(one), pictures.seconds(one, ranks_per_node)]


def times(scaling, series):
    lines = [line for one in series if one.scaling == scaling for line in one.measured()]
    shares = [column for column in SHARES if column[0] != "energy_j" or any(line["energy_j"] for line in lines)]
    return [table(f"Start-up and steps, {scaling} scaling", TIMES, lines), table(f"Shares of the time, and memory, {scaling} scaling", shares, lines)]


AMDAHL = (("scaling", "scaling", "text", ""), ("layout", "layout", "text", ""), ("law", "law", "text", ""),
          ("serial_fraction", "serial share", "percent", ""), ("serial_s", "serial", "seconds", ""), ("parallel_s", "divided", "seconds", ""),
          ("largest_residual", "largest residual", "percent", ""), ("free", "degrees of freedom", "integer", ""))
ALPHA_BETA = (("scaling", "scaling", "text", ""), ("layout", "layout", "text", ""), ("compute_s", "computing", "seconds", ""),
              ("alpha_s", "alpha", "seconds", ""), ("message_s", "message / beta", "seconds", ""), ("beta_bytes_per_s", "beta, bytes/s", "number", ""),
              ("largest_residual", "largest residual", "percent", ""), ("free", "degrees of freedom", "integer", ""))
LAWS_TEXT = ("Amdahl: T(n) = serial + divided / n. Gustafson: S(n) = s + (1 - s) n, n in multiples of the smallest count. Alpha-beta: a ring "
             "all-reduce of all gradients (4 bytes of each parameter) over p ranks, 2 (p - 1) alpha + 2 (p - 1) / p x message / beta, beside computing. "
             "Coefficients are not below zero; relative residuals are least squares (scipy's nnls). With no degree of freedom left a fit goes through "
             "every point that its bounds allow, whatever the law is worth.")


def laws(series):
    rows = [{"scaling": one.scaling, "layout": one.layout, **fit} for one in series for fit in one.fits]
    alone = [row for row in rows if row["law"] == "alpha-beta"]
    few = [] if alone else [text("Three unknowns of alpha-beta cannot be told from fewer than three counts of nodes.")]
    return [text(LAWS_TEXT), table("Amdahl and Gustafson", AMDAHL, [row for row in rows if row["law"] != "alpha-beta"]),
            *([table("Alpha-beta", ALPHA_BETA, alone)] if alone else few)] if rows else []


COST = (("tokens", "tokens", "number", ""), ("nodes", "nodes", "integer", ""), ("tokens_per_s", "tokens/s", "number", ""), ("hours", "hours", "number", ""),
        ("node_hours", "node-hours", "number", ""), ("gpu_hours", "GPU-hours", "number", ""), ("core_hours", "core-hours", "number", ""),
        ("flop", "FLOP", "number", ""))


def cost_blocks(cost):
    return [text(f"Tokens of the target run / tokens/s measured on {cost['nodes']} nodes ({cost['scaling']} scaling, {cost['layout']}) x (1 + "
                 f"{percent(cost['restarts'])} for restarts). FLOP are those of the model, 6 of each parameter and token."),
            table("Cost of the target run", COST, [cost])]


def attachments(attached):
    return [{"kind": "details", "title": group, "blocks": [{"kind": "code", "title": title, "text": content} for title, content in files]}
            for group, files in attached if files]


def stamp(seconds):
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(seconds)) if seconds else "not known"


def summary_text(study, rows, facts):
    good = sum(row["state"] == "ok" for row in rows)
    spent = sum(row["node_hours"] or 0 for row in rows)
    where = "Slurm" if study.where == "slurm" else "mpirun on one machine, whose ranks share it: nodes are groups of ranks there"
    return (f"{os.path.basename(study.run)} on {', '.join(map(str, study.nodes))} nodes of {study.ranks_per_node} rank{'s' if study.ranks_per_node > 1 else ''}, {len(study.layouts)} "
            f"layout{'s' if len(study.layouts) > 1 else ''}, by {where}. {good} of {len(rows)} cells went well, in {spent:.4g} node-hours of at most "
            f"{study.node_hours:g}. Begun {stamp(facts.get('begun'))} on {facts.get('host', 'an unknown host')}.")


def document(study, rows, series, cost, facts, attached):
    """The document; `attached`: [(group, [(title, text)])]."""
    sections = [{"title": "Verdict", "blocks": [verdicts(rows, series)]}]
    for scaling in study.scaling:
        blocks = [block for one in series if one.scaling == scaling for block in series_blocks(one, study.ranks_per_node)]
        sections.append({"title": f"{scaling.capitalize()} scaling", "blocks": blocks})
    if len(study.layouts) > 1:
        sections.append({"title": "Layouts compared", "blocks": pictures.layouts(series, study)})
    sections.append({"title": "Where the time goes", "blocks": [block for scaling in study.scaling for block in times(scaling, series)]})
    sections.append({"title": "Laws of scaling", "blocks": laws(series) or [text("Fewer than two counts of nodes were measured.")]})
    if cost:
        sections.append({"title": "Cost of the target run", "blocks": cost_blocks(cost)})
    sections.append({"title": "Every cell", "blocks": [every_cell(study, rows)]})
    sections.append({"title": "How it was measured", "blocks": [text(method(study, facts))]})
    sections.append({"title": "Attached", "blocks": attachments(attached)})
    return {"format": "trireme-report", "version": 1, "title": study.title or f"Scaling study of {os.path.basename(study.run)}",
            "summary": summary_text(study, rows, facts), "sections": sections}
