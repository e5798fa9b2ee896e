"""Each task by Trireme and by transformers on PyTorch: the same split, tokens, batches in the same order and first weights, no
dropout. One line of JSON a seed goes to bench-work/tasks/TASK.jsonl, where finished seeds are left as they are; prints one with means
and deviations, and fails unless the metric is within 1 point of transformers', and better than that of the majority, of the untuned
model and of few examples by the margins below, which were written down before a task's first run.

    bench/peers/setup                                            once; and the model and data of launch/quickstart
    .venv-peers/bin/python bench/tasks.py TASK                   minutes a seed on 2 cores
        [--seeds 3] [--samples N] [--epochs N] [--ranks 2]       else the task's own
    .venv-peers/bin/python bench/tasks.py table                  rows of docs/results.md out of the finished seeds; runs nothing

Texts: film reviews (classification, regression), else what Debian's package index says (bench/debian_texts.py). Models: the quickstart's
with a head of its own (bench/encoder_tasks.py), or SmolLM2 for generation, chat and domain-text (bench/decoder_tasks.py,
bench/smollm2.py). Both trained models are scored by Trireme; that the loss of our export is transformers' own is checked too. Both hide
the same words. Several labels are told from the probability on that is best on the validation split, each model from its own.
"""
import argparse
import dataclasses
import json
import shutil
import statistics

import debian_texts
import decoder_tasks
import encoder_tasks
import film_texts
import same_batches as base

WORK = base.ROOT / "bench-work" / "tasks"
POINT = 0.01  # what the metric may differ from transformers'
BASELINES = ("majority", "untuned", "few_shot")


@dataclasses.dataclass
class Task:
    task: str  # of `prepare`
    kind: str  # of transformers' model: AutoModelFor...
    metric: str
    margins: tuple  # over the majority, the untuned model, few examples (None: there are none)
    longest: int
    rate: float
    samples: int = 2000
    epochs: int = 2
    batch: int = 32
    test: int = 500
    validation: int = 50
    options: tuple = ()
    name: str = ""


TASKS = {
    "classification": Task("classification", "SequenceClassification", "accuracy", (0.20, 0.20, 0.10), 128, 1e-4, options=("--label", "label")),
    "pairs": Task("classification", "SequenceClassification", "accuracy", (0.20, 0.20, 0.15), 96, 3e-4, 1000,
                  options=("--label", "label", "--pair", "pair")),
    "multi-label": Task("multi-label", "SequenceClassification", "micro_f1", (0.15, 0.15, None), 64, 3e-4, validation=500,
                        options=("--label", "labels")),
    "regression": Task("regression", "SequenceClassification", "explained", (0.15, 0.15, None), 128, 1e-4, 1000,
                       options=("--label", "rating")),
    "token-classification": Task("token-classification", "TokenClassification", "f1", (0.15, 0.40, None), 64, 3e-4),
    "question-answering": Task("question-answering", "QuestionAnswering", "exact_match", (0.15, 0.15, None), 256, 3e-4, batch=16,
                               options=("--stride", 32)),
    "masked-language-modeling": Task("masked-language-modeling", "MaskedLM", "accuracy", (0.05, 0.05, None), 64, 5e-4, 1000),
    "generation": Task("generation", "CausalLM", "exact_match", (0.30, 0.30, 0.10), 192, 1e-4, 128, 1, 8, 64,
                       options=("--prompt", "prompt", "--completion", "completion")),
    "chat": Task("chat", "CausalLM", "accuracy", (0.30, 0.15, 0.05), 192, 1e-4, 64, 1, 8, 48),
    "domain-text": Task("language-modeling", "CausalLM", "accuracy", (0.30, 0.10, 0.03), 192, 1e-4, 64, 1, 8, 48)}
for name, spec in TASKS.items():
    spec.name = name


def part_of(spec):
    return decoder_tasks if spec.kind == "CausalLM" else encoder_tasks


def prepare(spec, work, seed):
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    texts = film_texts if spec.name in ("classification", "regression") else debian_texts
    parts = texts.parts(spec.name, seed, {"train": spec.samples, "test": spec.test, "validation": spec.validation})
    files = []
    for split, rows in parts.items():
        base.write_lines(work / f"{split}.jsonl", rows)
        files += [f"--{split}", work / f"{split}.jsonl"]
    tokenizer = decoder_tasks.MODEL if spec.kind == "CausalLM" else film_texts.QUICK / "model"
    base.run(base.TRIREME, "prepare", "--task", spec.task, "--tokenizer", tokenizer, *files, "--max-length", spec.longest, "--output",
             work / "data", *spec.options)
    return {split: len(rows) for split, rows in parts.items()}


def settings(spec, work):
    model = {"path": str(work / "model")}
    if spec.kind != "CausalLM":
        model |= {"hidden_dropout": 0, "attention_dropout": 0, "classifier_dropout": 0}
    return {"model": model, "batch": spec.batch, "rate": spec.rate, "epochs": spec.epochs}


