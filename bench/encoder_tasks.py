"""Tasks of encoders for bench/tasks.py, on the quickstart's model with a head of its own: batches and losses of transformers on
PyTorch, scores by `trireme evaluate`, and what reaches a metric without looking at the text."""
import collections
import json
import math
import shutil
import statistics

import torch
import transformers

import same_batches as base
from film_texts import QUICK

COLUMNS = {"classification": ["segments", "label"], "regression": ["targets"], "multi-label": ["targets"],
           "token-classification": ["token_classes"], "question-answering": ["segments", "answer"], "masked-language-modeling": ["words"]}
SHOTS, NEIGHBOURS = 64, 5
MASK = 0x6D61736B  # data/masked_dataset.cpp: kMaskPurpose
THRESHOLDS = [i / 20 for i in range(1, 20)]


def first_model(spec, work, seed):
    """Writes the model that both sides begin with to work/model, without dropout, and returns it."""
    names = json.loads((work / "data/manifest.json").read_text())["labels"]
    torch.manual_seed(seed)
    more = {} if not names else dict(num_labels=len(names), id2label=dict(enumerate(names)), label2id={n: i for i, n in enumerate(names)})
    problem = {"multi-label": "multi_label_classification", "regression": "regression"}.get(spec.task)
    if problem:
        more["problem_type"] = problem
    model = getattr(transformers, f"AutoModelFor{spec.kind}").from_pretrained(
        QUICK / "model", hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, classifier_dropout=0.0, **more)
    save(model, work / "model")
    return model


def save(model, folder):
    model.save_pretrained(folder)
    for file in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        if (QUICK / "model" / file).exists():
            shutil.copy(QUICK / "model" / file, folder)


def batch_of(task, samples, masks):
    tokens = [s["tokens"] for s in samples]
    batch = {"input_ids": base.padded(tokens, 0), "attention_mask": base.padded([[1] * len(t) for t in tokens], 0),
             "token_type_ids": base.padded([s.get("segments", [0] * len(s["tokens"])) for s in samples], 0)}
    if task == "classification":
        batch["labels"] = torch.tensor([s["label"] for s in samples])
    elif task in ("multi-label", "regression"):
        batch["labels"] = torch.tensor([s["targets"] for s in samples])
    elif task == "token-classification":
        batch["labels"] = base.padded([s["token_classes"] for s in samples], -100)
    elif task == "question-answering":
        batch["start_positions"], batch["end_positions"] = torch.tensor([s["answer"] for s in samples]).T
    else:
        shown, labels = zip(*(hide(s, masks) for s in samples))
        batch["input_ids"], batch["labels"] = base.padded(shown, 0), base.padded(labels, -100)
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


def hidden(work, seed):
    vocabulary = json.loads((work / "data/tokenizer.json").read_text())["model"]["vocab"]
    return {"seed": seed, "token": vocabulary.get("[MASK]", 0), "size": len(vocabulary)}


def loss_of_batch(task, model, batch):
    """Transformers' own, but for answers: their softmax goes over a sample's own tokens, as if it were alone, and not over padding."""
    if task != "question-answering":
        return model(**batch).loss
    ends = batch.pop("start_positions"), batch.pop("end_positions")
    found, padding = model(**batch), batch["attention_mask"] == 0
    both = (found.start_logits.masked_fill(padding, -torch.inf), found.end_logits.masked_fill(padding, -torch.inf))
    return sum(torch.nn.functional.cross_entropy(scores, end) for scores, end in zip(both, ends)) / 2


def loss_of(spec, work, seed):
    masks = hidden(work, seed)
    return lambda model, samples: loss_of_batch(spec.task, model, batch_of(spec.task, samples, masks))


def loss_by_transformers(spec, work):
    """The loss of our export on the test split, sample by sample, nothing padded; None where masks decide it."""
    if spec.task == "masked-language-modeling":
        return None
    model = getattr(transformers, f"AutoModelFor{spec.kind}").from_pretrained(work / "exported").eval()
    total = count = 0
    with torch.no_grad():
        for sample in base.shards(work / "data", "test", COLUMNS[spec.task]):
            batch = batch_of(spec.task, [sample], None)
            weight = int((batch["labels"] != -100).sum()) if spec.task == "token-classification" else 1
            total, count = total + weight * float(model(**batch).loss), count + weight
    return total / count


