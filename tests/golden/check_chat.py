"""Does transformers make of an export with a template for chats what we make of it? Needs torch, transformers and h5py.

    python tests/golden/check_chat.py EXPORT '[[[turn, ...], ...], [[answer, ...], ...]]' SHARD

added_tokens_test.py calls it. Each conversation of the user's turns is answered greedily by AutoModelForCausalLM, through
apply_chat_template; the answers must be the given ones, the tokens of the whole conversation those of the shard's samples.
"""
import json
import sys

import torch
import transformers


def main():
    folder, conversations, shard = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3]
    transformers.utils.logging.set_verbosity_error()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model, report = transformers.AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True, dtype=torch.float32)
    wrong = {key: value for key, value in report.items() if value}
    assert not wrong, wrong
    assert len(tokenizer) == model.config.vocab_size == model.get_input_embeddings().weight.shape[0], len(tokenizer)
    samples = samples_of(shard)
    for turns, wanted in zip(*conversations, strict=True):
        messages = []
        for turn, answer in zip(turns, wanted, strict=True):
            messages.append({"role": "user", "content": turn})
            prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", return_dict=True)
            made = model.generate(**prompt, max_new_tokens=6, do_sample=False)[0, prompt["input_ids"].shape[1] :]
            said = tokenizer.decode(made, skip_special_tokens=True)
            assert said == answer, (turns, said, answer)
            messages.append({"role": "assistant", "content": answer})
        whole = tokenizer.apply_chat_template(messages, return_dict=False)
        # a sample ends in front of its last trained token, which is a label only; nothing behind that is trained
        assert any(whole[: len(sample)] == sample for sample in samples), (whole, samples)
    print(f"{len(conversations[0])} conversations: tokens and greedy answers equal transformers {transformers.__version__}")


def samples_of(shard):
    import h5py

    with h5py.File(shard) as file:
        tokens, offsets = file["columns/tokens/values"][...].tolist(), file["columns/tokens/offsets"][...].tolist()
    return [tokens[first:end] for first, end in zip(offsets, offsets[1:])]


if __name__ == "__main__":
    main()
