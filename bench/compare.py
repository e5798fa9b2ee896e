"""Trireme against transformers on PyTorch, in turns in one run, so that the noise of the machine meets both.

    bench/peers/setup                                        once
    python3 bench/compare.py classification [--rounds 3]     needs a finished launch/quickstart
    python3 bench/compare.py language-model [--rounds 3]
    python3 bench/compare.py parallel [--rounds 3]           2 ranks each: data parallel, ZeRO, tensor parallel

Prints the rate of each round, the ratio of medians and the largest resident memory of a rank, and beside the language models
the rate of their matrix products alone, which bounds every one. Ratios count; absolute rates depend on the machine.
"""
import argparse
import hashlib
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
WORK = ROOT / "bench-work"
TRIREME = str(ROOT / "build/bin/trireme")
PEER = str(ROOT / ".venv-peers/bin/python")
RANKS = {"OMPI_MCA_mpi_yield_when_idle": "1", "OMPI_MCA_hwloc_base_binding_policy": "none", "OMPI_ALLOW_RUN_AS_ROOT": "1",
         "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMPI_MCA_rmaps_base_oversubscribe": "1"}


peak_gib = {}  # of the largest process, by the name of what ran last
peak_in_steps = {}
current = None


def run(command, **more):
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        process = subprocess.Popen(command, stdout=out, stderr=err, text=True, env={**os.environ, **more})
        _, status, usage = os.wait4(process.pid, 0)  # usage counts the processes that it waited for, too
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0), err.seek(0)
        if process.returncode != 0:
            raise SystemExit(f"{' '.join(command)}\n{out.read()}\n{err.read()}")
        peak_gib[current] = max(peak_gib.get(current, 0), usage.ru_maxrss / 2**20)
        return out.read()


def steps_of(folder):
    """Steps but for the first three. Peers save nothing, so that memory counts up to the last step, without the checkpoint after it."""
    events = [json.loads(line) for line in open(folder / "metrics.jsonl")]
    steps = [e for e in events if e["kind"] == "train"][3:]
    peak_gib[current] = max(peak_in_steps.get(current, 0), steps[-1]["peak_memory"] / 2**30)
    peak_in_steps[current] = peak_gib[current]
    return steps


def train(name, ranks, config, settings):
    folder = WORK / "runs" / name
    shutil.rmtree(folder, ignore_errors=True)
    command = ["mpirun", "-n", str(ranks), TRIREME, "train", str(config), "--set", f"run={folder}"]
    for setting in settings:
        command += ["--set", setting]
    run(command, **RANKS)
    return steps_of(folder)


def split_texts(source):
    """The split that `trireme prepare` makes, from the same hash."""
    names = {k: WORK / f"{k}.jsonl" for k in ("train", "validation", "test")}
    files = {k: open(v, "w") for k, v in names.items()}
    for line in open(source):
        place = int(hashlib.sha256(json.loads(line)["text"].lower().encode()).hexdigest()[:8], 16) / 2**32
        files["test" if place < 0.1 else "validation" if place < 0.2 else "train"].write(line)
    for file in files.values():
        file.close()
    return names


def classification(_):
    quick = ROOT / "quickstart"
    names = split_texts(quick / "reviews.jsonl")

    def ours(ranks):
        steps = train(f"classification-{ranks}", ranks, ROOT / "configs/film-reviews.yaml",
                      [f"model.path={quick}/model", f"data.path={quick}/data", f"numerics.threads={2 // ranks}", "train.steps=30", "evaluation.every=1000"])
        return sum(e["samples"] for e in steps) / sum(e["seconds"] for e in steps)

    def peer(padding):
        script = [PEER, str(ROOT / "bench/peers/classification.py"), str(quick / "model"), str(names["train"]), str(names["test"])]
        return json.loads(run(script + ["--padding", padding, "--steps", "30"]).splitlines()[-1])["samples_per_second"]

    return "samples/s", {"trireme, 2 ranks": lambda: ours(2), "transformers, padded to 64": lambda: peer("fixed"),
                         "transformers, dynamic padding, lengths grouped": lambda: peer("dynamic"),
                         "trireme, 1 process, 2 threads": lambda: ours(1)}


