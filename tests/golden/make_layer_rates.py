"""Writes layer_rates.json: weights by torch's AdamW with a learning rate for each layer and parts that are not trained.

    pip install torch && python tests/golden/make_layer_rates.py

A model of 2 layers in units as ours; gradients are clipped by torch's own norm over what is trained.
"""
import json
from pathlib import Path

import torch

RATE, DECAY, CLIP = 3e-3, 0.4, 1.5
#         name, unit, layers below the head, trained, decay of weights
TENSORS = [("table", "embeddings", 3, True, True), ("first", "layers.0", 2, False, True), ("first.bias", "layers.0", 2, True, False),
           ("second", "layers.1", 1, True, True), ("second.bias", "layers.1", 1, False, False), ("out", "head", 0, True, True)]

generator = torch.Generator().manual_seed(11)
make = lambda scale, n: scale * torch.randn(n, generator=generator, dtype=torch.float64)
weights = [torch.nn.Parameter(make(1, 5 + 2 * i), requires_grad=tensor[3]) for i, tensor in enumerate(TENSORS)]
start = [w.tolist() for w in weights]
optimizer = torch.optim.AdamW([{"params": [w], "lr": RATE * DECAY**below, "weight_decay": 2.0 if decay else 0.0}
                               for w, (_, _, below, _, decay) in zip(weights, TENSORS)], betas=(0.8, 0.95), eps=1e-3)
steps = []
for step in range(6):
    gradients = [make([0.1, 3, 0.2, 0.5, 2, 1][step], len(w)) for w in weights]
    for w, gradient in zip(weights, gradients):
        w.grad = gradient.clone() if w.requires_grad else None
    norm = float(torch.nn.utils.clip_grad_norm_(weights, CLIP))
    optimizer.step()
    steps.append({"gradients": [g.tolist() for g in gradients], "norm": norm, "weights": [w.tolist() for w in weights]})

(Path(__file__).parent / "layer_rates.json").write_text(json.dumps(
    {"torch": torch.__version__, "learning_rate": RATE, "layer_decay": DECAY, "clip": CLIP, "weight_decay": 2.0, "beta1": 0.8,
     "beta2": 0.95, "epsilon": 1e-3, "layers": 2, "start": start, "steps": steps,
     "tensors": [{"name": n, "unit": u, "trained": t, "decay": d} for n, u, _, t, d in TENSORS]}) + "\n")
