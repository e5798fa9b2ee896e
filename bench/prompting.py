"""Measures what prompts reach with a pretrained decoder (bench/smollm2.py), what nearest neighbours reach with the quickstart's encoder,
and what fine-tuning adds: prints one JSON line, writes it to bench-work/prompting/KIND.json, and fails where a margin below is missed.

    .venv-peers/bin/python bench/prompting.py reviews       the film reviews of a finished launch/quickstart: majority, no examples,
        [--samples 300] [--shots 4]                         4 examples, and the quickstart's own fine-tuned model, on the same samples
    .venv-peers/bin/python bench/prompting.py choices       which of four packages' descriptions belongs to a name
        [--samples 100]
    .venv-peers/bin/python bench/prompting.py chat          fine-tunes the decoder on conversations about packages: loss on packages
        [--samples 64]                                      that training did not see, before and after
    .venv-peers/bin/python bench/prompting.py neighbours    the test split of the quickstart's film reviews: the 5 nearest of --samples
        [--samples 64]                                      examples that 3 seeds choose, by the encoder that was not tuned

Margins, set before the first run: reviews, 4 examples 0.05 over the majority, and the fine-tuned model 0.05 over them; choices 0.15
over chance (0.25); chat 0.5 nats a token below the untuned model; neighbours of 64 examples 0.05 over the majority.
"""
import argparse
import json
import pathlib
import random
import re
import shutil
import statistics

import h5py

import debian_texts
import regression as base

ROOT = pathlib.Path(__file__).resolve().parent.parent
QUICK, WORK, MODEL = ROOT / "quickstart", ROOT / "bench-work" / "prompting", ROOT / "bench-work" / "smollm2"
TEMPLATE = {"template": "Review: {text}\nSentiment: {label}"}


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def trireme(*words):
    return base.run("mpirun", "-n", 1, base.TRIREME, *words)


def evaluated(*words):
    return json.loads(trireme("evaluate", *words).splitlines()[-1])


def split_of_quickstart(split):
    lines = [json.loads(line) for line in open(QUICK / "reviews.jsonl")]
    for path in sorted((QUICK / "data").glob(f"{split}-*.h5")):
        with h5py.File(path) as file:
            yield from (lines[number - 1] for number in file["columns/source_line/values"][:].tolist())


def prepared(name, model, files, *words):
    shutil.rmtree(WORK / name, ignore_errors=True)
    files = [word for split, file in files.items() for word in (f"--{split}", file)]
    base.run(base.TRIREME, "prepare", "--tokenizer", model, *files, "--output", WORK / name, *words)
    return WORK / name


def reviews(a):
    files = {split: WORK / f"reviews-{split}.jsonl" for split in ("train", "validation", "test")}
    for split, file in files.items():
        rows = list(split_of_quickstart(split))  # sorted by label
        random.Random(0).shuffle(rows)
        write(file, rows[:a.samples] if split == "test" else rows)
    (WORK / "template.json").write_text(json.dumps(TEMPLATE))
    as_told = ("--task", "classification", "--label", "label", "--max-length", 128)
    prompts = prepared("reviews-decoder", MODEL, files, *as_told)
    tuned = evaluated("--model", QUICK / "exported", "--data", prepared("reviews-tuned", QUICK / "model", files, *as_told))
    found = {"fine_tuned": tuned["accuracy"]}
    for shots in (0, a.shots):
        said = evaluated("--model", MODEL, "--data", prompts, "--shots", shots, "--template", WORK / "template.json")
        found[f"shots_{shots}"] = said["accuracy"]
    most = max(map(sum, said["confusion"])) / said["samples"]
    found = {"samples": said["samples"], "majority": most, **found}
    return found, found[f"shots_{a.shots}"] >= most + 0.05 and tuned["accuracy"] >= found[f"shots_{a.shots}"] + 0.05


