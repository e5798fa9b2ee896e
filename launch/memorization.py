"""What a decoder gives away of its training texts: trireme memorization MODEL --output FILE (docs/memorization.md)."""
import argparse
import json
import pathlib
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))  # -I leaves it out

from audit.personal import phonenumbers
from bias.rows import read_texts
from memorization import document, measure, probes
from memorization.model import Decoder
from report import page, schema
from report.command import EXIT_STATUS, Layout, Output, deliver, parse, refuse
from report.options import check_page, share, whole

PREFIX = SUFFIX = 50  # tokens, as Carlini et al. 2023
SAMPLES, CANDIDATES = 1000, 1000


def arguments_of():
    parser = argparse.ArgumentParser(
        prog="trireme memorization", allow_abbrev=False, exit_on_error=False, add_help=False, formatter_class=Layout,
        usage="trireme memorization MODEL --output FILE [OPTION]...",
        description="How much of its training texts a decoder gives away: canaries that were planted, personal data, the texts\n"
                    "themselves; beside the model before tuning.",
        epilog="Examples:\n  trireme memorization large --canaries canaries.jsonl --output memorization.html\n"
               "  trireme memorization large --base MODEL --input reviews.jsonl --prefix 3 --suffix 2 --output texts.html --json texts.json\n\n"
               + EXIT_STATUS.replace("  1   failed", "  1   failed, or more than --max-rate was extracted"))
    parser.add_argument("model", metavar="MODEL", nargs="?", help=argparse.SUPPRESS)
    options = parser.add_argument_group("Options")

    def add(name, meta, text, **more):
        return options.add_argument(name, metavar=meta, help=text, **more)
    taken = [
        add("--base", "FOLDER", "the model before tuning, asked the same"),
        add("--canaries", "FILE", "secrets that were planted: rows of prefix and secret, and of times if their numbers differ"),
        add("--input", "FILE", "texts of training: .jsonl, .csv or .tsv; their personal data is looked for too"),
        add("--held-out", "FILE", "texts that are not of training, which say what is right without memory"),
        add("--text", "COLUMN", "the texts' column (default: text)", default="text"),
        add("--prefix", "N", f"tokens of a text that the model is given (default: {PREFIX})", default=str(PREFIX)),
        add("--suffix", "N", f"tokens that it must go on with (default: {SUFFIX})", default=str(SUFFIX)),
        add("--samples", "N", f"texts of each file, and values of personal data, that are tried (default: {SAMPLES})", default=str(SAMPLES)),
        add("--candidates", "N", f"other secrets that a canary's is ranked among (default: {CANDIDATES})", default=str(CANDIDATES)),
        add("--region", "XX", "two letters of a country, for phone numbers without +NN"),
        add("--max-rate", "X", "exit with 1 if a larger share of the canaries, of the personal data or of the training texts was extracted"),
        add("--output", "FILE", "HTML file to write; must not exist"),
        add("--json", "FILE", "the same for machines"),
        options.add_argument("--force", action="store_true", help="replace files that exist"),
        add("--launcher", "WORDS", "starts the ranks, as in mpirun -n 2 (default: one process)", default=""),
    ]
    options.add_argument("-h", "--help", action="help", help="show this help")
    given = parse(parser, taken, ["--output"])
    check(given)
    return given


def check(given):
    if not given.model:
        refuse("MODEL: missing; legal: a Hugging Face folder of a decoder")
    check_page(given.output, given.json)
    if not (given.canaries or given.input):
        refuse("--canaries, --input: missing; legal: one of them, or both")
    if given.held_out and not given.input:
        refuse("--held-out: legal with --input, whose texts it is compared with")
    for name in ("prefix", "suffix", "samples", "candidates"):
        setattr(given, name, whole(f"--{name}", getattr(given, name)))
    given.max_rate = share("--max-rate", given.max_rate) if given.max_rate else None
    if given.region and given.region not in phonenumbers.SUPPORTED_REGIONS:
        refuse(f"--region: {given.region}: legal: two letters of a country in capitals, such as DE")
    given.set = []


def text_probes(given, tokenizer):
    """(probes of texts and of their personal data, rows of training, notes)"""
    made, notes, rows = [], [], []
    for kind, path in ((probes.TEXTS, given.input), (probes.HELD_OUT, given.held_out)):
        if not path:
            continue
        found = read_texts(path, {"text": given.text})
        some = probes.of_texts(kind, found, tokenizer, (given.prefix, given.suffix), given.samples)
        if not some:
            refuse(f"--prefix, --suffix: no text of {path} has {given.prefix + given.suffix} tokens; legal: fewer")
        notes.append(f"{path}: {len(some):,} of {len(found):,} texts were tried, each with {given.prefix} tokens or a few more for {given.suffix}.")
        made += some
        if kind == probes.TEXTS:
            rows = found
            values, left_out = probes.of_personal(rows, tokenizer, given.prefix, given.region)
            tried = probes.drawn(values, given.samples)
            made += tried
            notes.append(f"{len(tried):,} of {len(values):,} values of personal data were tried; {left_out:,} more have no text before them that ends with a token.")
    return made, rows, notes


def check_room(given, models, made):
    need = max(len(probes.ids(models[0].tokenizer, p.prompt)) + len(p.wanted) for p in made)
    for model in models:
        if model.room and need >= model.room:
            refuse(f"--prefix, --suffix: a probe has {need} tokens; legal: fewer than {model.room}, the positions of {model.folder}/config.json")


def found_of(given, models, folder):
    tokenizer = models[0].tokenizer
    canaries = probes.read_canaries(given.canaries) if given.canaries else []
    made = probes.of_canaries(canaries, tokenizer)
    texts, rows, notes = text_probes(given, tokenizer)
    made += texts
    check_room(given, models, made)
    most = max(len(p.wanted) for p in made)
    told = [model.completions([p.prompt for p in made], most, folder) for model in models]
    hits = [[measure.extracted(p, c) for p, c in zip(made, completions)] for completions in told]
    leaks = measure.leaks(made, told[0], measure.personal_values(rows, given.region), given.region) if rows else None
    exposures = models[0].exposures(canaries, given.candidates, folder) if canaries else []
    return measure.Found(made, hits, measure.rates(made, hits), canaries, exposures, leaks, notes)


def main():
    given = arguments_of()
    outputs = {name: Output(path, given.force) for name, path in (("page", given.output), ("json", given.json)) if path}
    models = [Decoder(folder, given) for folder in (given.model, given.base) if folder]
    with tempfile.TemporaryDirectory(prefix="trireme-memorization-") as folder:
        found = found_of(given, models, pathlib.Path(folder))
    broken = measure.beyond(found.rates, given.max_rate)
    made = document.document(models, found, given.max_rate, given.region)
    schema.check(made, given.model)
    deliver(outputs["page"], page.render(made))
    if "json" in outputs:
        deliver(outputs["json"], (json.dumps(document.facts(models, found, broken), ensure_ascii=False, indent=1) + "\n").encode())
    for rate in broken:
        print(f"trireme: {rate.kind}: {document.spelled(rate.tuned)} extracted: above --max-rate {given.max_rate:g}", file=sys.stderr)
    sys.exit(1 if broken else 0)


if __name__ == "__main__":
    main()
