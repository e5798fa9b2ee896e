"""Regression of a film review's mean human rating (-4 to 4) by Trireme and by transformers on PyTorch: the same split, tokens,
batches in the same order and first weights, no dropout. Prints one JSON line, and fails unless the mean squared errors on
the test split agree to 1 % and beat the mean of the training ratings.

    bench/peers/setup                                            once; and a finished launch/quickstart
    .venv-peers/bin/python bench/regression.py                   minutes on 2 cores
        [--samples 2000] [--epochs 2] [--ranks 2]
"""
import argparse
import io
import json
import os
import pathlib
import shutil
import subprocess
import tarfile

import h5py
import numpy
import torch
import transformers

ROOT = pathlib.Path(__file__).resolve().parent.parent
QUICK = ROOT / "quickstart"
WORK = ROOT / "bench-work" / "regression"
TRIREME = str(ROOT / "build/bin/trireme")
RANKS = {"OMPI_MCA_mpi_yield_when_idle": "1", "OMPI_MCA_hwloc_base_binding_policy": "none", "OMPI_ALLOW_RUN_AS_ROOT": "1",
         "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMPI_MCA_rmaps_base_oversubscribe": "1"}
SEED, BATCH, RATE, DECAY, WARMUP, CLIP = 1, 32, 1e-4, 0.01, 0.1, 1.0


def run(*command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, env={**os.environ, **RANKS})
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}\n{done.stdout}\n{done.stderr}")
    return done.stdout


def ratings():
    """Sentences with the mean of the ratings of ten people, out of vaderSentiment's source distribution (MIT licence)."""
    archive = next((QUICK / "packages").glob("vader*entiment-3.3.2.tar.gz"))
    with tarfile.open(archive) as outer:
        inner = next(m for m in outer if m.name.endswith("additional_resources/hutto_ICWSM_2014.tar.gz"))
        with tarfile.open(fileobj=io.BytesIO(outer.extractfile(inner).read())) as tables:
            text = tables.extractfile("hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt").read().decode("utf-8")
    for line in text.splitlines():
        _, rating, sentence = line.split("\t", 2)
        yield {"text": sentence, "rating": float(rating)}


def prepare(samples):
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    rows = list(ratings())
    step = len(rows) // samples
    parts = {"test": rows[1::10], "validation": rows[6::50], "train": [r for i, r in enumerate(rows) if i % 10 not in (1, 6)]}
    parts["train"] = parts["train"][::max(1, step)][:samples]
    files = []
    for split, part in parts.items():
        (WORK / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in part))
        files += [f"--{split}", WORK / f"{split}.jsonl"]
    torch.manual_seed(SEED)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(
        QUICK / "model", num_labels=1, problem_type="regression", id2label={0: "rating"}, label2id={"rating": 0})
    model.save_pretrained(WORK / "model")
    for file in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        if (QUICK / "model" / file).exists():
            shutil.copy(QUICK / "model" / file, WORK / "model")
    run(TRIREME, "prepare", "--task", "regression", "--tokenizer", WORK / "model", *files, "--label", "rating", "--max-length",
        128, "--output", WORK / "data")


def ours(epochs, ranks):
    (WORK / "run.yaml").write_text(json.dumps({
        "run": str(WORK / "run"), "seed": SEED, "task": "regression",
        "model": {"path": str(WORK / "model"), "hidden_dropout": 0, "attention_dropout": 0, "classifier_dropout": 0},
        "data": {"path": str(WORK / "data")}, "batch": {"global": BATCH},
        "optimizer": {"learning_rate": RATE, "weight_decay": DECAY, "schedule": "linear", "warmup": WARMUP, "clip": CLIP},
        "train": {"epochs": epochs}}))
    run("mpirun", "-n", ranks, TRIREME, "train", WORK / "run.yaml")
    run(TRIREME, "export", "--run", WORK / "run", "--output", WORK / "exported", "--checkpoint", "latest")
    said = run("mpirun", "-n", ranks, TRIREME, "evaluate", "--model", WORK / "exported", "--data", WORK / "data", "--split",
               "test", "--predictions", WORK / "predictions.jsonl")
    return json.loads(said.splitlines()[-1])


def read(split):
    """Tokens and targets of a split, as they stand in its shards."""
    samples = []
    for path in sorted((WORK / "data").glob(f"{split}-*.h5")):
        with h5py.File(path) as file:
            ends, tokens = file["columns/tokens/offsets"][:], file["columns/tokens/values"][:]
            targets = file["columns/targets/values"][:]
            samples += [(tokens[a:b].tolist(), float(t)) for a, b, t in zip(ends, ends[1:], targets)]
    return samples


