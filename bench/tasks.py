"""Several labels, classes of words, answers in a context and masked words by Trireme and by transformers on PyTorch: the same
split, tokens, batches in the same order and first weights, no dropout. One line of JSON a seed goes to bench-work/tasks/TASK.jsonl,
where finished seeds are left as they are; prints one with means and deviations, and fails unless the metric is within 1 point of
transformers', and better than that of the majority and of the untuned model by the margins below.

    bench/peers/setup                                            once; and a finished launch/quickstart
    .venv-peers/bin/python bench/tasks.py TASK                   minutes a seed on 2 cores
        [--seeds 3] [--samples 2000] [--epochs 2] [--ranks 2]

Texts: Debian's package descriptions, by bench/debian_texts.py. Model: that of the quickstart with a head of its own. Both trained
models are scored by `trireme evaluate`; that the loss of our export is transformers' own is checked too. Both hide the same words.
Several labels are told from the probability on that is best on the validation split, each model from its own.
"""
import argparse
import collections
import json
import math
import pathlib
import shutil
import statistics

import h5py
import torch
import transformers

import debian_texts
import regression as base

ROOT = pathlib.Path(__file__).resolve().parent.parent
QUICK = ROOT / "quickstart"
POINT = 0.01  # what the metric may differ from transformers'
#                              model's class, metric, margin over majority, margin over untuned, longest, learning rate
TASKS = {"multi-label": ("SequenceClassification", "micro_f1", 0.15, 0.15, 64, 3e-4),
         "token-classification": ("TokenClassification", "f1", 0.15, 0.40, 64, 3e-4),
         "question-answering": ("QuestionAnswering", "exact_match", 0.15, 0.15, 256, 3e-4),
         "masked-language-modeling": ("MaskedLM", "accuracy", 0.05, 0.05, 64, 5e-4)}
BATCH, DECAY, WARMUP, CLIP, TEST = 32, 0.01, 0.1, 1.0, 500
VALIDATION = {"multi-label": 500}  # else 50
MASK = 0x6D61736B  # data/masked_dataset.cpp: kMaskPurpose
THRESHOLDS = [i / 20 for i in range(1, 20)]


def shards(work, split, names):
    """The columns `names` of each sample of a split, as they stand in its shards."""
    samples = []
    for path in sorted((work / "data").glob(f"{split}-*.h5")):
        with h5py.File(path) as file:
            ends = file["columns/tokens/offsets"][:]
            for i, (a, b) in enumerate(zip(ends, ends[1:])):
                sample = {}
                for name in ("tokens", "segments", *names):
                    if f"columns/{name}/values" in file:
                        values = file[f"columns/{name}/values"]
                        sample[name] = values[a:b].tolist() if f"columns/{name}/offsets" in file else values[i].tolist()
                samples.append(sample)
    return samples


def padded(rows, filler):
    longest = max(map(len, rows))
    return torch.tensor([row + [filler] * (longest - len(row)) for row in rows])


def batch_of(task, samples, masks):
    tokens = [s["tokens"] for s in samples]
    batch = {"input_ids": padded(tokens, 0), "attention_mask": padded([[1] * len(t) for t in tokens], 0),
             "token_type_ids": padded([s.get("segments", [0] * len(s["tokens"])) for s in samples], 0)}
    if task == "multi-label":
        batch["labels"] = torch.tensor([s["targets"] for s in samples])
    elif task == "token-classification":
        batch["labels"] = padded([s["token_classes"] for s in samples], -100)
    elif task == "question-answering":
        batch["start_positions"], batch["end_positions"] = torch.tensor([s["answer"] for s in samples]).T
    else:
        shown, labels = zip(*(hide(s, masks) for s in samples))
        batch["input_ids"], batch["labels"] = padded(shown, 0), padded(labels, -100)
    return batch


def hide(sample, masks):
    """Returns what is shown of a sample and its labels: data/masked_dataset.cpp again, for the same words hidden in the same way."""
    words = sample["words"]
    key = base.key_of(base.key_of(masks["seed"], MASK, sample["epoch"]), MASK, sample["id"])
    draws = [base.philox(key, w, 0) for w in range(max(words, default=-1) + 1)]
    order = sorted(range(len(draws)), key=lambda w: (draws[w][1] << 32 | draws[w][0], w))
    chosen = set(order[:max(1, math.floor(0.15 * len(order) + 0.5))])
    shown, labels = list(sample["tokens"]), [-100] * len(sample["tokens"])
    for t, word in enumerate(words):
        if word in chosen:
            labels[t], draw = shown[t], base.philox(key, t, 1)
            if draw[0] < 3865470566:
                shown[t] = masks["token"] if draw[0] < 3435973837 else draw[1] * masks["size"] >> 32
    return shown, labels


def loss_of(task, model, batch):
    """Transformers' own, but for answers: their softmax goes over a sample's own tokens, as if it were alone, and not over padding."""
    if task != "question-answering":
        return model(**batch).loss
    ends = batch.pop("start_positions"), batch.pop("end_positions")
    found, padding = model(**batch), batch["attention_mask"] == 0
    both = (found.start_logits.masked_fill(padding, -torch.inf), found.end_logits.masked_fill(padding, -torch.inf))
    return sum(torch.nn.functional.cross_entropy(scores, end) for scores, end in zip(both, ends)) / 2


