"""Everything that a study writes about what it found."""
from experiment.files import beginning, write, write_pdf
from experiment.folder import save_json
from report import page, schema
from study import document, exports, measure, program, summary, tables


def predictions(study, folder, cells):
    """{(layout, nodes, batch): seconds} of `trireme plan`, asked once for each; what it printed lies in plan/."""
    if not study.machine:
        return {}
    found = {}
    for cell in cells:
        key = cell.layout, cell.nodes, cell.batch
        if key in found:
            continue
        name = f"{cell.layout}-n{cell.nodes}-b{cell.batch}"
        kept = folder.path / "plan" / f"{name}.json"
        told = folder.read(kept)
        if told is None or told["machine"] != study.machine:
            seconds, output = program.predicted_step(study, cell, str(folder.path / "none"))
            kept.parent.mkdir(exist_ok=True)
            told = {"machine": study.machine, "step_s": seconds, "output": output}
            save_json(kept, told)
        found[key] = told["step_s"]
    return found


def bindings_of(attempt):
    """Lines that tell where ranks run: those of mpirun, and of Slurm the cores of each node."""
    lines = [line for line in beginning(attempt.output).splitlines() if "MCW rank" in line]
    facts = [word for word in beginning(attempt.path / "scontrol.txt").split(" ") if word.startswith(("NodeList=", "CPU_IDs=", "Nodes=", "NumCPUs="))]
    return "\n".join(lines + facts)


def attached(study, folder, cells, rows):
    """Job scripts, modules, bindings, versions, and the output of failed cells; one script for each configuration."""
    facts, scripts, bindings, failures = folder.facts(), {}, {}, []
    for cell, row in zip(cells, rows):
        attempt, key = folder.last(cell), f"{cell.layout}, {cell.nodes} nodes, {cell.batch} samples a step"
        if attempt is None:
            continue
        script = beginning(attempt.path / ("job.sbatch" if study.where == "slurm" else "job.sh"))
        if script:
            scripts.setdefault(key, script)
        if row["state"] == "ok" and bindings_of(attempt):
            bindings.setdefault(key, bindings_of(attempt))
        if row["state"] == "failed":
            failures.append((cell.name, beginning(attempt.output)[-4000:] or "nothing was printed"))
    place = facts.get("surroundings", {})
    return [("Study and configuration", [("study.yaml", beginning(folder.path / "study.yaml")), ("run.yaml", beginning(folder.path / "run.yaml"))]),
            ("Versions", [("Versions", "\n".join(facts.get("versions", [])))]),
            ("Modules and environment", [("LOADEDMODULES", place.get("LOADEDMODULES") or "none"),
                                         ("Environment", "\n".join(f"{name}={value}" for name, value in place.items()) or "nothing of it is set")]),
            ("Job scripts", list(scripts.items())), ("Bindings", list(bindings.items())), ("Output of failed cells", failures)]


def rows_of(study, folder, cells):
    """(rows of cells.csv, rows of steps.csv)"""
    told = predictions(study, folder, cells)
    rows = [measure.row_of(study, cell, folder.last(cell), told.get((cell.layout, cell.nodes, cell.batch))) for cell in cells]
    return rows, [step for cell, row in zip(cells, rows) for step in measure.step_rows(cell, row, folder.last(cell))]


def write_all(study, folder, cells, say):
    """Writes report.html, report.pdf, study.tex, the CSV files, and files for JUBE, ReFrame and MLPerf's tools."""
    rows, steps = rows_of(study, folder, cells)
    facts = folder.facts()
    series = summary.series_of(rows, study, facts.get("parameters"))
    cost = summary.cost(study, series, facts.get("parameters"))
    made = document.document(study, rows, series, cost, facts, attached(study, folder, cells, rows))
    schema.check(made, "report")
    html = page.render(made)
    for name, content in {**tables.files(rows, steps, series, cost), "study.tex": tables.to_latex(study, series, cost),
                          **exports.files(study, folder, cells, rows), "report.html": html}.items():
        write(folder.path / name, content)
    say(str(folder.path / "report.html"))
    write_pdf(folder, html, say)
