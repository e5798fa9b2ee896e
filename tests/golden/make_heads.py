"""Golden values of transformers for heads beside those of make_golden.py, in the same files:

    pip install torch transformers tokenizers && python tests/golden/make_heads.py

bert-multi-label, gpt2-multi-label and qwen3-multi-label learn two labels by binary cross-entropy, bert-masked fills in tokens,
and bert-weighted learns classes with weights, whose mean is PyTorch's CrossEntropyLoss(weight=...). llama-weighted learns next
tokens, each loss with a weight of its own, and divides by the sum of these. NAME-tokens learn a class for every second token, NAME-answers the first and the last token of an answer, each among the tokens of its own sample.
"""
import contextlib
import json
import sys

import torch
import transformers as t
from make_golden import CLASSES, HERE, LABELS, LENGTHS, exact_norms, randomize
from safetensors.torch import save_file

PRESENT = [[1.0, 0.0], [0.0, 0.0], [1.0, 1.0], [0.0, 1.0]]
WEIGHTS = [0.5, 2.0, 1.25]
PLACES = [[2, 4], [0, 0], [5, 12], [0, 0]]
TAGS = dict(num_labels=3, id2label={0: "O", 1: "B-ANT", 2: "I-ANT"}, label2id={"O": 0, "B-ANT": 1, "I-ANT": 2})
SETS = dict(num_labels=2, problem_type="multi_label_classification", id2label={0: "warm", 1: "slow"}, label2id={"warm": 0, "slow": 1})


def outputs(model, sample):
    return model(input_ids=torch.tensor([sample])).logits


def of_sets(model, ids):
    logits = torch.cat([outputs(model, sample) for sample in ids])
    return logits, torch.nn.BCEWithLogitsLoss()(logits, torch.tensor(PRESENT, dtype=logits.dtype)), {"labels": PRESENT}


def of_weights(model, ids):
    logits = torch.cat([outputs(model, sample) for sample in ids])
    loss = torch.nn.CrossEntropyLoss(weight=torch.tensor(WEIGHTS, dtype=logits.dtype))(logits, torch.tensor(LABELS))
    return logits, loss, {"labels": LABELS, "weights": WEIGHTS}


def of_masks(model, ids):
    labels = [[token if (i + t) % 3 == 1 else -100 for t, token in enumerate(sample)] for i, sample in enumerate(ids)]
    logits = torch.cat([outputs(model, sample)[0] for sample in ids])
    return logits, torch.nn.CrossEntropyLoss()(logits, torch.tensor(sum(labels, []))), {"labels": labels}


def of_weighted_tokens(model, ids):
    """Next tokens, from the third on, whose losses have weights, in millionths as in a shard: labels and weights of a place are
    those of the token behind it."""
    labels = [[-100, -100, *sample[2:]][:len(sample)] for sample in ids]
    weights = [[0 if label < 0 else 250000 * (1 + (i + t) % 7) for t, label in enumerate([*row[1:], -100])] for i, row in enumerate(labels)]
    logits = torch.cat([outputs(model, sample)[0] for sample in ids])
    following = torch.tensor([label for row in labels for label in [*row[1:], -100]])
    losses = torch.nn.functional.cross_entropy(logits, following, reduction="none")
    factors = torch.tensor(sum(weights, []), dtype=logits.dtype) / 1e6
    return logits, (losses * factors).sum() / factors.sum(), {"labels": labels, "token_weights": weights}


def of_tokens(model, ids):
    labels = [[(i + t) % 3 if t % 2 == 0 else -100 for t in range(len(sample))] for i, sample in enumerate(ids)]
    logits = torch.cat([outputs(model, sample)[0] for sample in ids])
    return logits, torch.nn.CrossEntropyLoss()(logits, torch.tensor(sum(labels, []))), {"labels": labels}


def of_answers(model, ids):
    """transformers' softmax is over a padded batch, padding included: sample by sample it is over the sample."""
    logits, losses = [], []
    for sample, (first, last) in zip(ids, PLACES):
        out = model(input_ids=torch.tensor([sample]), start_positions=torch.tensor([first]), end_positions=torch.tensor([last]))
        logits.append(torch.stack([out.start_logits[0], out.end_logits[0]], dim=1))
        losses.append(out.loss)
    return torch.cat(logits), sum(losses) / len(losses), {"labels": PLACES}