def ours(spec, work, seed, ranks):
    task = "generation" if spec.task == "chat" else spec.task
    base.run("mpirun", "-n", ranks, base.TRIREME, "train", base.run_file(work, seed, task, settings(spec, work)))
    base.run(base.TRIREME, "export", "--run", work / "run", "--output", work / "exported", "--checkpoint", "latest")
    return part_of(spec).score(spec, work / "exported", work, ranks)


def theirs(spec, work, seed, ranks, model):
    part = part_of(spec)
    train = base.shards(work / "data", "train", part.COLUMNS[spec.task])
    base.train(model, train, part.loss_of(spec, work, seed), seed, settings(spec, work))
    part.save(model, work / "peer")
    return part.score(spec, work / "peer", work, ranks)


def one_seed(spec, seed, ranks):
    work, part = WORK / f"{spec.name}-{seed}", part_of(spec)
    sizes = prepare(spec, work, seed)
    model = part.first_model(spec, work, seed)
    untuned, shots = part.untuned(spec, work, ranks), part.few_shot(spec, work, seed, ranks)
    found, peer = ours(spec, work, seed, ranks), theirs(spec, work, seed, ranks, model)
    more = {key: found[key] for key in ("threshold", "micro_f1_at_half", "mse", "mse_of_mean", "pearson", "spearman", "rouge_l", "f1") if key in found}
    line = {"task": spec.name, **sizes, **more, "metric": spec.metric, "ours": found[spec.metric],
            "transformers": peer[spec.metric], "majority": part.majority(spec, work), "untuned": untuned[spec.metric], "few_shot": shots,
            "untuned_loss": untuned["loss"], "loss": found["loss"], "loss_by_transformers": part.loss_by_transformers(spec, work),
            "transformers_loss": peer["loss"]}
    shutil.rmtree(work / "run")  # checkpoints with moments: gigabytes
    return line


def summary(spec, lines):
    mean = {name: statistics.mean(line[name] for line in lines) if lines[0].get(name) is not None else None
            for name in ("ours", "transformers", "loss", "transformers_loss", *BASELINES)}
    said = {"task": spec.name, "seeds": len(lines), "train": spec.samples, "test": lines[0]["test"], "epochs": spec.epochs, "metric": spec.metric,
            **mean, "deviation": statistics.stdev(line["ours"] for line in lines) if len(lines) > 1 else None}
    faults = [f"{margin} over {name} missed" for name, margin in zip(BASELINES, spec.margins)
              if margin is not None and not mean["ours"] > mean[name] + margin]
    if not abs(mean["ours"] - mean["transformers"]) < POINT:
        faults.append("a point or more from transformers")
    if max((abs(line["loss"] - line["loss_by_transformers"]) for line in lines if line["loss_by_transformers"] is not None), default=0) >= 1e-3:
        faults.append("transformers finds another loss of our export")
    return said | {"faults": faults}


def table():
    """Prints a row in Markdown for each task and size of which seeds are finished."""
    print("| task | metric | samples, epochs, test; seeds | Trireme | transformers | majority | untuned | few examples | margins asked | |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for name, spec in TASKS.items():
        file = WORK / f"{name}.jsonl"
        lines = base.read_lines(file) if file.exists() else []
        for train, epochs in sorted({(line["train"], line["epochs"]) for line in lines}):
            own = dataclasses.replace(spec, samples=train, epochs=epochs)
            said = summary(own, [line for line in lines if (line["train"], line["epochs"]) == (train, epochs)])
            apart = "" if said["deviation"] is None else f" ± {said['deviation']:.4f}"
            parts = [name, said["metric"], f"{train:,}, {epochs}, {said['test']}; {said['seeds']}", f"{said['ours']:.4f}{apart}",
                     f"{said['transformers']:.4f}", *("-" if said[b] is None else f"{said[b]:.4f}" for b in BASELINES),
                     ", ".join(f"{margin:.2f}" for margin in spec.margins if margin is not None), "; ".join(said["faults"]) or "kept"]
            print("| " + " | ".join(parts) + " |")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", choices=[*TASKS, "table"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--samples", type=int)
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--ranks", type=int, default=2)
    return parser.parse_args()


def main():
    a = arguments()
    if a.task == "table":
        return table()
    spec = dataclasses.replace(TASKS[a.task], **{key: value for key in ("samples", "epochs") if (value := getattr(a, key))})
    sizes = {"train": spec.samples, "epochs": spec.epochs}
    lines = base.by_seed(WORK / f"{a.task}.jsonl", sizes, a.seeds, lambda seed: one_seed(spec, seed, a.ranks))
    said = summary(spec, lines)
    print(json.dumps(said))
    raise SystemExit(bool(said["faults"]))


if __name__ == "__main__":
    main()
