"""A first SWEEP.yaml for a run: ranges around the values that `trireme init` has for its task, model and data, each with its source."""
import os
import re
import tempfile

from experiment.program import ask, values_of
from report.command import refuse

WIDE = 4  # factor from the value to each end of a range of rates: four times less to four times more
HEAD = """\
# A sweep of {run}, made by `trireme sweep --init`; every key is in docs/sweeps.md.
# Each range lies around the value that `trireme init` has for this task, model and data, with the source of that value above it.
# Draws at random reach more values of each parameter than a grid of as many trials (Bergstra and Bengio 2012).
sweep: {folder}
run: {run}
where: local                # or slurm, with `site`
method: random
parameters:
{parameters}trials: {trials}
confirm: {{best: 2, seeds: 3}}   # the best two again, with seeds that did not choose them
time: 1:00:00               # most that all steps of a trial may take
node_hours: {node_hours}             # most that the sweep may cost; refused beforehand if it could cost more
"""
TRIALS, CONFIRMED = 12, 6


def settings_of(text):
    """{key: (value, source)} of a configuration that `trireme init` wrote: the source is the comment above."""
    found, section, comment = {}, "", []
    for line in text.splitlines():
        if line.lstrip().startswith("#"):
            comment.append(line.strip("# ").strip())
            continue
        name, _, value = line.strip().partition(": ")
        if line.startswith(" "):
            found[f"{section}.{name}"] = value, " ".join(comment)
        else:
            section = name.rstrip(":")
        comment = []
    return found


def range_of(key, value):
    """The range of a key around its value, as YAML."""
    if key == "optimizer.learning_rate":
        return f"{{log_uniform: [{float(value) / WIDE:.3g}, {float(value) * WIDE:.3g}]}}"
    if key == "batch.global":
        return f"[{max(1, int(value) // 2)}, {value}, {2 * int(value)}]"
    return f"[0, {value}, {10 * float(value):g}]"


SWEPT = ("optimizer.learning_rate", "batch.global", "optimizer.weight_decay")


def wrapped(comment):
    lines, line = [], "  #"
    for word in comment.split():
        if len(line) + len(word) > 110:
            lines.append(line)
            line = "  #"
        line += " " + word
    return "\n".join([*lines, line]) + "\n"


def text_of(run):
    values = values_of(run, [])
    if not re.fullmatch(r"[^\x00-\x1f#\"']+", run):
        refuse(f"--init: {run}: legal: a path without quotes and control characters")
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "init.yaml")
        known = ["--data", values["data.path"]] if os.path.isdir(values["data.path"]) else []
        if os.path.isdir(values["model.path"]) and values.get("model.from_scratch") != "true":
            known += ["--model", values["model.path"]]
        ask("init", values["task"], *known, "--output", path)
        with open(path, encoding="utf-8") as file:
            settings = settings_of(file.read())
    lines = ""
    for key in SWEPT:
        value, source = settings[key]
        lines += wrapped(f"{value}: {source}") + f"  {key}: {range_of(key, value)}\n"
    name = os.path.splitext(os.path.basename(run))[0]
    return HEAD.format(run=run, folder=f"sweeps/{name}", parameters=lines, trials=TRIALS, node_hours=(TRIALS + CONFIRMED) * 2)