def own_loss(model, ids, labels):
    """Returns the loss that the model itself computes, which is of samples of one length."""
    if type(model).__name__.endswith("ForQuestionAnswering"):
        first, last = (torch.tensor([labels[0][k]] * 2) for k in (0, 1))
        return model(input_ids=torch.tensor([ids[0], ids[0]]), start_positions=first, end_positions=last).loss.item()
    dtype = torch.float64 if isinstance(labels[0], list) and isinstance(labels[0][0], float) else torch.long
    return model(input_ids=torch.tensor([ids[0], ids[0]]), labels=torch.tensor([labels[0], labels[0]], dtype=dtype)).loss.item()


def save(name, model, ids, values):
    folder = HERE / name
    folder.mkdir(exist_ok=True)
    model.eval()
    model.save_pretrained(folder)
    for extra in folder.glob("generation_config.json"):
        extra.unlink()
    model.double()
    exact = exact_norms() if name.startswith("modernbert") else exact_casts() if name.startswith("apertus") else contextlib.nullcontext()
    with exact:
        save_values(folder, model, ids, values)


@contextlib.contextmanager
def exact_casts():
    """Apertus' norms cast to float32, whose rounding shows in the gradients of single numbers."""
    rounding = torch.Tensor.to
    torch.Tensor.to = lambda x, *to, **named: x if x.dtype == torch.float64 and torch.float32 in to else rounding(x, *to, **named)
    yield
    torch.Tensor.to = rounding


def save_values(folder, model, ids, values):
    logits, loss, expected = values(model, ids)
    loss.backward()
    save_file({n: p.grad.type(torch.float32).contiguous() for n, p in model.named_parameters()}, folder / "gradients.safetensors")
    save_file({"logits": logits.type(torch.float32).detach()}, folder / "logits.safetensors")
    own = {"ids": [ids[0], ids[0]], "labels": [expected["labels"][0]] * 2, "loss": own_loss(model, ids, expected["labels"])}
    (folder / "expected.json").write_text(json.dumps({"ids": ids, **expected, "loss": loss.item(), "own": own}) + "\n")
    print(f"{folder.name}: loss {loss.item():.6f}")


