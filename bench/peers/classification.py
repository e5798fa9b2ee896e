"""transformers fine-tuning a BERT for classification, as people run it: prints one JSON line.

    classification.py MODEL TRAIN.jsonl TEST.jsonl [--padding fixed|dynamic] [--steps N] [--seed S]

fixed: every sample padded to 64 tokens. dynamic: padded to the longest of the batch, batches of like lengths
(group_by_length of transformers' Trainer: sorted inside chunks of 50 batches). Same optimizer, schedule, batch and clip
as configs/film-reviews.yaml.
"""
import argparse
import json
import time

import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer, get_linear_schedule_with_warmup

parser = argparse.ArgumentParser()
parser.add_argument("model")
parser.add_argument("train")
parser.add_argument("test")
parser.add_argument("--padding", default="fixed", choices=["fixed", "dynamic"])
parser.add_argument("--epochs", type=int, default=2)
parser.add_argument("--steps", type=int, default=0)
parser.add_argument("--batch", type=int, default=32)
parser.add_argument("--seed", type=int, default=1)
a = parser.parse_args()
torch.manual_seed(a.seed)
train, test = ([json.loads(line) for line in open(name)] for name in (a.train, a.test))
labels = sorted({r["label"] for r in train})
tokenizer = AutoTokenizer.from_pretrained(a.model)
model = AutoModelForSequenceClassification.from_pretrained(a.model, num_labels=len(labels))


def batch(rows):
    padding = dict(padding="max_length", max_length=64) if a.padding == "fixed" else dict(padding="longest", max_length=128)
    encoded = tokenizer([r["text"] for r in rows], truncation=True, return_tensors="pt", **padding)
    return encoded, torch.tensor([labels.index(r["label"]) for r in rows])


def order(generator):
    indices = torch.randperm(len(train), generator=generator).tolist()
    if a.padding == "dynamic":
        chunk = 50 * a.batch
        indices = [i for at in range(0, len(indices), chunk) for i in sorted(indices[at : at + chunk], key=lambda i: -lengths[i])]
    return [indices[at : at + a.batch] for at in range(0, len(indices) - a.batch + 1, a.batch)]


lengths = [len(e) for e in tokenizer([r["text"] for r in train])["input_ids"]]
groups = [{"params": [p for p in model.parameters() if p.dim() > 1], "weight_decay": 0.01},
          {"params": [p for p in model.parameters() if p.dim() <= 1], "weight_decay": 0.0}]
optimizer = torch.optim.AdamW(groups, lr=1e-4, fused=True)
total = a.steps or len(train) // a.batch * a.epochs
schedule = get_linear_schedule_with_warmup(optimizer, total // 10, total)
generator = torch.Generator().manual_seed(a.seed)
started, times, samples = time.time(), [], 0
model.train()
while len(times) < total:
    batches = order(generator)
    if a.padding == "dynamic" and a.steps:  # a short measurement must see all lengths
        batches = [batches[i] for i in torch.randperm(len(batches), generator=generator)]
    for indices in batches[: total - len(times)]:
        at = time.perf_counter()
        encoded, target = batch([train[i] for i in indices])
        torch.nn.functional.cross_entropy(model(**encoded).logits, target).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad(set_to_none=True)
        times.append(time.perf_counter() - at)
seconds = time.time() - started
correct = 0
model.eval()
if not a.steps:
    with torch.no_grad():
        for at in range(0, len(test), 64):
            encoded, target = batch(test[at : at + 64])
            correct += (model(**encoded).logits.argmax(-1) == target).sum().item()
steady = times[3:]
print(json.dumps({"samples_per_second": a.batch * len(steady) / sum(steady), "seconds": seconds,
                  "accuracy": correct / len(test) if not a.steps else None}))
