"""Loss and accuracy of a run as an SVG: plot.py --run RUN --output FILE.svg (called by `trireme plot`)."""
import argparse
import errno
import io
import json
import math
import os
import stat
import sys
import tempfile

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt

MOST_BYTES = 1 << 36  # as framework/log/event_lines.cpp
REMEDIES = {  # as cluster/error.cpp
    errno.ENOSPC: " (the disk is full: see `df -h` and `df -i`; remove files there, or write to another disk)",
    errno.EDQUOT: " (the quota of this user or group is used up, whatever room the disk has: see `quota -s`, on Lustre "
                  "`lfs quota`; remove files there, or write to another file system)",
}
NEEDED = {"train": ("step", "loss"), "evaluation": ("step", "loss")}


def refuse(line):
    """One line and the exit code of bad input, as the other commands give them."""
    print("trireme:", line, file=sys.stderr)
    sys.exit(2)


def fail(line):
    print("trireme:", line, file=sys.stderr)
    sys.exit(1)


def is_number(value):
    try:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # a whole number beyond all floats
        return False


def metric_of(evaluation):
    """What stands beside the loss: accuracy, or what else the task has."""
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


def reason_of(error):
    return error.strerror + REMEDIES.get(error.errno, "")


def read(run):
    path = run + "/metrics.jsonl"
    try:
        found = os.stat(path)
        if not stat.S_ISREG(found.st_mode) or found.st_size > MOST_BYTES:
            refuse(f"{path}: {found.st_size} bytes, or no file; legal: a regular file of at most {MOST_BYTES} bytes")
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


def staged(target):
    """A file of nobody else's beside the target."""
    descriptor, path = tempfile.mkstemp(prefix=os.path.basename(target) + ".partial-", dir=os.path.dirname(target) or ".")
    mask = os.umask(0)
    os.umask(mask)
    os.fchmod(descriptor, 0o666 & ~mask)
    return os.fdopen(descriptor, "wb"), path


class Output:
    """As cluster/output_file.hpp: a regular file is there whole or not at all, a link is followed, a pipe or a device is
    written to; the path is tried before any work."""

    def __init__(self, path, force):
        self.path, self.target = path, os.path.realpath(path) if os.path.islink(path) else path
        self.regular = not os.path.exists(self.target) or os.path.isfile(self.target)
        if os.path.isdir(self.target):
            refuse(f"--output: {path}: is a folder; legal: the name of a file")
        if os.path.exists(self.target) and self.regular and not force:
            refuse(f"--output: {path}: exists already; legal: a new file, or --force to replace it")
        try:
            if self.regular:
                file, staging = staged(self.target)
                file.close()
                os.remove(staging)
            elif not os.access(self.target, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        except OSError as error:
            refuse(f"--output: {path}: {reason_of(error)}; legal: a file in a folder that exists and may be written to")

    def save(self, figure):
        if not self.regular:
            with open(self.target, "ab", buffering=0) as file:
                file.write(svg_of(figure))
            return
        file, staging = staged(self.target)
        try:
            with file:
                file.write(svg_of(figure))
            os.replace(staging, self.target)
        except BaseException:
            os.remove(staging)
            raise


def svg_of(figure):
    svg = io.BytesIO()
    figure.savefig(svg, format="svg", metadata={"Date": None})
    return svg.getvalue()


class Layout(argparse.RawDescriptionHelpFormatter):
    """The layout of help texts that the other commands have."""

    def __init__(self, prog):
        super().__init__(prog, max_help_position=28, width=100)

    def add_usage(self, usage, actions, groups, prefix=None):
        super().add_usage(usage, actions, groups, "Usage: ")


def parse(parser, needed):
    """The arguments; mistakes are refused in the words of the other commands."""
    meaning = {option.option_strings[0]: option.help for option in needed}
    try:
        arguments, unknown = parser.parse_known_args()
    except argparse.ArgumentError as error:
        refuse(f"{error.argument_name}: has no value; legal: {meaning[error.argument_name]}")
    if unknown:
        refuse(f"{unknown[0]}: no such option; legal: {', '.join(meaning)}, --help")
    for name, text in meaning.items():
        if not getattr(arguments, name.strip("-")):
            refuse(f"{name}: missing; legal: {text}")
    return arguments


def main():
    parser = argparse.ArgumentParser(
        prog="trireme plot", allow_abbrev=False, exit_on_error=False, usage="trireme plot --run RUN --output FILE [OPTION]...", add_help=False, formatter_class=Layout,
        description="Loss and accuracy of a run as an SVG.",
        epilog="Examples:\n  trireme plot --run runs/reviews --output curves.svg\n\nExit status:\n  0   done\n  1   failed\n"
               "  2   bad input: the message says where, and what is legal")
    options = parser.add_argument_group("Options")
    needed = [options.add_argument("--run", help="run folder"),
              options.add_argument("--output", metavar="FILE", help="SVG file to write; must not exist")]
    options.add_argument("--force", action="store_true", help="replace the file of --output")
    options.add_argument("-h", "--help", action="help", help="show this help")
    arguments = parse(parser, needed)
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
    try:
        output.save(figure)
    except OSError as error:
        fail(f"{arguments.output}: write: {reason_of(error)}")
    try:
        print(arguments.output, flush=True)
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is left in the buffer must not fail again
        fail(f"standard output: {reason_of(error)}")


if __name__ == "__main__":
    main()
