"""Runs every example of every --help, as it is printed, in a folder that has the files it names.

    help_examples.py TRIREME ROOT WORK_FOLDER
"""
import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

TRIREME, ROOT, WORK = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
GOLDEN = ROOT / "tests" / "golden"
SLOW = 240  # seconds that one example may take on a loaded machine
# Examples that are meant to end with another code than 0, and why.
EXIT_CODES = {"trireme checkpoint diff runs/reviews/checkpoints/step-000000{100,200}": 1,  # training changed the weights
              # texts of eight words repeat themselves
              "trireme audit --task classification --input reviews.jsonl --label label --output audit.html --json audit.json": 1}
# Examples that this test does not run, and why; empty is best.
NOT_RUN = {"trireme parity configs/film-reviews.yaml --out parity.json",  # half of the time: parity_command_test has --out
           "mpirun -n 2 trireme calibrate --output machine.yaml",  # minutes on a loaded machine: calibrate_test has --quick
           "trireme diverge runs/reviews --other-program build-before/bin/trireme",  # needs another build: replay_test has one
           "trireme log convert runs/reviews --to mlflow --output mlruns"}  # mlflow is optional: log_test runs it
# Commands that show what an example is for, if its exit code does not.
SHOWN_BY = {"source <(trireme completion bash)": "complete -p trireme"}
PATH = f"{TRIREME.parent}:{WORK / 'bin'}:{os.environ['PATH']}"


def shell(line, folder):
    environment = {**os.environ, "HOME": str(folder / "home"), "PATH": PATH}
    return subprocess.run(["bash", "-c", line], cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=SLOW)


def must(line, folder):
    result = shell(line, folder)
    assert result.returncode == 0, f"{line}\n{result.stdout}"
    return result.stdout


def examples_of(text):
    """Each with the lines that a backslash joins; an empty line ends them."""
    block = re.search(r"\nExamples:\n(.*?)\n\n", text, re.S)
    assert block, text
    examples = re.sub(r"\\\n\s*", "", block[1]).splitlines()
    assert all(re.match("  (trireme|mpirun -n [0-9]+ trireme|echo '[^']*' \\| trireme|source|mkdir) ", line) or line == "  trireme doctor"
               for line in examples), block[1]
    return [line.strip() for line in examples]


def write_rows(file, **columns):
    names = list(columns)
    rows = [dict(zip(names, values)) for values in zip(*columns.values())]
    if file.suffix == ".csv":
        file.write_text("\n".join([",".join(names), *(",".join(map(str, row.values())) for row in rows)]) + "\n")
    else:
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))


def model(name, folder):
    folder.mkdir(parents=True)
    for file in ("config.json", "model.safetensors"):
        shutil.copy(GOLDEN / name / file, folder)
    shutil.copy(GOLDEN / "tokenizer" / "tokenizer.json", folder)


def write_decoder(folder):
    """`large`: a language model whose heads and layers divide as an example wants it, and `data` for it; `MODEL`."""
    begin = folder / "begin"
    begin.mkdir()
    shutil.copy(GOLDEN / "tokenizer" / "tokenizer.json", begin)
    (begin / "tokenizer_config.json").write_text(json.dumps({"eos_token": "[SEP]"}))
    vocabulary = json.loads((GOLDEN / "llama" / "config.json").read_text())["vocab_size"]
    (begin / "config.json").write_text(json.dumps(dict(
        model_type="llama", hidden_size=16, num_hidden_layers=2, num_attention_heads=4, intermediate_size=32, vocab_size=vocabulary,
        max_position_embeddings=128, hidden_act="silu", rms_norm_eps=1e-5, pad_token_id=0)))
    must("trireme prepare --task language-modeling --tokenizer begin --input reviews.jsonl "
         "--output data", folder)
    (folder / "decoder.yaml").write_text("run: decoder\ntask: language-modeling\nmodel:\n  path: begin\n  from_scratch: true\ndata:"
                                         "\n  path: data\ntrain:\n  steps: 1\nbatch:\n  global: 4\n")
    must("trireme train decoder.yaml && trireme export --run decoder --output large && cp -r large MODEL", folder)


