"""A report as one page of HTML (docs/reports.md): of a run, of what `trireme evaluate`, `trireme attribute` or `trireme plan` found, or of a document of JSON."""
import argparse
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))  # -I leaves it out

from report import attributions, beside, evaluation, page, plan, reading, run, schema
from report.command import EXIT_STATUS, Layout, Output, deliver, parse, refuse
from report.options import check_page


def parser_of():
    """(parser, its options but --help)"""
    parser = argparse.ArgumentParser(
        prog="trireme report", allow_abbrev=False, exit_on_error=False, add_help=False, formatter_class=Layout,
        usage="trireme report --run RUN | --evaluation FILE | --attributions FILE | --plan FILE | --document FILE  --output FILE [OPTION]...",
        description="A report on a run, on an evaluation, on attributions, on a plan, or from a document, as one page of HTML that needs no network and no script.",
        epilog="Examples:\n  trireme report --run runs/reviews --evaluation test.json --predictions test.jsonl --output reviews.html\n"
               "  trireme report --evaluation test.json --predictions test.jsonl --output test.html\n"
               "  trireme report --attributions attributions.json --output attributions.html\n"
               "  trireme report --plan layouts.csv --output plan.html\n"
               "  trireme report --document study.json --output study.html\n\n" + EXIT_STATUS)
    options = parser.add_argument_group("Options")
    taken = [options.add_argument("--run", metavar="RUN", help="run folder"),
             options.add_argument("--document", metavar="FILE", help="JSON file of a report"),
             options.add_argument("--evaluation", metavar="FILE", help="JSON file with what `trireme evaluate` printed"),
             options.add_argument("--attributions", metavar="FILE", help="JSON file that `trireme attribute` wrote"),
             options.add_argument("--plan", metavar="FILE", help="CSV file that `trireme plan --csv` wrote: time against memory"),
             options.add_argument("--predictions", metavar="FILE", help="JSONL file that `trireme evaluate --predictions` wrote"),
             options.add_argument("--beside", metavar="NAME=FILE", action="append", default=[],
                                  help="with --evaluation: another evaluation of the same split, as of prompts alone, in one table "
                                       "with this one and with the most frequent class; may be repeated"),
             options.add_argument("--audit", metavar="FILE", help="with --run: JSON file that `trireme audit --json` wrote"),
             options.add_argument("--certificate", metavar="FILE", help="with --run: certificate that `trireme parity` wrote"),
             options.add_argument("--title", metavar="TEXT", help="title of the report (default: Run RUN, Evaluation, Attributions, or Plan)"),
             options.add_argument("--output", metavar="FILE", help="HTML file to write; must not exist"),
             options.add_argument("--force", action="store_true", help="replace the file of --output")]
    options.add_argument("-h", "--help", action="help", help="show this help")
    return parser, taken


def check_together(given):
    """Refuses options of which one has no use for the other."""
    if not (given.document or given.evaluation or given.run or given.plan or given.attributions):
        refuse("--run: missing; legal: run folder, --evaluation with what `trireme evaluate` printed, --attributions with the JSON file of `trireme attribute`, --plan with the CSV file of a plan, or --document with the JSON file of a report")
    said = {"--run": given.run, "--evaluation": given.evaluation, "--predictions": given.predictions, "--beside": " ".join(given.beside),
            "--audit": given.audit, "--certificate": given.certificate, "--attributions": given.attributions, "--plan": given.plan, "--title": given.title}
    for other, value in said.items():
        if given.document and value:
            refuse(f"{other}: {value}: legal: without --document")
        for alone, is_given in (("--plan", given.plan), ("--attributions", given.attributions)):
            if is_given and value and other not in (alone, "--title"):
                refuse(f"{other}: {value}: legal: without {alone}")
        if other in ("--predictions", "--beside") and value and not given.evaluation:
            refuse(f"{other}: {value}: legal: with --evaluation")
        if other in ("--audit", "--certificate") and value and not given.run:
            refuse(f"{other}: {value}: legal: with --run")


def arguments_of():
    parser, taken = parser_of()
    given = parse(parser, taken, ["--output"])
    check_page(given.output)
    check_together(given)
    return given


def document_of(given):
    if given.document:
        return reading.read_json(given.document, "JSON file of a report")
    if given.attributions:
        return attributions.document_of(given.attributions, given.title or "Attributions")
    if given.plan:
        return plan.document_of(given.plan, given.title)
    if given.run:
        document = run.document_of(given.run, given, given.title)
    else:
        document = evaluation.document_of(given.evaluation, given.predictions, given.title or "Evaluation")
    if given.beside:
        document["sections"].insert(1 if given.run else 0, beside.section(given.evaluation, given.beside))
    return document


def main():
    given = arguments_of()
    output = Output(given.output, given.force)
    document = document_of(given)
    schema.check(document, given.document or given.evaluation or given.run or given.attributions or given.plan)
    deliver(output, page.render(document))


if __name__ == "__main__":
    main()
