#!/usr/bin/env python3
"""Writes chat_templates.json: what transformers' apply_chat_template makes of a few conversations by published
templates, as hashes. Made with transformers 5.24.0, jinja2 3.1.6 and the templates that the package trl 1.16.0
(Apache-2.0) ships, each named by its hash: pip install transformers==5.24.0 jinja2==3.1.6; pip install --no-deps trl==1.16.0

    python3 tests/golden/make_chat_templates.py FOLDER_OF_TRL > tests/golden/chat_templates.json
"""

import datetime
import hashlib
import json
import pathlib
import sys

from transformers.utils import chat_template_utils
from transformers.utils.chat_template_utils import _normalize_chat_messages, render_jinja_template

# family: the template of trl
FAMILIES = {
    "Cohere Command": "cohere", "Cohere Command R7B": "cohere2", "DeepSeek V3": "deepseekv3", "Gemma": "gemma",
    "Gemma 3": "gemma3", "Gemma 4": "gemma4", "GLM 4 MoE": "glm4moe", "gpt-oss": "gptoss", "LFM 2": "lfm2",
    "Llama 3": "llama3", "Llama 3.1": "llama3_1", "Llama 3.2": "llama3_2", "Nemotron 3": "nemotron_3_nano",
    "Phi 3": "phi3", "Phi 3.5": "phi3_5", "Qwen 2.5": "qwen2_5", "Qwen 3": "qwen3",
    "Qwen 3 with generation blocks": "qwen3_training", "Qwen 3 Instruct 2507": "qwen3_instruct_2507",
    "Llama 3 with generation blocks": "llama3_training",
}  # fmt: skip
TOKENS = {"bos_token": "<s>", "eos_token": "</s>"}
TOOLS = [
    {"type": "function", "function": {"name": "weather", "description": "of a <town> & more", "parameters": {
        "type": "object", "properties": {"town": {"type": "string", "description": "its \"name\""}}, "required": ["town"]}}}
]  # fmt: skip


def turn(role, content, **more):
    return {"role": role, "content": content, **more}


CALL = [{"id": "abcdefghi", "type": "function", "function": {"name": "weather", "arguments": {"town": "Köln", "days": 2}}}]
CONVERSATIONS = {
    "one turn": ([turn("user", "Hi é <b>"), turn("assistant", " Hello & \"you\"\n")], None),
    "system, two turns": (
        [turn("system", "Be brief."), turn("user", "2+2?"), turn("assistant", "4"), turn("user", "3+3?"), turn("assistant", "6")],
        None,
    ),
    "thinking": (
        [turn("user", "2+2?"), turn("assistant", "4", reasoning_content="Two and\ntwo."), turn("user", "3+3?"),
         turn("assistant", "6", reasoning_content="A sum.")],
        None,
    ),
    "tools": (
        [turn("user", "Weather?"), turn("assistant", "", tool_calls=CALL),
         turn("tool", "rain", name="weather", tool_call_id="abcdefghi"), turn("assistant", "It rains."),
         turn("user", "Thanks"), turn("assistant", "Welcome")],
        TOOLS,
    ),
    "tools, two calls, thinking": (
        [turn("system", "Be brief."), turn("user", "Weather?"),
         turn("assistant", "I look.", tool_calls=CALL + CALL, reasoning_content="It may rain."),
         turn("tool", "rain", name="weather", tool_call_id="abcdefghi"), turn("tool", "sun", name="weather", tool_call_id="abcdefghi"),
         turn("assistant", "Both.", reasoning_content="Two of them.")],
        TOOLS,
    ),
}  # fmt: skip


DAY = (2026, 11, 28)  # some templates write the date


class Day(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(*DAY)


def sha256(text):
    return hashlib.sha256(text.encode()).hexdigest()


def rendered(template, messages, tools, prompt):
    try:
        text = render_jinja_template(
            [_normalize_chat_messages(messages)], tools=tools, chat_template=template, add_generation_prompt=prompt, **TOKENS
        )[0][0]
    except Exception:  # the template's own refusal, or a value that it does not expect
        return None
    return sha256(text)


def main():
    chat_template_utils.datetime = Day
    folder, families = pathlib.Path(sys.argv[1]) / "chat_templates", {}
    for family, file in FAMILIES.items():
        template = (folder / f"{file}.jinja").read_text()
        families[family] = {"file": file, "sha256": sha256(template), "rendered": {
            f"{name}{', prompt' if prompt else ''}": rendered(template, messages, tools, prompt)
            for name, (messages, tools) in CONVERSATIONS.items() for prompt in (False, True)
        }}  # fmt: skip
    conversations = {name: {"messages": m, "tools": t} for name, (m, t) in CONVERSATIONS.items()}
    json.dump({"day": DAY, "tokens": TOKENS, "conversations": conversations, "families": families}, sys.stdout, indent=1)
    print()


main()
