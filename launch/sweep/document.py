"""The report on a sweep, as a document of launch/report."""
import os
import time

from sweep import pictures, ranking

FAILED = "failed"


def text(words):
    return {"kind": "text", "text": words}


def table(caption, columns, rows):
    """`columns`: (title, form). A column in which nothing is known is left out."""
    kept = [i for i in range(len(columns)) if i == 0 or not rows or any(row[i] not in (None, "") for row in rows)]
    columns, rows = [columns[i] for i in kept], [[row[i] for i in kept] for row in rows]
    return {"kind": "table", "caption": caption, "columns": [{"name": title, "form": form} for title, form in columns], "rows": rows}


def percent(value):
    return f"{value * 100:.1f} %"


def around(row):
    """The mean with its interval, where that is known."""
    return f"{row.mean:.4g}" + (f" (95 % interval {row.low:.4g} to {row.high:.4g}, {row.seeds} seeds)" if row.low is not None else " (one seed)")


def verdict_of_best(found, metric, sure_enough=0.8):
    best = found.rows[0]
    values = ", ".join(f"{key} {value}" for key, value in best.values)
    told = f"{metric} {around(best)}: {values}"
    if best.probability is None:
        return {"verdict": "warn", "name": f"{best.name}, how sure is not known", "text": told + ". One seed of each configuration does not tell "
                "its noise: give `repeats` or `confirm`."}
    if len(found.rows) == 1:
        return {"verdict": "info", "name": f"{best.name}, the only one compared", "text": told}
    return {"verdict": "ok" if best.probability >= sure_enough else "warn", "name": f"{best.name} is the best of {len(found.rows)} with probability "
            f"{percent(best.probability)}", "text": told}


def verdicts(job, found, cells):
    metric, items = job.sweep.metric, []
    if found.rows:
        items.append(verdict_of_best(found, metric))
        items += [{"verdict": "warn", "name": key, "text": f"the best lies at the {end} end of the range that was tried: better values may lie beyond it"}
                  for key, end in ranking.at_the_edge(job.sweep.parameters.values(), found.rows[0])]
    else:
        items.append({"verdict": "error", "name": "no result", "text": "no configuration has a result of all its seeds"})
    items += [{"verdict": "error", "name": row["cell"], "text": f"failed: {row['reason']}"} for row in cells if row["state"] == FAILED]
    waiting = [row["cell"] for row in cells if row["state"] not in ("ok", FAILED)]
    if waiting:
        items.append({"verdict": "warn", "name": f"{len(waiting)} cells without a result", "text": ", ".join(waiting)})
    return {"kind": "verdicts", "items": items}


def standing(title, job, found):
    keys = list(job.sweep.parameters)
    columns = [("configuration", "text"), *((key, "text") for key in keys), (job.sweep.metric, "number"), ("95 %, from", "number"), ("to", "number"),
               ("seeds", "integer"), ("best with probability", "percent")]
    rows = [[row.name, *(dict(row.values)[key] for key in keys), row.mean, row.low, row.high, row.seeds, row.probability] for row in found.rows]
    return table(title, columns, rows)


METHODS = {
    "grid": "Every combination of the values of all parameters was tried.",
    "random": "Configurations were drawn at random (Bergstra and Bengio 2012), each value by a hash of the seed of the sweep, the number of the draw "
              "and the key.",
    "halving": "Successive halving (Jamieson and Talwalkar 2016): of the configurations of a rung, drawn at random, the best went on from their "
               "checkpoints; the rate of every trial follows the schedule of all steps, so that what went on is what it would have been alone.",
    "range_test": "Learning-rate range test (Smith 2017, section 3.3): the rate rose by the same factor every step.",
}


