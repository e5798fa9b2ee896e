"""Shared by the tests of `trireme attribute`: the command, golden models, and tiny ones that are trained."""
import json
import os
import shutil
import subprocess
import sys

from report_support import ROOT, WORK
from word_tokenizer import tokenizer

TRIREME = os.path.abspath(sys.argv.pop(3))  # unittest reads what follows
GOLDEN = json.loads((ROOT / "tests/golden/attributions.json").read_text())
ROWS = 600
MODEL = {"model_type": "bert", "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64, "vocab_size": 23,
         "max_position_embeddings": 32, "type_vocab_size": 2, "hidden_act": "gelu", "layer_norm_eps": 1e-12, "hidden_dropout_prob": 0.1,
         "attention_probs_dropout_prob": 0.1, "initializer_range": 0.1, "pad_token_id": 0}
DECODER = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
           "max_position_embeddings": 32, "rms_norm_eps": 1e-6, "hidden_act": "silu", "initializer_range": 0.1, "tie_word_embeddings": True}
RUN = """\
run: {run}
seed: 1
task: {task}
model: {{path: {model}, from_scratch: true}}
data: {{path: {data}}}
batch: {{global: 20, tokens_per_micro_batch: 160}}
numerics: {{mode: bitwise, threads: 1}}
optimizer: {{learning_rate: 2e-3}}
train: {{epochs: 8}}
guard: {{sensitivity: off, overfitting: off}}
"""


def command(*words, ranks=0, code=0, given=None):
    before = ["mpirun", "-n", str(ranks), "--oversubscribe"] if ranks else []
    done = subprocess.run([*before, TRIREME, *map(str, words)], capture_output=True, text=True, check=False, input=given)
    assert done.returncode == code, f"{words}\n{done.stdout}{done.stderr}"
    return done.stderr


def attributed(model, texts, *more, ranks=0, name="found"):
    path = WORK / f"{name}.json"
    command("attribute", model, "--output", path, "--force", *more, ranks=ranks, given="".join(text + "\n" for text in texts))
    return json.loads(path.read_text())


def golden(name):
    folder = WORK / name
    if not folder.exists():
        folder.mkdir()
        for file in ("config.json", "model.safetensors"):
            shutil.copy(ROOT / "tests/golden" / name / file, folder)
        words = json.loads((ROOT / "tests/golden/tokenizer/tokenizer.json").read_text())
        (folder / "tokenizer.json").write_text(json.dumps(words | {"padding": None}))  # some of the models pad with another token
    return folder


def trained(name, known, rows, *more, task="classification"):
    """An exported model that learned the rows, and beside it its data."""
    config, options = (MODEL, ["--label", "label"]) if task == "classification" else (DECODER, ["--stop", "[SEP]"])
    folder = WORK / name
    (folder / "model").mkdir(parents=True)
    for file, value in (("tokenizer.json", tokenizer(known)), ("tokenizer_config.json", {"mask_token": "[MASK]", "pad_token": "[PAD]"}),
                        ("config.json", config | {"vocab_size": 5 + len(known)})):
        (folder / "model" / file).write_text(json.dumps(value))
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    command("prepare", "--task", task, "--tokenizer", folder / "model", "--train", folder / "rows.jsonl", *options, "--output", folder / "data")
    (folder / "run.yaml").write_text(RUN.format(task=task, run=folder / "run", model=folder / "model", data=folder / "data"))
    command("train", folder / "run.yaml", *more)
    command("export", "--run", folder / "run", "--output", folder / "exported")
    return folder