def write_scene(folder):
    """The files that examples name, under their names; data and runs are made as their users would."""
    words = ["film", "good", "bad", "plot", "actors", "great", "the", "very"]
    texts = [" ".join(words[(i * k + k) % 8] for k in range(3 + i % 5)) for i in range(96)]
    shutil.copytree(ROOT / "configs", folder / "configs")
    model("bert", folder / "quickstart/model")
    labels = ["good" if "good" in text else "bad" for text in texts]
    write_rows(folder / "reviews.jsonl", text=texts, label=labels)
    write_rows(folder / "my.csv", text=texts, stars=[1 + i % 5 for i in range(96)])
    write_rows(folder / "questions.jsonl", question=texts, answer=labels)
    write_rows(folder / "test.jsonl", prompt=texts[:3])
    write_rows(folder / "new.csv", text=texts[:5])
    write_rows(folder / "pairs.jsonl", question=texts[:5], answer=texts[5:10])
    (folder / "swaps.json").write_text(json.dumps({"words": {"good": ["good", "great"], "bad": ["bad", "very"]}}))
    (folder / "groups.json").write_text(json.dumps({"actors": {"words": ["actors"]}}))
    write_rows(folder / "sentences.jsonl", more=[f"the film {w} good" for w in words], less=[f"the film {w} bad" for w in words])
    write_rows(folder / "canaries.jsonl", prefix=[f"the {w} is " for w in words], secret=words[::-1], times=[1] * 8)
    (folder / "prompt.json").write_text(json.dumps({"template": "{text} it was {label}"}))
    (folder / "texts").mkdir()
    (folder / "texts" / "reviews.txt").write_text("\n".join(texts))
    (folder / "runs.jsonl").write_text(json.dumps(PUBLISHED) + "\n")
    (folder / "study.json").write_text(json.dumps({"format": "trireme-report", "version": 1, "title": "A study", "sections": []}))
    tokens = re.search(r"tokens\.json: (\{.*?\}),", must("trireme help verify", folder))
    (folder / "tokens.json").write_text(tokens[1])
    (folder / "run.yaml").write_text("run: runs/mine\ntask: classification\nmodel:\n  path: quickstart/model\ndata:\n  path: "
                                     "quickstart/data\ntrain:\n  steps: 2\nbatch:\n  global: 4\n")
    must("trireme prepare --task classification --tokenizer quickstart/model --input reviews.jsonl --label label --output quickstart/data "
         "&& cp -r quickstart/data data-reviews", folder)
    must("trireme train configs/film-reviews.yaml --set run=runs/reviews --set batch.global=4 --set train.steps=200 --set train.dynamics=true --set log.trace_steps=2 "
         "--set evaluation.every=100 --set checkpoint.every=100 --set checkpoint.keep_last=3 && cp -r runs/reviews runs/again", folder)
    must("trireme export --run runs/reviews --output exported", folder)
    write_decoder(folder)


# A run as `trireme plan --rows` reads it.
PUBLISHED = {"id": "table:1", "table": "megatron", "source": "x", "gpu": "A100 SXM 80GB", "gpus": 8, "gpus_per_node": 8, "seq": 2048, "micro_batch": 2,
             "num_microbatches": 4, "tp": 1, "pp": 1, "dp": 8, "zero": 1, "recompute": "none",
             "model": {"hidden": 2048, "layers": 24, "heads": 16, "vocab": 50257, "experts": 0}}

# Names that an example of a command finds empty although others find something there: it makes them itself.
OWN = {
    "": "rm -r data",
    "prepare": "rm -r data-reviews",
    "generate": "rm -r exported; cp -r large exported; echo '{% for m in messages %}{{ m.content }} {% endfor %}' > exported/chat_template.jinja",
    "export": "rm -r exported",
    "report": "trireme attribute exported --input new.csv --output attributions.json --force && trireme evaluate --model exported --data data-reviews --predictions test.jsonl --force > test.json "
              "&& trireme plan configs/film-reviews.yaml --machine dgx-h100 --nodes 1 --csv layouts.csv --force",
}


def outputs(example, folder):
    """The files that it is to make."""
    return [folder / name.replace("~", str(folder / "home"))
            for name in re.findall(r" (?:--output|--out|>) (\S+)", example)]


def run(example, folder):
    code = EXIT_CODES.get(example, 0)
    line = example
    for start, check in SHOWN_BY.items():
        if example.startswith(start):
            line += f"\n{check}"
    began = time.monotonic()
    result = shell(line, folder)
    print(f"{time.monotonic() - began:5.1f} s  {example}", flush=True)
    assert result.returncode == code, f"{example}: exit code {result.returncode}, not {code}\n{result.stdout}"
    for file in outputs(example, folder):
        assert file.exists(), f"{example}: did not make {file}\n{result.stdout}"


def run_all(scene, name, examples):
    """Examples of one command, in a copy of the scene."""
    folder = WORK / (name or "trireme")
    shutil.copytree(scene, folder)
    must(OWN.get(name, ":"), folder)
    for example in examples:
        if example not in NOT_RUN:
            run(example, folder)


def main():
    shutil.rmtree(WORK, ignore_errors=True)
    scene = WORK / "scene"
    for folder in (scene / "home", WORK / "bin"):
        folder.mkdir(parents=True)
    sbatch = WORK / "bin" / "sbatch"
    sbatch.write_text("#!/bin/bash\n[ $1 = --parsable ] && bash -n \"$2\" && echo 101\n")
    sbatch.chmod(0o755)
    write_scene(scene)
    texts = {"": must("trireme --help", scene)}
    commands = re.findall(r"^  ([a-z][a-z-]*) ", texts[""].split("\nOptions:")[0], re.M)
    texts |= {name: must(f"trireme help {name}", scene) for name in commands if name != "help"}
    examples = {name: examples_of(text) for name, text in texts.items()}
    with concurrent.futures.ThreadPoolExecutor(2) as two:  # the longest first
        for done in [two.submit(run_all, scene, name, examples[name]) for name in sorted(examples, key=lambda n: n != "parity")]:
            done.result()
    seen = {example for some in examples.values() for example in some}
    stale = (EXIT_CODES.keys() | NOT_RUN) - seen
    assert not stale, f"no help has these examples any more: {stale}"
    print(f"{len(seen)} examples of {len(texts)} helps")


main()
