"""Rows that transformers gives a model for added tokens: tests/golden/added_tokens.json, which added_tokens_test compares with ours.

    pip install torch transformers && python tests/golden/make_added_tokens.py

For each model and each tensor with a row per token: the rows that resize_token_embeddings(vocab_size + 3), seeded with 1, puts behind
the others; their mean and the standard deviation of the columns that it draws them by.
"""
import json
import pathlib

import torch
import transformers

HERE = pathlib.Path(__file__).parent
MODELS = {  # and the tensors with a row per token; tied ones once
    "llama": ("model.embed_tokens.weight", "lm_head.weight"),
    "llama-tied-biased": ("model.embed_tokens.weight",),
    "gpt2": ("transformer.wte.weight",),
    "bert-masked": ("bert.embeddings.word_embeddings.weight", "cls.predictions.bias"),
}
ADDED = 3


def rows_of(name, tensors):
    kind = transformers.AutoModelForMaskedLM if name.startswith("bert") else transformers.AutoModelForCausalLM
    model = kind.from_pretrained(HERE / name, dtype=torch.float32)
    old = {tensor: model.state_dict()[tensor].clone() for tensor in tensors}
    torch.manual_seed(1)
    model.resize_token_embeddings(model.config.vocab_size + ADDED)
    return {
        tensor: {
            "rows": model.state_dict()[tensor][-ADDED:].tolist(),
            "mean": old[tensor].mean(0).tolist(),
            "deviation": old[tensor].std(0, correction=0).tolist(),
        }
        for tensor in tensors
    }


def main():
    transformers.utils.logging.set_verbosity_error()
    made = {name: rows_of(name, tensors) for name, tensors in MODELS.items()}
    text = json.dumps({"transformers": transformers.__version__, "models": made}, indent=1)
    (HERE / "added_tokens.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
