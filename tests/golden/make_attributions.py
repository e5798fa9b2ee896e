"""Attributions and losses of tokens by PyTorch's autograd through transformers, in float64, so that the tests need neither:

    pip install torch transformers tokenizers numpy && python tests/golden/make_attributions.py

attributions.json has, for each text and each of some golden models: tokens, gradient x input and integrated gradients of the largest
output (numpy's Gauss-Legendre nodes, from zeros, or from the mean row of the token table where norms jump near zeros, to the rows that
the table has; special tokens stand at both ends), and both ends' outputs; of language models the loss of each token but the first, and the same of the
log-probability of the last token that is not special; and
of bert the cosines of the gradients of these texts, with the label of the largest output, and of ROWS: of the last layer, and of all
parameters; and of the language models those of the gradients of their losses per token.
"""
import json
import logging

import numpy
import torch
import transformers
from make_golden import HERE
from tokenizers import Tokenizer

TEXTS = ["the film is good", "a boring plot and bad actors", "good"]
EXPLAINED = ["bert", "bert-multi-label", "bert-regressor", "roberta-classifier", "gpt2-classifier", "qwen3-classifier", "gemma3-classifier",
             "eurobert-mean-classifier", "modernbert-mean-classifier"]
LANGUAGE_MODELS = ["llama", "gpt2", "qwen3"]
ROWS = [("the film is great", "good"), ("bad actors and a boring plot", "bad"), ("good", "good"), ("very bad", "so-so"), ("the plot is very very good", "good"),
        ("film", "bad"), ("great actors", "so-so"), ("the actors", "bad"), ("a good plot", "good")]
MEAN = ("gpt2", "qwen3", "gemma3_text", "eurobert", "modernbert")  # begin with the mean row
NODES = 64
SPECIAL = (2, 3)  # [CLS], [SEP]


def outputs(model, rows):
    """[texts, tokens, width] -> [texts, outputs]"""
    return model(inputs_embeds=rows).logits


def slopes(model, rows, target):
    rows = rows.detach().requires_grad_()
    outputs(model, rows)[:, target].sum().backward()
    return rows.grad


def explained(model, tokens):
    table = model.get_input_embeddings()
    rows = table(torch.tensor(tokens)).detach()
    nothing = table(torch.arange(model.config.vocab_size)).mean(0).detach() if model.config.model_type in MEAN else torch.zeros_like(rows[0])
    base = torch.stack([row if token in SPECIAL else nothing for row, token in zip(rows, tokens)])
    found, baseline = outputs(model, torch.stack([rows, base])).detach()
    target = int(found.argmax())
    places, weights = (torch.tensor(values).view(-1, 1, 1) for values in numpy.polynomial.legendre.leggauss(NODES))
    mean = (weights / 2 * slopes(model, base + (1 + places) / 2 * (rows - base), target)).sum(0)
    return {"tokens": tokens, "target": target, "output": found[target].item(), "baseline_output": baseline[target].item(),
            "gradient_x_input": (rows * slopes(model, rows.unsqueeze(0), target)[0]).sum(1).tolist(),
            "integrated_gradients": ((rows - base) * mean).sum(1).tolist()}


def explained_token(model, tokens):
    """Of the log-probability of the last token but [SEP], by those before it; all of these are special in the shortest text: then nothing."""
    before, next = tokens[:-2], tokens[-2]
    if all(token in SPECIAL for token in before):
        return {}
    table = model.get_input_embeddings()
    rows, nothing = table(torch.tensor(before)).detach(), table.weight.mean(0).detach()
    base = torch.stack([row if token in SPECIAL else nothing for row, token in zip(rows, before)])

    def log_probability(rows):
        return torch.log_softmax(outputs(model, rows)[:, -1], -1)[:, next]

    def slope(rows):
        rows = rows.detach().requires_grad_()
        log_probability(rows).sum().backward()
        return rows.grad
    places, weights = (torch.tensor(values).view(-1, 1, 1) for values in numpy.polynomial.legendre.leggauss(NODES))
    mean = (weights / 2 * slope(base + (1 + places) / 2 * (rows - base))).sum(0)
    found, baseline = log_probability(torch.stack([rows, base])).detach().tolist()
    return {"output": found, "baseline_output": baseline, "gradient_x_input": [*(rows * slope(rows.unsqueeze(0))[0]).sum(1).tolist(), 0, 0],
            "integrated_gradients": [*((rows - base) * mean).sum(1).tolist(), 0, 0]}


