"""The matrix products alone of a training step of a Llama, by PyTorch: what no framework on this library and processor goes below.
Prints one JSON line.

    products.py CONFIG_FOLDER [--steps N] [--tokens 2048]

Each linear layer's product forward and two backward, into memory that is there; nothing else: no attention, no norms, no update.
"""
import argparse
import json
import pathlib
import time

import torch

parser = argparse.ArgumentParser()
parser.add_argument("config")
parser.add_argument("--steps", type=int, default=8)
parser.add_argument("--tokens", type=int, default=2048)
a = parser.parse_args()
c = json.loads((pathlib.Path(a.config) / "config.json").read_text())
width, kv = c["hidden_size"], c["hidden_size"] // c["num_attention_heads"] * c["num_key_value_heads"]
layer = [(width, width), (width, kv), (width, kv), (width, width), (width, c["intermediate_size"]), (width, c["intermediate_size"]),
         (c["intermediate_size"], width)]
shapes = layer * c["num_hidden_layers"] + [(width, c["vocab_size"])]
torch.manual_seed(0)
x = {n: torch.randn(a.tokens, n) for s in shapes for n in s}
made = {n: torch.empty(a.tokens, n) for s in shapes for n in s}
weights = [torch.randn(out, inside) for inside, out in shapes]
gradients = [torch.empty_like(w) for w in weights]
times = []
for _ in range(a.steps + 2):
    at = time.perf_counter()
    for (inside, out), w, g in zip(shapes, weights, gradients):
        torch.mm(x[inside], w.t(), out=made[out])
        torch.mm(x[out], w, out=made[inside])
        torch.mm(x[out].t(), x[inside], out=g)
    times.append(time.perf_counter() - at)
steady = sorted(times[2:])
print(json.dumps({"tokens_per_second": a.tokens / steady[len(steady) // 2]}))
