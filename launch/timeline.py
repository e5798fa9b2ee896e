"""A timeline of every rank of a run: trireme profile RUN (docs/profile.md)."""
import argparse
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))  # -I leaves it out

from report.command import EXIT_STATUS, Layout, Output, deliver, parse, refuse
from timeline import chrome, document, reading, spans, sums

ENDINGS = (".json", ".svg", ".html")
LEGAL = "names that end in .json (trace for Perfetto), .svg (picture of the schedule) or .html (page)"


def arguments_of():
    parser = argparse.ArgumentParser(
        prog="trireme profile", allow_abbrev=False, exit_on_error=False, add_help=False, formatter_class=Layout,
        usage="trireme profile RUN [--output FILE]... [OPTION]...",
        description="Where the time of each rank went in the steps that a run traced (log.trace_steps), on one clock: compute,\n"
                    "collectives, bubbles. A trace for Perfetto and Chrome, and a picture of the schedule as it really ran.",
        epilog="Examples:\n  trireme profile runs/reviews\n"
               "  trireme profile runs/reviews --output trace.json --output schedule.svg --output profile.html\n\n" + EXIT_STATUS)
    options = parser.add_argument_group("Options")
    taken = [options.add_argument("--output", metavar="FILE", action="append", default=[],
                                  help="file to write, by its ending: .json (trace), .svg (picture), .html (page); must not exist; may be repeated"),
             options.add_argument("--step", metavar="STEP", help="step that is drawn (default: the last one traced)"),
             options.add_argument("--force", action="store_true", help="replace files that exist")]
    parser.add_argument("run", nargs="?", help=argparse.SUPPRESS)
    options.add_argument("-h", "--help", action="help", help="show this help")
    given = parse(parser, taken, [])
    if not given.run:
        refuse("RUN: missing; legal: folder of a run that was trained with log.trace_steps")
    for path in given.output:
        if not path.endswith(ENDINGS):
            refuse(f"--output: {path}: legal: {LEGAL}")
    return given


def place_of(lanes, asked):
    """Place of the step that is drawn, among those that every rank has whole."""
    numbers = [step.number for step in lanes[0].steps]
    if not numbers or any([step.number for step in lane.steps] != numbers for lane in lanes):
        refuse("trace: the ranks have other steps than each other; legal: the trace of one job")
    if asked is None:
        return len(numbers) - 1
    legal = ", ".join(map(str, numbers))
    number = reading.number_of(asked, "--step", legal)
    if number not in numbers:
        refuse(f"--step: {asked}: legal: {legal}")
    return numbers.index(number)


def milliseconds(seconds):
    return f"{1000 * seconds:10.2f}"


def show(lanes, index):
    """A table for the terminal: a mean step of each rank."""
    found = sums.means(lanes)
    doings = list(dict.fromkeys(name for rank in found for name in rank.own))
    print(f"{'ms of a mean step':<26}" + "".join(f"{'rank ' + str(r.rank):>10}" for r in found))
    for name in doings:
        print(f"{name:<26}" + "".join(milliseconds(r.own.get(name, 0)) for r in found))
    for axis in chrome.AXES:
        for what, part in (("late rank", "late"), ("transfer", "transfer")):
            if any(getattr(r, part)[axis] for r in found):
                print(f"{axis + ': ' + what:<26}" + "".join(milliseconds(getattr(r, part)[axis]) for r in found))
    print(f"{'all':<26}" + "".join(milliseconds(r.seconds) for r in found))
    for line in (document.idle_text(lanes, index), document.clocks_text(lanes)):
        if line:
            print(line)


def content_of(path, run, lanes, index, alone):
    if path.endswith(".json"):
        return chrome.of(lanes, {"run": run, "clock_error_ns": {str(lane.rank): lane.error for lane in lanes}})
    made = document.document(run, lanes, index, alone)
    if path.endswith(".svg"):
        from timeline import picture  # matplotlib takes most of a second
        return picture.of(made["sections"][0]["blocks"][0])
    from report import page, schema
    schema.check(made, run)
    return page.render(made)


def main():
    given = arguments_of()
    outputs = [Output(path, given.force) for path in given.output]
    run = given.run.rstrip("/") or "/"
    lanes, alone = spans.lanes_of(reading.read(run))
    index = place_of(lanes, given.step)
    show(lanes, index)
    for output in outputs:
        deliver(output, content_of(output.path, run, lanes, index, alone))


if __name__ == "__main__":
    main()
