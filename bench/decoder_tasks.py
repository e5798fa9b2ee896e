"""Tasks of decoders for bench/tasks.py, on SmolLM2 as bench/smollm2.py makes it: batches and losses of transformers on PyTorch,
scores by `trireme evaluate` and `trireme generate`, examples in the prompt, and what reaches a metric without looking at the text."""
import collections
import json
import random
import shutil

import torch
import transformers

import same_batches as base

MODEL = base.ROOT / "bench-work" / "smollm2"
SHOTS = {"generation": 3, "chat": 2, "domain-text": 2}  # examples before each test sample
NEW_TOKENS = 40
KNOWN = {}


def first_model(spec, work, seed):
    """Links work/model to the pretrained model, which no seed changes, and returns it."""
    (work / "model").symlink_to(MODEL)
    return transformers.AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32)


def save(model, folder):
    model.save_pretrained(folder)
    for file in ("tokenizer.json", "tokenizer_config.json", "generation_config.json"):
        shutil.copy(MODEL / file, folder)


def sum_and_count(model, samples):
    tokens = [s["tokens"] for s in samples]
    labels = base.padded([s["token_labels"] for s in samples], -100)
    logits = model(input_ids=base.padded(tokens, 0), attention_mask=base.padded([[1] * len(t) for t in tokens], 0), use_cache=False).logits
    total = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="sum", ignore_index=-100)
    return total, int((labels != -100).sum())


def loss_of(spec, work, seed):
    def loss(model, samples):
        total, count = sum_and_count(model, samples)
        return total / count
    return loss


COLUMNS = {"generation": ["token_labels"], "language-modeling": ["token_labels"], "chat": ["token_labels"]}


def loss_by_transformers(spec, work):
    """The loss of our export on the test split, sample by sample."""
    model = transformers.AutoModelForCausalLM.from_pretrained(work / "exported", dtype=torch.float32).eval()
    with torch.no_grad():
        found = [sum_and_count(model, [sample]) for sample in base.shards(work / "data", "test", ["token_labels"])]
    return float(sum(total for total, _ in found)) / sum(count for _, count in found)


def score(spec, model, work, ranks):
    said = base.evaluated("--model", model, "--data", work / "data", "--split", "test", ranks=ranks)
    return said | completed(model, work / "test.jsonl", work, ranks) if spec.task == "generation" else said


def untuned(spec, work, ranks):
    """The score of the model that no seed changes, on the test split that is every seed's: computed once."""
    if spec.name not in KNOWN:
        KNOWN[spec.name] = score(spec, work / "model", work, ranks)
    return KNOWN[spec.name]


def completed(model, prompts, work, ranks):
    """Exact match of first lines, since a model without training goes on behind them, and ROUGE-L of whole greedy completions."""
    file = work / "completions.jsonl"
    said = base.run("mpirun", "-n", ranks, base.TRIREME, "generate", model, "--prompts", prompts, "--output", file, "--force",
                    "--max-new-tokens", NEW_TOKENS)
    rows = zip(base.read_lines(prompts), base.read_lines(file))
    same = [wanted["completion"].strip() == found["completion"].strip().split("\n")[0].strip() for wanted, found in rows]
    return {"exact_match": sum(same) / len(same), "rouge_l": json.loads(said.splitlines()[-1]).get("rouge_l")}


def few_shot(spec, work, seed, ranks):
    """The metric of the model before it is tuned, behind examples of the training split that the seed draws for each test sample."""
    chance = random.Random(seed)
    train, test = (base.read_lines(work / f"{split}.jsonl") for split in ("train", "test"))
    rows = [SHOWN[spec.name](chance.sample(train, SHOTS[spec.name]), row) for row in test]
    base.write_lines(work / "shots.jsonl", rows)
    if spec.task == "generation":
        return completed(work / "model", work / "shots.jsonl", work, ranks)["exact_match"]
    task = ["chat"] if spec.task == "chat" else ["generation", "--prompt", "prompt", "--completion", "completion"]
    base.write_lines(work / "unused.jsonl", rows[:1])  # `prepare` wants a training split
    base.run(base.TRIREME, "prepare", "--task", *task, "--tokenizer", MODEL, "--train", work / "unused.jsonl", "--test", work / "shots.jsonl",
             "--max-length", 1024, "--output", work / "shots")
    return base.evaluated("--model", MODEL, "--data", work / "shots", "--split", "test", ranks=ranks)[spec.metric]


def records_before(shots, row):
    return {**row, "prompt": "".join(shot["prompt"] + shot["completion"] + "\n\n" for shot in shots) + row["prompt"]}


def conversations_before(shots, row):
    """Turns of examples are read and not scored."""
    before = [{**turn, "weight": 0} if turn["role"] == "assistant" else turn for shot in shots for turn in shot["messages"]]
    return {"messages": before + row["messages"]}


def texts_before(shots, row):
    return {"prompt": "".join(shot["text"] + "\n" for shot in shots), "completion": row["text"]}


SHOWN = {"generation": records_before, "chat": conversations_before, "domain-text": texts_before}


def majority(spec, work):
    """The most frequent completion of the training split, or the most frequent trained token."""
    if spec.task == "generation":
        train, test = ([row["completion"] for row in base.read_lines(work / f"{split}.jsonl")] for split in ("train", "test"))
    else:
        train, test = ([t for s in base.shards(work / "data", split, ["token_labels"]) for t in s["token_labels"] if t != -100]
                       for split in ("train", "test"))
    usual = collections.Counter(train).most_common(1)[0][0]
    return test.count(usual) / len(test)
