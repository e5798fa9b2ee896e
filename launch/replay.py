"""Steps of a run, computed again and compared: trireme replay RUN (docs/replay.md)."""
import argparse
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))  # -I leaves it out

from experiment.log import events_of, of_kind
from experiment.program import trireme
from report.command import EXIT_STATUS, Layout, parse, refuse
from report.options import share, whole
from rerun import arm, tensors
from rerun.options import config_of, launcher, work

COMPARED = ("loss", "gradient_norm", "learning_rate", "samples", "tokens")
MOST = 20  # steps, where the run has no later checkpoint to compare with


def arguments_of():
    parser = argparse.ArgumentParser(
        prog="trireme replay", allow_abbrev=False, exit_on_error=False, add_help=False, formatter_class=Layout,
        usage="trireme replay RUN [OPTION]...",
        description="Computes steps of a run again from one of its checkpoints, and compares losses, gradient norms, rates, and the next checkpoint.",
        epilog="Examples:\n  trireme replay runs/reviews\n  trireme replay runs/reviews --from 100 --steps 20 --tolerance 1e-9\n\n" + EXIT_STATUS)
    parser.add_argument("run", metavar="RUN", nargs="?", help=argparse.SUPPRESS)
    options = parser.add_argument_group("Options")

    def add(name, meta, text, **more):
        return options.add_argument(name, metavar=meta, help=text, **more)
    taken = [
        add("--from", "STEP", "step of the checkpoint to begin with; 0: the run's beginning (default: the first checkpoint)", dest="start"),
        add("--steps", "N", f"steps to compute (default: up to the run's next checkpoint, else {MOST})"),
        add("--ranks", "N", "ranks (default: those that computed the steps)"),
        add("--set", "KEY=VALUE", "a key that differs; may be repeated", action="append", default=[]),
        add("--tolerance", "SHARE", "relative differences up to this count as equal (default: 0)", default="0"),
        add("--launcher", "WORDS", "starts the ranks (default: mpirun -n {ranks})", default="mpirun -n {ranks}"),
        add("--work", "FOLDER", "where it computes; emptied at the end (default: a folder of the system's)"),
    ]
    options.add_argument("-h", "--help", action="help", help="show this help")
    return parse(parser, taken, [])


def last_of(run, start, wanted):
    """The step at which the replay ends."""
    known = sorted(step for step in arm.steps_of(run) if step > start)
    if not known:
        refuse(f"--from: {start}: legal: a step that {run}/metrics.jsonl has steps after")
    if wanted is None:
        return min((step for step in arm.steps_saved(run) if step > start), default=min(known[-1], start + MOST))
    if start + wanted > known[-1]:
        refuse(f"--steps: {wanted}: legal: at most {known[-1] - start}, since {run}/metrics.jsonl ends with step {known[-1]}")
    return start + wanted


def ranks_of(run, start):
    """Ranks of the job that computed the step after the start."""
    jobs = [job for job in of_kind(events_of(pathlib.Path(run, "metrics.jsonl")), "job") if job.get("step", 0) <= start]
    return jobs[-1]["ranks"] if jobs else 1


def differs(a, b, tolerance):
    if isinstance(a, (int, float)) and isinstance(b, (int, float)):
        return not (a == b or abs(a - b) <= tolerance * abs(a))
    return a != b


def first_difference(before, now, tolerance):
    """(step, name, the run's value, the replay's) of the first number that differs, or None."""
    for step in sorted(now):
        for name in COMPARED:
            a, b = before.get(step, {}).get(name), now[step].get(name)
            if differs(a, b, tolerance):
                return step, name, a, b
    return None


class Recorded:
    """The run itself, as one side of a comparison."""

    def __init__(self, run, program):
        self.run, self.program = run, program

    def checkpoint(self, step):
        return arm.steps_saved(self.run).get(step)


def report(recorded, again, start, last, tolerance):
    number = first_difference(arm.steps_of(recorded.run), again.steps(), tolerance)
    found = tensors.differences(recorded, again, last, tolerance) if recorded.checkpoint(last) else None
    if number:
        print(f"first difference: step {number[0]}, {number[1]}: {number[2]!r} in the run, {number[3]!r} in the replay")
    for difference in (found or [])[:tensors.SHOWN]:
        print(f"  step {last}: {difference.line()}")
    if number or found:
        return 1
    weights = f"; weights and moments of step {last} too" if found is not None else f"; the run has no checkpoint of step {last}"
    print(f"equal: {', '.join(COMPARED)} of steps {start + 1} to {last}{weights}")
    return 0


def main():
    given = arguments_of()
    config = config_of(given.run)
    tolerance, start_with = share("--tolerance", given.tolerance), launcher("--launcher", given.launcher)
    start = arm.start_of(given.run, whole("--from", given.start, 0) if given.start else None)
    last = last_of(given.run, start.step, whole("--steps", given.steps) if given.steps else None)
    ranks = whole("--ranks", given.ranks) if given.ranks else ranks_of(given.run, start.step)
    with tempfile.TemporaryDirectory(prefix="trireme-replay-", dir=work(given.work)) as folder:
        again = arm.Arm("the replay", trireme(), ranks, config, given.set, pathlib.Path(folder, "replay"), start_with)
        print(f"{given.run}: steps {start.step + 1} to {last} again, {again.describe()}", flush=True)
        again.compute(start, last, last - start.step)
        sys.exit(report(Recorded(given.run, trireme()), again, start.step, last, tolerance))


if __name__ == "__main__":
    main()
