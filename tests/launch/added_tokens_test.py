#!/usr/bin/env python3
"""`trireme prepare --add-tokens`: a base model without the tokens of a template learns to chat.

    added_tokens_test.py TRIREME MPIEXEC [ORACLE]

Rows for the added tokens stand where transformers puts them (tests/golden/make_added_tokens.py), of tied and untied tables and of a bias;
every layout trains the same bits; an interrupted run goes on; the export is one of the larger vocabulary. ORACLE, a Python with torch
and transformers, else TRIREME_ORACLE: loads the export, tokenizes conversations, and generates what `generate --chat` answers."""

import json
import math
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import h5py
import numpy

GOLDEN = pathlib.Path(__file__).resolve().parents[1] / "golden"
TRIREME, MPIEXEC = sys.argv[1:3]
ORACLE = sys.argv[3] if len(sys.argv) > 3 else os.environ.get("TRIREME_ORACLE")
ADDED = ["<|im_start|>", "<|im_end|>", "<|x|>"]
WORDS = {1: "<s>", 2: "</s>", 3: "[MASK]", 4: "?", 5: "user", 6: "assistant", 7: "system"}
VOCABULARY = 97  # of the golden models
TABLES = json.loads((GOLDEN / "added_tokens.json").read_text())["models"]
TURNS = [["w10"], ["w11 w12"], ["w20", "w21"]]  # of the user, in conversations that were trained


def run(*command, code=0):
    made = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    assert made.returncode == code, (command, made.returncode, made.stdout, made.stderr)
    return made


def trireme(*words, ranks=1, code=0):
    return run(*([MPIEXEC, "-n", ranks] if ranks > 1 else []), TRIREME, *words, code=code)


def write_model(folder, name):
    """A golden model with room for 64 tokens, and a tokenizer of words without those of a template."""
    shutil.copytree(GOLDEN / name, folder)
    config = json.loads((folder / "config.json").read_text())
    if name.startswith("llama"):
        config["max_position_embeddings"] = 64
    (folder / "config.json").write_text(json.dumps(config))
    special = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    added = [{"id": id, "content": WORDS[id], **special} for id in (1, 2, 3)]
    vocabulary = {WORDS.get(id, f"w{id}"): id for id in range(VOCABULARY)}
    (folder / "tokenizer.json").write_text(json.dumps({
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": None,
        "pre_tokenizer": {"type": "WhitespaceSplit"}, "post_processor": None, "decoder": None,
        "model": {"type": "WordLevel", "unk_token": "?", "vocab": vocabulary},
    }))  # fmt: skip
    (folder / "tokenizer_config.json").write_text(json.dumps(
        {"bos_token": "<s>", "eos_token": "</s>", "mask_token": "[MASK]", "tokenizer_class": "PreTrainedTokenizerFast",
         "added_tokens_decoder": {str(token["id"]): {k: token[k] for k in token if k != "id"} for token in added}}
    ))  # fmt: skip


def write_rows(file):
    answers = {"w10": "w30 w31", "w11 w12": "w32", "w20": "w33 w34", "w21": "w35"}
    with open(file, "w") as out:
        for turns in TURNS * 4:
            messages = []
            for turn in turns:
                messages += [{"role": "user", "content": turn}, {"role": "assistant", "content": answers[turn]}]
            out.write(json.dumps({"messages": messages, "text": " ".join(turns)}) + "\n")


def prepare(folder, task, *more, model="model", code=0):
    rows, again = folder / "rows.jsonl", folder / "again.jsonl"
    shutil.copy(rows, again)
    return trireme("prepare", "--task", task, "--tokenizer", folder / model, "--train", rows, "--validation", again,
                   "--max-length", 16 if task != "chat" else 64, "--output", folder / "data", *more, code=code)  # fmt: skip


def train(folder, name, *settings, ranks=1, steps=40, rate=1e-2):
    (folder / "run.yaml").write_text(
        f"run: {folder / name}\nmodel:\n  path: {folder / 'model'}\ndata:\n  path: {folder / 'data'}\nbatch:\n  global: 6\n"
        f"  tokens_per_micro_batch: 40\nnumerics:\n  mode: bitwise\n  threads: 1\noptimizer:\n  learning_rate: {rate}\n  schedule: constant\n  warmup: 0\n"
        f"train:\n  steps: {steps}\ncheckpoint:\n  every: 10\n"
    )  # fmt: skip
    words = [word for setting in settings for word in ("--set", setting)]
    made = trireme("train", folder / "run.yaml", *words, ranks=ranks)
    ends = [json.loads(line) for line in open(folder / name / "metrics.jsonl")]
    return next(line["weights_sha256"] for line in reversed(ends) if line.get("kind") == "end"), made.stdout + made.stderr


