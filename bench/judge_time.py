"""Predicted against measured seconds of a step on this machine: `trireme calibrate` and runs take turns, so that the noise of the
machine meets both. A step's time is the median of its run's.

    python3 bench/judge_time.py [--rounds 3] [--ranks 1,2] [--only NAME] [--prefix "taskset -c 0,1"]

Nothing is fitted: a calibration does not know the models and layouts below. Prints for each layout the medians of predicted and measured
seconds over the rounds and of their ratio, and exits 1 where the median ratio of a layout of 1 or 2 ranks is further than 8 % from 1.
"""
import argparse
import json
import os
import pathlib
import random
import re
import shlex
import shutil
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
TRIREME = str(ROOT / "build/bin/trireme")
LIMIT = 0.08
STEPS, WARM = 24, 4
RANKS = {"OMPI_MCA_mpi_yield_when_idle": "1", "OMPI_MCA_hwloc_base_binding_policy": "none", "OMPI_ALLOW_RUN_AS_ROOT": "1",
         "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMPI_MCA_rmaps_base_oversubscribe": "1"}

VOCABULARY = 4000
MODELS = {
    "llama": dict(model_type="llama", hidden_size=320, num_hidden_layers=6, num_attention_heads=5, num_key_value_heads=5, head_dim=64,
                  intermediate_size=864, max_position_embeddings=512, hidden_act="silu", rms_norm_eps=1e-5),
    "llama-wide": dict(model_type="llama", hidden_size=768, num_hidden_layers=3, num_attention_heads=12, num_key_value_heads=4, head_dim=64,
                       intermediate_size=2048, max_position_embeddings=512, hidden_act="silu", rms_norm_eps=1e-5),
    "llama-even": dict(model_type="llama", hidden_size=384, num_hidden_layers=4, num_attention_heads=6, num_key_value_heads=2, head_dim=64,
                       intermediate_size=1024, max_position_embeddings=512, hidden_act="silu", rms_norm_eps=1e-5),
    "gpt2": dict(model_type="gpt2", n_embd=384, n_layer=4, n_head=6, n_positions=512, activation_function="gelu_new"),
    "bert": dict(model_type="bert", hidden_size=320, num_hidden_layers=4, num_attention_heads=5, intermediate_size=1280,
                 max_position_embeddings=512, type_vocab_size=2, hidden_act="gelu"),
}


class Case:
    """A layout of one of the models: `length` tokens a sample, `micro` samples a micro-batch, `batch` samples a step."""

    def __init__(self, name, ranks, model, length, micro, batch, **parallel):
        self.name, self.ranks, self.model, self.length = name, ranks, model, length
        self.micro, self.batch, self.parallel = micro, batch, parallel


CASES = [
    Case("llama", 1, "llama", 128, 4, 8),
    Case("llama, all recomputed", 1, "llama", 256, 2, 4, recompute="full"),
    Case("wide llama, attention recomputed", 1, "llama-wide", 128, 2, 4, recompute="selective"),
    Case("gpt2", 1, "gpt2", 128, 4, 8),
    Case("bert", 1, "bert", 128, 4, 8),
    Case("llama, data 2", 2, "llama", 128, 4, 16),
    Case("gpt2, ZeRO 1", 2, "gpt2", 128, 4, 16, zero=1),
    Case("llama, ZeRO 2", 2, "llama", 128, 4, 16, zero=2),
    Case("wide llama, ZeRO 3", 2, "llama-wide", 256, 2, 8, zero=3),
    Case("even llama, tensor 2", 2, "llama-even", 256, 2, 4, tensor=2),
    Case("gpt2, pipeline 2", 2, "gpt2", 128, 2, 8, pipeline=2),
    Case("llama, pipeline 2, interleaved", 2, "llama", 128, 2, 8, pipeline=2, schedule="interleaved", virtual_stages=3),
    Case("bert, pipeline 2, zero bubble", 2, "bert", 128, 2, 8, pipeline=2, schedule="zero-bubble"),
    Case("llama, data 4", 4, "llama", 128, 4, 16),
    Case("gpt2, ZeRO 3", 4, "gpt2", 128, 4, 16, zero=3),
    Case("even llama, tensor 2, pipeline 2", 4, "llama-even", 128, 4, 16, tensor=2, pipeline=2),
]


def run(prefix, *command):
    done = subprocess.run([*prefix, *map(str, command)], capture_output=True, text=True, env=os.environ | RANKS)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


def write_model(folder, name):
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(MODELS[name] | {"vocab_size": VOCABULARY}))
    special = ["[UNK]", "[MASK]"]
    words = {word: i for i, word in enumerate(special + [f"w{i}" for i in range(VOCABULARY - len(special))])}
    added = [dict(id=i, content=word, single_word=False, lstrip=False, rstrip=False, normalized=False, special=True) for i, word in enumerate(special)]
    (folder / "tokenizer.json").write_text(json.dumps({
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": None,
        "pre_tokenizer": {"type": "WhitespaceSplit"}, "post_processor": None, "decoder": None,
        "model": {"type": "WordLevel", "vocab": words, "unk_token": "[UNK]"}}))
    (folder / "tokenizer_config.json").write_text(json.dumps({"mask_token": "[MASK]", "unk_token": "[UNK]"}))