def make_language_model_inputs():
    """A Llama of 32 M parameters, and 256-token samples of random words: every token of a step is trained."""
    folder = WORK / "llama"
    folder.mkdir(parents=True, exist_ok=True)
    words, length = 8192, 256
    config = dict(model_type="llama", hidden_size=512, num_hidden_layers=8, num_attention_heads=8, num_key_value_heads=4,
                  intermediate_size=1408, vocab_size=words, max_position_embeddings=length, hidden_act="silu", rms_norm_eps=1e-6)
    (folder / "config.json").write_text(json.dumps(config))
    vocabulary = {f"w{i}": i for i in range(words)}
    tokenizer = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
                 "pre_tokenizer": {"type": "WhitespaceSplit"}, "post_processor": None, "decoder": None,
                 "model": {"type": "WordLevel", "vocab": vocabulary, "unk_token": "w0"}}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    import random
    draw = random.Random(0)
    rows = [json.dumps({"text": " ".join(f"w{draw.randrange(words)}" for _ in range(length))}) for _ in range(200)]
    (folder / "train.jsonl").write_text("\n".join(rows[:-8]) + "\n")
    (folder / "validation.jsonl").write_text("\n".join(rows[-8:]) + "\n")
    shutil.rmtree(WORK / "llama-data", ignore_errors=True)
    run([TRIREME, "prepare", "--task", "language-modeling", "--tokenizer", str(folder), "--train", str(folder / "train.jsonl"),
         "--validation", str(folder / "validation.jsonl"), "--max-length", str(length), "--output", str(WORK / "llama-data")])
    (folder / "run.yaml").write_text(f"run: {WORK}/runs/lm\ntask: language-modeling\nmodel:\n  path: {folder}\n  from_scratch: true\n"
                                     f"data:\n  path: {WORK}/llama-data\nbatch:\n  global: 8\n  tokens_per_micro_batch: 2048\n"
                                     "optimizer:\n  learning_rate: 1e-4\ntrain:\n  steps: 13\nevaluation:\n  every: 1000\n")
    return folder


def language_model(_):
    folder = make_language_model_inputs()

    def ours(ranks, micro_batch):
        steps = train(f"lm-{ranks}", ranks, folder / "run.yaml", [f"numerics.threads={2 // ranks}", f"batch.tokens_per_micro_batch={micro_batch}"])
        seconds = sorted(e["seconds"] for e in steps)
        return steps[0]["tokens"] / seconds[len(seconds) // 2]

    def peer():
        return json.loads(run([PEER, str(ROOT / "bench/peers/language_model.py"), str(folder)], OMP_NUM_THREADS="2").splitlines()[-1])["tokens_per_second"]

    return "tokens/s", {"trireme, 1 process, 2 threads": lambda: ours(1, 2048), "PyTorch eager, 1 process, 2 threads": peer,
                        "matrix products alone, 2 threads": lambda: products(folder, 2), "trireme, 2 ranks": lambda: ours(2, 1024)}


def products(folder, threads):
    script = [PEER, str(ROOT / "bench/peers/products.py"), str(folder)]
    return json.loads(run(script, OMP_NUM_THREADS=str(threads)).splitlines()[-1])["tokens_per_second"]


def parallel(_):
    """Names what each pair of lines has in common: the kind of parallelism, two ranks of one thread each."""
    folder = make_language_model_inputs()

    def ours(name, micro_batch, *settings):
        def measure():
            steps = train(f"lm-{name}", 2, folder / "run.yaml",
                          ["numerics.threads=1", f"batch.tokens_per_micro_batch={micro_batch}", *settings])
            seconds = sorted(e["seconds"] for e in steps)
            return steps[0]["tokens"] / seconds[len(seconds) // 2]
        return measure

    def peer(mode):
        command = [str(ROOT / ".venv-peers/bin/torchrun"), "--nproc-per-node", "2", str(ROOT / "bench/peers/parallel.py"), str(folder), "--mode", mode]
        return lambda: json.loads(run(command, OMP_NUM_THREADS="1").splitlines()[-1])["tokens_per_second"]

    return "tokens/s", {
        "trireme, data parallel": ours("dp", 1024), "PyTorch DDP": peer("ddp"),
        "trireme, ZeRO 1": ours("zero1", 1024, "parallel.zero=1"), "DeepSpeed ZeRO 1": peer("deepspeed1"),
        "trireme, ZeRO 3": ours("zero3", 1024, "parallel.zero=3"), "DeepSpeed ZeRO 3": peer("deepspeed3"), "PyTorch FSDP2": peer("fsdp2"),
        "trireme, tensor parallel": ours("tp", 2048, "parallel.tensor=2"), "PyTorch DTensor": peer("dtensor")}


def main():
    global current
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["classification", "language-model", "parallel"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", default=[""], metavar="TEXT", help="programs whose names contain one of these")
    a = parser.parse_args()
    WORK.mkdir(exist_ok=True)
    unit, programs = {"classification": classification, "language-model": language_model, "parallel": parallel}[a.what](a)
    programs = {name: program for name, program in programs.items() if any(text in name for text in a.only)}
    if not programs:
        raise SystemExit(f"no program of {a.what} is called {' or '.join(a.only)}")
    rates = {name: [] for name in programs}
    for _ in range(a.rounds):
        for name, program in programs.items():
            current = name
            rates[name].append(program())
    ours = None
    for name, values in rates.items():
        middle = statistics.median(values)
        ours = middle if name.startswith("trireme") else ours
        ratio = "" if name.startswith("trireme") or ours is None else f"trireme above / this: {ours / middle:.2f}   "
        print(f"{name:<50} {middle:8.1f} {unit}   {ratio}peak {peak_gib[name]:.2f} GiB   rounds: {', '.join(f'{v:.1f}' for v in values)}")


if __name__ == "__main__":
    main()
