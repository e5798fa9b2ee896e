"""Golden values of transformers, so that the tests need none: run once, commit what it writes.

    pip install torch transformers tokenizers && python tests/golden/make_golden.py

For each tiny random model: NAME/config.json and model.safetensors as transformers saves them, NAME/expected.json with token
ids, labels and loss, NAME/logits.safetensors with the logits of all samples end to end, NAME/gradients.safetensors with the
gradient of the mean loss for every parameter (all computed in float64). Sequence lengths are odd and vocabularies prime. Also
rotary.safetensors, cosines and sines of stretched rotary positions of real sizes in float32, and tokenizer/tokenizer.json, a
word-level tokenizer.
"""
import contextlib
import json
import pathlib
import sys

import torch
import transformers
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

HERE = pathlib.Path(__file__).parent
LENGTHS = [7, 1, 13, 5]
LABELS = [2, 0, 1, 2]
TARGETS = [[0.5, -1.25], [2.0, 0.0], [-3.5, 1.5], [0.25, 4.0]]
NUMBERS = dict(num_labels=2, problem_type="regression", id2label={0: "warmth", 1: "pace"}, label2id={"warmth": 0, "pace": 1})
CLASSES = dict(num_labels=3, id2label={0: "bad", 1: "good", 2: "so-so"}, label2id={"bad": 0, "good": 1, "so-so": 2})


def save(name, model, ids):
    folder = HERE / name
    folder.mkdir(exist_ok=True)
    model.eval()
    model.save_pretrained(folder)
    for extra in folder.glob("generation_config.json"):
        extra.unlink()
    model.double()  # the reference is exact: float32 noise would drown gradients that are zero, as those of key biases
    with exact_norms() if name.startswith(("gemma", "modernbert")) else contextlib.nullcontext():
        save_values(folder, name, model, ids)


@contextlib.contextmanager
def exact_norms():
    """Gemma's norms and ModernBERT's rotary positions call float(), whatever the dtype of the model."""
    rounding = torch.Tensor.float
    torch.Tensor.float = lambda x: x if x.dtype == torch.float64 else rounding(x)
    yield
    torch.Tensor.float = rounding


def save_values(folder, name, model, ids):
    classifier = type(model).__name__.endswith("ForSequenceClassification")
    numbers = getattr(model.config, "problem_type", None) == "regression"
    losses, logits, count = [], [], 0
    for label, targets, sample in zip(LABELS, TARGETS, ids):
        out = model(input_ids=torch.tensor([sample])).logits
        if numbers:
            losses.append(torch.nn.functional.mse_loss(out, torch.tensor([targets], dtype=out.dtype), reduction="sum"))
            logits.append(out)
            count += len(targets)
        elif classifier:
            losses.append(torch.nn.functional.cross_entropy(out, torch.tensor([label]), reduction="sum"))
            logits.append(out)
            count += 1
        else:
            if len(sample) > 1:
                losses.append(torch.nn.functional.cross_entropy(out[0, :-1], torch.tensor(sample[1:]), reduction="sum"))
            logits.append(out[0])
            count += len(sample) - 1
    loss = sum(losses) / count
    loss.backward()
    # A tied output layer shares its tensor, and with it the gradient, with the embedding.
    # GPT-NeoX's output layer has another name in files than in the model.
    own_name = {"lm_head.weight": "embed_out.weight"} if model.config.model_type == "gpt_neox" else {}
    gradients = {own_name.get(n, n): p.grad.to(torch.float32).contiguous() for n, p in model.named_parameters()}
    save_file(gradients, folder / "gradients.safetensors")
    save_file({"logits": torch.cat(logits).to(torch.float32).detach()}, folder / "logits.safetensors")
    expected = {"ids": ids, "labels": TARGETS if numbers else LABELS if classifier else [], "loss": loss.item()}
    if numbers:  # as the model's own loss has it, of samples of one length
        same = torch.tensor([ids[0], ids[0]])
        own = model(input_ids=same, labels=torch.tensor(TARGETS[:2], dtype=torch.float64)).loss.item()
        expected["own"] = {"ids": [ids[0], ids[0]], "labels": TARGETS[:2], "loss": own}
    (folder / "expected.json").write_text(json.dumps(expected) + "\n")
    print(f"{name}: loss {loss.item():.6f}")


def randomize(model, seed):
    """Weights large enough that attention is far from uniform, norms and biases far from ones and zeros."""
    usual = 0.0 if model.config.model_type.startswith("gemma") else 1.0  # Gemma's norms add 1 to their weights
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            norm = ("norm" in name.lower() or "ln_" in name) and name.endswith("weight")
            p.copy_(torch.randn(p.shape, generator=generator) * (0.2 if p.dim() > 1 else 0.1) + (usual if norm else 0.0))
    return model


