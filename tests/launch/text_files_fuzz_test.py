#!/usr/bin/env python3
"""Damaged Parquet, Arrow and packed files for `trireme-text serve`, and damaged conversations for what renders them in it: rows, or one line
that names the file (the field), and never an end of the program or another exception.

    text_files_fuzz_test.py TRIREME_TEXT GOLDEN [INPUTS OF EACH KIND, default TRIREME_FUZZ_INPUTS, else 300]
"""

import gzip
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time

import pyarrow as pa
import pyarrow.parquet

TOOL, GOLDEN = sys.argv[1], pathlib.Path(sys.argv[2])
INPUTS = int(sys.argv[3] if len(sys.argv) > 3 else os.environ.get("TRIREME_FUZZ_INPUTS", 300))
SOURCES = pathlib.Path(__file__).resolve().parents[2] / "launch/text/chat"
WORDS = (b"[", b"{", b"null", b"0", b"\xff", b"\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\x80")
VALUES = [None, True, False, 0, 1, -1, 5, 1e300, 2**63 - 1, 2**64 - 1, 0.5, "", "a", "\x01\n", "a" * 70000, [], [1, "a"], {}, "[", '{"a":', "[" * 400,
          "[1]", "{}", "null"]  # fmt: skip
BODY = "{% for m in messages %}{% if m.role == 'assistant' %}<b>SAID<e>{% else %}<u>{{ m.content }}<e>{% endif %}{% endfor %}"
ASKED = "{% if add_generation_prompt %}<b>{% endif %}"
MARKED = BODY.replace("SAID<e>", "{% generation %}{{ m.content }}{% if m.tool_calls %}{{ m.tool_calls | tojson }}{% endif %}<e>{% endgeneration %}")
DROPPING = BODY.replace("SAID", "{% if loop.last %}<t>{{ m.reasoning_content }}<t>{% endif %}{{ m.content }}")
MESSAGES = {
    "messages": [
        {"role": "system", "content": "a"}, {"role": "user", "content": [{"type": "text", "text": "b é"}]},
        {"role": "assistant", "content": "", "tool_calls": [{"type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}]},
        {"role": "tool", "content": "c"}, {"role": "assistant", "content": "d", "reasoning_content": "a", "weight": 1},
        {"role": "user", "content": "b"}, {"role": "assistant", "content": "c d", "train": True},
    ],
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}],
}  # fmt: skip
SHAREGPT = {
    "conversations": [{"from": "human", "value": "a b"}, {"from": "function_call", "value": '{"name": "f", "arguments": {}}'},
                      {"from": "observation", "value": "c"}, {"from": "gpt", "value": "d", "weight": 0}],
    "system": "c", "tools": '[{"name": "f"}]',
}  # fmt: skip
ALPACA = {"instruction": "a", "input": "b", "output": "c d", "system": "a"}


def damaged_bytes(rng, data):
    for _ in range(1 + rng.randrange(2)):
        at, length, kind = rng.randrange(max(1, len(data))), 1 + rng.randrange(12), rng.randrange(7)
        if kind == 0:
            data = data[:at] + data[at + length :]
        elif kind == 1:
            data = data[:at] + data[at : at + length] + data[at:]
        elif kind == 2:
            word = rng.choice(WORDS)
            data = data[:at] + word + data[at + rng.choice((0, len(word))) :]
        elif data:
            data = data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]
    return data


def damaged_value(rng, value):
    if not isinstance(value, (list, dict)) or not value or rng.random() < 1 / 8:
        at = rng.randrange(len(VALUES) + 2)
        return json.loads(json.dumps(VALUES[at])) if at < len(VALUES) else [value] if at == len(VALUES) else {"a": value}
    key = rng.choice(list(value)) if isinstance(value, dict) else rng.randrange(len(value))
    if rng.random() < 1 / 16:
        value.pop(key)
    else:
        value[key] = damaged_value(rng, value[key])
    return value


