"""Trains with transformers on PyTorch on the samples of a folder that `trireme prepare` wrote, in the order in which Trireme takes
them, with its optimizer and schedule and no dropout; and runs Trireme's commands. For bench/tasks.py and bench/prompting.py."""
import json
import os
import pathlib
import subprocess

import h5py
import torch
import transformers

ROOT = pathlib.Path(__file__).resolve().parent.parent
TRIREME = str(ROOT / "build/bin/trireme")
RANKS = {"OMPI_MCA_mpi_yield_when_idle": "1", "OMPI_MCA_hwloc_base_binding_policy": "none", "OMPI_ALLOW_RUN_AS_ROOT": "1",
         "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMPI_MCA_rmaps_base_oversubscribe": "1"}
DECAY, WARMUP, CLIP = 0.01, 0.1, 1.0
ORDER = 0x6F72646572  # data/ordered_sample: the purpose of its numbers


def run(*command):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, env={**os.environ, **RANKS})
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}\n{done.stdout}\n{done.stderr}")
    return done.stdout


def evaluated(*words, ranks=1):
    return json.loads(run("mpirun", "-n", ranks, TRIREME, "evaluate", *words).splitlines()[-1])


def write_lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def read_lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def by_seed(file, sizes, seeds, one_seed):
    """Lines of the seeds from 1 on, those of the file where it has them with these sizes; each new one is appended as soon as it is there."""
    file.parent.mkdir(parents=True, exist_ok=True)
    known = {line["seed"]: line for line in (read_lines(file) if file.exists() else []) if line.items() >= sizes.items()}
    for seed in range(1, seeds + 1):
        if seed not in known:
            known[seed] = {**sizes, "seed": seed, **one_seed(seed)}
            with open(file, "a") as out:
                out.write(json.dumps(known[seed]) + "\n")
    return [known[seed] for seed in range(1, seeds + 1)]


def shards(data, split, names):
    """The columns `names` of each sample of a split, as they stand in its shards."""
    samples = []
    for path in sorted(data.glob(f"{split}-*.h5")):
        with h5py.File(path) as file:
            ends = file["columns/tokens/offsets"][:]
            columns = {name: (file[f"columns/{name}/values"][:], f"columns/{name}/offsets" in file)
                       for name in ("tokens", *names) if f"columns/{name}/values" in file}
            for i, (a, b) in enumerate(zip(ends, ends[1:])):
                samples.append({name: (values[a:b] if many else values[i]).tolist() for name, (values, many) in columns.items()})
    return samples


def padded(rows, filler):
    longest = max(map(len, rows))
    return torch.tensor([row + [filler] * (longest - len(row)) for row in rows])


def philox(key, low, high):
    a, b = key & 0xFFFFFFFF, key >> 32
    x = [low & 0xFFFFFFFF, low >> 32, high & 0xFFFFFFFF, high >> 32]
    for _ in range(10):
        p, q = 0xD2511F53 * x[0], 0xCD9E8D57 * x[2]
        x = [(q >> 32) ^ x[1] ^ a, q & 0xFFFFFFFF, (p >> 32) ^ x[3] ^ b, p & 0xFFFFFFFF]
        a, b = (a + 0x9E3779B9) & 0xFFFFFFFF, (b + 0xBB67AE85) & 0xFFFFFFFF
    return x


def key_of(seed, purpose, index):
    """cluster::philox_key."""
    mixed = philox(seed, purpose, index)
    return (mixed[1] << 32) | mixed[0]


def ordered(seed, size, cursor):
    """data::ordered_sample: the sample at a place of the endless order."""
    key = key_of(seed, ORDER, cursor // size)
    half = max(1, ((size - 1).bit_length() + 1) // 2)
    mask, x = (1 << half) - 1, cursor % size
    while True:
        left, right = x >> half, x & mask
        for turn in range(6):
            mixed = philox(key, right, turn)
            left, right = right, left ^ (((mixed[1] << 32) | mixed[0]) & mask)
        x = (left << half) | right
        if x < size:
            return x


def run_file(work, seed, task, settings):
    """Writes the configuration of Trireme's run. Settings: model, batch, rate, epochs."""
    (work / "run.yaml").write_text(json.dumps({
        "run": str(work / "run"), "seed": seed, "task": task, "model": settings["model"],
        "data": {"path": str(work / "data")}, "batch": {"global": settings["batch"], "tokens_per_micro_batch": 512},
        "optimizer": {"learning_rate": settings["rate"], "weight_decay": DECAY, "schedule": "linear", "warmup": WARMUP, "clip": CLIP},
        "train": {"epochs": settings["epochs"]}}))
    return work / "run.yaml"


def train(model, samples, loss_of, seed, settings):
    """Trains the model in place. `loss_of(model, samples)` is of one batch, whose samples know their `id` and `epoch`."""
    matrices, others = [p for p in model.parameters() if p.dim() > 1], [p for p in model.parameters() if p.dim() <= 1]
    optimizer = torch.optim.AdamW([{"params": matrices, "weight_decay": DECAY}, {"params": others, "weight_decay": 0.0}],
                                  lr=settings["rate"], betas=(0.9, 0.999), eps=1e-8)
    batch, steps = settings["batch"], settings["epochs"] * len(samples) // settings["batch"]
    schedule = transformers.get_linear_schedule_with_warmup(optimizer, int(WARMUP * steps), steps)
    model.train()
    for step in range(steps):
        chosen = []
        for cursor in range(step * batch, (step + 1) * batch):
            sample = ordered(seed, len(samples), cursor)
            chosen.append({**samples[sample], "id": sample, "epoch": cursor // len(samples)})
        optimizer.zero_grad()
        loss_of(model, chosen).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        schedule.step()
