"""A Llama of 1.1 billion parameters (TinyLlama's shape, random weights made sharded) on 2 ranks with ZeRO 3: trains, is
asked to stop, saves, resumes, ends. Fails unless it does, and within 22 GiB for both ranks together.

    large_model.py TRIREME MPIEXEC WORK_FOLDER

Needs 45 GB of disk and takes minutes: label `long`. Prints peak memory per rank and seconds.
"""
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import threading
import time

LIMIT_GIB = 22
STEPS = 3


def write_inputs(folder):
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(dict(
        model_type="llama", hidden_size=2048, num_hidden_layers=22, num_attention_heads=32, num_key_value_heads=4, intermediate_size=5632,
        vocab_size=32000, max_position_embeddings=2048, hidden_act="silu", rms_norm_eps=1e-5)))
    words = {f"w{i}": i for i in range(32000)}
    (folder / "tokenizer.json").write_text(json.dumps({
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None, "pre_tokenizer": {"type": "WhitespaceSplit"},
        "post_processor": None, "decoder": None, "model": {"type": "WordLevel", "vocab": words, "unk_token": "w0"}}))
    draw = random.Random(0)
    for name, rows in (("train", 8), ("validation", 1)):
        lines = [json.dumps({"text": " ".join(f"w{draw.randrange(32000)}" for _ in range(33))}) for _ in range(rows)]
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n")


class Ranks:
    """The processes of one mpirun: the peak of each one's resident memory."""

    def __init__(self, process, binary):
        self.process, self.binary, self.peaks = process, binary, {}
        threading.Thread(target=self.watch, daemon=True).start()

    def pids(self):
        found = subprocess.run(["pgrep", "-P", str(self.process.pid)], capture_output=True, text=True).stdout.split()
        return [p for p in found if self.is_rank(p)]

    def is_rank(self, pid):
        try:
            return os.path.samefile(f"/proc/{pid}/exe", self.binary)
        except OSError:
            return False  # it has ended

    def watch(self):
        while self.process.poll() is None:
            for pid in self.pids():
                try:
                    for line in open(f"/proc/{pid}/status"):
                        if line.startswith("VmHWM"):
                            self.peaks[pid] = int(line.split()[1]) / 2**20
                except OSError:
                    pass  # it ended between the two looks
            time.sleep(0.2)


def events(run):
    path = run / "metrics.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def main(trireme, mpiexec, work):
    work = pathlib.Path(work)
    shutil.rmtree(work, ignore_errors=True)
    model, data, run = work / "model", work / "data", work / "run"
    write_inputs(model)
    subprocess.run([trireme, "prepare", "--task", "language-modeling", "--tokenizer", str(model), "--train", str(model / "train.jsonl"),
                    "--validation", str(model / "validation.jsonl"), "--max-length", "64", "--output", str(data)], check=True)
    (work / "run.yaml").write_text(
        f"run: {run}\ntask: language-modeling\nmodel:\n  path: {model}\n  from_scratch: true\ndata:\n  path: {data}\nparallel:\n  zero: 3\n"
        f"  recompute: full\nbatch:\n  global: 2\n  tokens_per_micro_batch: 33\ntrain:\n  steps: {STEPS}\nevaluation:\n  every: 1000\ncheckpoint:\n"
        "  keep_last: 1\n  keep_best: false\n  async: false # a copy of the state would not fit beside it\n")
    command = [mpiexec, "-n", "2", "--oversubscribe", trireme, "train", str(work / "run.yaml")]
    codes, peaks, started = [], [], time.time()
    for attempt in range(2):
        process = subprocess.Popen(command)
        ranks = Ranks(process, trireme)
        if attempt == 0:  # asked to stop in the middle of the run
            while process.poll() is None and not any(e["kind"] == "train" and e["step"] == STEPS - 1 for e in events(run)):
                time.sleep(0.2)
            for pid in ranks.pids():
                os.kill(int(pid), signal.SIGUSR1)
        codes.append(process.wait())
        peaks.append(sorted(ranks.peaks.values()))
    steps = [e for e in events(run) if e["kind"] == "train"]
    print(json.dumps({"exit_codes": codes, "peak_gib_per_rank": peaks, "seconds": round(time.time() - started),
                      "seconds_per_step": [round(e["seconds"], 1) for e in steps], "losses": [e["loss"] for e in steps],
                      "seconds_per_save": [round(e["seconds"], 1) for e in events(run) if e["kind"] == "checkpoint"]}))
    shutil.rmtree(work)
    # The signal may come while the last step is under way: then the first attempt ends the run.
    assert codes in ([85, 0], [0, 0]), codes
    assert [e["step"] for e in steps] == list(range(1, STEPS + 1)), steps
    assert all(len(p) == 2 and sum(p) <= LIMIT_GIB for p in peaks), peaks


if __name__ == "__main__":
    main(*sys.argv[1:])
