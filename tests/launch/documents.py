"""The tables of docs/data-format.md and docs/metrics.md against what `prepare`, `train` and `verify` write: every
key that is written is on its page, and every key on a page is written. Files that pages for developers name are there.

    documents.py TRIREME ROOT WORK_FOLDER
"""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import h5py

TRIREME, ROOT, WORK = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
TOKENIZER = ROOT / "tests/golden/tokenizer"
EVERY_EVENT = {"kind", "step", "time"}
NOT_HERE = {"checkpoint failed", "overfitting"}  # a disk that fails: the tests of saves have it; guard_test has the other


def tables(page):
    """Names in the first cells of the tables, by heading; no name is there twice."""
    found, heading = {}, ""
    for line in (ROOT / "docs" / page).read_text().splitlines():
        if line.startswith("## "):
            heading = line[3:].strip("`")
            found[heading] = set()
        elif match := re.match(r"\| `([^`]+)` \|", line):
            names = found.setdefault(heading, set())  # those before the first heading too
            assert match[1] not in names, f"{page}: {heading}: {match[1]} is there twice"
            names.add(match[1])
    return found


def check_files():
    """Links of docs/ lead to files of ours; every word of the glossary has one, once; code that pages name is there."""
    for page in sorted((ROOT / "docs").glob("**/*.md")):
        for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.relative_to(ROOT)}: {link} is not there"
    rows = re.findall(r"^\| ([a-z][^|]*) \|(.*)\|$", (ROOT / "docs/glossary.md").read_text(), re.M)
    words = [word for word, _ in rows if word not in ("word", "our word")]
    assert len(words) == len(set(words)) > 30, sorted(words)
    for word, rest in rows:
        assert word not in words or re.search(r"\]\(\.\./[^)]+\) $", rest), f"glossary.md: {word}: no header"
    tops = ("bench", "cluster", "cmake", "data", "docs", "framework", "launch", "parallel", "tests")
    files = [str(path.relative_to(ROOT)) for top in tops for path in (ROOT / top).glob("**/*.*")]
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("**/*.md")]:
        for name in re.findall(r"`([\w/]+\.(?:[ch]pp|cu|py))`", page.read_text()):
            there = any(file == name or file.endswith("/" + name) for file in files)
            assert there or "NAME" in name, f"{page.relative_to(ROOT)}: {name} is not there"
    print(f"glossary: {len(words)} words")


def same(what, written, documented):
    assert written == documented, (f"{what}: not on the page: {sorted(written - documented)}; "
                                   f"on the page and not written: {sorted(documented - written)}")
    print(f"{what}: {', '.join(sorted(written)) or 'nothing of its own'}")


def trireme(*arguments, fault=""):
    result = subprocess.run([TRIREME, *map(str, arguments)], capture_output=True, text=True, env={**os.environ, "TRIREME_FAULT": fault})
    assert result.returncode == 0, result.stderr
    assert not fault or "fault fired" in result.stderr, result.stderr


def masking_tokenizer():
    """That of the tests, with a token for what is masked."""
    folder = WORK / "masking"
    folder.mkdir()
    tokenizer = json.loads((TOKENIZER / "tokenizer.json").read_text())
    vocabulary = tokenizer["model"]["vocab"]
    vocabulary["[MASK]"] = len(vocabulary)
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    (folder / "tokenizer_config.json").write_text('{"mask_token": "[MASK]"}')
    return folder


def prepare(task, *columns, tokenizer=TOKENIZER):
    rows = WORK / "rows.jsonl"
    words = ["film", "good", "bad", "plot", "actors", "great", "the", "very"]
    texts = [" ".join(words[(i * k + k) % 8] for k in range(3 + i % 5)) for i in range(64)]
    rows.write_text("".join(json.dumps(
        {"a": text, "b": f"the {words[i % 8]}", "c": i % 2, "tokens": text.split(), "tags": ["OB"[w == "plot"] + "-X" * (w == "plot") for w in text.split()],
         "messages": [{"role": "user", "content": text}, {"role": "assistant", "content": "the plot", "weight": 0.5}],
         "several": ["x", "y"][:i % 3], "question": "the film", "context": text,
         "answers": {"text": [], "answer_start": []} if i % 4 else {"text": [text.split()[0]], "answer_start": [0]}}) + "\n" for i, text in enumerate(texts)))
    trireme("prepare", "--task", task, "--tokenizer", tokenizer, "--train", rows, "--max-length", 16, "--output", WORK / task, *columns)
    return WORK / task


def keys(value, path="", anything=("splits", "columns")):
    """`splits.NAME.shards[].file` for each leaf."""
    if isinstance(value, dict) and value:
        named = path.rpartition(".")[2] in anything
        return {k for name, v in value.items() for k in keys(v, f"{path}.{'NAME' if named else name}".lstrip("."))}
    if isinstance(value, list):
        return {k for v in value for k in keys(v, path + "[]")}
    return {path}