def method(job, found):
    sweep = job.sweep
    words = (f"{METHODS[sweep.method]} A trial is one configuration with one seed; its value is that of the best evaluation of the validation split, by "
             f"{sweep.metric}, up to its step. No test split was looked at.")
    if sweep.confirm:
        words += (f" The best {sweep.confirm.best} were trained again with {sweep.confirm.seeds} seeds that had no part in choosing them: the best of many "
                  "noisy values is better than its mean, which these seeds correct.")
    if found.deviation is not None:
        words += (f"\n\nSureness: values of seeds are taken for normal with a mean of each configuration and one common standard deviation "
                  f"({found.deviation:.3g} with {found.freedom} degrees of freedom). The interval is that of Student's t; the probability is the share of "
                  "20,000 draws of the posterior of all means in which the configuration is the best (Gelman et al. 2013, Bayesian Data Analysis, "
                  "section 3.2). It says nothing of configurations that were not compared, nor of other data.")
    return text(words)


def stage_rows(stages, search):
    rows = []
    for stage in stages:
        if not stage.known:
            rows.append([stage.name, None, len(stage.seeds), stage.cells[0].until if stage.cells else None, None])
            continue
        found = ranking.rank(search, stage).rows
        names = {cell.trial.configuration for cell in stage.cells}
        rows.append([stage.name, len(names), len(stage.seeds), stage.cells[0].until if stage.cells else None, found[0].mean if found else None])
    return rows


def search_sections(job, stages, logs):
    """Pictures of the first stage, which has all configurations, and of the curves of the last."""
    parameters, metric = list(job.sweep.parameters.values()), job.sweep.metric
    first = ranking.rank(job.search, stages[0])
    blocks = [standing(f"All configurations at the end of stage {stages[0].name}", job, first)]
    if first.rows:
        blocks += [pictures.parallel(parameters, first.rows, metric), *(pictures.response(p, first.rows, metric) for p in parameters)]
    sections = [{"title": "The search", "blocks": blocks}, {"title": "Curves", "blocks": [pictures.curves(logs, metric)]}]
    if len(stages) > 1:
        columns = [("stage", "text"), ("configurations", "integer"), ("seeds", "integer"), ("steps", "integer"), (f"best {metric}", "number")]
        sections.insert(0, {"title": "Stages", "blocks": [table("Stages", columns, stage_rows(stages, job.search))]})
    return sections


def range_section(findings):
    columns = [("run", "text"), ("rate of the lowest loss", "number"), ("of the steepest fall", "number"), ("suggestion", "number"), ("loss rose", "text")]
    rows = [[name, f.lowest, f.steepest, f.suggestion, "yes" if f.diverged else "no"] for name, f in findings]
    words = ("Losses are smoothed by means over a twentieth of the steps around each. The suggestion is a tenth of the rate of the lowest loss "
             "(Gugger 2018); the steepest fall is told beside it. A test in which the loss never rose ended too early: give a higher end of the range.")
    return {"title": "Range test", "blocks": [table("Rates", columns, rows), text(words), *(pictures.range_test(f, name) for name, f in findings)]}


CELLS = (("cell", "cell", "text"), ("state", "state", "text"), ("attempt", "attempt", "integer"), ("job_id", "job", "text"), ("value", "value", "number"),
         ("value_step", "at step", "integer"), ("elapsed_s", "time", "seconds"), ("node_hours", "node-hours", "number"), ("reason", "reason", "text"))


def cells_section(cells):
    return {"title": "Cells", "blocks": [table("Cells, failed ones among them", [(title, form) for _, title, form in CELLS],
                                               [[row[name] for name, *_ in CELLS] for row in cells])]}


def stamp(seconds):
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(seconds)) if seconds else "not known"


def summary(job, cells):
    sweep, facts = job.sweep, job.folder.facts()
    good = sum(row["state"] == "ok" for row in cells)
    where = "Slurm" if sweep.where == "slurm" else "mpirun on one machine"
    return (f"{os.path.basename(sweep.run)}: {len(job.search.configurations)} configurations by {sweep.method.replace('_', ' ')}, by {where}. {good} of "
            f"{len(cells)} cells went well, in {sum(row['node_hours'] or 0 for row in cells):.4g} node-hours of at most {sweep.node_hours:g}. Begun "
            f"{stamp(facts.get('begun'))} on {facts.get('host', 'an unknown host')}.")


def attachments(attached):
    return [{"kind": "details", "title": title, "blocks": [{"kind": "code", "title": title, "text": content}]} for title, content in attached if content]