COLUMNS = {"multi-label": ["targets"], "token-classification": ["token_classes"], "question-answering": ["answer"],
           "masked-language-modeling": ["words"]}


def prepare(task, work, seed, samples):
    kind, _, _, _, longest, _ = TASKS[task]
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    sizes = debian_texts.write(task, seed, {"train": samples, "test": TEST, "validation": VALIDATION.get(task, 50)}, work)
    options = {"multi-label": ["--label", "labels"], "question-answering": ["--stride", 32]}.get(task, [])
    base.run(base.TRIREME, "prepare", "--task", task, "--tokenizer", QUICK / "model", "--train", work / "train.jsonl", "--test",
             work / "test.jsonl", "--validation", work / "validation.jsonl", "--max-length", longest, "--output", work / "data", *options)
    names = json.loads((work / "data/manifest.json").read_text())["labels"]
    torch.manual_seed(seed)
    more = {} if not names else dict(num_labels=len(names), id2label=dict(enumerate(names)), label2id={n: i for i, n in enumerate(names)})
    if task == "multi-label":
        more["problem_type"] = "multi_label_classification"
    model = getattr(transformers, f"AutoModelFor{kind}").from_pretrained(
        QUICK / "model", hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, classifier_dropout=0.0, **more)
    save(model, work / "model")
    return sizes, model


def save(model, folder):
    model.save_pretrained(folder)
    for file in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        if (QUICK / "model" / file).exists():
            shutil.copy(QUICK / "model" / file, folder)


def score(task, model, work, ranks):
    said, rows = evaluate(model, work, ranks, "test")
    if task == "multi-label":
        said["micro_f1_at_half"] = said["micro_f1"]
        _, known = evaluate(model, work, ranks, "validation")
        said["threshold"] = max(THRESHOLDS, key=lambda least: micro_f1(known, least))
        said["micro_f1"] = micro_f1(rows, said["threshold"])
    return said


def evaluate(model, work, ranks, split):
    file = work / "predictions.jsonl"
    said = base.run("mpirun", "-n", ranks, base.TRIREME, "evaluate", "--model", model, "--data", work / "data", "--split", split,
                    "--predictions", file, "--force")
    return json.loads(said.splitlines()[-1]), [json.loads(line) for line in file.read_text().splitlines()]


def micro_f1(rows, least):
    """Of labels that are told from a probability on."""
    found = sum(p >= least for row in rows for p in row["probabilities"].values())
    right = sum(row["probabilities"][label] >= least for row in rows for label in row["labels"])
    return 2 * right / (found + sum(len(row["labels"]) for row in rows))


def ours(task, work, seed, a):
    (work / "run.yaml").write_text(json.dumps({
        "run": str(work / "run"), "seed": seed, "task": task,
        "model": {"path": str(work / "model"), "hidden_dropout": 0, "attention_dropout": 0, "classifier_dropout": 0},
        "data": {"path": str(work / "data")}, "batch": {"global": BATCH},
        "optimizer": {"learning_rate": TASKS[task][5], "weight_decay": DECAY, "schedule": "linear", "warmup": WARMUP, "clip": CLIP},
        "train": {"epochs": a.epochs}}))
    base.run("mpirun", "-n", a.ranks, base.TRIREME, "train", work / "run.yaml")
    base.run(base.TRIREME, "export", "--run", work / "run", "--output", work / "exported", "--checkpoint", "latest")
    return score(task, work / "exported", work, a.ranks)


