"""Loss and accuracy of a run as an SVG: plot.py --run RUN --output FILE.svg (called by `trireme plot`)."""
import argparse
import io
import math
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))  # -I leaves it out
import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt

from report.command import EXIT_STATUS, Layout, Output, deliver, is_number, parse, refuse
from report.events import by_step, read, smooth


def metric_of(evaluation):
    """Chooses what is drawn beside the loss: accuracy, or another metric of the task."""
    known = {"step", "time", "seconds", "samples", "loss", "mse"}
    names = [n for e in evaluation for n, v in e.items() if n not in known and is_number(v)]
    return "accuracy" if "accuracy" in names or not names else names[0]


def steps_of(run):
    """Trained steps and evaluations."""
    events = read(run)
    train = by_step(events, "train")
    if not train:
        refuse(f"{run}/metrics.jsonl: no step yet; legal: a run that has trained for one or more")
    return train, by_step(events, "evaluation")


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
    train, evaluation = steps_of(arguments.run)
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
