"""Folders of runs as `trireme train` leaves them, for the tests of their pages."""
import json
import math
import shutil

from report_support import WORK, save

CONFIG = "run: {}\nevaluation:\n  every: 2\n  metric: {}\noptimizer:\n  learning_rate: {}\ndata:\n  fraction: {}\n"


def job(time, **changes):
    return {"kind": "job", "step": 0, "total_steps": 6, "host": "n1", "nodes": 2, "ranks": 4, "layout": "replicate 4", "zero": 0, "schedule": "1f1b",
            "job_id": "7", "restarts": 0, "time": time} | changes


def step(n, time, loss=1.0):
    return {"kind": "train", "step": n, "loss": loss, "learning_rate": 0.1, "gradient_norm": 1.0, "samples": 8, "tokens": 100, "seconds": 2.0,
            "mean_tokens_per_second": 50.0, "peak_memory": n * 10**9, "time": time}


def evaluated(n, time, loss, accuracy):
    return {"kind": "evaluation", "step": n, "split": "validation", "seconds": 5.0, "samples": 10, "loss": loss, "accuracy": accuracy, "time": time}


CRASHED_ONCE = [
    job(1000), step(1, 1010), step(2, 1020), evaluated(2, 1030, 0.9, 0.5), step(3, 1040),
    job(2000, step=2, nodes=1, ranks=2, restarts=1), step(3, 2010, 0.7), step(4, 2020), evaluated(4, 2030, 0.8, 0.75), {"kind": "checkpoint", "step": 4, "why": "best", "seconds": 3.0,
    "stalled": 1.5, "time": 2031}, step(5, 2040), step(6, 2050), evaluated(6, 2060, 0.95, 0.75),
    {"kind": "end", "step": 6, "why": "", "weights_sha256": "ab" * 32, "exit_code": 0, "time": 2070}]


def folder(name, lines, metric="accuracy", rate=0.1, fraction=1):
    shutil.rmtree(WORK / name, ignore_errors=True)
    (WORK / name).mkdir()
    save(f"{name}/metrics.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    save(f"{name}/config.yaml", CONFIG.format(name, metric, rate, fraction))
    return str(WORK / name)


def long_run(name, rate):
    """One of 400 steps, whose validation loss rises again."""
    lines = [job(1000, total_steps=400)]
    for n in range(1, 401):
        lines.append(step(n, 1000 + 2 * n, 4 * math.exp(-n * rate) + 0.3 * math.sin(n)))
        if n % 50 == 0:
            lines.append(evaluated(n, 1001 + 2 * n, 1 + abs(n - 250) / 500, n / 500))
    return folder(name, lines, rate=rate)