def choices(a):
    rows, chance = debian_texts.packages(), random.Random(1)
    chance.shuffle(rows)
    made = []
    for i in range(a.samples):
        four = rows[4 * i:4 * i + 4]
        right = chance.randrange(4)
        made.append({"question": f"What is the package {four[right]['Package']}?", "answer": right,
                     "choices": [row["Description"].splitlines()[0] for row in four]})
    write(WORK / "choices.jsonl", made)
    said = evaluated("--model", MODEL, "--choices", WORK / "choices.jsonl")
    return {"chance": 0.25, **said}, said["accuracy_per_byte"] >= 0.25 + 0.15


def conversation(row):
    """The beginning of the long description answers; sections and maintainers are the second turn of some."""
    lines = row["Description"].splitlines()
    more = re.split(r"(?<=\.)\s", " ".join(line.strip() for line in lines[1:]).split(" . ")[0])[0]
    turns = [(f"What is the Debian package {row['Package']}?", f"{row['Package']}: {lines[0]}. {more}".strip()),
             ("Which section is it in, and who maintains it?", f"Section {row['Section']}, maintained by {debian_texts.person(row)}.")]
    return {"messages": [{"role": role, "content": text} for turn in turns for role, text in zip(("user", "assistant"), turn)]}


def chat(a):
    rows = debian_texts.packages()
    random.Random(0).shuffle(rows)
    parts = {"test": rows[:30], "validation": rows[30:35], "train": rows[35:35 + a.samples]}
    files = {split: WORK / f"chat-{split}.jsonl" for split in parts}
    for split, part in parts.items():
        write(files[split], map(conversation, part))
    data = prepared("chat", MODEL, files, "--task", "chat", "--max-length", 192)
    shutil.rmtree(WORK / "run", ignore_errors=True)
    (WORK / "run.yaml").write_text(json.dumps({
        "run": str(WORK / "run"), "seed": 1, "task": "generation", "model": {"path": str(MODEL)}, "data": {"path": str(data)},
        "batch": {"global": 8, "tokens_per_micro_batch": 1024}, "train": {"epochs": 1},
        "optimizer": {"learning_rate": 1e-4, "weight_decay": 0.1, "schedule": "cosine", "warmup": 0.1}}))
    trireme("train", WORK / "run.yaml")
    shutil.rmtree(WORK / "exported", ignore_errors=True)
    trireme("export", "--run", WORK / "run", "--output", WORK / "exported", "--checkpoint", "latest")
    before, after = (evaluated("--model", model, "--data", data) for model in (MODEL, WORK / "exported"))
    return ({"train": len(parts["train"]), "test": 30, "untuned_loss": before["loss"], "loss": after["loss"],
             "untuned_accuracy": before.get("accuracy"), "accuracy": after.get("accuracy")}, after["loss"] <= before["loss"] - 0.5)


def neighbours(a):
    said = [evaluated("--model", QUICK / "model", "--data", QUICK / "data", "--shots", a.samples, "--neighbours", 5, "--shots-seed", seed)
            for seed in (1, 2, 3)]
    reached = [one["accuracy"] for one in said]
    most = max(map(sum, said[0]["confusion"])) / said[0]["samples"]
    found = {"samples": said[0]["samples"], "shots": a.samples, "majority": most, "accuracy": statistics.mean(reached),
             "deviation": statistics.stdev(reached)}
    return found, found["accuracy"] >= most + 0.05


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    kinds = {"reviews": (reviews, 300), "choices": (choices, 100), "chat": (chat, 64), "neighbours": (neighbours, 64)}
    parser.add_argument("kind", choices=kinds)
    parser.add_argument("--samples", type=int)
    parser.add_argument("--shots", type=int, default=4)
    a = parser.parse_args()
    run, usual = kinds[a.kind]
    a.samples = a.samples or usual
    WORK.mkdir(parents=True, exist_ok=True)
    found, kept = run(a)
    line = json.dumps({"kind": a.kind, **found, "kept": kept})
    (WORK / f"{a.kind}.json").write_text(line + "\n")
    print(line)
    raise SystemExit(not kept)


if __name__ == "__main__":
    main()
