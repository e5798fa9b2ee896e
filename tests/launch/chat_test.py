#!/usr/bin/env python3
"""`trireme prepare --task chat` on random conversations, malformed ones and templates that do not end, and published
templates against transformers' own renderings (tests/golden/make_chat_templates.py)."""

import datetime
import hashlib
import importlib.util
import json
import pathlib
import random
import subprocess
import tempfile

import h5py
from chat_scene import (
    RULES, STOPS, TEMPLATES, TOOL, conversation, prepare, runs_of, said, samples, text, trained, weight, weights, write_tokenizer,
)  # fmt: skip

HERE = pathlib.Path(__file__).resolve().parent


def check_random(folder, name, template):
    """Each trained turn, and nothing else, is trained: its content and its stop token, with the turn's weight."""
    folder.mkdir()
    tokenizer, rng = write_tokenizer(folder / "tok", template), random.Random(18)
    conversations = [c for c in (conversation(rng) for _ in range(120)) if any(map(trained, c))]
    made = prepare(folder, [{"messages": c} for c in conversations], "--max-length", "4096")
    assert made.returncode == 0, (name, made.stderr)
    rule = next(said for start, said in RULES.items() if name.startswith(start))
    assert f"trained turns found by {rule}" in made.stdout, made.stdout
    found, weighed = {}, {}
    for (row, tokens, labels), own in zip(samples(folder / "out"), weights(folder / "out"), strict=True):
        assert all(label in (-100, follower) for label, follower in zip(labels, tokens[1:])), name
        assert all((label < 0) == (one == 0) for label, one in zip(labels, own, strict=True)), name
        found.setdefault(row, []).extend(runs_of(labels))
        weighed.setdefault(row, []).extend(runs_of([one or -100 for one in own]))
    stops = {tokenizer.token_to_id(stop) for stop in STOPS}
    for row, messages in enumerate(conversations, 1):
        wanted, got = [said(m) for m in messages if trained(m)], []
        assert [set(run) for run in weighed[row]] == [{weight(m)} for m in messages if trained(m)], (name, row)
        for run in found[row]:
            assert run[-1] in stops, (name, row, tokenizer.decode(run, skip_special_tokens=False))
            got.append(tokenizer.decode(run, skip_special_tokens=False))
        for part, of in zip(got, wanted, strict=True):
            part = part.removesuffix("\n</s>").removesuffix(next((s for s in STOPS if part.endswith(s)), ""))
            for stop in STOPS:
                part = part.removesuffix(stop)
            assert part.split("<|think|>")[-1] == of, (name, row, part, of)
    for one in {weight(m) for c in conversations for m in c if trained(m)}:
        turns = sum(weight(m) == one for c in conversations for m in c if trained(m))
        assert f"  {turns} trained turn{'s' * (turns != 1)} of weight {one / 1e6:g} in the loss\n" in made.stdout, (one, made.stdout)
    stop = json.loads((folder / "out/generation_config.json").read_text())["eos_token_id"]
    assert set(stop if isinstance(stop, list) else [stop]) <= stops


def check_splits(folder):
    """A conversation stays in one split, also where it becomes several samples, and so do equal ones."""
    folder.mkdir()
    write_tokenizer(folder / "tok", TEMPLATES["separate"])
    rng = random.Random(7)
    once = [c for c in (conversation(rng) for _ in range(150)) if sum(map(trained, c)) > 1]
    rows = [{"messages": c} for c in once + once[::3]]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    made = subprocess.run(
        [TOOL, "prepare", "--task", "chat", "--tokenizer", "tok", "--input", "rows.jsonl", "--output", "out", "--max-length", "4096",
         "--validation-fraction", "0.3", "--test-fraction", "0.3"], cwd=folder, capture_output=True, text=True)  # fmt: skip
    assert made.returncode == 0 and "trained turns found by one sample for each turn" in made.stdout, made
    split_of, several = {}, 0
    for split in ("train", "validation", "test"):
        lines = [row for row, _, _ in samples(folder / "out", split)]
        several += len(lines) - len(set(lines))
        for line in lines:
            assert split_of.setdefault(json.dumps(rows[line - 1]), split) == split, (line, split)
    assert set(split_of.values()) == {"train", "validation", "test"} and several > 50, several
    assert len(split_of) == len(set(map(json.dumps, rows)))


