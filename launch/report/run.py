"""The report on a run: where it stands, curves, results, cost, layout and how to repeat it, from the files that `trireme train`
and other commands wrote."""
from report import evaluation, performance, reading
from report.command import is_number, refuse
from report.evaluation import METRICS, table
from report.events import by_step, read, smooth
from report.numbers import shown
from report.run_config import best_of, config_text, read_config
from report.run_cost import cost_section, jobs_of, jobs_section, number
from report.schema import FORMAT, VERSION

AUDIT = "what `trireme audit --json` wrote"
CERTIFICATE = "a certificate of `trireme parity`"
NOT_METRICS = {"step", "time", "seconds", "samples"}
RISE = 0.02  # of the validation loss above its least, from which on the report speaks of overfitting


def verdict(level, name, text=""):
    return {"verdict": level, "name": name, "text": text}


def metrics_of(evaluations):
    """Names of the numbers that the evaluations have, in their order."""
    return list(dict.fromkeys(n for e in evaluations for n, v in e.items() if n not in NOT_METRICS and is_number(v)))


def ending(events):
    ends, jobs = ([e for e in events if e["kind"] == kind] for kind in ("end", "job"))
    steps = by_step(events, "train")
    at, of = (steps[-1]["step"] if steps else 0), (jobs[-1].get("total_steps") if jobs else None)
    if not ends or events.index(ends[-1]) < events.index(jobs[-1]):
        return verdict("warn", f"Not at its end: step {at:,} of {shown(of)}", "`trireme status` says whether a job still runs.")
    if ends[-1].get("exit_code"):
        return verdict("warn", f"Stopped at step {at:,} of {shown(of)}, to be continued", str(ends[-1].get("why", "")))
    why = ends[-1].get("why")
    return verdict("ok", f"Done: step {at:,} of {shown(of)}", str(why) if why else "")


def generality(evaluations):
    """Says whether the loss on the validation split rises while training goes on."""
    losses = [(e["loss"], e["step"]) for e in evaluations]
    if len(losses) < 2:
        return verdict("info", "Too few evaluations to see overfitting", f"{len(losses)}; `evaluation.every` sets how many steps lie between two.")
    (least, best), (last, _) = min(losses), losses[-1]
    if last > least * (1 + RISE) and losses[-1][1] != best:
        return verdict("warn", f"The validation loss rose after step {best:,}", f"From {least:.4f} to {last:.4f} at the end: the model learns its training data by heart "
                       "from there on. The checkpoint that the metric calls best is kept; fewer steps, `evaluation.patience` or more data help.")
    return verdict("ok", "The validation loss did not rise", f"Least at step {best:,}: {least:.4f}; last: {last:.4f}.")


def troubles(events):
    kinds = [e["kind"] for e in events]
    found = [e.get("what", "") for e in events if e["kind"] == "bad step"]
    if found:
        yield verdict("warn", f"{len(found):,} bad steps, {kinds.count('rollback'):,} rollbacks", str(found[-1]))
    failed = [e for e in events if e["kind"] == "checkpoint failed"]
    if failed:
        yield verdict("warn", f"{len(failed):,} checkpoints could not be written", str(failed[-1].get("error", "")))
    if any(e.get("parts") is True for e in events if e["kind"] == "sensitivity"):
        yield verdict("info", "Layouts in fast mode part after some steps", "A flipped last bit of the weights changed the losses by more than rounding.")
    ranks = [e for e in events if e["kind"] == "ranks"]
    if ranks and is_number(ranks[-1].get("ratio")) and ranks[-1]["ratio"] > 1.2:
        yield verdict("warn", f"Rank {shown(ranks[-1].get('slowest'))} on {ranks[-1].get('host')} was slow", f"{ranks[-1]['ratio']:.2f} times as slow as the median of the others at step {ranks[-1]['step']:,}.")


def results_section(evaluations):
    names = metrics_of(evaluations)
    columns = [("step", "integer"), *((n, METRICS.get(n, ("number", ""))[0]) for n in names)]
    rows = [[e["step"], *(e.get(n) if is_number(e.get(n)) else None for n in names)] for e in evaluations]
    return {"title": "Validation during the run", "blocks": [table("Each evaluation", columns, rows)]}


def curve(title, y_label, series, **more):
    return {"kind": "figure", "picture": "curves", "title": title, "x_label": "step", "y_label": y_label, "series": series, **more}


def line(name, events, key, **more):
    some = [e for e in events if is_number(e.get(key))]
    return {"name": name, "x": [e["step"] for e in some], "y": [e[key] for e in some], **more}


