"""A report as one page of HTML: trireme report --document FILE.json --output FILE.html, or of what `trireme evaluate` found:
trireme report --evaluation FILE.json [--predictions FILE.jsonl] --output FILE.html (docs/reports.md)."""
import argparse
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))  # -I leaves it out

from report import beside, evaluation, page, reading, schema
from report.command import EXIT_STATUS, Layout, Output, deliver, parse, refuse


def arguments_of():
    parser = argparse.ArgumentParser(
        prog="trireme report", allow_abbrev=False, exit_on_error=False, add_help=False, formatter_class=Layout,
        usage="trireme report --document FILE | --evaluation FILE [--predictions FILE] --output FILE [OPTION]...",
        description="A report as one page of HTML that needs no network and no script.",
        epilog="Examples:\n  trireme report --evaluation evaluation.json --predictions predictions.jsonl --output evaluation.html\n"
               "  trireme report --document study.json --output study.html\n\n" + EXIT_STATUS)
    options = parser.add_argument_group("Options")
    taken = [options.add_argument("--document", metavar="FILE", help="JSON file of a report"),
             options.add_argument("--evaluation", metavar="FILE", help="JSON file with what `trireme evaluate` printed"),
             options.add_argument("--predictions", metavar="FILE", help="JSONL file that `trireme evaluate --predictions` wrote"),
             options.add_argument("--beside", metavar="NAME=FILE", action="append", default=[],
                                  help="with --evaluation: another evaluation of the same split, as of prompts alone, in one table "
                                       "with this one and with the most frequent class; may be repeated"),
             options.add_argument("--title", metavar="TEXT", help="title of the report on an evaluation (default: Evaluation)"),
             options.add_argument("--output", metavar="FILE", help="HTML file to write; must not exist")]
    taken.append(options.add_argument("--force", action="store_true", help="replace the file of --output"))
    options.add_argument("-h", "--help", action="help", help="show this help")
    given = parse(parser, taken, ["--output"])
    if not given.output.endswith(".html"):
        refuse(f"--output: {given.output}: legal: a name that ends in .html")
    if not given.document and not given.evaluation:
        refuse("--document: missing; legal: JSON file of a report, or --evaluation with what `trireme evaluate` printed")
    for other, value in (("--evaluation", given.evaluation), ("--predictions", given.predictions),
                         ("--beside", " ".join(given.beside)), ("--title", given.title)):
        if given.document and value:
            refuse(f"{other}: {value}: legal: without --document")
    return given


def main():
    given = arguments_of()
    output = Output(given.output, given.force)
    if given.document:
        document = reading.read_json(given.document, "JSON file of a report")
        schema.check(document, given.document)
    else:
        document = evaluation.document_of(given.evaluation, given.predictions, given.title or "Evaluation")
        if given.beside:
            document["sections"].insert(0, beside.section(given.evaluation, given.beside))
        schema.check(document, given.evaluation)
    deliver(output, page.render(document))


if __name__ == "__main__":
    main()