def tiny_models(ids):
    t = transformers
    pad = ids[2][-1]  # a token that ends a sample: its embedding is not trained, and classifiers look before it
    yield "bert", t.BertForSequenceClassification(t.BertConfig(
        vocab_size=97, hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=40,
        max_position_embeddings=16, **CLASSES))
    gpt2 = dict(vocab_size=97, n_embd=24, n_layer=2, n_head=3, n_positions=16)
    yield "gpt2", t.GPT2LMHeadModel(t.GPT2Config(**gpt2))
    yield "gpt2-classifier", t.GPT2ForSequenceClassification(t.GPT2Config(
        **gpt2, n_inner=37, activation_function="relu", scale_attn_by_inverse_layer_idx=True, tie_word_embeddings=False,
        pad_token_id=pad, **CLASSES))
    llama = dict(vocab_size=97, hidden_size=24, num_hidden_layers=2, num_attention_heads=3, num_key_value_heads=1,
                 intermediate_size=40, max_position_embeddings=16, rms_norm_eps=1e-5)
    yield "llama", t.LlamaForCausalLM(t.LlamaConfig(**llama, pad_token_id=pad))
    yield "llama-tied-biased", t.LlamaForCausalLM(t.LlamaConfig(
        **llama, tie_word_embeddings=True, attention_bias=True, mlp_bias=True,
        rope_parameters={"rope_type": "linear", "factor": 4.0, "rope_theta": 10000.0}))
    # The first context and the base are such that one frequency is fast, one between, and three are slow.
    yield "llama3", t.LlamaForCausalLM(t.LlamaConfig(
        **{**llama, "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64}, head_dim=10,
        rope_parameters={"rope_type": "llama3", "rope_theta": 100.0, "factor": 8.0, "low_freq_factor": 1.0,
                         "high_freq_factor": 4.0, "original_max_position_embeddings": 32}))
    yield "mistral", t.MistralForCausalLM(t.MistralConfig(**llama, sliding_window=5))
    yield "qwen2", t.Qwen2ForCausalLM(t.Qwen2Config(
        **llama, tie_word_embeddings=True, use_sliding_window=True, sliding_window=3, max_window_layers=1))
    qwen3 = dict(llama, num_attention_heads=4, num_key_value_heads=2, head_dim=8)
    yield "qwen3", t.Qwen3ForCausalLM(t.Qwen3Config(**qwen3))
    yield "qwen3-classifier", t.Qwen3ForSequenceClassification(t.Qwen3Config(**qwen3, pad_token_id=pad, **CLASSES))
    yield "bert-regressor", t.BertForSequenceClassification(t.BertConfig(
        vocab_size=97, hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=40,
        max_position_embeddings=16, **NUMBERS))
    yield from encoders(t, pad)
    yield from decoders(t, llama, pad)
    yield from later(t, llama, ids)


def encoders(t, pad):
    # The first position is row pad_token_id + 1: 16 rows are 14 positions, or 13.
    roberta = dict(vocab_size=97, hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=40,
                   max_position_embeddings=16, type_vocab_size=1, layer_norm_eps=1e-5, pad_token_id=1, **CLASSES)
    yield "roberta-classifier", t.RobertaForSequenceClassification(t.RobertaConfig(**roberta))
    yield "xlm-roberta-classifier", t.XLMRobertaForSequenceClassification(t.XLMRobertaConfig(**{**roberta, "pad_token_id": 2}))
    yield "camembert-classifier", t.CamembertForSequenceClassification(t.CamembertConfig(**roberta))
    yield "distilbert-classifier", t.DistilBertForSequenceClassification(t.DistilBertConfig(
        vocab_size=97, dim=24, n_layers=2, n_heads=3, hidden_dim=40, max_position_embeddings=16, **CLASSES))
    eurobert = dict(vocab_size=97, hidden_size=24, num_hidden_layers=2, num_attention_heads=3, num_key_value_heads=1,
                    intermediate_size=40, max_position_embeddings=16, pad_token_id=pad, bos_token_id=2, eos_token_id=3, mask_token_id=4,
                    rope_parameters={"rope_type": "default", "rope_theta": 250000.0}, **CLASSES)
    yield "eurobert-classifier", t.EuroBertForSequenceClassification(t.EuroBertConfig(**eurobert))
    yield "eurobert-mean-classifier", t.EuroBertForSequenceClassification(t.EuroBertConfig(**eurobert, classifier_pooling="mean"))


def decoders(t, llama, pad):
    """Windows are shorter than the longest sample; each model has a full layer too, where its family has both."""
    three = dict(llama, num_hidden_layers=3)
    grouped = dict(llama, num_attention_heads=4, num_key_value_heads=2)
    yarn = {"rope_type": "yarn", "rope_theta": 100.0, "factor": 4.0, "original_max_position_embeddings": 16, "beta_fast": 3.0}
    yield "llama-yarn", t.LlamaForCausalLM(t.LlamaConfig(
        **{**grouped, "max_position_embeddings": 64}, head_dim=10, rope_parameters=yarn))
    yield "ministral", t.MinistralForCausalLM(t.MinistralConfig(
        **llama, head_dim=8, sliding_window=5, layer_types=["full_attention", "sliding_attention"]))
    phi3 = dict(grouped, bos_token_id=2, eos_token_id=3, pad_token_id=pad, hidden_size=32)
    yield "phi3", t.Phi3ForCausalLM(t.Phi3Config(**phi3, sliding_window=5))
    # Heads of 8 of which 6 numbers turn. The long factors would act beyond the first 16 positions, where no sample goes.
    yield "phi3-longrope", t.Phi3ForCausalLM(t.Phi3Config(
        **{**phi3, "max_position_embeddings": 64}, original_max_position_embeddings=16, tie_word_embeddings=True,
        rope_parameters={"rope_type": "longrope", "rope_theta": 100.0, "partial_rotary_factor": 0.75,
                         "short_factor": [1.0, 1.5, 2.5], "long_factor": [2.0, 4.0, 8.0]}))
    yield "granite", t.GraniteForCausalLM(t.GraniteConfig(
        **grouped, attention_bias=True, mlp_bias=True, embedding_multiplier=3.0, attention_multiplier=0.25, residual_multiplier=0.4,
        logits_scaling=0.5, tie_word_embeddings=True))
    yield "olmo2", t.Olmo2ForCausalLM(t.Olmo2Config(**grouped, pad_token_id=pad, eos_token_id=3))
    yield "olmo3", t.Olmo3ForCausalLM(t.Olmo3Config(
        **{**three, "max_position_embeddings": 64}, pad_token_id=pad, eos_token_id=3, sliding_window=5,
        layer_types=["sliding_attention", "full_attention", "sliding_attention"],
        rope_parameters={"full_attention": yarn, "sliding_attention": {"rope_type": "default", "rope_theta": 100.0}}))
    yield "smollm3", t.SmolLM3ForCausalLM(t.SmolLM3Config(
        **three, pad_token_id=pad, bos_token_id=2, eos_token_id=3, no_rope_layer_interval=2, use_sliding_window=True, sliding_window=5))
    gemma = dict(three, num_attention_heads=4, num_key_value_heads=2, head_dim=8, query_pre_attn_scalar=5, sliding_window=5,
                 pad_token_id=0, bos_token_id=2, eos_token_id=3)
    yield "gemma2", t.Gemma2ForCausalLM(t.Gemma2Config(
        **gemma, attn_logit_softcapping=2.0, final_logit_softcapping=3.0, attn_implementation="eager"))
    gemma3 = dict(gemma, layer_types=["sliding_attention", "full_attention", "sliding_attention"], rope_parameters={
        "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1000.0},
        "sliding_attention": {"rope_type": "default", "rope_theta": 10.0}})
    yield "gemma3", t.Gemma3ForCausalLM(t.Gemma3TextConfig(**gemma3))
    yield "gemma3-classifier", t.Gemma3TextForSequenceClassification(t.Gemma3TextConfig(**{**gemma3, "pad_token_id": pad}, **CLASSES))
    neox = dict(vocab_size=97, hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=40,
                max_position_embeddings=16, bos_token_id=2, eos_token_id=3)
    yield "gpt-neox", t.GPTNeoXForCausalLM(t.GPTNeoXConfig(
        **neox, rope_parameters={"rope_type": "default", "rope_theta": 100.0, "partial_rotary_factor": 0.5}))
    yield "gpt-neox-sequential", t.GPTNeoXForCausalLM(t.GPTNeoXConfig(
        **neox, use_parallel_residual=False, attention_bias=False, hidden_act="gelu_new", tie_word_embeddings=True,
        rope_parameters={"rope_type": "default", "rope_theta": 100.0, "partial_rotary_factor": 1.0}))


def later(t, llama, ids):
    """Models that came after those above, whose weights are drawn from the number of the model."""
    pad = ids[2][-1]
    # A window of 4 is 2 tokens to each side; the layers are full, local, local and full again.
    modernbert = dict(vocab_size=97, hidden_size=24, num_hidden_layers=4, num_attention_heads=3, intermediate_size=40,
                      max_position_embeddings=16, local_attention=4, pad_token_id=pad, bos_token_id=2, eos_token_id=3, cls_token_id=2,
                      sep_token_id=3, rope_parameters={"full_attention": {"rope_type": "default", "rope_theta": 1000.0},
                                                       "sliding_attention": {"rope_type": "default", "rope_theta": 10.0}}, **CLASSES)
    yield "modernbert-classifier", t.ModernBertForSequenceClassification(t.ModernBertConfig(**modernbert))
    yield "modernbert-mean-classifier", t.ModernBertForSequenceClassification(t.ModernBertConfig(
        **modernbert, classifier_pooling="mean", attention_bias=True, mlp_bias=True, norm_bias=True, classifier_bias=True,
        classifier_activation="relu"))
    yield "apertus", t.ApertusForCausalLM(t.ApertusConfig(
        **{**llama, "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 41, "max_position_embeddings": 64}, head_dim=10,
        pad_token_id=pad, bos_token_id=2, eos_token_id=3,
        rope_parameters={"rope_type": "llama3", "rope_theta": 100.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                         "original_max_position_embeddings": 32}))
    # Two of the samples are longer than the first context, two are not.
    yield "phi3-longrope-long", t.Phi3ForCausalLM(t.Phi3Config(
        **{**llama, "num_attention_heads": 4, "num_key_value_heads": 2, "hidden_size": 32, "max_position_embeddings": 64},
        pad_token_id=pad, bos_token_id=2, eos_token_id=3, original_max_position_embeddings=6,
        rope_parameters={"rope_type": "longrope", "rope_theta": 100.0, "partial_rotary_factor": 1.0,
                         "short_factor": [1.0, 1.5, 2.5, 3.0], "long_factor": [2.0, 4.0, 8.0, 9.0]}))
    # The padding token is one of the longest sample's own, in its middle: it has no place of its own and takes none.
    literal = ids[2][5]
    yield "roberta-pads", t.RobertaForSequenceClassification(t.RobertaConfig(
        vocab_size=97, hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=40, type_vocab_size=1,
        max_position_embeddings=literal + 17, layer_norm_eps=1e-5, pad_token_id=literal, **CLASSES))


def save_rotary():
    """Llama 3.1's own numbers, and linear ones, at positions up to the last."""
    positions = torch.tensor([[0, 1, 4095, 8191, 100003, 131071]])
    tables = {}
    for name, rope in {
        "llama3": {"rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                   "original_max_position_embeddings": 8192},
        "linear": {"rope_type": "linear", "rope_theta": 10000.0, "factor": 3.0},
        "default": {"rope_type": "default", "rope_theta": 1000000.0},
    }.items():
        config = transformers.LlamaConfig(hidden_size=512, num_attention_heads=4, head_dim=128, max_position_embeddings=131072,
                                          rope_parameters=rope)
        module = transformers.models.llama.modeling_llama.LlamaRotaryEmbedding(config)
        cosine, sine = module(torch.zeros(1, dtype=torch.float32), positions)
        tables[name + ".cosine"] = cosine[0, :, :64].contiguous()
        tables[name + ".sine"] = sine[0, :, :64].contiguous()
    save_file({"positions": positions[0].float(), **tables}, HERE / "rotary.safetensors")


def save_tokenizer():
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"] + "the film is good bad very not a great boring plot actors and of it was".split()
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1",
                                                             special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    tokenizer.enable_padding(length=64)  # a trap: real tokenizers carry this, and it must be switched off
    (HERE / "tokenizer").mkdir(exist_ok=True)
    tokenizer.save(str(HERE / "tokenizer" / "tokenizer.json"))


def main():
    chosen = set(sys.argv[1:])  # names of models; none: all of them
    torch.set_num_threads(1)  # the same bytes on every machine with the same libraries
    generator = torch.Generator().manual_seed(0)
    ids = [torch.randint(5, 97, (n,), generator=generator).tolist() for n in LENGTHS]
    for seed, (name, model) in enumerate(tiny_models(ids), start=1):
        if not chosen or name in chosen:
            save(name, randomize(model, seed), ids)
    if chosen:
        return
    save_rotary()
    save_tokenizer()


if __name__ == "__main__":
    main()
