"""Several runs side by side: what they reached and took, which keys differ, and their curves."""
from report import learning_curve
from report.command import is_number
from report.evaluation import METRICS, table
from report.events import by_step, read, smooth
from report.run import curve, ending, line, metrics_of
from report.run_config import best_of, read_config
from report.run_cost import jobs_of, total
from report.schema import FORMAT, VERSION

NOT_COMPARED = ("run",)


class Run:
    def __init__(self, folder, name):
        self.name, self.folder = name, folder
        events = read(folder)
        self.steps, self.evaluations, self.jobs = by_step(events, "train"), by_step(events, "evaluation"), jobs_of(events)
        self.config = read_config(folder)
        self.metric = self.config.get("evaluation.metric")
        self.best, self.ending = best_of(self.evaluations, self.metric), ending(events)

    def speed(self):
        seconds = total(self.jobs, "train", "seconds")
        return total(self.jobs, "train", "tokens") / seconds if seconds else None


def names_of(folders):
    """Last parts of the folders, whole paths where these are not enough to tell them apart."""
    short = [folder.rstrip("/").rsplit("/", 1)[-1] or folder for folder in folders]
    return short if len(set(short)) == len(short) else folders


def results_section(runs):
    metrics = metrics_of([run.best for run in runs if run.best])
    columns = ["run", "best by", ("at step", "integer"), *((m, METRICS.get(m, ("number",))[0]) for m in metrics),
               ("steps", "integer"), ("tokens/s", "integer"), ("node-hours", "number"), "state"]
    rows = []
    for run in runs:
        best = run.best or {}
        rows.append([run.name, str(run.metric), best.get("step"), *(best.get(m) if is_number(best.get(m)) else None for m in metrics),
                     len(run.steps), run.speed(), sum(job.node_hours() for job in run.jobs), run.ending["name"]])
    return {"title": "What they reached", "blocks": [table("The best evaluation of each run on its validation split", columns, rows)]}


def differences_section(runs):
    keys = dict.fromkeys(key for run in runs for key in run.config if key not in NOT_COMPARED)
    rows = [[key, *(str(run.config.get(key, "not there")) for run in runs)] for key in keys
            if len({str(run.config.get(key, "not there")) for run in runs}) > 1]
    blocks = [table("Keys that differ", ["key", *(run.name for run in runs)], rows)] if rows else [
        {"kind": "text", "text": "All keys but the folder of the run are equal."}]
    return {"title": "In what they differ", "blocks": blocks}


def curves_section(runs):
    trained, validated = [], []
    for run in runs:
        window = max(1, len(run.steps) // 50)
        trained.append({"name": run.name, "x": [e["step"] for e in run.steps], "y": smooth([e["loss"] for e in run.steps], window)})
        validated.append(line(run.name, run.evaluations, "loss"))
    figures = [curve("Training loss", "loss", trained, caption="Means of about a fiftieth of the steps.")]
    if any(series["x"] for series in validated):
        figures.append(curve("Validation loss", "loss", validated))
    for metric in dict.fromkeys(run.metric for run in runs if run.metric != "loss"):
        series = [line(run.name, run.evaluations, metric) for run in runs]
        if any(s["x"] for s in series):
            figures.append(curve(f"Validation: {metric}", metric, series))
    return {"title": "Curves", "blocks": figures}


def document_of(folders, title):
    runs = [Run(folder.rstrip("/") or "/", name) for folder, name in zip(folders, names_of(folders))]
    return {"format": FORMAT, "version": VERSION, "title": title or f"{len(runs)} runs",
            "sections": [results_section(runs), *learning_curve.section(runs), differences_section(runs), curves_section(runs)]}