def task_of(case):
    return "masked-language-modeling" if case.model == "bert" else "language-modeling"


def write_data(work, case):
    """Samples of one length: the same for all ranks, as a plan has them."""
    folder = work / f"{case.model}-{case.length}"
    if folder.exists():
        return folder
    if not (work / case.model).exists():
        write_model(work / case.model, case.model)
    draw = random.Random(0)
    for split, rows in (("train", 256), ("validation", 2)):
        lines = [json.dumps({"text": " ".join(f"w{draw.randrange(VOCABULARY - 2)}" for _ in range(case.length))}) for _ in range(rows)]
        (work / f"{split}.jsonl").write_text("\n".join(lines) + "\n")
    run([], TRIREME, "prepare", "--task", task_of(case), "--tokenizer", work / case.model, "--train", work / "train.jsonl", "--validation",
        work / "validation.jsonl", "--max-length", case.length, "--output", folder)
    return folder


def write_run(work, case):
    data = write_data(work, case)
    parallel = "".join(f"  {key}: {value}\n" for key, value in case.parallel.items()) or "  zero: 0\n"
    path = work / "run.yaml"
    path.write_text(
        f"run: {work}/run\ntask: {task_of(case)}\nmodel:\n  path: {work / case.model}\n  from_scratch: true\ndata:\n  path: {data}\n"
        f"parallel:\n{parallel}batch:\n  global: {case.batch}\n  tokens_per_micro_batch: {case.micro * case.length}\ntrain:\n  steps: {STEPS}\n"
        "evaluation:\n  every: 0\ncheckpoint:\n  every: 0\n")
    return path


def measured(work, case, prefix):
    config = write_run(work, case)
    shutil.rmtree(work / "run", ignore_errors=True)
    run(prefix, "mpirun", "-n", case.ranks, TRIREME, "train", config)
    events = map(json.loads, (work / "run/metrics.jsonl").read_text().splitlines())
    return statistics.median(e["seconds"] for e in events if e["kind"] == "train" and e["step"] > WARM)


def predicted(work, case):
    config = write_run(work, case)
    shutil.rmtree(work / "run", ignore_errors=True)  # a plan is held to the model of a run that is there, and this one is another case's
    text = run([], TRIREME, "plan", config, "--machine", work / f"machine-{case.ranks}.yaml", "--nodes", 1, "--top", 0)
    found = re.search(r"as configured.*\n  fits: .*; ([0-9.e+-]+) s a step", text)
    if not found:
        raise SystemExit(f"{case.name}: no prediction in\n{text}")
    return float(found[1])


def show(case, rounds):
    ratios = [p / m for p, m in rounds]
    ratio = statistics.median(ratios)
    print(f"{case.ranks} rank{'s' if case.ranks > 1 else ' '} {case.name:<36} predicted {1e3 * statistics.median(p for p, _ in rounds):8.1f} ms  measured "
          f"{1e3 * statistics.median(m for _, m in rounds):8.1f} ms  ratio {ratio:.3f}  ({', '.join(f'{r:.3f}' for r in ratios)})", flush=True)
    return abs(ratio - 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ranks", default="1,2,4", help="numbers of ranks, with commas")
    parser.add_argument("--only", default="", help="layouts whose name has this in it")
    parser.add_argument("--prefix", default="", help="words in front of each command that is timed")
    parser.add_argument("--quick", action="store_true", help="calibrate --quick")
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / "bench-work/judge-time")
    options = parser.parse_args()
    work, prefix = options.work.resolve(), shlex.split(options.prefix)
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    counts = [int(n) for n in options.ranks.split(",")]
    cases = [case for case in CASES if case.ranks in counts and options.only in case.name]
    found = {case.name + str(case.ranks): [] for case in cases}
    for _ in range(options.rounds):
        for ranks in counts:
            run(prefix, "mpirun", "-n", ranks, TRIREME, "calibrate", "--output", work / f"machine-{ranks}.yaml", "--force",
                *(["--quick"] if options.quick else []))
            for case in cases:
                if case.ranks == ranks:
                    seconds = measured(work, case, prefix)
                    found[case.name + str(case.ranks)].append((predicted(work, case), seconds))
                    print(f"  {case.ranks} {case.name}: {found[case.name + str(case.ranks)][-1]}", file=sys.stderr, flush=True)
    off = {case.name + str(case.ranks): show(case, found[case.name + str(case.ranks)]) for case in cases}
    judged = [off[case.name + str(case.ranks)] for case in cases if case.ranks <= 2]
    if judged:
        print(f"1 and 2 ranks: {sum(x <= LIMIT for x in judged)} of {len(judged)} layouts within {LIMIT:.0%}; median {statistics.median(judged):.1%}, "
              f"worst {max(judged):.1%}")
    return int(any(x > LIMIT for x in judged))


if __name__ == "__main__":
    sys.exit(main())