def curves_section(steps, evaluations):
    window = max(1, len(steps) // 50)
    at, losses = [e["step"] for e in steps], [e["loss"] for e in steps]
    loss = [{"name": f"training, mean of {window} steps" if window > 1 else "training", "x": at, "y": smooth(losses, window)}]
    if evaluations:
        loss.append(line("validation", evaluations, "loss"))
    figures = [curve("Loss", "loss", loss, caption="Natural logarithm, mean over the trained labels; of a step before its update.")]
    shares = [n for n in metrics_of(evaluations) if METRICS.get(n, ("",))[0] == "percent"]
    if shares:
        figures.append(curve("Validation metrics", "share", [line(n, evaluations, n) for n in shares]))
    more = [curve("Learning rate", "learning rate", [line("learning rate", steps, "learning_rate")]),
            curve("Norm of the gradients", "norm", [line("before clipping", steps, "gradient_norm")], y_scale="log"),
            curve("Throughput", "tokens/s", [line("mean of 20 steps, all ranks", steps, "mean_tokens_per_second")])]
    more = [f for f in more if f["series"][0]["x"]]
    return {"title": "Curves", "blocks": [*figures, *([{"kind": "details", "title": "Learning rate, gradients, throughput", "blocks": more}] if more else [])]}


def sources_section(events):
    last = [e for e in events if e["kind"] == "sources"][-1:]
    rows = [[str(s.get("name")), *(s.get(k) for k in ("samples", "tokens", "share_of_samples", "share_of_tokens", "epochs"))]
            for e in last for s in e.get("sources", ()) if isinstance(s, dict)]
    columns = ["source", ("samples", "integer"), ("tokens", "integer"), ("of all samples", "percent"), ("of all tokens", "percent"), ("epochs of its own", "number", 2)]
    return [{"title": "Sources", "blocks": [table("What each source of the mixture gave", columns, rows)]}] if rows else []


def audit_section(path):
    found = reading.read_json(path, AUDIT)
    if not isinstance(found, dict) or found.get("format") != "trireme-audit":
        refuse(f"{path}: format: legal: trireme-audit, {AUDIT}")
    items = [verdict(f["level"], f"{f['name']}: {shown(f['count'])}", f["meaning"]) for f in found["findings"]] or [verdict("ok", "Nothing was found")]
    text = f"{shown(found['rows'])} rows, " + ", ".join(f"{split}: {shown(n)}" for split, n in found["splits"].items())
    return {"title": "Data", "blocks": [{"kind": "text", "text": text}, {"kind": "verdicts", "items": items}]}


def certificate_section(path):
    found = reading.read_json(path, CERTIFICATE)
    if not isinstance(found, dict) or not isinstance(found.get("layouts"), list) or "verdict" not in found:
        refuse(f"{path}: legal: {CERTIFICATE}: one JSON object with verdict and layouts")
    passed = sum(layout.get("passed") is True for layout in found["layouts"])
    item = verdict("ok" if found["verdict"] == "passed" else "error", f"{found['verdict']}: {passed:,} of {len(found['layouts']):,} layouts",
                   f"Model {found.get('model')}, {found.get('mode')} mode, {found.get('compute')}, program {str(found.get('code'))[:16]}.")
    return {"title": "Every layout computes the same", "blocks": [{"kind": "verdicts", "items": [item]}]}


def reproduce_section(run, events):
    ends, jobs = ([e for e in events if e["kind"] == kind] for kind in ("end", "job"))
    hashes = [e["weights_sha256"] for e in ends if isinstance(e.get("weights_sha256"), str)]
    text = (f"The configuration as the run kept it, with every value. In a file of its own, with another folder in `run`, `mpirun -n "
            f"{shown(jobs[-1].get('ranks') if jobs else None)} trireme train FILE` repeats the run.")
    if hashes:
        text += (f"\n\nSHA-256 of the weights at its end: {hashes[-1]}. The same program on the same kind of processor and the same layout "
                 "has the same hash again; in bitwise mode every layout without tensor parallelism has.")
    code = {"kind": "code", "title": "config.yaml", "text": config_text(run)}
    return {"title": "How to repeat it", "blocks": [{"kind": "text", "text": text}, {"kind": "details", "title": "Every value", "blocks": [code]}]}


def summary_of(run, evaluations):
    metric = read_config(run).get("evaluation.metric")
    best = best_of(evaluations, metric)
    if best is None:
        return "No evaluation yet."
    parts = [f"{n} {shown(best[n], METRICS.get(n, ('number',))[0])}" for n in metrics_of([best])]
    return f"Best by {metric} at step {best['step']:,}: " + ", ".join(parts[:4]) + "."


def document_of(run, given, title):
    """`given`: paths evaluation, predictions, audit, certificate, each None where there is none."""
    run = run.rstrip("/") or "/"
    events = read(run)
    steps, evaluations = by_step(events, "train"), by_step(events, "evaluation")
    if not steps:
        refuse(f"{run}/metrics.jsonl: no step yet; legal: a run that has trained for one or more")
    jobs = jobs_of(events)
    sections = [{"title": "Where it stands", "blocks": [{"kind": "verdicts", "items": [ending(events), generality(evaluations), *troubles(events)]}]}]
    sections.append(curves_section(steps, evaluations))
    if evaluations:
        sections.append(results_section(evaluations))
    if given.evaluation:
        sections += evaluation.sections_of(given.evaluation, given.predictions)
    sections += sources_section(events)
    if given.audit:
        sections.append(audit_section(given.audit))
    sections += performance.section(events)
    sections += [cost_section(jobs, events, number(read_config(run), "job.node_hours")), jobs_section(jobs)]
    if given.certificate:
        sections.append(certificate_section(given.certificate))
    sections.append(reproduce_section(run, events))
    return {"format": FORMAT, "version": VERSION, "title": title or f"Run {run}", "summary": summary_of(run, evaluations), "sections": sections}