def score(spec, model, work, ranks):
    said, rows = evaluate(model, work, ranks, "test")
    if spec.task == "multi-label":
        said["micro_f1_at_half"] = said["micro_f1"]
        _, known = evaluate(model, work, ranks, "validation")
        said["threshold"] = max(THRESHOLDS, key=lambda least: micro_f1(known, least))
        said["micro_f1"] = micro_f1(rows, said["threshold"])
    if spec.task == "regression":
        train, test = ([s["targets"] for s in base.shards(work / "data", split, ["targets"])] for split in ("train", "test"))
        said["mse_of_mean"] = statistics.fmean((target - statistics.fmean(train)) ** 2 for target in test)
        said["explained"] = 1 - said["mse"] / said["mse_of_mean"]
    return said


def evaluate(model, work, ranks, split):
    file = work / "predictions.jsonl"
    said = base.evaluated("--model", model, "--data", work / "data", "--split", split, "--predictions", file, "--force", ranks=ranks)
    return said, base.read_lines(file)


def micro_f1(rows, least):
    """Of labels that are told from a probability on."""
    found = sum(p >= least for row in rows for p in row["probabilities"].values())
    right = sum(row["probabilities"][label] >= least for row in rows for label in row["labels"])
    return 2 * right / (found + sum(len(row["labels"]) for row in rows))


def untuned(spec, work, ranks):
    return score(spec, work / "model", work, ranks)


def few_shot(spec, work, seed, ranks):
    """The label that most of the nearest of some training samples have, by the model before it is tuned; None where there are no classes."""
    if spec.task != "classification":
        return None
    return base.evaluated("--model", work / "model", "--data", work / "data", "--shots", SHOTS, "--neighbours", NEIGHBOURS,
                          "--shots-seed", seed, ranks=ranks)[spec.metric]


def majority(spec, work):
    return MAJORITIES[spec.task](work, *(base.shards(work / "data", split, COLUMNS[spec.task]) for split in ("train", "test")))


def class_that_is_most_frequent(work, train, test):
    usual = statistics.mode(s["label"] for s in train)
    return sum(s["label"] == usual for s in test) / len(test)


def constant_labels(work, train, test):
    """Micro F1 of those most frequent labels for every sample that have the best."""
    def always(labels):
        right = sum(s["targets"][label] for s in test for label in labels)
        return 2 * right / (len(test) * len(labels) + sum(sum(s["targets"]) for s in test))
    often = sorted(range(len(train[0]["targets"])), key=lambda label: -sum(s["targets"][label] for s in train))
    return max(always(often[:count]) for count in range(1, len(often) + 1))


def no_answer(work, train, test):
    lines = base.read_lines(work / "data/questions-test.jsonl")
    return sum(not line["answers"] for line in lines) / len(lines)


def token_that_is_most_frequent(work, train, test):
    usual = collections.Counter(t for s in train for t, w in zip(s["tokens"], s["words"]) if w >= 0).most_common(1)[0][0]
    shown = [t for s in test for t, w in zip(s["tokens"], s["words"]) if w >= 0]
    return shown.count(usual) / len(shown)


def tag_that_is_most_frequent(work, train, test):
    """Entity F1 of each word's most frequent tag."""
    tags = collections.defaultdict(collections.Counter)
    for line in base.read_lines(work / "train.jsonl"):
        for word, tag in zip(line["tokens"], line["tags"]):
            tags[word][tag] += 1
    found, gold = set(), set()
    for i, line in enumerate(base.read_lines(work / "test.jsonl")):
        gold |= entities(i, line["tags"])
        found |= entities(i, [tags[w].most_common(1)[0][0] if w in tags else "O" for w in line["tokens"]])
    return 2 * len(found & gold) / (len(found) + len(gold))


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


MAJORITIES = {"classification": class_that_is_most_frequent, "multi-label": constant_labels, "question-answering": no_answer,
              "masked-language-modeling": token_that_is_most_frequent, "token-classification": tag_that_is_most_frequent,
              "regression": lambda work, train, test: 0.0}  # explained by the mean of the training ratings: nothing