def check_data(folders):
    page = tables("data-format.md")
    columns, attributes, written = set(), set(), set()
    for folder in folders:
        written |= keys(json.loads((folder / "manifest.json").read_text()))
        with h5py.File(folder / "train-00000.h5") as shard:
            attributes |= set(shard.attrs)
            shard["columns"].visititems(lambda name, item: columns.add(name) if isinstance(item, h5py.Dataset) else None)
    same("columns", columns, page["Columns of a shard"])
    same("attributes", attributes, page["Attributes of a shard"])
    same("manifest", written, page["Keys of the manifest"])


def check_other_files(run, verified):
    """Files of a checkpoint and of `trireme verify`, as h5py opens them; `verified`: for each, its path and its task."""
    page, written = tables("data-format.md"), set()
    newest = max((run / "checkpoints").glob("step-*"))
    for path, name, form in [(newest / "whole.h5", "whole.h5", "trireme-checkpoint"),
                             (newest / "rank-00000.h5", "rank-NNNNN.h5", "trireme-checkpoint-part"),
                             *[(path, "verify --out", "trireme-numerics") for path, _ in verified]]:
        with h5py.File(path) as file:
            assert (file.attrs["format"], file.attrs["version"]) == (form, "1"), (path, dict(file.attrs))
            assert "whole" not in file.attrs or (newest / file.attrs["whole"]).exists(), path
            written |= {f"{name}: {attribute}" for attribute in file.attrs}
    same("attributes of other files", written, page["Attributes of other HDF5 files"])
    for path, task in verified:
        with h5py.File(path) as file:
            assert file.attrs["task"] == task, dict(file.attrs)
            labels = list(file.attrs.get("labels", []))
            assert (len(labels) == file["logits"].shape[1]) == (task == "classification"), (labels, file["logits"].shape)


def verify(model, name, labels):
    tokens, out = WORK / f"{name}.json", WORK / f"{name}.h5"
    tokens.write_text(json.dumps({"input_ids": [[5, 9, 2], [7, 3]], "labels": labels}))
    trireme("verify", ROOT / "tests/golden" / model, "--tokens", tokens, "--out", out)
    return out


def train(data, task, steps, fault="", *more):
    """A small Llama from scratch, on one rank."""
    vocabulary = json.loads((data / "manifest.json").read_text())["vocabulary"]
    model = WORK / "model"
    model.mkdir(exist_ok=True)
    (model / "config.json").write_text(json.dumps(dict(
        model_type="llama", hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, vocab_size=vocabulary,
        max_position_embeddings=32, hidden_act="silu", rms_norm_eps=1e-5, pad_token_id=0)))
    shutil.copy(TOKENIZER / "tokenizer.json", model)
    run = WORK / f"run-{task}"
    settings = [f"run={run}", f"task={task}", f"model.path={model}", "model.from_scratch=true", f"data.path={data}",
                "data.validation=train", "batch.global=8", f"train.steps={steps}", "evaluation.every=20", "checkpoint.every=4",
                "guard.non_finite=rollback", "guard.sensitivity=always", *more]
    settings += [f"guard.general_data={data}"] if task == "language-modeling" else []
    (WORK / "run.yaml").write_text(f"run: {run}\ntask: {task}\nmodel:\n  path: {model}\ndata:\n  path: {data}\n")
    trireme("train", WORK / "run.yaml", *[word for s in settings for word in ("--set", s)], fault=fault)
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def check_metrics(events):
    page = tables("metrics.md")
    same("every event", EVERY_EVENT, page.pop(""))
    written = {}
    for event in events:
        assert EVERY_EVENT <= event.keys(), event
        written.setdefault(event["kind"], set()).update(event.keys() - EVERY_EVENT)
    same("kinds", set(written), page.keys() - NOT_HERE)
    for kind, names in written.items():
        same(kind, names, page[kind])


def main():
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    check_files()
    classes = prepare("classification", "--text", "a", "--pair", "b", "--label", "c")
    language = prepare("language-modeling", "--text", "a")
    generation = prepare("generation", "--prompt", "a", "--completion", "b", "--stop", "[SEP]")
    numbers = prepare("regression", "--text", "a", "--label", "c")
    sets = prepare("multi-label", "--text", "a", "--label", "several")
    entities = prepare("token-classification")
    answers = prepare("question-answering")
    masked = prepare("masked-language-modeling", "--text", "a", "--add-tokens", "<new>", tokenizer=masking_tokenizer())
    template = WORK / "turns.jinja"
    template.write_text("{% for m in messages %}{{ m.content }} {% endfor %}")
    turns = prepare("chat", "--chat-template", template)
    check_data([classes, language, generation, numbers, sets, entities, answers, masked, turns])
    # Fifty steps, after which the times of the ranks are told, and a step that is rolled back and left out.
    check_metrics(train(classes, "classification", 5) + train(numbers, "regression", 5) + train(sets, "multi-label", 5)
                  + train(entities, "token-classification", 5) + train(answers, "question-answering", 5)
                  + train(generation, "generation", 5, "", "evaluation.generate=2", "evaluation.max_new_tokens=2")
                  + train(language, "language-modeling", 60, "step/gradient:0:9:nan", "data.train=[{name: a, weight: 3}, {name: b, weight: 1}]"))
    check_other_files(WORK / "run-classification", [(verify("llama", "language", [[5, 9, 2], [7, 3]]), "language-modeling"),
                                                    (verify("bert", "classes", [0, 1]), "classification")])


main()
