"""Writes optimizer.json: learning rates by transformers' schedules, and weights by torch's AdamW along such a schedule.

    pip install torch transformers && python tests/golden/make_optimizer.py

A schedule is given the steps of its warm-up, int(warmup * total), and one that is stable before it falls (WSD) those in
which it falls, int(cooldown * total). A warm-up begins at 0 whatever the final fraction, as everywhere but in transformers'
WSD. Every row holds the rate of each step of a run and the one at its end. The rows of `resumed` were read from a schedule that had been saved and loaded at the step they begin with.
"""
import json
import math
from pathlib import Path

import torch
import transformers
from transformers import (get_constant_schedule_with_warmup, get_cosine_schedule_with_warmup,
                          get_cosine_with_min_lr_schedule_with_warmup, get_linear_schedule_with_warmup,
                          get_polynomial_decay_schedule_with_warmup, get_wsd_schedule)

RATE = 3e-3


def schedule(kind, optimizer, warmup, total, final):
    if kind == "constant":
        return get_constant_schedule_with_warmup(optimizer, warmup)
    if kind == "linear" and final == 0:
        return get_linear_schedule_with_warmup(optimizer, warmup, total)
    if kind == "linear":
        return get_polynomial_decay_schedule_with_warmup(optimizer, warmup, total, lr_end=final * RATE, power=1.0)
    if final == 0:
        return get_cosine_schedule_with_warmup(optimizer, warmup, total)
    return get_cosine_with_min_lr_schedule_with_warmup(optimizer, warmup, total, min_lr_rate=final)


def stable_then_linear(warmup, cooldown, total, final):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=RATE)
    falling = int(cooldown * total)
    rates = advance(optimizer, get_wsd_schedule(optimizer, int(warmup * total), falling, num_training_steps=total,
                                                decay_type="linear", min_lr_ratio=final), total + 1)
    rising = advance(*begin("constant", warmup, total, final), int(warmup * total))
    return rising + rates[len(rising):]


def range_test(total, final):
    """A range test begins at final * RATE and ends at RATE with its last step; torch's schedule goes on by the same factor."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=final * RATE)
    return advance(optimizer, torch.optim.lr_scheduler.ExponentialLR(optimizer, (1 / final) ** (1 / (total - 1))), total)


def begin(kind, warmup, total, final):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=RATE)
    return optimizer, schedule(kind, optimizer, int(warmup * total), total, final)


def advance(optimizer, rates, steps):
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        rates.step()
    return found


rows, resumed = [], []
for kind in ("constant", "linear", "cosine"):
    for final in (0.0, 0.1):
        for warmup, total in ((0.0, 1), (0.0, 7), (0.1, 10), (0.1, 9), (0.25, 40), (0.5, 12), (0.9, 6)):
            row = {"schedule": kind, "final_fraction": final, "warmup": warmup, "total": total}
            rows.append(row | {"rates": advance(*begin(kind, warmup, total, final), total + 1)})
        whole = {"schedule": kind, "final_fraction": final, "warmup": 0.25, "total": 40}
        for at in (1, 9, 10, 11, 38):
            optimizer, rates = begin(kind, 0.25, 40, final)
            advance(optimizer, rates, at)
            kept = optimizer.state_dict(), rates.state_dict()
            optimizer, rates = begin(kind, 0.25, 40, final)
            optimizer.load_state_dict(kept[0])
            rates.load_state_dict(kept[1])
            resumed.append(whole | {"first": at, "rates": advance(optimizer, rates, 3)})


for final in (0.0, 0.1):
    for warmup, cooldown, total in ((0.0, 0.5, 7), (0.1, 0.2, 10), (0.25, 0.1, 40), (0.25, 0.75, 12), (0.0, 1.0, 5), (0.1, 0.33, 9)):
        rows.append({"schedule": "wsd", "final_fraction": final, "warmup": warmup, "cooldown": cooldown, "total": total,
                     "rates": stable_then_linear(warmup, cooldown, total, final)})


for final, total in ((1e-6, 100), (0.1, 7), (0.5, 2)):
    rows.append({"schedule": "range_test", "final_fraction": final, "warmup": 0.0, "total": total, "rates": range_test(total, final)})


def adamw():
    """Two tensors, the second without decay; the gradients' norms lie below and above the clip."""
    generator = torch.Generator().manual_seed(7)
    make = lambda scale, *shape: scale * torch.randn(*shape, generator=generator, dtype=torch.float64)
    weights = [torch.nn.Parameter(make(1, 3, 5)), torch.nn.Parameter(make(1, 4))]
    start = [w.flatten().tolist() for w in weights]
    groups = [{"params": weights[:1], "weight_decay": 2.0}, {"params": weights[1:], "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=RATE, betas=(0.8, 0.95), eps=1e-3)
    rates = get_cosine_with_min_lr_schedule_with_warmup(optimizer, 2, 8, min_lr_rate=0.1)
    steps = []
    for step in range(8):
        for w in weights:
            w.grad = make([0.1, 3, 0.2, 0.5, 2, 1, 0.05, 4][step], *w.shape)
        gradients = [w.grad.flatten().tolist() for w in weights]
        norm = math.sqrt(sum(float((w.grad**2).sum()) for w in weights))
        for w in weights:
            w.grad *= min(1.0, 1.5 / norm)
        optimizer.step()
        rates.step()
        steps.append({"gradients": gradients, "norm": norm, "weights": [w.flatten().tolist() for w in weights]})
    return {"schedule": "cosine", "final_fraction": 0.1, "warmup": 0.25, "total": 8, "clip": 1.5, "weight_decay": 2.0,
            "beta1": 0.8, "beta2": 0.95, "epsilon": 1e-3, "start": start, "steps": steps}


text = json.dumps({"torch": torch.__version__, "transformers": transformers.__version__, "learning_rate": RATE,
                   "schedules": rows, "resumed": resumed, "adamw": adamw()}) + "\n"
(Path(__file__).parent / "optimizer.json").write_text(text)