def philox(key, low, high):
    a, b = key & 0xFFFFFFFF, key >> 32
    x = [low & 0xFFFFFFFF, low >> 32, high & 0xFFFFFFFF, high >> 32]
    for _ in range(10):
        p, q = 0xD2511F53 * x[0], 0xCD9E8D57 * x[2]
        x = [(q >> 32) ^ x[1] ^ a, q & 0xFFFFFFFF, (p >> 32) ^ x[3] ^ b, p & 0xFFFFFFFF]
        a, b = (a + 0x9E3779B9) & 0xFFFFFFFF, (b + 0xBB67AE85) & 0xFFFFFFFF
    return x


def key_of(seed, purpose, index):
    """cluster::philox_key."""
    mixed = philox(seed, purpose, index)
    return (mixed[1] << 32) | mixed[0]


def ordered(size, cursor):
    """data::ordered_sample: the sample at a place of the endless order."""
    key = key_of(SEED, 0x6F72646572, cursor // size)
    half = max(1, ((size - 1).bit_length() + 1) // 2)
    mask, x = (1 << half) - 1, cursor % size
    while True:
        left, right = x >> half, x & mask
        for turn in range(6):
            mixed = philox(key, right, turn)
            left, right = right, left ^ (((mixed[1] << 32) | mixed[0]) & mask)
        x = (left << half) | right
        if x < size:
            return x


def padded(samples):
    longest = max(len(tokens) for tokens, _ in samples)
    ids = torch.tensor([tokens + [0] * (longest - len(tokens)) for tokens, _ in samples])
    mask = torch.tensor([[1] * len(tokens) + [0] * (longest - len(tokens)) for tokens, _ in samples])
    return {"input_ids": ids, "attention_mask": mask, "labels": torch.tensor([t for _, t in samples])}


def predictions(model, samples):
    model.eval()
    found = []
    with torch.no_grad():
        for first in range(0, len(samples), 64):
            found += model(**padded(samples[first:first + 64])).logits[:, 0].tolist()
    return numpy.array(found)


def theirs(epochs):
    train = read("train")
    model = transformers.AutoModelForSequenceClassification.from_pretrained(
        WORK / "model", hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, classifier_dropout=0.0)
    matrices = [p for p in model.parameters() if p.dim() > 1]
    others = [p for p in model.parameters() if p.dim() <= 1]
    optimizer = torch.optim.AdamW([{"params": matrices, "weight_decay": DECAY}, {"params": others, "weight_decay": 0.0}],
                                  lr=RATE, betas=(0.9, 0.999), eps=1e-8)
    steps = epochs * len(train) // BATCH
    schedule = transformers.get_linear_schedule_with_warmup(optimizer, int(WARMUP * steps), steps)
    model.train()
    for step in range(steps):
        batch = [train[ordered(len(train), step * BATCH + i)] for i in range(BATCH)]
        optimizer.zero_grad()
        model(**padded(batch)).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        schedule.step()
    return model


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--ranks", type=int, default=2)
    a = parser.parse_args()
    prepare(a.samples)
    found = ours(a.epochs, a.ranks)
    test = read("test")
    targets = numpy.array([t for _, t in test])
    by_mean = float(((targets - numpy.mean([t for _, t in read("train")])) ** 2).mean())
    peer = float(((predictions(theirs(a.epochs), test) - targets) ** 2).mean())
    loaded = transformers.AutoModelForSequenceClassification.from_pretrained(WORK / "exported")
    again = predictions(loaded, test)
    lines = [json.loads(line) for line in open(WORK / "predictions.jsonl")]
    away = float(numpy.abs(again - numpy.array([line["predictions"]["rating"] for line in lines])).max())
    print(json.dumps({"train": a.samples, "test": len(test), "mse": found["mse"], "pearson": found["pearson"],
                      "spearman": found["spearman"], "transformers_mse": peer, "relative": abs(found["mse"] / peer - 1),
                      "mean_predictor_mse": by_mean, "problem_type": loaded.config.problem_type,
                      "largest_difference_of_outputs": away}))
    if not (abs(found["mse"] / peer - 1) < 0.01 and found["mse"] < by_mean and away < 1e-4 and
            loaded.config.problem_type == "regression"):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
