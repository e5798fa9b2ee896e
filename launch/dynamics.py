"""Training dynamics of a run: trireme dynamics RUN --output FILE (docs/dynamics.md)."""
import argparse
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))  # -I leaves it out

from dynamics import document, measures, records, split
from report import page, schema
from report.command import EXIT_STATUS, Layout, Output, deliver, parse, refuse
from report.options import check_page

SHARE = 0.05


def arguments_of():
    parser = argparse.ArgumentParser(
        prog="trireme dynamics", allow_abbrev=False, exit_on_error=False, add_help=False, formatter_class=Layout,
        usage="trireme dynamics RUN --output FILE [OPTION]...",
        description="Which training samples a run with train.dynamics: true found easy, ambiguous and hard, and which are\n"
                    "probably labelled wrongly, as one page of HTML.",
        epilog="Examples:\n  trireme dynamics runs/reviews --output dynamics.html --skip-list wrong.txt\n\n" + EXIT_STATUS)
    options = parser.add_argument_group("Options")
    taken = [options.add_argument("--output", metavar="FILE", help="HTML file to write; must not exist"),
             options.add_argument("--skip-list", metavar="FILE", help="write the rows that are probably labelled wrongly, for `prepare --skip-list`"),
             options.add_argument("--csv", metavar="FILE", help="write the measures of every sample"),
             options.add_argument("--share", metavar="SHARE", help=f"least confident share of the samples that is suspected (default: {SHARE})"),
             options.add_argument("--force", action="store_true", help="replace files that exist")]
    parser.add_argument("run", nargs="?", help=argparse.SUPPRESS)
    options.add_argument("-h", "--help", action="help", help="show this help")
    given = parse(parser, taken, ["--output"])
    if not given.run:
        refuse("RUN: missing; legal: folder of a run with train.dynamics: true")
    check_page(given.output)
    return given


def share_of(text):
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 1:
        refuse(f"--share: {text}: legal: a number > 0 and <= 1")
    return value


def main():
    given = arguments_of()
    share = share_of(given.share) if given.share is not None else SHARE
    outputs = {name: Output(path, given.force) for name, path in (("page", given.output), ("list", given.skip_list), ("csv", given.csv)) if path}
    run = given.run.rstrip("/") or "/"
    samples, found = records.read(run)
    rows = split.of_run(run, samples)
    measured = measures.of(samples, found)
    chosen = measures.suspects(measured, share)
    made = document.document(run, measured, rows, chosen, share)
    schema.check(made, run)
    deliver(outputs["page"], page.render(made))
    if "list" in outputs:
        head = [f"Rows of {rows.folder} that {run} took for probably labelled wrongly: {len(chosen)} of the least confident {share:g}.",
                "Read them before you leave them out with `trireme prepare --skip-list`."]
        deliver(outputs["list"], document.skip_list(measured, rows, chosen, head).encode())
    if "csv" in outputs:
        deliver(outputs["csv"], document.table_of_all(measured, rows).encode())


if __name__ == "__main__":
    main()