def theirs(task, work, seed, a, model):
    train = shards(work, "train", COLUMNS[task])
    matrices, others = [p for p in model.parameters() if p.dim() > 1], [p for p in model.parameters() if p.dim() <= 1]
    optimizer = torch.optim.AdamW([{"params": matrices, "weight_decay": DECAY}, {"params": others, "weight_decay": 0.0}],
                                  lr=TASKS[task][5], betas=(0.9, 0.999), eps=1e-8)
    steps = a.epochs * len(train) // BATCH
    schedule = transformers.get_linear_schedule_with_warmup(optimizer, int(WARMUP * steps), steps)
    base.SEED = seed
    masks = hidden(work, seed)
    model.train()
    for step in range(steps):
        batch = []
        for cursor in range(step * BATCH, (step + 1) * BATCH):
            sample = base.ordered(len(train), cursor)
            batch.append({**train[sample], "id": sample, "epoch": cursor // len(train)})
        optimizer.zero_grad()
        loss_of(task, model, batch_of(task, batch, masks)).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        schedule.step()
    save(model, work / "peer")
    return score(task, work / "peer", work, a.ranks)


def hidden(work, seed):
    tokenizer = json.loads((work / "data/tokenizer.json").read_text())
    vocabulary = tokenizer["model"]["vocab"]
    return {"seed": seed, "token": vocabulary.get("[MASK]", 0), "size": len(vocabulary)}


def loss_by_transformers(task, work):
    """The loss of our export on the test split; None where masks decide it."""
    if task == "masked-language-modeling":
        return None
    model = getattr(transformers, f"AutoModelFor{TASKS[task][0]}").from_pretrained(work / "exported").eval()
    total = count = 0
    with torch.no_grad():
        for sample in shards(work, "test", COLUMNS[task]):
            batch = batch_of(task, [sample], None)
            weight = int((batch["labels"] != -100).sum()) if task == "token-classification" else 1
            total, count = total + weight * float(model(**batch).loss), count + weight
    return total / count


def majority(task, work):
    """The metric of those most frequent labels that have the best; of each word's most frequent tag; of no answer; of the most frequent token."""
    names = json.loads((work / "data/manifest.json").read_text())["labels"]
    train, test = (shards(work, split, COLUMNS[task]) for split in ("train", "test"))
    if task == "multi-label":
        often = sorted(range(len(names)), key=lambda label: -sum(s["targets"][label] for s in train))
        return max(always(test, often[:count]) for count in range(1, len(names) + 1))
    if task == "question-answering":
        lines = [json.loads(line) for line in open(work / "data/questions-test.jsonl")]
        return sum(not line["answers"] for line in lines) / len(lines)
    if task == "masked-language-modeling":
        tokens = collections.Counter(t for s in train for t, w in zip(s["tokens"], s["words"]) if w >= 0)
        usual = tokens.most_common(1)[0][0]
        shown = [t for s in test for t, w in zip(s["tokens"], s["words"]) if w >= 0]
        return shown.count(usual) / len(shown)
    tags = collections.defaultdict(collections.Counter)
    for line in map(json.loads, open(work / "train.jsonl")):
        for word, tag in zip(line["tokens"], line["tags"]):
            tags[word][tag] += 1
    found, gold = set(), set()
    for i, line in enumerate(map(json.loads, open(work / "test.jsonl"))):
        gold |= entities(i, line["tags"])
        found |= entities(i, [tags[w].most_common(1)[0][0] if w in tags else "O" for w in line["tokens"]])
    return 2 * len(found & gold) / (len(found) + len(gold))


def always(samples, labels):
    """Micro F1 of the same labels for every sample."""
    right = sum(s["targets"][label] for s in samples for label in labels)
    return 2 * right / (len(samples) * len(labels) + sum(sum(s["targets"]) for s in samples))


def entities(i, tags):
    """(sentence, kind, first word, word after the last)."""
    found, first = set(), None
    for t, tag in enumerate([*tags, "O"]):
        if first is not None and not (tag[0] == "I" and tag[2:] == tags[first][2:]):
            found.add((i, tags[first][2:], first, t))
            first = None
        if tag != "O" and first is None:
            first = t
    return found


def one_seed(task, seed, a):
    work = ROOT / "bench-work" / "tasks" / f"{task}-{seed}"
    sizes, model = prepare(task, work, seed, a.samples)
    metric = TASKS[task][1]
    untuned, found, peer = score(task, work / "model", work, a.ranks), ours(task, work, seed, a), theirs(task, work, seed, a, model)
    chosen = {key: found[key] for key in ("threshold", "micro_f1_at_half") if key in found}
    return {"task": task, "seed": seed, **sizes, **chosen, "epochs": a.epochs, "metric": metric, "ours": found[metric], "transformers": peer[metric],
            "majority": majority(task, work), "untuned": untuned[metric], "loss": found["loss"],
            "loss_by_transformers": loss_by_transformers(task, work), "transformers_loss": peer["loss"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", choices=TASKS)
    for name, usual in (("--seeds", 3), ("--samples", 2000), ("--epochs", 2), ("--ranks", 2)):
        parser.add_argument(name, type=int, default=usual)
    a = parser.parse_args()
    file = ROOT / "bench-work" / "tasks" / f"{a.task}.jsonl"
    file.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    lines = [line for line in lines if (line["train"], line["epochs"]) == (a.samples, a.epochs)]
    for seed in range(1, a.seeds + 1):
        if all(line["seed"] != seed for line in lines):
            lines.append(one_seed(a.task, seed, a))
            with open(file, "a") as out:
                out.write(json.dumps(lines[-1]) + "\n")
    _, metric, over_majority, over_untuned, _, _ = TASKS[a.task]
    mean = {name: statistics.mean(line[name] for line in lines) for name in ("ours", "transformers", "majority", "untuned")}
    print(json.dumps({"task": a.task, "seeds": len(lines), "train": a.samples, "test": lines[0]["test"], "metric": metric, **mean,
                      "deviation": statistics.stdev(line["ours"] for line in lines) if len(lines) > 1 else None}))
    away = [abs(line["loss"] - line["loss_by_transformers"]) for line in lines if line["loss_by_transformers"] is not None]
    if not (abs(mean["ours"] - mean["transformers"]) < POINT and mean["ours"] > mean["majority"] + over_majority and
            mean["ours"] > mean["untuned"] + over_untuned and max(away, default=0) < 1e-3):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
