"""Golden completions of transformers for every decoder that make_golden.py wrote: run once after it, commit what it writes.

    python tests/golden/make_generation.py [NAME...]

NAME/generation.json: prompts of token ids, the greedy completion of each, the same with a repetition penalty, and the smallest
margin between the best and the second logit that any step had: the seed of the prompts is the first that keeps it above 1e-3,
so that rounding decides nothing. processors.json: distributions after repetition penalty, temperature, top-k and top-p in the
order in which transformers applies them.
"""
import json
import pathlib
import sys

import torch
import transformers

HERE = pathlib.Path(__file__).parent
PROMPTS, NEW_TOKENS, PENALTY, MARGIN = 20, 8, 1.3, 1e-3


def complete(model, prompt, penalty):
    with torch.no_grad():
        ids = torch.tensor([prompt])
        # If it got no mask, generate() would hide tokens that happen to be the padding's.
        out = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=NEW_TOKENS, repetition_penalty=penalty,
                             output_scores=True, return_dict_in_generate=True, pad_token_id=0, eos_token_id=None)
    best = [torch.topk(scores[0], 2).values for scores in out.scores]
    return out.sequences[0, len(prompt):].tolist(), min((a - b).item() for a, b in best)


def write_completions(folder):
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64).eval()
    # Beyond the first context Phi's stretched positions have other angles: some completions begin before it and end after it.
    first_context = getattr(model.config, "original_max_position_embeddings", None)
    longest = first_context + 2 if first_context else model.config.max_position_embeddings - NEW_TOKENS
    for seed in range(1000):
        generator = torch.Generator().manual_seed(seed)
        lengths = torch.randint(1, longest + 1, (PROMPTS,), generator=generator).tolist()
        prompts = [torch.randint(0, model.config.vocab_size, (n,), generator=generator).tolist() for n in lengths]
        greedy = [complete(model, p, 1.0) for p in prompts]
        penalized = [complete(model, p, PENALTY) for p in prompts]
        margin = min(m for _, m in greedy + penalized)
        if margin > MARGIN:
            break
    else:
        raise SystemExit(f"{folder}: no seed keeps the margin above {MARGIN}")
    golden = {"seed": seed, "margin": margin, "penalty": PENALTY, "prompts": prompts, "greedy": [t for t, _ in greedy],
              "penalized": [t for t, _ in penalized]}
    (folder / "generation.json").write_text(json.dumps(golden) + "\n")
    print(folder.name, "seed", seed, "margin", margin)


def write_processors():
    generator = torch.Generator().manual_seed(5)
    cases = []
    for penalty, temperature, top_k, top_p in [(1, 1, 0, 1), (1.5, 1, 0, 1), (1, 0.6, 0, 1), (1, 1, 7, 1), (1, 1, 0, 0.8), (1, 1, 500, 0.1),
                                               (1.2, 1.7, 20, 0.9), (0.8, 0.7, 5, 0.5)]:
        logits = torch.randn(1, 60, generator=generator, dtype=torch.float64) * 3
        logits[0, 10] = logits[0, 11] = logits.sort().values[0, -7]  # a tie at the edge of top-k
        seen = torch.randint(0, 60, (1, 9), generator=generator)
        steps = [transformers.RepetitionPenaltyLogitsProcessor(float(penalty)), transformers.TemperatureLogitsWarper(float(temperature))]
        steps += [transformers.TopKLogitsWarper(top_k)] if top_k else []
        steps += [transformers.TopPLogitsWarper(top_p)] if top_p < 1 else []
        scores = logits.clone()
        for step in steps:
            scores = step(seen, scores)
        cases.append({"penalty": penalty, "temperature": temperature, "top_k": top_k, "top_p": top_p, "logits": logits[0].tolist(),
                      "seen": seen[0].tolist(), "probabilities": torch.softmax(scores[0], 0).tolist()})
    (HERE / "processors.json").write_text(json.dumps(cases) + "\n")


def main():
    chosen = set(sys.argv[1:])
    for config in sorted(HERE.glob("*/config.json")):
        if chosen and config.parent.name not in chosen:
            continue
        if json.loads(config.read_text())["architectures"][0].endswith(("ForCausalLM", "LMHeadModel")):
            write_completions(config.parent)
    if not chosen:
        write_processors()


if __name__ == "__main__":
    main()
