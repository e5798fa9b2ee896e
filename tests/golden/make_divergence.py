"""Writes divergence.json: losses and gradients of transformers with KL(base || model) beside the cross-entropy, and averages of weights.

    pip install torch transformers && python tests/golden/make_divergence.py

Models and samples are those of make_golden.py, which is run first. The base has 0.9 times the weights of the model. For each
parameter there are the norm of its gradient and the product with cosines of 0.7 i, which tells elements that change places.
The averages are those of torch.optim.swa_utils.AveragedModel with get_ema_avg_fn.
"""
import copy
import json
import math
import pathlib

import torch
import transformers
from make_golden import exact_norms

HERE = pathlib.Path(__file__).parent
WEIGHT, BASE, DECAY = 0.7, 0.9, 0.75


def divergence(name):
    model = transformers.AutoModelForCausalLM.from_pretrained(HERE / name).double().eval()
    base = copy.deepcopy(model)
    with torch.no_grad():
        for p in base.parameters():
            p.mul_(BASE)
    samples = [ids for ids in json.loads((HERE / name / "expected.json").read_text())["ids"] if len(ids) > 1]
    cross_entropy, kl, count = 0, 0, 0
    with exact_norms():
        for ids in samples:
            ours = model(input_ids=torch.tensor([ids])).logits[0, :-1].log_softmax(-1)
            with torch.no_grad():
                theirs = base(input_ids=torch.tensor([ids])).logits[0, :-1].log_softmax(-1)
            cross_entropy = cross_entropy + torch.nn.functional.nll_loss(ours, torch.tensor(ids[1:]), reduction="sum")
            kl = kl + torch.nn.functional.kl_div(ours, theirs, reduction="sum", log_target=True)
            count += len(ids) - 1
        ((cross_entropy + WEIGHT * kl) / count).backward()
    own_name = {"lm_head.weight": "embed_out.weight"} if model.config.model_type == "gpt_neox" else {}
    gradients = {}
    for parameter, p in model.named_parameters():
        flat = p.grad.flatten()
        waves = torch.cos(0.7 * torch.arange(len(flat), dtype=torch.float64))
        gradients[own_name.get(parameter, parameter)] = [flat.norm().item(), flat.dot(waves).item()]
    return {"cross_entropy": (cross_entropy / count).item(), "divergence": (kl / count).item(), "gradients": gradients}


def averages():
    """Weights that an optimizer might leave, and their average after each step."""
    model = torch.nn.Linear(7, 1, bias=False, dtype=torch.float64)
    average = torch.optim.swa_utils.AveragedModel(model, avg_fn=torch.optim.swa_utils.get_ema_avg_fn(DECAY))
    steps = []
    for step in range(6):
        with torch.no_grad():
            model.weight.copy_(torch.tensor([[math.sin(3 * step + i) for i in range(7)]], dtype=torch.float64))
        average.update_parameters(model)
        steps.append({"weights": model.weight[0].tolist(), "average": average.module.weight[0].tolist()})
    return {"decay": DECAY, "steps": steps}


if __name__ == "__main__":
    models = {name: divergence(name) for name in ("llama", "llama-tied-biased", "qwen3", "gemma2", "gpt-neox")}
    (HERE / "divergence.json").write_text(json.dumps(
        {"torch": torch.__version__, "transformers": transformers.__version__, "weight": WEIGHT, "base": BASE, "models": models,
         "average": averages()}) + "\n")
