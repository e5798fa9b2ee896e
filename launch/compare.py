"""Several runs side by side as one page of HTML: trireme compare RUN... --output FILE (docs/reports.md)."""
import argparse
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))  # -I leaves it out

from report import compare, page, schema
from report.command import EXIT_STATUS, Layout, Output, deliver, parse, refuse
from report.options import check_page

MOST_RUNS = 24  # as many as a picture tells apart


def arguments_of():
    parser = argparse.ArgumentParser(
        prog="trireme compare", allow_abbrev=False, exit_on_error=False, add_help=False, formatter_class=Layout,
        usage="trireme compare RUN RUN... --output FILE [OPTION]...",
        description="What several runs reached and took, the keys in which they differ, and their curves, as one page of HTML.",
        epilog="Examples:\n  trireme compare runs/* --output compared.html\n\n" + EXIT_STATUS)
    parser.add_argument("runs", metavar="RUN", nargs="*", help=argparse.SUPPRESS)
    options = parser.add_argument_group("Options")
    taken = [options.add_argument("--title", metavar="TEXT", help="title of the page (default: N runs)"),
             options.add_argument("--output", metavar="FILE", help="HTML file to write; must not exist"),
             options.add_argument("--force", action="store_true", help="replace the file of --output")]
    options.add_argument("-h", "--help", action="help", help="show this help")
    given = parse(parser, taken, ["--output"])
    check_page(given.output)
    if not 2 <= len(given.runs) <= MOST_RUNS:
        refuse(f"RUN: {len(given.runs)} given; legal: 2 to {MOST_RUNS} folders of runs")
    twice = next((run for run in given.runs if given.runs.count(run) > 1), None)
    if twice:
        refuse(f"RUN: {twice}: given twice; legal: different folders")
    return given


def main():
    given = arguments_of()
    output = Output(given.output, given.force)
    document = compare.document_of(given.runs, given.title)
    schema.check(document, given.runs[0])
    deliver(output, page.render(document))


if __name__ == "__main__":
    main()
