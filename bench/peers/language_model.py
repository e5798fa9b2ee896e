"""PyTorch eager training a Llama of 32 M parameters on one process: prints one JSON line.

    language_model.py CONFIG_FOLDER [--steps N] [--batch 8] [--length 256]
"""
import argparse
import json
import time

import torch
from transformers import LlamaConfig, LlamaForCausalLM

parser = argparse.ArgumentParser()
parser.add_argument("config")
parser.add_argument("--steps", type=int, default=10)
parser.add_argument("--batch", type=int, default=8)
parser.add_argument("--length", type=int, default=256)
a = parser.parse_args()
torch.manual_seed(0)
config = LlamaConfig.from_pretrained(a.config, attn_implementation="sdpa", use_cache=False)
model = LlamaForCausalLM(config)
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
ids = torch.randint(0, config.vocab_size, (a.batch, a.length))
times = []
for _ in range(a.steps + 2):
    at = time.perf_counter()
    model(input_ids=ids, labels=ids).loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0, foreach=False)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    times.append(time.perf_counter() - at)
steady = sorted(times[2:])
print(json.dumps({"tokens_per_second": a.batch * a.length / steady[len(steady) // 2]}))