def write_files(folder):
    """Files of one table, and one of text packed in two ways."""
    table = pa.table({"text": ["the film is good", "plot", "bad é"] * 5, "pair": pa.array(["a", "b", "a"] * 5).dictionary_encode(),
                      "deep": [{"a": [1.5, None], "b": "x"}, None, {"a": [], "b": None}] * 5})  # fmt: skip
    pa.parquet.write_table(table, folder / "plain.parquet", row_group_size=8, compression="NONE")
    pa.parquet.write_table(table, folder / "packed.parquet", row_group_size=8, compression="ZSTD")
    for name, writer in (("file.arrow", pa.ipc.new_file), ("stream.arrow", pa.ipc.new_stream)):
        with pa.OSFile(str(folder / name), "wb") as sink, writer(sink, table.schema) as out:
            out.write_table(table, 4)
    rows = b'text,pair\nthe film,a\n"a ""bad"" plot",b\ngreat,c\n' * 3
    (folder / "rows.csv.gz").write_bytes(gzip.compress(rows, mtime=0))
    (folder / "rows.csv.zst").write_bytes(pa.compress(rows, codec="zstd", asbytes=True))
    return [path for path in sorted(folder.iterdir()) if path.is_file()]


def fuzz_file(path, rng):
    good, refused = path.read_bytes(), 0
    serving = subprocess.Popen([TOOL, "serve", GOLDEN / "tokenizer"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(request):
        serving.stdin.write(json.dumps(request) + "\n")
        serving.stdin.flush()
        answer = serving.stdout.readline()
        assert answer, f"{path.name}: the program ended ({serving.wait()}); its last input is {path}"
        return json.loads(answer)

    assert "vocabulary" in json.loads(serving.stdout.readline())
    for place in range(INPUTS):
        path.write_bytes(good if place == 0 else damaged_bytes(rng, good))
        answer = ask({"open": str(path), "text": "text", "pair": "pair"})
        if "refused" not in answer and "error" not in answer:
            answer = ask({"next": 100})
        assert "error" not in answer, (path.name, answer)
        if "refused" in answer:
            assert place > 0 and str(path) in answer["refused"] and "\n" not in answer["refused"], (path.name, answer)
            refused += 1
    serving.stdin.close()
    assert serving.wait() == 0 and INPUTS // 50 < refused < INPUTS, (path.name, refused)
    print(f"{path.name}: {INPUTS} inputs, {refused} refused", flush=True)


def fuzz_conversations(folder, name, good, template, rng):
    scope, refused, slowest = {"__name__": "chat"}, 0, 0
    for source in ("template", "forms", "spans"):
        exec((SOURCES / f"{source}.py").read_text(), scope)
    folder.mkdir()
    (folder / "chat_template.jinja").write_text(template + ASKED)
    chat = scope["Chat"](str(folder), "", ["<e>"])
    for place in range(INPUTS):
        row = json.loads(json.dumps(good))
        for _ in range(0 if place == 0 else 1 + rng.randrange(3)):
            row = damaged_value(rng, row)
        row = row if isinstance(row, dict) else {}
        turns = "conversations" if "conversations" in row else "messages"
        text, start = json.dumps({**row, "turns": row.get(turns), "name": turns}), time.process_time()
        try:
            chat.choose_form("", text)
            for rendered, spans in json.loads(chat.samples(text))["samples"]:
                assert all(0 <= first <= end <= len(rendered) for first, end, *_ in spans), text
        except scope["Refused"] as error:
            assert place > 0 and "\n" not in scope["one_line"](error), text
            refused += 1
        slowest = max(slowest, time.process_time() - start)
    assert INPUTS // 50 < refused < INPUTS and slowest < 2, (name, refused, slowest)
    print(f"{name}: {INPUTS} inputs, {refused} refused, slowest {1e3 * slowest:.1f} ms", flush=True)


def main():
    rng = random.Random(int(os.environ.get("TRIREME_FUZZ_SEED", 20240607)))
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for path in write_files(folder):
            fuzz_file(path, rng)
        for place, (kind, good, template) in enumerate((("messages", MESSAGES, MARKED), ("one sample for each turn", MESSAGES, DROPPING),
                                                        ("sharegpt", SHAREGPT, MARKED), ("alpaca", ALPACA, MARKED))):  # fmt: skip
            fuzz_conversations(folder / f"chat{place}", kind, good, template, rng)


main()