def tensors(folder):
    data = (folder / "model.safetensors").read_bytes()
    size = int.from_bytes(data[:8], "little")
    for name, entry in json.loads(data[8 : 8 + size]).items():
        if name != "__metadata__":
            first, end = entry["data_offsets"]
            yield name, numpy.frombuffer(data[8 + size + first : 8 + size + end], "<f4").reshape(entry["shape"])


def export(folder, name, output):
    trireme("export", "--run", folder / name, "--checkpoint", "latest", "--output", folder / output)
    return dict(tensors(folder / output))


def check_rows(folder, name, task):
    """What an update by nothing leaves of the new rows, against transformers'."""
    folder.mkdir()
    write_model(folder / "model", name)
    write_rows(folder / "rows.jsonl")
    own = {"chat": ["--chat-template", "chatml"], "language-modeling": ["--stop", "</s>"]}.get(task, [])
    prepare(folder, task, *own, "--add-tokens", *ADDED)
    said = f"task: {task if task != 'chat' else 'generation'}"
    made = {}
    for layout, ranks in (("", 1), ("parallel.tensor=2", 2), ("parallel.zero=3", 2)):
        train(folder, f"run{ranks}{layout}", said.replace(": ", "="), *filter(None, [layout]), ranks=ranks, steps=1, rate=1e-30)
        exported = export(folder, f"run{ranks}{layout}", f"export{ranks}{layout}")
        made[layout] = {table: numpy.where(abs(values) < 1e-20, 0, values) for table, values in exported.items()}  # the rate
    before = dict(tensors(folder / "model"))
    for layout, other in made.items():
        assert all((other[table] == made[""][table]).all() for table in TABLES[name]), (name, layout)
    for table, theirs in TABLES[name].items():
        ours = made[""][table]
        assert ours.shape[0] == VOCABULARY + len(ADDED), (table, ours.shape)
        assert (ours[:VOCABULARY] == before[table]).all(), table
        new, mean, deviation = ours[VOCABULARY:], numpy.array(theirs["mean"]), numpy.array(theirs["deviation"])
        if new.ndim == 1:
            assert (new == theirs["rows"]).all() and not new.any() and deviation > 0, (name, table, new)
            continue
        spread, rounding = math.sqrt(1e-9), 3e-7 * (abs(mean) + deviation)
        assert (abs(new - mean) <= 6 * spread * deviation + rounding).all(), (name, table)
        assert (abs(new - theirs["rows"]) <= 9 * spread * deviation + rounding).all(), (name, table)
        drawn = (new - mean) / (spread * deviation)
        assert 0.7 < drawn.std() < 1.3 and abs(drawn.mean()) < 0.5, (name, table, drawn.std(), drawn.mean())


def check_files(folder):
    """The files of the tokenizer beside the data and the export, which other programs read."""
    manifest = json.loads((folder / "data/manifest.json").read_text())
    assert manifest["added_tokens"] == ADDED and manifest["vocabulary"] == VOCABULARY + len(ADDED)
    for place in ("data", "export"):
        tokenizer = json.loads((folder / place / "tokenizer.json").read_text())
        assert [(t["id"], t["content"], t["special"]) for t in tokenizer["added_tokens"][-3:]] == [
            (VOCABULARY + i, token, True) for i, token in enumerate(ADDED)
        ]
        config = json.loads((folder / place / "tokenizer_config.json").read_text())
        assert config["added_tokens_decoder"][str(VOCABULARY + 1)]["content"] == "<|im_end|>"
    assert json.loads((folder / "export/config.json").read_text())["vocab_size"] == VOCABULARY + len(ADDED)
    assert json.loads((folder / "export/generation_config.json").read_text())["eos_token_id"] == VOCABULARY + 1


def check_trained(folder):
    """No token of a prompt is trained, and of an assistant's turn each, the stop token too."""
    with h5py.File(folder / "data/train-00000.h5") as file:
        tokens, labels = file["columns/tokens/values"][...], file["columns/token_labels/values"][...]
    assert set(labels[labels >= 0]) == {30, 31, 32, 33, 34, 35, VOCABULARY + 1}, set(labels)
    assert (labels == VOCABULARY + 1).sum() == 4 * sum(map(len, TURNS)) and VOCABULARY in tokens


