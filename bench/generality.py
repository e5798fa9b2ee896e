"""Measures what a tiny model forgets while it learns another language, and what lowers it: the loss on the first language (general
text) and on the second (the task) of a Llama of 4 layers, trained on the first and fine-tuned on the second in several ways.
Both are Markov chains of words with 10 % noise, with rules of their own. Prints a table in Markdown, mean and deviation over
seeds, and fails unless a limit on forgetting is kept, and replay and the divergence lower it.

    bench/generality.py                      minutes on 2 cores; needs `tokenizers`, as .venv has it
        [--seeds 3] [--steps 120]
"""
import argparse
import json
import os
import pathlib
import random
import shutil
import statistics
import subprocess

import tokenizers

ROOT = pathlib.Path(__file__).resolve().parent.parent
WORK = ROOT / "bench-work" / "generality"
TRIREME = str(ROOT / "build/bin/trireme")
WORDS, LENGTH, LIMIT = 97, 16, 0.5
CONFIG = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 48, "num_hidden_layers": 4, "num_attention_heads": 4,
          "num_key_value_heads": 2, "intermediate_size": 96, "vocab_size": WORDS + 2, "max_position_embeddings": 32, "hidden_act": "silu",
          "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "tie_word_embeddings": False, "initializer_range": 0.1, "eos_token_id": 1}
GENERAL, TASK = 5, 7  # factors of the two languages' rules
WAYS = {"fine-tuned as it is": {},
        f"`guard.max_forgetting: {LIMIT}`": {"guard.max_forgetting": LIMIT},
        "a fifth of the learning rate": {"optimizer.learning_rate": 4e-4},
        "`optimizer.layer_decay: 0.5`": {"optimizer.layer_decay": 0.5},
        "`optimizer.freeze` of embeddings and the lower half": {"optimizer.freeze": '["*embed_tokens*", "model.layers.[01].*"]'},
        "replay: 10 % general text": {"data.path": "replay-10"},
        "replay: 30 % general text": {"data.path": "replay-30"},
        "`train.base_divergence: 0.5`": {"train.base_divergence": 0.5},
        "replay of 10 % and `train.base_divergence: 0.5`": {"data.path": "replay-10", "train.base_divergence": 0.5}}


def sentences(factor, seed, count):
    chance = random.Random(f"{factor} {seed}")
    for _ in range(count):
        word, text = chance.randrange(WORDS), []
        for _ in range(LENGTH - 1):
            text.append(f"w{word}")
            word = (word * factor + 3) % WORDS if chance.random() > 0.1 else chance.randrange(WORDS)
        yield " ".join(text)


def run(*command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}\n{done.stdout}\n{done.stderr}")
    return done.stdout


def prepare(name, training, validation):
    for split, lines in (("train", training), ("validation", validation)):
        (WORK / f"{name}-{split}.txt").write_text("".join(line + "\n" for line in lines))
    run(TRIREME, "prepare", "--task", "language-modeling", "--tokenizer", WORK / "model", "--train", WORK / f"{name}-train.txt",
        "--validation", WORK / f"{name}-validation.txt", "--max-length", LENGTH, "--output", WORK / name)


def write_inputs(seed):
    shutil.rmtree(WORK, ignore_errors=True)
    (WORK / "model").mkdir(parents=True)
    vocabulary = {f"w{i}": i + 2 for i in range(WORDS)} | {"<unk>": 0, "<end>": 1}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    tokenizer.add_special_tokens(["<unk>", "<end>"])
    tokenizer.save(str(WORK / "model" / "tokenizer.json"))
    (WORK / "model" / "tokenizer_config.json").write_text(json.dumps({"eos_token": "<end>"}))
    (WORK / "model" / "config.json").write_text(json.dumps(CONFIG))
    general, held = list(sentences(GENERAL, f"{seed} train", 1500)), list(sentences(GENERAL, f"{seed} held", 150))
    task, valid = list(sentences(TASK, f"{seed} train", 960)), list(sentences(TASK, f"{seed} held", 150))
    prepare("general", general, held)
    prepare("task", task, valid)
    for share in (10, 30):
        replayed = general[: len(task) * share // (100 - share)]
        prepare(f"replay-{share}", task + replayed, valid)


def train(name, seed, values):
    values = {"run": WORK / name, "task": "language-modeling", "data.path": "task", "model.path": WORK / "model", "seed": seed,
              "batch.global": 16, "numerics.threads": 1, "optimizer.learning_rate": 2e-3, "optimizer.schedule": "constant"} | values
    values["data.path"] = WORK / values["data.path"]
    (WORK / "run.yaml").write_text("{}\n")
    run(TRIREME, "train", WORK / "run.yaml", *(word for key, value in values.items() for word in ("--set", f"{key}={value}")))
    shutil.rmtree(WORK / "exported", ignore_errors=True)
    run(TRIREME, "export", "--run", WORK / name, "--output", WORK / "exported")
    losses = {data: json.loads(run(TRIREME, "evaluate", "--model", WORK / "exported", "--data", WORK / data, "--split", "validation"))["loss"]
              for data in ("task", "general")}
    steps = [json.loads(line)["step"] for line in (WORK / name / "metrics.jsonl").read_text().splitlines() if '"train"' in line]
    return losses | {"steps": max(steps)}


def experiment(seed, steps):
    write_inputs(seed)
    base = train("base", seed, {"data.path": "general", "model.from_scratch": "true", "train.steps": 300, "evaluation.every": 100,
                                "optimizer.learning_rate": 5e-3})
    shutil.move(WORK / "exported", WORK / "base-exported")
    rows = {"before": base}
    for number, (way, values) in enumerate(WAYS.items()):
        rows[way] = train(f"way-{number}", seed, {"model.path": WORK / "base-exported", "train.steps": steps, "evaluation.every": 10,
                                                  "guard.general_data": WORK / "general"} | values)
    return rows


def shown(values, digits=3):
    return f"{statistics.mean(values):.{digits}f}" + (f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else "")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=120)
    a = parser.parse_args()
    all_rows = [experiment(seed, a.steps) for seed in range(1, a.seeds + 1)]
    print("| way | loss of the task | loss on general text | forgotten | steps |\n| --- | --- | --- | --- | --- |")
    forgotten = {}
    for way in all_rows[0]:
        forgotten[way] = [rows[way]["general"] - rows["before"]["general"] for rows in all_rows]
        print(f"| {way} | {shown([r[way]['task'] for r in all_rows])} | {shown([r[way]['general'] for r in all_rows])} | "
              f"{shown(forgotten[way])} | {shown([r[way]['steps'] for r in all_rows], 0)} |")
    plain = min(forgotten["fine-tuned as it is"])
    assert plain > LIMIT, "nothing is forgotten"
    assert max(forgotten[f"`guard.max_forgetting: {LIMIT}`"]) <= LIMIT, "the limit is not kept"
    assert max(forgotten["replay: 10 % general text"]) < plain, "replay does not help"
    assert max(forgotten["`train.base_divergence: 0.5`"]) < plain, "the divergence does not help"


if __name__ == "__main__":
    main()