def models(ids):
    pad = ids[2][-1]
    bert = dict(vocab_size=97, hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=40, max_position_embeddings=16)
    gpt2 = dict(vocab_size=97, n_embd=24, n_layer=2, n_head=3, n_positions=16)
    llama = dict(vocab_size=97, hidden_size=24, num_hidden_layers=2, num_attention_heads=3, num_key_value_heads=1,
                 intermediate_size=40, max_position_embeddings=16, rms_norm_eps=1e-5)
    yield "bert-multi-label", t.BertForSequenceClassification(t.BertConfig(**bert, **SETS)), of_sets
    yield "gpt2-multi-label", t.GPT2ForSequenceClassification(t.GPT2Config(
        vocab_size=97, n_embd=24, n_layer=2, n_head=3, n_positions=16, pad_token_id=pad, **SETS)), of_sets
    yield "qwen3-multi-label", t.Qwen3ForSequenceClassification(t.Qwen3Config(
        vocab_size=97, hidden_size=24, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=8,
        intermediate_size=40, max_position_embeddings=16, rms_norm_eps=1e-5, pad_token_id=pad, **SETS)), of_sets
    yield "bert-masked", t.BertForMaskedLM(t.BertConfig(**bert)), of_masks
    yield "bert-weighted", t.BertForSequenceClassification(t.BertConfig(**bert, **CLASSES)), of_weights
    yield "bert-tokens", t.BertForTokenClassification(t.BertConfig(**bert, **TAGS)), of_tokens
    yield "gpt2-tokens", t.GPT2ForTokenClassification(t.GPT2Config(**gpt2, **TAGS)), of_tokens
    yield "llama-tokens", t.LlamaForTokenClassification(t.LlamaConfig(**llama, **TAGS)), of_tokens
    yield "bert-answers", t.BertForQuestionAnswering(t.BertConfig(**bert)), of_answers
    yield "gpt2-answers", t.GPT2ForQuestionAnswering(t.GPT2Config(**gpt2)), of_answers
    yield "llama-answers", t.LlamaForQuestionAnswering(t.LlamaConfig(**llama)), of_answers
    yield "mistral-answers", t.MistralForQuestionAnswering(t.MistralConfig(**llama, sliding_window=5)), of_answers
    own = {**llama, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    neox = dict(vocab_size=97, hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=40, max_position_embeddings=16)
    yield "gpt-neox-tokens", t.GPTNeoXForTokenClassification(t.GPTNeoXConfig(**neox, **TAGS)), of_tokens
    yield "gpt-neox-answers", t.GPTNeoXForQuestionAnswering(t.GPTNeoXConfig(**neox)), of_answers
    yield "phi3-tokens", t.Phi3ForTokenClassification(t.Phi3Config(**own, **TAGS)), of_tokens
    yield "gemma2-tokens", t.Gemma2ForTokenClassification(t.Gemma2Config(**own, head_dim=8, query_pre_attn_scalar=8, **TAGS)), of_tokens
    yield "ministral-tokens", t.MinistralForTokenClassification(t.MinistralConfig(**own, head_dim=8, **TAGS)), of_tokens
    yield "smollm3-answers", t.SmolLM3ForQuestionAnswering(t.SmolLM3Config(**own)), of_answers
    yield "llama-weighted", t.LlamaForCausalLM(t.LlamaConfig(**llama)), of_weighted_tokens
    yield from encoders(pad, bert, llama)
    yield "apertus-tokens", t.ApertusForTokenClassification(t.ApertusConfig(**own, **TAGS)), of_tokens


def encoders(pad, bert, llama):
    """ModernBERT's heads, and those of the encoders that have a classifier of samples in make_golden.py."""
    modern = dict(bert, num_hidden_layers=4, local_attention=4, pad_token_id=pad, bos_token_id=2, eos_token_id=3, cls_token_id=2,
                  sep_token_id=3, rope_parameters={"full_attention": {"rope_type": "default", "rope_theta": 1000.0},
                                                   "sliding_attention": {"rope_type": "default", "rope_theta": 10.0}})
    yield "modernbert-masked", t.ModernBertForMaskedLM(t.ModernBertConfig(**modern)), of_masks
    yield "modernbert-masked-untied", t.ModernBertForMaskedLM(t.ModernBertConfig(
        **modern, tie_word_embeddings=False, decoder_bias=False, norm_bias=True, classifier_activation="relu")), of_masks
    yield "modernbert-tokens", t.ModernBertForTokenClassification(t.ModernBertConfig(**modern, classifier_bias=True, **TAGS)), of_tokens
    yield "modernbert-answers", t.ModernBertForQuestionAnswering(t.ModernBertConfig(**modern)), of_answers
    euro = dict(llama, pad_token_id=pad, bos_token_id=2, eos_token_id=3, mask_token_id=4,
                rope_parameters={"rope_type": "default", "rope_theta": 250000.0})
    yield "eurobert-masked", t.EuroBertForMaskedLM(t.EuroBertConfig(**euro)), of_masks
    yield "eurobert-tokens", t.EuroBertForTokenClassification(t.EuroBertConfig(**euro, mlp_bias=True, **TAGS)), of_tokens
    roberta = dict(bert, type_vocab_size=1, layer_norm_eps=1e-5, pad_token_id=1)
    yield "roberta-masked", t.RobertaForMaskedLM(t.RobertaConfig(**roberta, hidden_act="relu")), of_masks
    yield "roberta-tokens", t.RobertaForTokenClassification(t.RobertaConfig(**roberta, **TAGS)), of_tokens
    yield "xlm-roberta-answers", t.XLMRobertaForQuestionAnswering(t.XLMRobertaConfig(**roberta)), of_answers
    distilbert = dict(vocab_size=97, dim=24, n_layers=2, n_heads=3, hidden_dim=40, max_position_embeddings=16)
    yield "distilbert-masked", t.DistilBertForMaskedLM(t.DistilBertConfig(**distilbert)), of_masks
    yield "distilbert-tokens", t.DistilBertForTokenClassification(t.DistilBertConfig(**distilbert, **TAGS)), of_tokens
    yield "distilbert-answers", t.DistilBertForQuestionAnswering(t.DistilBertConfig(**distilbert)), of_answers


def main():
    chosen = set(sys.argv[1:])  # names of models; none: all of them
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    ids = [torch.randint(5, 97, (n,), generator=generator).tolist() for n in LENGTHS]
    for seed, (name, model, values) in enumerate(models(ids), start=101):
        if not chosen or name in chosen:
            save(name, randomize(model, seed), ids, values)


if __name__ == "__main__":
    main()