def losses(model, tokens):
    logits = model(input_ids=torch.tensor([tokens])).logits[0].detach()
    return {**explained_token(model, tokens), "tokens": tokens, "losses": torch.nn.functional.cross_entropy(logits[:-1], torch.tensor(tokens[1:]), reduction="none").tolist()}


def gradients(model, tokens, label):
    """(of the last layer, of all parameters), of length 1"""
    model.zero_grad()
    torch.nn.functional.cross_entropy(model(input_ids=torch.tensor([tokens])).logits, torch.tensor([label])).backward()
    found = {name: p.grad.flatten() for name, p in model.named_parameters()}
    parts = [torch.cat([g for name, g in found.items() if name.startswith("classifier.")]), torch.cat(list(found.values()))]
    return [part / part.norm() for part in parts]


def cosines(model, tokenizer, explained_texts):
    rows = [gradients(model, tokenizer.encode(text).ids, model.config.label2id[label]) for text, label in ROWS]
    texts = [gradients(model, text["tokens"], text["target"]) for text in explained_texts]
    return {name: [[float(text[k] @ row[k]) for row in rows] for text in texts] for k, name in enumerate(("head", "all"))}


def gradient_of_loss(model, tokens):
    model.zero_grad()
    model(input_ids=torch.tensor([tokens]), labels=torch.tensor([tokens])).loss.backward()
    whole = torch.cat([p.grad.flatten() for p in model.parameters()])
    return whole / whole.norm()


def cosines_of_losses(model, tokenizer, ids):
    rows = [gradient_of_loss(model, tokenizer.encode(text).ids) for text, _ in ROWS]
    return [[float(gradient_of_loss(model, tokens) @ row) for row in rows] for tokens in ids]


def opened(kind, name):
    model = kind.from_pretrained(HERE / name, dtype=torch.float64, attn_implementation="eager")
    return model.eval()


def main():
    logging.disable()
    torch.Tensor.float = lambda x: x if x.dtype == torch.float64 else x.to(torch.float32)  # norms that round
    tokenizer = Tokenizer.from_file(str(HERE / "tokenizer/tokenizer.json"))
    tokenizer.no_padding()
    ids = [tokenizer.encode(text).ids for text in TEXTS]
    made = {"texts": TEXTS, "models": {}}
    for name in EXPLAINED:
        model = opened(transformers.AutoModelForSequenceClassification, name)
        made["models"][name] = [explained(model, tokens) for tokens in ids]
        if name == "bert":
            made["influence"] = {"rows": ROWS} | cosines(model, tokenizer, made["models"][name])
    for name in LANGUAGE_MODELS:
        model = opened(transformers.AutoModelForCausalLM, name)
        made["models"][name] = [losses(model, tokens) for tokens in ids]
        made.setdefault("influence_on_losses", {})[name] = cosines_of_losses(model, tokenizer, ids)
    (HERE / "attributions.json").write_text(json.dumps(made) + "\n")
    for name in EXPLAINED:
        for of_text in made["models"][name]:
            missed = sum(of_text["integrated_gradients"]) - of_text["output"] + of_text["baseline_output"]
            print(f"{name}: {len(of_text['tokens'])} tokens, the sum misses the difference by {missed:.1e}")


if __name__ == "__main__":
    main()
