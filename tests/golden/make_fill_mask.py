"""Writes fill-mask/: a tokenizer with a mask token for the model of bert-masked, and what transformers' pipeline "fill-mask" makes of a
few texts with both.

    pip install torch transformers tokenizers && python tests/golden/make_fill_mask.py
"""
import json
import pathlib

import torch
import transformers
from tokenizers import AddedToken, Tokenizer

HERE = pathlib.Path(__file__).resolve().parent
TEXTS = ["the film is [MASK]", "[MASK] [MASK] is good", "the plot is good and the actors [MASK] boring", "the film is good"]


def main():
    folder = HERE / "fill-mask"
    folder.mkdir(exist_ok=True)
    tokenizer = Tokenizer.from_file(str(HERE / "tokenizer/tokenizer.json"))
    tokenizer.add_special_tokens([AddedToken("[MASK]", normalized=False)])
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text('{"mask_token": "[MASK]"}\n')
    fast = transformers.PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"), mask_token="[MASK]")
    model = transformers.BertForMaskedLM.from_pretrained(HERE / "bert-masked", dtype=torch.float64).eval()
    fill = transformers.pipeline("fill-mask", model=model, tokenizer=fast, top_k=7)
    lines = []
    for text in TEXTS:
        found = fill(text) if "[MASK]" in text else []
        masks = found if not found or isinstance(found[0], list) else [found]
        lines.append({"text": text, "masks": [[{"token": one["token"], "probability": one["score"]} for one in mask] for mask in masks]})
    (folder / "expected.json").write_text(json.dumps(lines) + "\n")
    print(f"{len(lines)} texts")


if __name__ == "__main__":
    main()
