"""The first step and tensor in which two ways to compute a run differ: trireme diverge RUN ... (docs/replay.md)."""
import argparse
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))  # -I leaves it out

from experiment.program import trireme
from report.command import EXIT_STATUS, Layout, parse, refuse
from report.options import share, whole
from rerun import arm, bisect, tensors
from rerun.options import config_of, launcher, work

MOST = 20  # steps, where nobody says

def arguments_of():
    parser = argparse.ArgumentParser(
        prog="trireme diverge", allow_abbrev=False, exit_on_error=False, add_help=False, formatter_class=Layout,
        usage="trireme diverge RUN [OPTION]...",
        description="Computes steps of a run in two ways, from one checkpoint, and finds the first step and the tensors in which they differ.",
        epilog="Examples:\n  trireme diverge runs/reviews --from 0 --steps 4 --other-ranks 2 --set numerics.mode=bitwise --set numerics.threads=1\n"
               "  trireme diverge runs/reviews --other-program build-before/bin/trireme\n\n" + EXIT_STATUS)
    parser.add_argument("run", metavar="RUN", nargs="?", help=argparse.SUPPRESS)
    options = parser.add_argument_group("Options")

    def add(name, meta, text, **more):
        return options.add_argument(name, metavar=meta, help=text, **more)
    taken = [
        add("--from", "STEP", "step of RUN's checkpoint that both begin with; 0: its beginning (default: the first checkpoint)", dest="start"),
        add("--steps", "N", f"steps that are compared (default: {MOST}, or as many as RUN has left)"),
        add("--ranks", "N", "ranks of the first way (default: 1)", default="1"),
        add("--other-ranks", "N", "ranks of the second way (default: those of the first)"),
        add("--set", "KEY=VALUE", "a key of both ways; may be repeated", action="append", default=[]),
        add("--other-set", "KEY=VALUE", "a key of the second way; may be repeated", action="append", default=[]),
        add("--other-program", "FILE", "the second way's `trireme`, as another build's (default: this one)"),
        add("--tolerance", "SHARE", "norms of differences up to this share of a tensor's norm count as equal (default: 0)", default="0"),
        add("--launcher", "WORDS", "starts the ranks (default: mpirun -n {ranks})", default="mpirun -n {ranks}"),
        add("--work", "FOLDER", "where both compute; emptied at the end (default: a folder of the system's)"),
    ]
    options.add_argument("-h", "--help", action="help", help="show this help")
    return parse(parser, taken, [])


def report(found, first, second, steps, tolerance):
    if found is None:
        print(f"equal: no tensor differs{f' by more than {tolerance} of its norm' if tolerance else ''} "
              f"after any of the {steps} steps")
        return 0
    step, differing = found
    losses = [way.steps().get(step, {}).get("loss") for way in (first, second)]
    print(f"first difference: step {step}, {len(differing)} tensor{'s' * (len(differing) > 1)}; the step before is equal")
    for difference in differing[:tensors.SHOWN]:
        print("  " + difference.line())
    if len(differing) > tensors.SHOWN:
        print(f"  and {len(differing) - tensors.SHOWN} more, by less")
    print(f"loss of step {step}: {losses[0]!r}, {losses[1]!r}")
    print(tensors.origin(differing, losses[0] == losses[1]))
    return 1


def main():
    given = arguments_of()
    config = config_of(given.run)
    tolerance = share("--tolerance", given.tolerance)
    ranks, start_with = whole("--ranks", given.ranks), launcher("--launcher", given.launcher)
    others = whole("--other-ranks", given.other_ranks) if given.other_ranks else ranks
    start = arm.start_of(given.run, whole("--from", given.start, 0) if given.start else None)
    left = arm.total_steps(given.run) - start.step
    steps = whole("--steps", given.steps) if given.steps else min(MOST, left)
    last = start.step + steps
    if left < 1:
        refuse(f"--from: {start.step}: legal: a step before {start.step}, the last of {given.run}")
    if steps > left:
        refuse(f"--steps: {steps}: legal: at most {left}, since {given.run} has {left + start.step} steps and {start.step} of them are done there")
    with tempfile.TemporaryDirectory(prefix="trireme-diverge-", dir=work(given.work)) as folder:
        first = arm.Arm("the first way", trireme(), ranks, config, given.set, pathlib.Path(folder, "first"), start_with)
        second = arm.Arm("the second way", given.other_program or trireme(), others, config, given.set + given.other_set,
                         pathlib.Path(folder, "second"), start_with)
        print(f"{given.run} from step {start.step}, {steps} steps\n  first way:  {first.describe()}\n  second way: {second.describe()}", flush=True)
        sys.exit(report(bisect.first_difference(first, second, start, last, tolerance), first, second, steps, tolerance))


if __name__ == "__main__":
    main()
