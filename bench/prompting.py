"""Measures what prompts reach with a pretrained decoder (bench/smollm2.py), what nearest neighbours reach with the quickstart's encoder,
and what fine-tuning adds: prints one JSON line, writes it to bench-work/prompting/KIND.json, and fails where a margin below is missed.

    .venv-peers/bin/python bench/prompting.py reviews       film reviews of the quickstart's test split: majority, no examples, 4 examples
        [--samples 300] [--shots 4] [--seeds 3]             that each seed draws, and that seed's model of bench/tasks.py classification,
                                                            on the same samples; finished seeds are left as they are
    .venv-peers/bin/python bench/prompting.py choices       which of four packages' descriptions belongs to a name
        [--samples 100]
    .venv-peers/bin/python bench/prompting.py neighbours    the test split of the quickstart's film reviews: the 5 nearest of --samples
        [--samples 64]                                      examples that 3 seeds choose, by the encoder that was not tuned

Margins, set before the first run: reviews, 4 examples 0.05 over the majority, and the fine-tuned model 0.05 over them; choices 0.15
over chance (0.25); neighbours of 64 examples 0.05 over the majority.
"""
import argparse
import json
import pathlib
import random
import shutil
import statistics

import debian_texts
import film_texts
import same_batches as base

ROOT = pathlib.Path(__file__).resolve().parent.parent
QUICK, WORK, MODEL = ROOT / "quickstart", ROOT / "bench-work" / "prompting", ROOT / "bench-work" / "smollm2"
TEMPLATE = {"template": "Review: {text}\nSentiment: {label}"}


def prepared(name, model, files, *words):
    shutil.rmtree(WORK / name, ignore_errors=True)
    files = [word for split, file in files.items() for word in (f"--{split}", file)]
    base.run(base.TRIREME, "prepare", "--tokenizer", model, *files, "--output", WORK / name, *words)
    return WORK / name


def reviews(a):
    files = {split: WORK / f"reviews-{split}.jsonl" for split in ("train", "validation", "test")}
    for split, file in files.items():
        rows = list(film_texts.split_of_quickstart(split))
        random.Random(0).shuffle(rows)
        base.write_lines(file, rows[:a.samples] if split == "test" else rows)
    (WORK / "template.json").write_text(json.dumps(TEMPLATE))
    as_told = ("--task", "classification", "--label", "label", "--max-length", 128)
    prompts = prepared("reviews-decoder", MODEL, files, *as_told)
    tuned = prepared("reviews-tuned", QUICK / "model", files, *as_told)
    sizes = {"samples": a.samples, "shots": a.shots}
    lines = base.by_seed(WORK / "reviews.jsonl", sizes, a.seeds, lambda seed: reviews_of_seed(a, seed, prompts, tuned))
    mean = {name: statistics.mean(line[name] for line in lines) for name in ("majority", "no_examples", "examples", "fine_tuned")}
    apart = {f"{name}_deviation": statistics.stdev(line[name] for line in lines) for name in ("examples", "fine_tuned") if len(lines) > 1}
    kept = {"examples_over_majority": mean["examples"] >= mean["majority"] + 0.05,
            "fine_tuned_over_examples": mean["fine_tuned"] >= mean["examples"] + 0.05}
    return {**sizes, "seeds": len(lines), **mean, **apart, **kept}, all(kept.values())


def reviews_of_seed(a, seed, prompts, tuned):
    asked = ("--model", MODEL, "--data", prompts, "--template", WORK / "template.json", "--shots-seed", seed)
    none, some = (base.evaluated(*asked, "--shots", shots) for shots in (0, a.shots))
    model = ROOT / "bench-work" / "tasks" / f"classification-{seed}" / "exported"
    return {"majority": max(map(sum, some["confusion"])) / some["samples"], "no_examples": none["accuracy"], "examples": some["accuracy"],
            "fine_tuned": base.evaluated("--model", model, "--data", tuned)["accuracy"]}


def choices(a):
    rows, chance = debian_texts.packages(), random.Random(1)
    chance.shuffle(rows)
    made = []
    for i in range(a.samples):
        four = rows[4 * i:4 * i + 4]
        right = chance.randrange(4)
        made.append({"question": f"What is the package {four[right]['Package']}?", "answer": right,
                     "choices": [row["Description"].splitlines()[0] for row in four]})
    base.write_lines(WORK / "choices.jsonl", made)
    said = base.evaluated("--model", MODEL, "--choices", WORK / "choices.jsonl")
    return {"chance": 0.25, **said}, said["accuracy_per_byte"] >= 0.25 + 0.15


def neighbours(a):
    said = [base.evaluated("--model", QUICK / "model", "--data", QUICK / "data", "--shots", a.samples, "--neighbours", 5, "--shots-seed", seed)
            for seed in (1, 2, 3)]
    reached = [one["accuracy"] for one in said]
    most = max(map(sum, said[0]["confusion"])) / said[0]["samples"]
    found = {"samples": said[0]["samples"], "shots": a.samples, "majority": most, "accuracy": statistics.mean(reached),
             "deviation": statistics.stdev(reached)}
    return found, found["accuracy"] >= most + 0.05


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    kinds = {"reviews": (reviews, 300), "choices": (choices, 100), "neighbours": (neighbours, 64)}
    parser.add_argument("kind", choices=kinds)
    parser.add_argument("--samples", type=int)
    parser.add_argument("--shots", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=3)
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
