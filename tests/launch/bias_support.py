"""Tiny models for the tests of bias and of memorisation: a tokenizer of whole words, folders to begin with, runs."""
import json
import os
import subprocess
import sys

from report_support import WORK
from word_tokenizer import SPECIAL, tokenizer

TRIREME = os.path.abspath(sys.argv[3])

def encoder(words):
    return {"model_type": "bert", "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64,
            "vocab_size": len(SPECIAL) + len(words), "max_position_embeddings": 32, "type_vocab_size": 2, "hidden_act": "gelu", "layer_norm_eps": 1e-12,
            "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1, "initializer_range": 0.1, "pad_token_id": 0}


def decoder(words, **changes):
    return {"model_type": "llama", "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64,
            "vocab_size": len(SPECIAL) + len(words), "max_position_embeddings": 64, "hidden_act": "silu", "rms_norm_eps": 1e-5, "pad_token_id": 0,
            "bos_token_id": 2, "eos_token_id": 3, "initializer_range": 0.1} | changes


def folder(name, words, config):
    path = WORK / name
    path.mkdir()
    (path / "tokenizer.json").write_text(json.dumps(tokenizer(words)))
    (path / "tokenizer_config.json").write_text(json.dumps({"mask_token": "[MASK]", "eos_token": "[SEP]"}))
    (path / "config.json").write_text(json.dumps(config))
    return path


def rows_to(name, rows):
    path = WORK / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def called(*words):
    done = subprocess.run([TRIREME, *map(str, words)], capture_output=True, text=True, check=False, cwd=WORK)
    return done.returncode, done.stdout, done.stderr


def command(*words):
    code, out, error = called(*words)
    assert code == 0, f"{words}\n{out}{error}"
    return out


RUN = """\
run: {run}
seed: {seed}
task: {task}
model: {{path: {model}, from_scratch: true}}
data: {{path: {data}}}
batch: {{global: 20, tokens_per_micro_batch: 320}}
numerics: {{threads: 1}}
optimizer: {{learning_rate: {rate}}}
train: {{epochs: {epochs}}}
guard: {{sensitivity: off, overfitting: off}}
"""


def trained(name, task, model, rows, seed=1, epochs=6, rate="2e-3", prepare=()):
    """The folder of a model that learned the rows."""
    data = WORK / f"data-{name}"
    command("prepare", "--task", task, "--tokenizer", model, "--train", rows, "--output", data, *prepare)
    path = WORK / f"{name}.yaml"
    path.write_text(RUN.format(run=WORK / f"run-{name}", seed=seed, task=task, model=model, data=data, rate=rate, epochs=epochs))
    command("train", path)
    command("export", "--run", WORK / f"run-{name}", "--output", WORK / name)
    return WORK / name
