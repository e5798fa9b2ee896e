"""Everything that a sweep writes about what it found."""
from experiment.budget import node_hours
from experiment.files import beginning, write, write_pdf
from experiment.log import events_of
from experiment.tables import to_csv
from report import page, schema
from report.schema import FORMAT, VERSION
from sweep import best, document, range_test, ranking, results

CELL_COLUMNS = ("cell", "stage", "configuration", "seed", "until", "state", "reason", "attempt", "job_id", "value", "value_step", "elapsed_s", "node_hours",
                "training_s")
ROW_COLUMNS = ("configuration", "mean", "low", "high", "seeds", "probability_best")


def cell_row(job, stage, cell):
    """A row of cells.csv; node-hours are those of all attempts."""
    attempts = job.folder.attempts(cell)
    row = dict.fromkeys(CELL_COLUMNS) | {"cell": cell.name, "stage": stage.name, "configuration": cell.trial.configuration, "seed": cell.trial.seed,
                                         "until": cell.until, "state": "not run", **dict(cell.trial.values)}
    if not attempts:
        return row
    told = [result for attempt in attempts if (result := attempt.read("result"))]
    result = attempts[-1].read("result") or {"state": "running"}
    row |= {"attempt": attempts[-1].number, "node_hours": sum(node_hours(cell, one) for one in told),
            "elapsed_s": sum(one.get("elapsed_s") or 0 for one in told)} | {name: result.get(name) for name in ("state", "reason", "job_id")}
    events = events_of(cell.run_folder(attempts[-1]) / "metrics.jsonl")
    row["training_s"] = results.seconds_of(events)
    if result["state"] == "ok" and (found := results.best_at(events, cell.until, job.sweep.metric)):
        row |= {"value": found[job.sweep.metric], "value_step": found["step"]}
    return row


def logs_of(job, stage):
    """[(name of a trial, its events)] of those that went well, best first."""
    good = [(cell, score) for cell in stage.cells if (score := job.score(cell)) is not None]
    good.sort(key=lambda pair: pair[1] if job.smaller else -pair[1])
    return [(cell.trial.name, events_of(cell.run_folder(job.folder.last(cell)) / "metrics.jsonl")) for cell, _ in good]


def findings_of(job, stage):
    """[(name, finding)] of the range tests that could be judged."""
    found = []
    for cell in stage.cells:
        last = job.folder.last(cell)
        told = results.rates_of(events_of(cell.run_folder(last) / "metrics.jsonl")) if last else ()
        finding = range_test.find(*told) if told else None
        if finding:
            found.append((cell.trial.name, finding))
    return found


def best_assignments(job, rates, row):
    """KEY=VALUE of the best configuration, as its trials had them, but for what made them trials."""
    sweep = job.sweep
    if sweep.method == "range_test":
        middle = sorted(rates)[len(rates) // 2]
        return [*sweep.set, f"optimizer.learning_rate={middle:.3g}"]
    return [*sweep.set, *(f"{key}={value}" for key, value in row.values), *([f"train.steps={sweep.steps}"] if sweep.steps else [])]


def comment_of(job, found, rates):
    """Lines about the best configuration for whoever reads its file."""
    head = f"Made by `trireme sweep` of {job.sweep.path} (method: {job.sweep.method})."
    if rates:
        return [head, f"optimizer.learning_rate: a tenth of the rate of the lowest loss; {len(rates)} range tests gave {min(rates):.3g} to {max(rates):.3g}."]
    row = found.rows[0]
    sure = ("how sure is not known: one seed of each configuration" if row.probability is None
            else "it alone was compared with several seeds" if len(found.rows) == 1
            else f"the best of {len(found.rows)} compared with probability {row.probability:.3f}, seeds taken for normal with one variance (docs/sweeps.md)")
    return [head, f"{row.name}: {job.sweep.metric} {document.around(row)};", f"{sure}."]


def write_best(job, found, rates, say):
    """Writes best.yaml, once training would take it."""
    path = job.folder.path / "best.yaml"
    words = best_assignments(job, rates, found.rows[0] if found.rows else None)
    run = (job.folder.path / "run.yaml").read_text(encoding="utf-8")
    content = best.text_of(run, [*words, f"run={job.folder.path / 'best'}"], comment_of(job, found, rates))
    write(path, content)
    best.check(path, job.sweep.nodes * job.sweep.ranks_per_node)
    say(str(path))
    return content


def tables(job, cells, found):
    keys = list(job.sweep.parameters)
    rows = [[row.name, row.mean, row.low, row.high, row.seeds, row.probability, *(dict(row.values)[key] for key in keys)] for row in found.rows]
    return {"cells.csv": to_csv((*CELL_COLUMNS, *keys), cells), "configurations.csv": to_csv((*ROW_COLUMNS, *keys), rows)}


def write_all(job, say):
    """Writes report.html, report.pdf, cells.csv, configurations.csv and best.yaml; False if there is no result to choose by."""
    stages = job.search.stages()
    cells = [cell_row(job, stage, cell) for stage in stages if stage.known for cell in stage.cells]
    last = ranking.deciding(stages)
    range_only = job.sweep.method == "range_test"
    findings = findings_of(job, last) if range_only else []
    found = ranking.Ranking([], None, 0) if range_only else ranking.rank(job.search, last)
    rates = [finding.suggestion for _, finding in findings]
    whole = bool(found.rows or rates) and all(stage.known for stage in stages)
    chosen = write_best(job, found, rates, say) if whole else None
    write_report(job, cells, sections_of(job, stages, cells, found, findings), chosen, say)
    for name, content in tables(job, cells, found).items():
        write(job.folder.path / name, content)
    return bool(found.rows or rates)


def sections_of(job, stages, cells, found, findings):
    if job.sweep.method == "range_test":
        return [document.range_section(findings)] if findings else [{"title": "Range test", "blocks": [document.text("No run has enough steps to judge by.")]}]
    last = ranking.deciding(stages)
    return [{"title": "Verdict", "blocks": [document.verdicts(job, found, cells)]},
            {"title": "The best", "blocks": [document.standing(f"Configurations compared last, stage {last.name}", job, found)]},
            *document.search_sections(job, stages, logs_of(job, last)),
            {"title": "How it was compared", "blocks": [document.method(job, found)]}]


def write_report(job, cells, sections, chosen, say):
    facts = job.folder.facts()
    attached = [("best.yaml", chosen), ("sweep.yaml", beginning(job.folder.path / "sweep.yaml")), ("run.yaml", beginning(job.folder.path / "run.yaml")),
                ("Versions", "\n".join(facts.get("versions", [])))]
    made = {"format": FORMAT, "version": VERSION, "title": job.sweep.title or f"Sweep of {job.sweep.run}", "summary": document.summary(job, cells),
            "sections": [*sections, document.cells_section(cells), {"title": "Files", "blocks": document.attachments(attached)}]}
    schema.check(made, "report")
    html = page.render(made)
    write(job.folder.path / "report.html", html)
    say(str(job.folder.path / "report.html"))
    write_pdf(job.folder, html, say)
