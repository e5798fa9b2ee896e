"""Bias of a model, before and after tuning: trireme bias MODEL --output FILE (docs/bias.md)."""
import argparse
import json
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))  # -I leaves it out

from bias import document, effects, measure
from bias.model import Model
from bias.pairs import read_pairs
from bias.rows import read_texts
from bias.swaps import read_swaps
from report import page, schema
from report.command import EXIT_STATUS, Layout, Output, deliver, parse, refuse
from report.numbers import one_line
from report.options import check_page, number, whole


def arguments_of():
    parser = argparse.ArgumentParser(
        prog="trireme bias", allow_abbrev=False, exit_on_error=False, add_help=False, formatter_class=Layout,
        usage="trireme bias MODEL --output FILE [OPTION]...",
        description="How a model treats groups of people: what changes when words of one group take the place of another's,\n"
                    "which of two paired sentences is likelier, what groups of a data set get; beside the model before tuning.",
        epilog="Examples:\n  trireme bias exported --input reviews.jsonl --swaps swaps.json --output bias.html\n"
               "  trireme bias large --base MODEL --pairs sentences.jsonl --max-shift 0.1 --output pairs.html --json pairs.json\n"
               "  trireme bias exported --input reviews.jsonl --label label --groups groups.json --output groups.html\n\n" + EXIT_STATUS.replace(
                   "  1   failed", "  1   failed, or an effect is beyond --max-effect or --max-shift"))
    parser.add_argument("model", metavar="MODEL", nargs="?", help=argparse.SUPPRESS)
    options = parser.add_argument_group("Options")

    def add(name, meta, text, **more):
        return options.add_argument(name, metavar=meta, help=text, **more)
    taken = [
        add("--base", "FOLDER", "the model before tuning, asked the same"),
        add("--swaps", "FILE", 'words that stand for one another, as JSON: {"gender": {"men": ["he"], "women": ["she"]}}; needs --input'),
        add("--pairs", "FILE", "paired sentences: rows of more and less, CrowS-Pairs' table or StereoSet's JSON; for language models"),
        add("--input", "FILE", "texts: .jsonl, .csv or .tsv"),
        add("--text", "COLUMN", "the texts' column (default: text)", default="text"),
        add("--groups", "COLUMN|FILE", "column of --input whose values are groups, or groups as `trireme audit` reads them (.json); for classifiers"),
        add("--label", "COLUMN", "column of true labels, for what each group has right; needs --groups"),
        add("--margin", "X", f"effects up to this count as none (default: {effects.MARGIN:g})", default=str(effects.MARGIN)),
        add("--max-effect", "X", "exit with 1 if an effect is shown to be larger"),
        add("--max-shift", "X", "exit with 1 if tuning is shown to have moved an effect by more; needs --base"),
        add("--output", "FILE", "HTML file to write; must not exist"),
        add("--json", "FILE", "the same for machines"),
        options.add_argument("--force", action="store_true", help="replace files that exist"),
        add("--max-length", "N", "tokens at which a text is cut, as `trireme predict` has it (default: 0)", default="0"),
        add("--launcher", "WORDS", "starts the ranks, as in mpirun -n 2 (default: one process)", default=""),
        add("--set", "KEY=VALUE", "parallel.* and numerics.compute; may be repeated", action="append", default=[]),
    ]
    options.add_argument("-h", "--help", action="help", help="show this help")
    given = parse(parser, taken, ["--output"])
    check(given)
    return given


def check(given):
    if not given.model:
        refuse("MODEL: missing; legal: a Hugging Face folder")
    check_page(given.output, given.json)
    if not (given.swaps or given.pairs or given.groups):
        refuse("--swaps, --pairs, --groups: missing; legal: one of them or more")
    if not given.input and (given.swaps or given.groups):
        refuse(f"--input: missing; legal: a file of texts, for {'--swaps' if given.swaps else '--groups'}")
    if given.input and not (given.swaps or given.groups):
        refuse("--input: legal with --swaps or --groups")
    if given.label and not given.groups:
        refuse("--label: legal with --groups")
    if given.max_shift and not given.base:
        refuse("--max-shift: legal with --base: a shift is from one model to another")
    given.margin = number("--margin", given.margin, 0)
    given.max_effect = number("--max-effect", given.max_effect, 0) if given.max_effect else None
    given.max_shift = number("--max-shift", given.max_shift, 0) if given.max_shift else None
    whole("--max-length", given.max_length, 0)


def models_of(given):
    models = [Model(folder, given) for folder in (given.model, given.base) if folder]
    if given.pairs and models[0].classifies:
        refuse(f"--pairs: {given.model} gives classes; legal: a language model, which gives sentences a likelihood")
    if given.groups and not models[0].classifies:
        refuse(f"--groups: {given.model} is a language model; legal: a model that gives classes or numbers")
    if models[1:] and models[1].classifies != models[0].classifies:
        refuse(f"--base: {given.base}: legal: a model of the kind of {given.model}: both give classes, or both are language models")
    return models


def measured_of(given, models, folder):
    """({kind: what was found}, the table of groups or None)"""
    swaps = read_swaps(given.swaps) if given.swaps else []
    groups = measure.read_groups(given.groups) if given.groups else []
    columns = {"text": given.text} | ({"label": given.label} if given.label else {})
    columns |= {"group": groups} if isinstance(groups, str) else measure.columns_for(groups)
    rows = read_texts(given.input, columns) if given.input else []
    pairs = read_pairs(given.pairs) if given.pairs else []
    parts, table = {}, None
    if swaps:
        parts["swaps"] = measure.of_swaps(swaps, rows, given.input, models, folder)
    if pairs:
        parts["pairs"] = measure.of_pairs(pairs, models, folder)
    if groups:
        parts["groups"], table = measure.of_groups(groups, rows, models, folder)
    return parts, table


def main():
    given = arguments_of()
    outputs = {name: Output(path, given.force) for name, path in (("page", given.output), ("json", given.json)) if path}
    models = models_of(given)
    with tempfile.TemporaryDirectory(prefix="trireme-bias-") as folder:
        parts, table = measured_of(given, models, pathlib.Path(folder))
    broken = effects.breaches([e for p in parts.values() for e in p.effects], given.max_effect, given.max_shift)
    made = document.document(models, parts, table, given.margin, broken)
    schema.check(made, given.model)
    deliver(outputs["page"], page.render(made))
    if "json" in outputs:
        deliver(outputs["json"], (json.dumps(document.facts(models, parts, given.margin, broken), ensure_ascii=False, indent=1) + "\n").encode())
    for effect, interval, option, limit in broken:
        print(f"trireme: {one_line(effect.name(), 300)}: {document.spelled(interval)}: beyond {option} {limit:g}", file=sys.stderr)
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
