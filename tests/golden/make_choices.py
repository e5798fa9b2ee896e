"""Scores of choices as lm-evaluation-harness has them, by transformers on the golden models: choices.json.

    /path/to/python make_choices.py      (transformers, torch, tokenizers)

A decoder's score is the sum of log-probabilities of the tokens that a choice adds to those of its context
(lm_eval/models/huggingface.py, _loglikelihood_tokens); accuracy takes the largest, and the other accuracy the largest per
byte of the choice (lm_eval/api/task.py: acc, acc_bytes). An encoder's is the sum of log-probabilities of the choice's
tokens, all of them hidden. Of paired sentences a decoder scores all tokens, an encoder those that both have, each
hidden by itself (Nangia et al. 2020, CrowS-Pairs, equation 1, with the alignment of its metric.py).
"""
import difflib
import itertools
import json
import pathlib

import torch
from tokenizers import Tokenizer
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForMaskedLM

HERE = pathlib.Path(__file__).parent
CLS, SEP, MASK = 2, 3, 19  # [CLS], [SEP], and "was", which the test names as the mask token
TOKENIZER = Tokenizer.from_file(str(HERE / "tokenizer" / "tokenizer.json"))
TOKENIZER.no_padding()

QUESTIONS = [
    {"question": "it is", "choices": ["very good", "bad", "a boring film"], "answer": 0},
    {"question": "the actors and the plot", "choices": ["not good and not bad", "great"], "answer": "B"},
    {"question": "the film", "choices": {"text": ["of it", "is great", "bad bad bad bad"], "label": ["1", "2", "3"]}, "answer": "3"},
    {"question": "a plot", "choices": ["boring", "it"], "answer": "it"},
    {"question": "not a film", "choices": ["good", "great", "the very bad actors"], "answer": "A"},
]
PAIRS = [("the actors and the plot", "the film and the plot"), ("it is not good", "it is very very good"), ("a great film", "a boring plot of a film"),
         ("bad actors", "good actors")]
TEMPLATE, SEPARATOR = "the {text} and it is {label} of it", " and "
WORDS = {"neg": "bad", "pos": "very good"}
SHOTS = [("boring plot", "neg"), ("great actors", "pos")]
TESTS = [("good plot", "pos"), ("very bad film", "neg"), ("a film not good", "neg"), ("actors", "pos"), ("great plot and actors", "pos")]


def encode(text):
    return TOKENIZER.encode(text, add_special_tokens=False)


def decoder_score(model, before, choice, _):
    context, whole = encode(before.rstrip()).ids, encode(before + choice).ids
    ids = [CLS] + whole
    assert whole[: len(context)] == context
    with torch.no_grad():
        logits = model(torch.tensor([ids[:-1]])).logits[0].double().log_softmax(-1)
    return sum(logits[t, ids[t + 1]].item() for t in range(len(context), len(ids) - 1))


def encoder_score(model, before, choice, after):
    encoded = encode(before + choice + after)
    hidden = [b < len(before + choice) and e > len(before) for b, e in encoded.offsets]
    ids = [CLS] + [MASK if h else i for i, h in zip(encoded.ids, hidden)] + [SEP]
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0].double().log_softmax(-1)
    return sum(logits[t + 1, i].item() for t, (i, h) in enumerate(zip(encoded.ids, hidden)) if h)


def shared(first, second):
    """Places of the tokens that stay as they are."""
    blocks = difflib.SequenceMatcher(None, first, second).get_opcodes()
    kept = [(a, b, size) for tag, a, end, b, _ in blocks if tag == "equal" and (size := end - a)]
    return [a + i for a, _, size in kept for i in range(size)], [b + i for _, b, size in kept for i in range(size)]


def pair_scores(model, first, second):
    """Of two sentences, by an encoder that hides one token at a time."""
    rows = [encode(first).ids, encode(second).ids]
    return [sum(hidden_one(model, ids, at) for at in places) for ids, places in zip(rows, shared(*rows))]


def hidden_one(model, ids, at):
    with torch.no_grad():
        logits = model(torch.tensor([[CLS, *ids[:at], MASK, *ids[at + 1:], SEP]])).logits[0].double().log_softmax(-1)
    return logits[at + 1, ids[at]].item()


def decoder_pair_scores(model, first, second):
    return [decoder_score(model, "", sentence, None) for sentence in (first, second)]


def texts_of(question):
    choices = question["choices"]
    return choices["text"] if isinstance(choices, dict) else choices


def shown(template, text, word):
    return template.replace("{text}", text).replace("{label}", word)


def few_shot(score, model, shots):
    before, after = TEMPLATE.split("{label}")
    front = "".join(shown(TEMPLATE, text, WORDS[label]) + SEPARATOR for text, label in shots)
    return [[score(model, front + before.replace("{text}", text), word, after) for word in WORDS.values()] for text, _ in TESTS]


def accuracies(scores, choices, right):
    best = [max(range(len(s)), key=s.__getitem__) for s in scores]
    bytes_ = [[len(c.encode()) for c in row] for row in choices]
    per_byte = [max(range(len(s)), key=lambda c: s[c] / b[c]) for s, b in zip(scores, bytes_)]
    return {"accuracy": sum(map(int.__eq__, best, right)) / len(right),
            "accuracy_per_byte": sum(map(int.__eq__, per_byte, right)) / len(right)}


def entry(name, auto, score):
    config = AutoConfig.from_pretrained(HERE / name)
    if auto is AutoModelForCausalLM:
        config.max_position_embeddings = 64  # rotary: no weight knows it; the test says so too
    model = auto.from_pretrained(HERE / name, config=config, attn_implementation="eager", dtype=torch.float64).eval()
    choices = [[score(model, f"Question: {q['question']}\nAnswer: ", c, "") for c in texts_of(q)] for q in QUESTIONS]
    return {"choices": choices, **accuracies(choices, [texts_of(q) for q in QUESTIONS], [0, 1, 2, 1, 0]),
            "pairs": [(pair_scores if auto is AutoModelForMaskedLM else decoder_pair_scores)(model, *pair) for pair in PAIRS],
            "few_shot": {str(len(shots)): [few_shot(score, model, order) for order in itertools.permutations(shots)]
                         for shots in ([], SHOTS) if not shots or config.max_position_embeddings >= 64}}


golden = {"questions": QUESTIONS, "template": {"template": TEMPLATE, "labels": WORDS, "separator": SEPARATOR},
          "train": SHOTS, "test": TESTS, "pairs": PAIRS,
          "scores": {"llama": entry("llama", AutoModelForCausalLM, decoder_score),
                     "bert-masked": entry("bert-masked", AutoModelForMaskedLM, encoder_score)}}
(HERE / "choices.json").write_text(json.dumps(golden, indent=1) + "\n")
