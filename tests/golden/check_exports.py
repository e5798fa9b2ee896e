"""Does transformers load what `trireme export` writes, and compute the same with it? A check by hand; needs transformers.

    . launch/environment && python tests/golden/check_exports.py build/bin/trireme

Every golden model is trained two steps with each head it can have and exported as it came and as bf16. transformers must find
every tensor and no other, and its logits (classification) or the loss per token of each sample (language models) must equal
those of `trireme evaluate` on the same folder to 1e-5.
"""
import itertools
import json
import pathlib
import subprocess
import sys
import tempfile

import torch
import transformers
from tokenizers import Tokenizer

HERE = pathlib.Path(__file__).parent
WORDS = "the film is good bad very not a great boring plot actors and of it was".split()
TEXTS = [" ".join(WORDS[(3 * i + 5 * j) % len(WORDS)] for j in range(1 + i % 9)) for i in range(24)]
LABELS = ["bad", "good", "so-so"]
HEADS = {"classification": transformers.AutoModelForSequenceClassification, "language-modeling": transformers.AutoModelForCausalLM}


def run(*command):
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}: exit code {done.returncode}\n{done.stdout}{done.stderr}")


def prepare(trireme, task, folder):
    rows = folder / f"{task}.jsonl"
    rows.write_text("".join(json.dumps({"text": t, "label": LABELS[i % 3]}) + "\n" for i, t in enumerate(TEXTS)))
    label = ["--label", "label"] if task == "classification" else []
    splits = [x for split in ("train", "validation", "test") for x in (f"--{split}", rows)]
    run(trireme, "prepare", "--task", task, "--tokenizer", HERE / "tokenizer", *label, "--max-length", 16,
        "--output", folder / task, *splits)


def train_and_export(trireme, name, task, dtype, folder):
    stem = folder / f"{name}-{task}"
    if not stem.exists():
        config = folder / "run.yaml"
        config.write_text(f"run: {stem}\ntask: {task}\nmodel:\n  path: {HERE / name}\ndata:\n  path: {folder / task}\n"
                          "batch:\n  global: 8\nnumerics:\n  threads: 1\ntrain:\n  steps: 2\n")
        run(trireme, "train", config)
    exported = folder / f"{name}-{task}-{dtype}"
    run(trireme, "export", "--run", stem, "--checkpoint", "latest", "--dtype", dtype, "--output", exported)
    run(trireme, "evaluate", "--model", exported, "--data", folder / task, "--predictions", f"{exported}.jsonl")
    return exported, [json.loads(line) for line in open(f"{exported}.jsonl")]


def check(exported, task, ours):
    """Largest difference between transformers and us over all samples."""
    model, report = HEADS[task].from_pretrained(exported, output_loading_info=True, dtype=torch.float32)
    wrong = {key: value for key, value in report.items() if value}
    assert not wrong, f"{exported}: {wrong}"
    model.eval()
    tokenizer = Tokenizer.from_file(str(exported / "tokenizer.json"))
    tokenizer.no_padding()
    worst = 0.0
    for text, sample in zip(TEXTS, ours, strict=True):
        ids = torch.tensor([tokenizer.encode(text).ids])
        with torch.no_grad():
            logits = model(input_ids=ids).logits[0]
        if task == "classification":
            difference = (logits - torch.tensor(sample["logits"])).abs().max().item()
        else:
            loss = torch.nn.functional.cross_entropy(logits[:-1], ids[0, 1:], reduction="sum").item()
            difference = abs(loss - sample["loss"]) / sample["trained"]
        worst = max(worst, difference)
    return worst


def main():
    trireme = sys.argv[1]
    transformers.utils.logging.set_verbosity_error()
    goldens = sorted(path.parent for path in HERE.glob("*/expected.json"))
    failed = 0
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        for task in HEADS:
            prepare(trireme, task, folder)
        for path, task, dtype in itertools.product(goldens, HEADS, ("auto", "bf16")):
            config = json.loads((path / "config.json").read_text())
            if task == "language-modeling" and (config["model_type"] == "bert" or path.name.endswith("classifier")):
                continue
            exported, ours = train_and_export(trireme, path.name, task, dtype, folder)
            worst = check(exported, task, ours)
            failed += not worst < 1e-5
            print(f"{path.name:20} {task:18} {dtype:5} largest difference {worst:.2e}{'' if worst < 1e-5 else '  TOO LARGE'}", flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
