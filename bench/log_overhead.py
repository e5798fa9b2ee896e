"""The price of live metrics and of a trace: steps of one run with neither, with one, with both, in turns.

    log_overhead.py TRIREME [--rounds N] [--ranks N] [--steps N] [--set KEY=VALUE]...

A Llama of 6 layers of width 256 from scratch on random words; the median step of each, over all rounds, the first three steps of
a run left out.
"""
import argparse
import json
import pathlib
import random
import shutil
import statistics
import subprocess
import tempfile

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "tests/golden"
WAYS = {"neither": ["log.every=0"], "metrics": ["log.every=10"], "metrics each step": ["log.every=1"],
        "metrics and trace": ["log.every=10", "log.trace_steps=100000", "log.trace_after=0"]}


def prepared(trireme, folder):
    draw = random.Random(1)
    words = ["film", "good", "bad", "plot", "actors", "great", "the", "very"]
    rows = folder / "rows.jsonl"
    rows.write_text("".join(json.dumps({"text": " ".join(draw.choices(words, k=100))}) + "\n" for _ in range(400)))
    subprocess.run([trireme, "prepare", "--task", "language-modeling", "--tokenizer", GOLDEN / "tokenizer", "--input", rows, "--output", folder / "data",
                    "--max-length", "128"], check=True, capture_output=True)
    (folder / "model").mkdir()
    shutil.copy(GOLDEN / "tokenizer/tokenizer.json", folder / "model")
    vocabulary = json.loads((folder / "data/manifest.json").read_text())["vocabulary"]
    (folder / "model/config.json").write_text(json.dumps(dict(
        model_type="llama", hidden_size=256, num_hidden_layers=6, num_attention_heads=8, intermediate_size=704, vocab_size=vocabulary,
        max_position_embeddings=128, hidden_act="silu", rms_norm_eps=1e-5, pad_token_id=0)))
    (folder / "run.yaml").write_text(f"run: {folder}/run\ntask: language-modeling\nmodel:\n  path: {folder}/model\n  from_scratch: true\n"
                                     f"data:\n  path: {folder}/data\nbatch:\n  global: 16\n  tokens_per_micro_batch: 512\nnumerics:\n  threads: 1\n")


def steps_of(given, folder, way):
    run = folder / "run"
    shutil.rmtree(run, ignore_errors=True)
    settings = [*WAYS[way], f"train.steps={given.steps}", "guard.sensitivity=off", "evaluation.every=100000", "checkpoint.keep_best=false", *given.set]
    command = [given.trireme, "train", folder / "run.yaml", *(word for s in settings for word in ("--set", s))]
    if given.ranks > 1:
        command = ["mpirun", "-n", str(given.ranks), *command]
    subprocess.run(command, check=True, capture_output=True)
    events = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [e["seconds"] for e in events if e["kind"] == "train"][3:]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trireme")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--ranks", type=int, default=1)
    parser.add_argument("--steps", type=int, default=33)
    parser.add_argument("--set", action="append", default=[])
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        prepared(given.trireme, folder)
        rounds = {way: [] for way in WAYS}
        for _ in range(given.rounds):
            for way in WAYS:
                rounds[way].append(statistics.median(steps_of(given, folder, way)))
        base = rounds["neither"]
        for way, medians in rounds.items():
            ratios = [m / b for m, b in zip(medians, base)]
            print(f"{way:<20} median step {1000 * statistics.median(medians):8.2f} ms   to neither, by round: "
                  f"{statistics.median(ratios):.4f} ({min(ratios):.4f} to {max(ratios):.4f})")


if __name__ == "__main__":
    main()