def chat(folder, turns):
    made = subprocess.run([TRIREME, "generate", folder / "export", "--chat", "--threads", "1", "--max-new-tokens", "6"],
                          input="".join(turn + "\n" for turn in turns), capture_output=True, text=True)  # fmt: skip
    assert made.returncode == 0, made.stderr
    return made.stdout.splitlines()


def check_chat(folder):
    folder.mkdir()
    write_model(folder / "model", "llama")
    write_rows(folder / "rows.jsonl")
    made = prepare(folder, "chat", "--chat-template", "chatml", "--add-tokens", *ADDED)
    assert '"<|im_start|>" (97), "<|im_end|>" (98), "<|x|>" (99); in training the model\'s vocab_size 97 becomes 100' in made.stdout, made
    check_trained(folder)
    layouts = [("one", 1, []), ("two", 2, []), ("zero", 2, ["parallel.zero=3"]), ("pipeline", 2, ["parallel.pipeline=2"]),
               ("four", 4, ["parallel.pipeline=2", "parallel.zero=1"])]  # fmt: skip
    hashes = {}
    for name, ranks, settings in layouts:
        hashes[name], said = train(folder, name, "task=generation", *settings, ranks=ranks)
        assert "rows for added tokens, at the mean of the others" in said and "lm_head.weight" in said, said
    assert len(set(hashes.values())) == 1, hashes
    train(folder, "resumed", "task=generation", ranks=2, steps=20)
    assert train(folder, "resumed", "task=generation", ranks=1)[0] == hashes["one"]
    export(folder, "two", "export")
    check_files(folder)
    answers = [chat(folder, turns) for turns in TURNS]
    assert answers == [["w30 w31"], ["w32"], ["w33 w34", "w35"]], answers
    trireme("evaluate", "--model", folder / "export", "--data", folder / "data", "--split", "validation")
    if ORACLE is None:
        print("no Python with torch and transformers is named: the export is not compared with theirs")
        return
    print(run(ORACLE, GOLDEN / "check_chat.py", folder / "export", json.dumps([TURNS, answers]), folder / "data/train-00000.h5").stdout)


def check_refused(folder):
    folder.mkdir()
    write_model(folder / "model", "llama")
    write_rows(folder / "rows.jsonl")
    place = folder / "model/tokenizer.json"
    legal = "legal: texts in UTF-8, each once"
    for tokens, line in ((["w10"], f'--add-tokens: "w10": is token 10 of {place}; legal: tokens that it lacks'),
                         (["a", "</s>"], f'--add-tokens: "</s>": is token 2 of {place}; legal: tokens that it lacks'),
                         (["a", "a"], f'--add-tokens: "a": {legal}'), ([""], f'--add-tokens: "": {legal}')):  # fmt: skip
        made = prepare(folder, "chat", "--chat-template", "chatml", "--add-tokens", *tokens, code=2)
        assert made.stderr.strip().endswith(line) and made.stderr.count("\n") == 1, made.stderr
        assert not (folder / "data").exists()
    prepare(folder, "chat", "--chat-template", "chatml", "--add-tokens", *ADDED)
    manifest = folder / "data/manifest.json"
    held = json.loads(manifest.read_text())
    del held["added_tokens"]  # a tokenizer of 100 tokens, and nobody says why
    manifest.write_text(json.dumps(held))
    (folder / "run.yaml").write_text(f"run: {folder / 'run'}\ntask: generation\nmodel:\n  path: {folder / 'model'}\ndata:\n  path: {folder / 'data'}\nbatch:\n  global: 6\n")
    made = trireme("train", folder / "run.yaml", code=2)
    assert f"{folder / 'data'}: its tokenizer has 100 tokens, {folder / 'model'} has room for 97" in made.stderr, made.stderr
    assert not (folder / "run").exists()


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        check_refused(folder / "refused")
        check_chat(folder / "chat")
        for place, (model, task) in enumerate((("llama", "chat"), ("llama-tied-biased", "chat"), ("gpt2", "language-modeling"),
                                               ("bert-masked", "masked-language-modeling"))):  # fmt: skip
            check_rows(folder / f"rows{place}", model, task)


main()