USER, BOT = {"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}
ROLES = "system, developer, user, assistant, tool, function, ipython, environment"
MALFORMED = [  # a row, and the line that it gets
    ({"messages": None}, None),
    ({"messages": "a"}, 'messages: "a": legal: a list of messages'),
    ({"messages": 3}, "messages: 3: legal: a list of messages"),
    ({"messages": []}, "messages: []: legal: one turn of the assistant or more"),
    ({"messages": [USER]}, 'messages: ["user"]: legal: one turn of the assistant or more'),
    ({"messages": ["a", BOT]}, 'messages[0]: "a": legal: {"role": ..., "content": ...}'),
    ({"messages": [{"role": "boss", "content": "a"}, BOT]}, f'messages[0].role: "boss": legal: {ROLES}'),
    ({"messages": [{"content": "a"}, BOT]}, f"messages[0].role: null: legal: {ROLES}"),
    ({"messages": [{"role": "user", "content": None}, BOT]},
     "messages[0].content: null: legal: a text; only a turn of the assistant with tool_calls may lack it"),
    ({"messages": [{"role": "user", "content": 1}, BOT]},
     'messages[0].content: 1: legal: a text, or a list of parts {"type": "text", "text": ...}'),
    ({"messages": [{"role": "user", "content": [{"type": "image"}]}, BOT]},
     'messages[0].content[0]: {"type": "image"}: legal: a part {"type": "text", "text": ...}: only text is trained here'),
    ({"messages": [USER, {**BOT, "weight": -0.5}]}, "messages[1].weight: -0.5: legal: 0, not trained, or 0.001 to 1000"),
    ({"messages": [USER, {**BOT, "weight": 1e-9}]}, "messages[1].weight: 1e-09: legal: 0, not trained, or 0.001 to 1000"),
    ({"messages": [USER, {**BOT, "weight": "0.5"}]}, 'messages[1].weight: "0.5": legal: 0, not trained, or 0.001 to 1000'),
    ({"messages": [USER, {**BOT, "train": 0.5}]}, "messages[1].train: 0.5: legal: 0 or 1, not trained or trained"),
    ({"messages": [{**USER, "weight": 0.5}, BOT]},
     "messages[0].weight: 0.5: legal: 0, as only turns of the assistant are trained, and this one's role is user"),
    ({"messages": [USER, {**BOT, "train": "yes"}]}, 'messages[1].train: "yes": legal: 0 or 1, not trained or trained'),
    ({"messages": [{**USER, "weight": 1}, BOT]},
     "messages[0].weight: 1: legal: 0, as only turns of the assistant are trained, and this one's role is user"),
    ({"messages": [USER, BOT], "tools": {"a": 1}}, 'tools: {"a": 1}: legal: a list of tools, each an object'),
    ({"messages": [USER, BOT], "tools": ["f"]}, 'tools[0]: "f": legal: an object that describes a tool'),
    ({"messages": [USER, {**BOT, "tool_calls": "f"}]}, 'messages[1].tool_calls: "f": legal: a list of calls'),
    ({"messages": [USER, {**BOT, "tool_calls": [{"function": {"arguments": {}}}]}]},
     'messages[1].tool_calls[0]: {"function": {"arguments": {}}}: legal: {"function": {"name": ..., "arguments": {...}}}'),
    ({"messages": [USER, {**BOT, "tool_calls": [{"function": {"name": "f", "arguments": "{"}}]}]},
     'messages[1].tool_calls[0].arguments: "{": legal: an object, or a text that holds one as JSON'),
    ({"messages": [USER, {**BOT, "reasoning_content": ["a"]}]}, 'messages[1].reasoning_content: ["a"]: legal: a text'),
    ({"messages": [USER, USER, BOT]}, "tok/tokenizer_config.json: chat_template refuses the conversation: roles must alternate"),
    ({"conversations": [{"from": "me", "value": "a"}]}, "conversations[0].from: \"me\": legal: human, user, gpt, assistant, "
     "chatgpt, bot, model, system, tool, observation, function_response, function_call, tool_call"),
    ({"conversations": [{"from": ["human"], "value": "a"}]}, "conversations[0].from: [\"human\"]: legal: human, user, gpt, "
     "assistant, chatgpt, bot, model, system, tool, observation, function_response, function_call, tool_call"),
    ({"conversations": [{"from": "human", "value": None}, {"from": "gpt", "value": "b"}]},
     "conversations[0].content: null: legal: a text; only a turn of the assistant with tool_calls may lack it"),
    ({"instruction": 1, "output": "b"}, "instruction: 1: legal: a text"),
    ({"instruction": "a", "input": 1, "output": "b"}, "input: 1: legal: a text, or nothing"),
    ({"instruction": "a"}, "no conversation; legal: a column messages or conversations (another: --messages NAME), or instruction "
     "and output"),
]  # fmt: skip
ALTERNATE = (
    "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must\nalternate') }}"
    "{% endif %}<|user|>{{ m.content }}<|end|>{% endfor %}"
)
ENDLESS = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
BAD_TEMPLATES = [  # a template, and what is said of it behind its place
    ("{% for %}", "line 1: not a template: Expected an expression, got 'end of statement block'; legal: a template of jinja2"),
    ("{% include 'x' %}", "line 1: TypeError: no loader for this environment specified"),
    ("{{ messages[9].content.x }}", None),
    ("{{ ''.__class__.__mro__ }}", None),
    ("nothing", None),
    (ENDLESS, "takes more than 5 s of processor time; legal: a template that ends"),
    ("{% for a in range(9999) %}{{ 'x' * 9999 }}{% endfor %}", "makes more than 16777216 characters; legal: a template that ends"),
    ("{% set n = namespace(x='x') %}{% for a in range(99) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
     "takes more than 1 GiB of memory; legal: a template that ends"),
    ("{{ 'x' * 9999999999 }}", "takes more than 1 GiB of memory; legal: a template that ends"),
    ("{{ 2 ** 9999999 }}", "makes a number of more than 4096 bits; legal: a template that ends"),
    ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "calls itself without end; legal: a template that ends"),
]  # fmt: skip


