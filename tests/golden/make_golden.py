"""Golden values of transformers, so that the tests need none: run once, commit what it writes.

    pip install torch transformers tokenizers && python tests/golden/make_golden.py

For each tiny random model: NAME/config.json and model.safetensors as transformers saves them, NAME/expected.json with token
ids, labels, logits and loss, NAME/gradients.safetensors with the gradient of the mean loss for every parameter (computed in
float64). Sequence
lengths are odd and vocabularies prime. Also tokenizer/tokenizer.json, a word-level tokenizer.
"""
import json
import pathlib

import torch
import transformers
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

HERE = pathlib.Path(__file__).parent
LENGTHS = [7, 1, 13, 5]


def save(name, model, ids, labels, language_model):
    folder = HERE / name
    folder.mkdir(exist_ok=True)
    model.eval()
    model.save_pretrained(folder, safe_serialization=True)
    for extra in folder.glob("generation_config.json"):
        extra.unlink()
    model.double()  # the reference is exact: float32 noise would drown gradients that are zero, as those of key biases
    losses, logits, count = [], [], 0
    for i, sample in enumerate(ids):
        out = model(input_ids=torch.tensor([sample]))
        if language_model:
            if len(sample) > 1:
                losses.append(torch.nn.functional.cross_entropy(out.logits[0, :-1], torch.tensor(sample[1:]), reduction="sum"))
            count += len(sample) - 1
        else:
            losses.append(torch.nn.functional.cross_entropy(out.logits, torch.tensor([labels[i]]), reduction="sum"))
            logits.append(out.logits[0].tolist())
            count += 1
    loss = sum(losses) / count
    loss.backward()
    # A tied output layer shares its tensor, and with it the gradient, with the embedding.
    gradients = {n: p.grad.float().contiguous() for n, p in model.named_parameters()}
    save_file(gradients, folder / "gradients.safetensors")
    expected = {"ids": ids, "labels": labels, "loss": loss.item(), "logits": logits}
    (folder / "expected.json").write_text(json.dumps(expected) + "\n")


def randomize(model, seed):
    """Weights large enough that attention is far from uniform, norms and biases far from ones and zeros."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.copy_(torch.randn(p.shape, generator=generator) * (0.2 if p.dim() > 1 else 0.1) + (1.0 if "norm" in name.lower() and name.endswith("weight") else 0.0))
    return model


def main():
    generator = torch.Generator().manual_seed(0)
    ids = [torch.randint(5, 97, (n,), generator=generator).tolist() for n in LENGTHS]
    labels = [2, 0, 1, 2]
    bert = transformers.BertConfig(vocab_size=97, hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=40,
                                   max_position_embeddings=16, num_labels=3, id2label={0: "bad", 1: "good", 2: "so-so"},
                                   label2id={"bad": 0, "good": 1, "so-so": 2})
    save("bert", randomize(transformers.BertForSequenceClassification(bert), 1), ids, labels, False)
    llama = dict(vocab_size=97, hidden_size=24, num_hidden_layers=2, num_attention_heads=3, num_key_value_heads=1, intermediate_size=40,
                 max_position_embeddings=16, rms_norm_eps=1e-5)
    save("llama", randomize(transformers.LlamaForCausalLM(transformers.LlamaConfig(**llama)), 2), ids, [], True)
    tied = transformers.LlamaConfig(**llama, tie_word_embeddings=True, attention_bias=True, mlp_bias=True)
    save("llama-tied", randomize(transformers.LlamaForCausalLM(tied), 3), ids, [], True)

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"] + "the film is good bad very not a great boring plot actors and of it was".split()
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1",
                                                             special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    tokenizer.enable_padding(length=64)  # a trap: real tokenizers carry this, and it must be switched off
    (HERE / "tokenizer").mkdir(exist_ok=True)
    tokenizer.save(str(HERE / "tokenizer" / "tokenizer.json"))


if __name__ == "__main__":
    main()
