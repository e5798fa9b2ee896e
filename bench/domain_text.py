"""A small Llama trained from scratch on text that every Debian machine has, exported, and its perplexity computed again by
transformers: prints one JSON line, and fails unless both perplexities agree to 1e-4 (relative) and are below a bound.

    bench/peers/setup                                   once
    .venv-peers/bin/python bench/domain_text.py         minutes on 2 cores

Text: /usr/share/common-licenses and the copyright files of installed packages, by paragraphs; equal ones once. Tokenizer: a
byte-level BPE trained on the training part. The loss is taken over the shards' own windows and labels.
"""
import argparse
import json
import math
import os
import pathlib
import shutil
import subprocess

import h5py
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaForCausalLM

ROOT = pathlib.Path(__file__).resolve().parent.parent
WORK = ROOT / "bench-work" / "domain"
TRIREME = str(ROOT / "build/bin/trireme")
WORDS, LENGTH, BOUND = 2048, 128, 60.0
RANKS = {"OMPI_MCA_mpi_yield_when_idle": "1", "OMPI_MCA_hwloc_base_binding_policy": "none", "OMPI_ALLOW_RUN_AS_ROOT": "1",
         "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMPI_MCA_rmaps_base_oversubscribe": "1"}


def paragraphs():
    files = sorted(pathlib.Path("/usr/share/common-licenses").glob("*")) + sorted(pathlib.Path("/usr/share/doc").glob("*/copyright"))
    seen = {}
    for file in files:
        if not file.is_symlink() and file.is_file():
            for paragraph in file.read_text(encoding="utf-8", errors="replace").split("\n\n"):
                text = " ".join(paragraph.split())
                if len(text) > 80:
                    seen.setdefault(text.lower(), text)
    return list(seen.values())


def prepare():
    shutil.rmtree(WORK, ignore_errors=True)
    model = WORK / "model"
    model.mkdir(parents=True)
    texts = paragraphs()
    (WORK / "text.jsonl").write_text("".join(json.dumps({"text": t}) + "\n" for t in texts))
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=WORDS, special_tokens=["<|end|>"],
                                                             initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    tokenizer.save(str(model / "tokenizer.json"))
    (model / "tokenizer_config.json").write_text(json.dumps({"eos_token": "<|end|>"}))
    (model / "config.json").write_text(json.dumps(dict(
        model_type="llama", hidden_size=128, num_hidden_layers=4, num_attention_heads=4, num_key_value_heads=2, intermediate_size=384,
        vocab_size=WORDS, max_position_embeddings=LENGTH, hidden_act="silu", rms_norm_eps=1e-5)))
    command = [TRIREME, "prepare", "--task", "language-modeling", "--tokenizer", str(model), "--input", str(WORK / "text.jsonl"),
               "--max-length", str(LENGTH), "--output", str(WORK / "data")]
    subprocess.run(command, check=True)
    return len(texts)


def train(steps):
    (WORK / "run.yaml").write_text(
        f"run: {WORK}/run\ntask: language-modeling\nmodel:\n  path: {WORK}/model\n  from_scratch: true\ndata:\n  path: {WORK}/data\nbatch:\n"
        f"  global: 32\n  tokens_per_micro_batch: 2048\nnumerics:\n  threads: 1\noptimizer:\n  learning_rate: 2e-3\n  schedule: cosine\ntrain:\n  steps: {steps}\n"
        "evaluation:\n  every: 200\n")
    subprocess.run(["mpirun", "-n", "2", TRIREME, "train", str(WORK / "run.yaml")], check=True, env={**os.environ, **RANKS})
    subprocess.run([TRIREME, "export", "--run", str(WORK / "run"), "--output", str(WORK / "exported")], check=True)
    shown = subprocess.run([TRIREME, "evaluate", "--model", str(WORK / "exported"), "--data", str(WORK / "data"), "--split", "test"],
                           check=True, capture_output=True, text=True)
    return json.loads(shown.stdout)["loss"]


def loss_of_transformers():
    """Over the same windows and labels, which lie in the shards."""
    model = LlamaForCausalLM.from_pretrained(WORK / "exported", dtype=torch.float64).eval()
    total, count = 0.0, 0
    for shard in sorted((WORK / "data").glob("test-*.h5")):
        with h5py.File(shard) as file:
            columns = {name: torch.tensor(file[f"columns/{name}/values"][:]).long() for name in ("tokens", "token_labels")}
            offsets = file["columns/tokens/offsets"][:]
        for begin, end in zip(offsets[:-1], offsets[1:]):
            labels = columns["token_labels"][begin:end]
            with torch.no_grad():
                logits = model(input_ids=columns["tokens"][begin:end][None]).logits[0]
            total += torch.nn.functional.cross_entropy(logits, labels, reduction="sum", ignore_index=-100).item()
            count += (labels >= 0).sum().item()
    return total / count


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=600)
    a = parser.parse_args()
    texts = prepare()
    ours = math.exp(train(a.steps))
    theirs = math.exp(loss_of_transformers())
    print(json.dumps({"paragraphs": texts, "steps": a.steps, "perplexity": ours, "transformers": theirs, "relative": abs(ours / theirs - 1)}))
    assert abs(ours / theirs - 1) < 1e-4, "the export computes something else"
    assert ours < BOUND, "it has learnt too little"


if __name__ == "__main__":
    main()
