"""A verdict on the size of the data for the task and for the model, each rule with its source."""
import json
import pathlib

FEW_SAMPLES, FEW_OF_CLASS = 1000, 20
SAMPLES_RULE = ("Fewer than 1,000 samples of training: results of fine-tuning differ so much from seed to seed that one run says little "
                "(Zhang, Wu, Katiyar, Weinberger and Artzi: Revisiting Few-sample BERT Fine-tuning, ICLR 2021, whose small sets have 1,000).")
CLASS_RULE = f"Fewer than {FEW_OF_CLASS} samples of a class in training: a rule of this audit, without a source."
# Hernandez, Kaplan, Henighan and McCandlish, 2021, arXiv:2102.01293, table 1 (text to Python): D_T = 1.9e4 D_F^0.18 N^0.38;
# Kaplan et al., 2020, arXiv:2001.08361, equation 4.4: D >= 5e3 N^0.74 for little overfitting. N: parameters without embeddings.
TOKENS_RULE = ("Tokens that avoid overfitting: 5,000 x N^0.74 (Kaplan et al. 2020, arXiv:2001.08361, equation 4.4), N the parameters without embeddings. "
               "Pretraining counts as 19,000 x tokens^0.18 x N^0.38 more tokens (Hernandez et al. 2021, arXiv:2102.01293, text to Python). "
               "Both were fitted on decoders: take the verdict as an order of magnitude.")


def parameters_of(folder):
    """(all, without embeddings) of the weights beside the tokenizer; None where there are none."""
    files = sorted(pathlib.Path(folder).glob("model*.safetensors")) if folder else []
    total = inner = 0
    for file in files:
        with open(file, "rb") as content:
            size = int.from_bytes(content.read(8), "little")
            if not 2 <= size <= 1 << 27:
                return None
            try:
                header = json.loads(content.read(size))
                for name, tensor in header.items():
                    if name != "__metadata__":
                        count = 1
                        for length in tensor["shape"]:
                            count *= length
                        total += count
                        inner += 0 if "embed" in name or name.split(".")[-2:-1] in (["wte"], ["wpe"], ["lm_head"]) else count
            except (ValueError, KeyError, TypeError, AttributeError):
                return None
    return (total, inner) if total else None


def tokens_needed(tokens, inner):
    """(effective tokens, tokens that avoid overfitting)"""
    return tokens + 1.9e4 * tokens**0.18 * inner**0.38, 5e3 * inner**0.74


def verdicts(task, samples, smallest, tokens, parameters):
    """Sentences about what is little; `smallest`: (class, samples of training) or None; `tokens`: of training, or None."""
    found = []
    if task in ("classification", "regression") and samples < FEW_SAMPLES:
        found.append(f"{samples:,} samples of training. {SAMPLES_RULE}")
    if smallest and smallest[1] < FEW_OF_CLASS:
        found.append(f"Class {smallest[0]!r} has {smallest[1]:,} samples of training. {CLASS_RULE}")
    if task in ("generation", "language-modeling") and tokens and parameters and parameters[1]:
        effective, needed = tokens_needed(tokens, parameters[1])
        if effective < needed:
            found.append(f"{tokens:,} tokens of training count as {effective:.3g} with pretraining, and {needed:.3g} would avoid overfitting: "
                         f"stop early, and take few epochs. {TOKENS_RULE}")
    return found
