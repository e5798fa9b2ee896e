"""A Llama in numpy, in float64: an oracle of its own for what greedy decoding gives and how likely a text is.

    tiny_decoder.py MODEL PROMPT...      prints the greedy tokens, for a comparison with transformers by hand
"""
import json
import pathlib
import sys

import numpy
from safetensors.numpy import load_file


def softmax(x):
    x = numpy.exp(x - x.max(-1, keepdims=True))
    return x / x.sum(-1, keepdims=True)


class Llama:
    def __init__(self, folder):
        folder = pathlib.Path(folder)
        self.config = json.loads((folder / "config.json").read_text())
        self.weights = {name: value.astype(numpy.float64) for name, value in load_file(folder / "model.safetensors").items()}
        heads = self.config["num_attention_heads"]
        assert self.config["model_type"] == "llama" and self.config.get("num_key_value_heads", heads) == heads

    def norm(self, x, name):
        return x / numpy.sqrt((x * x).mean(-1, keepdims=True) + self.config["rms_norm_eps"]) * self.weights[name]

    def rotated(self, x):
        """x: [batch, token, head, size]"""
        half = x.shape[-1] // 2
        angles = numpy.arange(x.shape[1])[:, None] * 10000.0 ** (-numpy.arange(half) / half)
        cos, sin = (numpy.tile(f(angles), 2)[None, :, None] for f in (numpy.cos, numpy.sin))
        return x * cos + numpy.concatenate([-x[..., half:], x[..., :half]], -1) * sin

    def attention(self, x, layer):
        batch, tokens, width = x.shape
        q, k, v = ((x @ self.weights[f"{layer}.self_attn.{n}_proj.weight"].T).reshape(batch, tokens, self.config["num_attention_heads"], -1) for n in "qkv")
        scores = numpy.einsum("bqhd,bkhd->bhqk", self.rotated(q), self.rotated(k)) / numpy.sqrt(q.shape[-1])
        scores = numpy.where(numpy.tril(numpy.ones((tokens, tokens), bool)), scores, -numpy.inf)
        mixed = numpy.einsum("bhqk,bkhd->bqhd", softmax(scores), v).reshape(batch, tokens, width)
        return mixed @ self.weights[f"{layer}.self_attn.o_proj.weight"].T

    def logits(self, tokens):
        """[batch, token, word] of [batch, token]."""
        x = self.weights["model.embed_tokens.weight"][numpy.asarray(tokens)]
        for i in range(self.config["num_hidden_layers"]):
            layer = f"model.layers.{i}"
            x = x + self.attention(self.norm(x, f"{layer}.input_layernorm.weight"), layer)
            h = self.norm(x, f"{layer}.post_attention_layernorm.weight")
            gate, up = (h @ self.weights[f"{layer}.mlp.{n}_proj.weight"].T for n in ("gate", "up"))
            x = x + (gate / (1 + numpy.exp(-gate)) * up) @ self.weights[f"{layer}.mlp.down_proj.weight"].T
        return self.norm(x, "model.norm.weight") @ self.weights["lm_head.weight"].T

    def greedy(self, tokens, count):
        tokens = list(tokens)
        for _ in range(count):
            tokens.append(int(self.logits([tokens])[0, -1].argmax()))
        return tokens[-count:]

    def likelihoods(self, prompt, endings):
        """Log-likelihood of each ending behind the prompt; all of one length."""
        rows = numpy.array([[*prompt, *ending] for ending in endings])
        shares = numpy.log(softmax(self.logits(rows[:, :-1])))
        return numpy.take_along_axis(shares, rows[:, 1:, None], 2)[:, len(prompt) - 1:, 0].sum(1)


if __name__ == "__main__":
    from tokenizers import Tokenizer
    reader = Tokenizer.from_file(sys.argv[1] + "/tokenizer.json")
    for prompt in sys.argv[2:]:
        print(Llama(sys.argv[1]).greedy([2, *reader.encode(prompt, add_special_tokens=False).ids], 8))
