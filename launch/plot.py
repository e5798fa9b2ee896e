"""Loss and accuracy of a run as an SVG: plot.py --run RUN --output FILE.svg (called by `trireme plot`)."""
import argparse
import io
import json
import math
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))  # -I leaves it out
import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt

from report.command import EXIT_STATUS, Layout, Output, deliver, is_number, parse, reason_of, refuse, size_of

MOST_BYTES = 1 << 36  # as framework/log/event_lines.cpp
NEEDED = {"train": ("step", "loss"), "evaluation": ("step", "loss")}


def metric_of(evaluation):
    """Chooses what is drawn beside the loss: accuracy, or another metric of the task."""
    known = {"step", "time", "seconds", "samples", "loss", "mse"}
    names = [n for e in evaluation for n, v in e.items() if n not in known and is_number(v)]
    return "accuracy" if "accuracy" in names or not names else names[0]


def event_of(path, number, line):
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):  # half a line of a run that was killed
        print(f"trireme: {path}:{number}: skipped a line that is not whole", file=sys.stderr)
        return None
    kind = event.get("kind") if isinstance(event, dict) else None
    if not isinstance(kind, str):
        refuse(f'{path}:{number}: not an event; legal: lines of JSON with a "kind", as `trireme train` writes them')
    for name in NEEDED.get(kind, ()):
        value = event.get(name)
        if not is_number(value):
            refuse(f"{path}:{number}: {name}: {json.dumps(value)[:60]}: legal: a number")
    return event


def read(run):
    path = run + "/metrics.jsonl"
    try:
        size_of(path, MOST_BYTES)
        with open(path, encoding="utf-8", errors="replace") as file:
            events = [e for n, line in enumerate(file, 1) if (e := event_of(path, n, line)) is not None]
    except OSError as error:
        refuse(f"{path}: {reason_of(error)}; legal: --run with a folder that `trireme train` wrote")
    train = {e["step"]: e for e in events if e["kind"] == "train"}  # a resumed run may repeat steps: the last one counts
    evaluation = {e["step"]: e for e in events if e["kind"] == "evaluation"}
    if not train:
        refuse(f"{path}: no step yet; legal: a run that has trained for one or more")
    return [train[s] for s in sorted(train)], [evaluation[s] for s in sorted(evaluation)]


def smooth(values, window):
    out = []
    for i in range(len(values)):
        part = values[max(0, i - window + 1) : i + 1]
        out.append(sum(part) / len(part))
    return out


def svg_of(figure):
    svg = io.BytesIO()
    figure.savefig(svg, format="svg", metadata={"Date": None})
    return svg.getvalue()


def main():
    parser = argparse.ArgumentParser(
        prog="trireme plot", allow_abbrev=False, exit_on_error=False, usage="trireme plot --run RUN --output FILE [OPTION]...", add_help=False, formatter_class=Layout,
        description="Loss and accuracy of a run as an SVG.",
        epilog="Examples:\n  trireme plot --run runs/reviews --output curves.svg\n\n" + EXIT_STATUS)
    options = parser.add_argument_group("Options")
    taken = [options.add_argument("--run", help="run folder"),
             options.add_argument("--output", metavar="FILE", help="SVG file to write; must not exist")]
    taken.append(options.add_argument("--force", action="store_true", help="replace the file of --output"))
    options.add_argument("-h", "--help", action="help", help="show this help")
    arguments = parse(parser, taken, ["--run", "--output"])
    if not arguments.output.endswith(".svg"):
        refuse(f"--output: {arguments.output}: legal: a name that ends in .svg")
    output = Output(arguments.output, arguments.force)
    train, evaluation = read(arguments.run)
    plt.rcParams["svg.hashsalt"] = "trireme"  # equal runs make equal files
    name = metric_of(evaluation)
    share = name in ("accuracy", "f1")  # in per cent
    figure, (loss, metric) = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
    steps = [e["step"] for e in train]
    window = max(1, len(steps) // 50)
    loss.plot(steps, [e["loss"] for e in train], color="#9dbdd9", linewidth=0.8, label="training, each step")
    loss.plot(steps, smooth([e["loss"] for e in train], window), color="#1f5a8c", label=f"training, mean of {window} steps")
    if evaluation:
        at = [e["step"] for e in evaluation]
        loss.plot(at, [e["loss"] for e in evaluation], "o-", color="#c44e1b", label="validation")
        values = [e[name] * (100 if share else 1) if is_number(e.get(name)) else math.nan for e in evaluation]
        metric.plot(at, values, "o-", color="#c44e1b")
        for step, value in zip(at, values):
            if is_number(value):
                metric.annotate(f"{value:.1f}" if share else f"{value:.3f}", (step, value), xytext=(0, 6), textcoords="offset points", ha="center")
        metric.margins(y=0.25)
    loss.set(xlabel="step", ylabel="loss", title="Loss")
    loss.legend(frameon=False)
    metric.set(xlabel="step", ylabel="%" if share else "", title=f"Validation {name}", xlim=loss.get_xlim())
    for axes in (loss, metric):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
    deliver(output, svg_of(figure))


if __name__ == "__main__":
    main()