def one_line(made, name):
    assert made.returncode == 2 and made.stderr.count("\n") == 1 and not made.stdout, (name, made)
    return made.stderr.strip()


def check_malformed(folder):
    folder.mkdir()
    write_tokenizer(folder / "tok", ALTERNATE)
    for row, line in MALFORMED:
        form = [] if "instruction" not in row or "output" not in row else ["--form", "alpaca"]
        got = one_line(prepare(folder, [row], *form), row)
        if line is not None:
            assert got.endswith(f"rows.jsonl:1: {line}"), (got, line)
        assert not (folder / "out").exists()
    got = one_line(prepare(folder, [{"messages": [USER, BOT]}], "--chat-template", "none"), "--chat-template")
    assert got.endswith("--chat-template: none: legal: a file with a template, or chatml, default"), got
    got = one_line(prepare(folder, [{"messages": [USER, BOT]}], "--form", "csv"), "--form")
    assert got.endswith("--form: csv: legal: messages, sharegpt, alpaca"), got


def check_templates_that_fail(folder):
    folder.mkdir()
    write_tokenizer(folder / "tok", None)
    got = one_line(prepare(folder, [{"messages": [USER, BOT]}]), "no template")
    assert "no chat_template" in got and "--chat-template FILE, or chatml" in got, got
    for template, line in BAD_TEMPLATES:
        (folder / "t.jinja").write_text(template)
        got = one_line(prepare(folder, [{"messages": [USER, BOT]}], "--chat-template", "t.jinja"), template)
        assert line is None or got.endswith(f"t.jinja: {line}"), (got, line)


def check_forms(folder):
    """The three forms of one conversation give the same tokens."""
    folder.mkdir()
    write_tokenizer(folder / "tok", TEMPLATES["nested"])
    system = {"role": "system", "content": "s"}
    forms = [
        {"messages": [system, {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "\n\nx"}]}, BOT]},
        {"conversations": [{"from": "human", "value": "a\n\nx"}, {"from": "gpt", "value": "b"}], "system": "s"},
        {"instruction": "a", "input": "x", "output": "b", "system": "s"},
    ]
    seen = set()
    for place, row in enumerate(forms):
        made = prepare(folder, [row], name=f"out{place}")
        assert made.returncode == 0, made.stderr
        assert f"rows are of the form {('messages', 'sharegpt', 'alpaca')[place]}" in made.stdout
        seen.add(json.dumps([sample[1:] for sample in samples(folder / f"out{place}")]))
    assert len(seen) == 1, seen


