"""Templates, a tokenizer of letters and random conversations for chat_test.py, and what `prepare --task chat` made of them."""

import json
import subprocess
import sys

import h5py
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

TOOL = sys.argv[1]
STOPS = ("<|end|>", "<|stop|>", "</s>")
SPECIALS = ("<s>", "<|user|>", "<|bot|>", "<|think|>", *STOPS)

HEAD = "{% for m in messages %}{% if m.role != 'assistant' %}<|user|>{{ m.role }}: {{ m.content }}<|end|>\n{% else %}<|bot|>"
TAIL = "{% endif %}{% endfor %}{% if add_generation_prompt %}<|bot|>{% endif %}"
SAID = "{{ m.content }}{% if m.tool_calls %}{{ m.tool_calls | tojson }}{% endif %}"
TEMPLATES = {
    "marked": "{{ bos_token }}" + HEAD + "{% generation %}" + SAID + "<|stop|>{% endgeneration %}\n" + TAIL,
    "marked without the stop token": HEAD + "{% generation %}" + SAID + "{% endgeneration %}<|stop|>\n" + TAIL,
    "nested": "{{ bos_token }}" + HEAD + SAID + "<|end|>\n" + TAIL,
    "an end behind all": HEAD + SAID + "<|end|>\n" + TAIL.replace("{% if add", "{% if not add_generation_prompt %}</s>{% endif %}{% if add"),
    # earlier thinking is dropped, and an empty one stands in the last turn, as Qwen 3 does it
    "separate": HEAD + "{% if loop.last %}<|think|>{{ m.reasoning_content or '' }}<|think|>{% endif %}" + SAID + "<|end|>\n" + TAIL,
}  # fmt: skip
RULES = {"marked": "generation blocks", "nested": "prefixes that nest", "separate": "one sample for each turn", "an end": "prefixes that nest"}
WORDS = ("yes", "no", "Straße", "日本", "👩‍🚀", "\n", "  ", "a<b & c", "{{ x }}", "{% raw %}", "<|en", "\t", "é", "0.5", '"')


def write_tokenizer(folder, template):
    folder.mkdir()
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(letters)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(list(SPECIALS))
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {"bos_token": "<s>", "eos_token": "</s>"}
    if template is not None:
        config["chat_template"] = template
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return tokenizer


def prepare(folder, rows, *more, name="out"):
    (folder / "rows.jsonl").write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return subprocess.run(
        [TOOL, "prepare", "--task", "chat", "--tokenizer", "tok", "--train", "rows.jsonl", "--output", name, *more],
        cwd=folder, capture_output=True, text=True,
    )  # fmt: skip


def text(rng):
    return "".join(rng.choice(WORDS) for _ in range(rng.randint(1, 5))) + rng.choice((".", "!", "…"))


def conversation(rng):
    messages = [{"role": "system", "content": text(rng)}] if rng.random() < 0.4 else []
    for _ in range(rng.randint(1, 4)):
        messages.append({"role": "user", "content": text(rng)})
        answer = {"role": "assistant", "content": text(rng)}
        if rng.random() < 0.3:
            answer["reasoning_content"] = text(rng)
        if rng.random() < 0.4:
            answer[rng.choice(("weight", "train"))] = rng.choice((0, 1, True, False))
        if rng.random() < 0.3:
            answer["weight"] = rng.choice((0, 0.1, 0.25, 1.0, 3, 0.0015))
        if rng.random() < 0.3:
            call = {"name": "f", "arguments": {"x": text(rng)}}
            messages += [{"role": "assistant", "content": "", "tool_calls": [{"type": "function", "function": call}]},
                         {"role": "tool", "content": text(rng)}]  # fmt: skip
        messages.append(answer)
    return messages


def said(message):
    calls = message.get("tool_calls")
    return message["content"] + (json.dumps(calls, ensure_ascii=False) if calls else "")


def weight(message):
    """What the loss of a message's tokens is multiplied by, in millionths."""
    return round(1e6 * message.get("weight", 1) * message.get("train", 1)) if message["role"] == "assistant" else 0


def trained(message):
    return weight(message) > 0


def weights(folder, split="train"):
    """Weights of the labels of each sample; equal ones where the shard has no column of them."""
    with h5py.File(folder / f"{split}-00000.h5") as file:
        offsets, labels = (file[f"columns/{name}"][...] for name in ("tokens/offsets", "token_labels/values"))
        own = file["columns/token_weights/values"][...] if "token_weights" in file["columns"] else (labels >= 0) * 1000000
    return [own[first:end].tolist() for first, end in zip(offsets, offsets[1:])]


def samples(folder, split="train"):
    with h5py.File(folder / f"{split}-00000.h5") as file:
        columns = {name: file[f"columns/{name}"][...] for name in ("tokens/values", "tokens/offsets", "token_labels/values")}
        rows = file["columns/source_line/values"][...]
    offsets = columns["tokens/offsets"]
    for i, row in enumerate(rows):
        at = slice(offsets[i], offsets[i + 1])
        yield int(row), columns["tokens/values"][at].tolist(), columns["token_labels/values"][at].tolist()


def runs_of(labels):
    runs, open_run = [], None
    for label in labels:
        if label < 0:
            open_run = None
        elif open_run is None:
            runs.append(open_run := [label])
        else:
            open_run.append(label)
    return runs