def check_cut_and_specials(folder):
    """A turn that is cut learns no stop token; special tokens written in a content are counted."""
    folder.mkdir()
    tokenizer = write_tokenizer(folder / "tok", TEMPLATES["nested"])
    long = {"messages": [USER, {"role": "assistant", "content": "x" * 100}]}
    written = {"messages": [USER, {"role": "assistant", "content": "say <|end|> now"}]}
    far = {"messages": [{"role": "user", "content": "y" * 100}, BOT]}
    made = prepare(folder, [long, written, far], "--max-length", "40")
    assert made.returncode == 0, made.stderr
    assert "1 longer than 40 tokens cut at the end" in made.stdout and "1 sample left out" in made.stdout, made.stdout
    assert "1 text has special tokens in the middle of the text (first rows.jsonl:2)" in made.stdout, made.stdout
    by_row = {row: tokenizer.decode([x for x in labels if x >= 0], skip_special_tokens=False) for row, _, labels in samples(folder / "out")}
    assert by_row.keys() == {1, 2} and set(by_row[1]) == {"x"} and by_row[2] == "say <|end|> now<|end|>", by_row


def check_weights(folder):
    """Only shards in which a weight is not 1 have a column of weights, and the rules tell which turn a weight is of."""
    folder.mkdir()
    write_tokenizer(folder / "tok", TEMPLATES["marked"])
    made = prepare(folder, [{"messages": [USER, {**BOT, "weight": 1.0}, USER, {**BOT, "weight": 0}]}], name="equal")
    assert made.returncode == 0 and "in the loss" not in made.stdout, made
    with h5py.File(folder / "equal/train-00000.h5") as file:
        assert "token_weights" not in file["columns"]
    # Turns that follow each other are told apart by their weights alone.
    rows = [{"messages": [USER, {**BOT, "weight": 0.1}, {**BOT, "train": True, "weight": 2}]}, {"messages": [USER, BOT]}]
    assert prepare(folder, rows).returncode == 0
    assert [[run for run in runs_of([one or -100 for one in own])] for own in weights(folder / "out")] == \
        [[[100000] * 2, [2000000] * 2], [[1000000] * 2]], weights(folder / "out")
    shown = subprocess.run([TOOL, "inspect", "out"], cwd=folder, capture_output=True, text=True, check=True).stdout
    assert "4 of " in shown and "tokens trained, of weights from 0.1 to 2" in shown, shown


def check_published():
    found = importlib.util.find_spec("trl")
    if found is None:
        print("trl is not installed (launch/setup --tests): published templates are not compared")
        return
    scope = {"__name__": "chat"}
    for name in ("template", "forms", "spans"):
        exec((HERE.parents[1] / f"launch/text/chat/{name}.py").read_text(), scope)
    golden = json.loads((HERE.parent / "golden/chat_templates.json").read_text())
    scope["datetime"] = type("Day", (datetime.datetime,), {"now": lambda: datetime.datetime(*golden["day"])})
    folder, compared = pathlib.Path(found.submodule_search_locations[0]) / "chat_templates", 0
    for family, wanted in golden["families"].items():
        source = (folder / f"{wanted['file']}.jinja").read_text()
        assert hashlib.sha256(source.encode()).hexdigest() == wanted["sha256"], f"{family}: another template"
        template = scope["Template"](source, family, golden["tokens"])
        for name, hash_of in wanted["rendered"].items():
            of = golden["conversations"][name.removesuffix(", prompt")]
            messages = [scope["message_of"]("messages", message) for message in of["messages"]]
            try:
                text = template.render(messages, of["tools"], name.endswith(", prompt"))[0]
            except scope["Refused"]:
                text = None
            assert (text is None) == (hash_of is None), (family, name)
            if text is not None:
                assert hashlib.sha256(text.encode()).hexdigest() == hash_of, (family, name, text)
                compared += 1
    assert len(golden["families"]) >= 10 and compared > 100, compared
    print(f"{compared} renderings of {len(golden['families'])} templates equal transformers'")


def main():
    check_published()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for place, (of, template) in enumerate(TEMPLATES.items()):
            check_random(folder / f"random{place}", of, template)
        check_splits(folder / "splits")
        check_forms(folder / "forms")
        check_weights(folder / "weights")
        check_cut_and_specials(folder / "cut")
        check_malformed(folder / "malformed")
        check_templates_that_fail(folder / "templates")


main()
