"""Compares the speed of `trireme prepare` with that of its tokenizer alone and with datasets.map.

    bench/prepare_speed.py TRIREME TOKENIZER FOLDER [--documents N] [--rounds N] [--oracle PYTHON]

Makes N documents of real text in FOLDER, each of eight descriptions of Debian's packages (apt-cache dumpavail). Then it
times, one after the other and round by round, on the same cores:

  encode_batch   Tokenizer.encode_batch of the tokenizers library, on texts that are in memory already, in pieces of
                 2,048, whose encodings are dropped
  prepare        trireme prepare --task language-modeling, from the file to shards on disk
  datasets.map   datasets.map with the same tokenizer, batched, as many processes as cores (--oracle: a Python that has
                 datasets and transformers; left out without it)

and prints documents per second of each and per second of processor time (which others on the machine hardly change), their
ratios, and peaks of resident memory.
"""
import argparse
import json
import os
import pathlib
import random
import re
import shutil
import statistics
import subprocess
import sys
import time

ENCODE = """
import json, sys, time
from tokenizers import Tokenizer
tokenizer = Tokenizer.from_file(sys.argv[1])
tokenizer.no_truncation()
texts = [json.loads(line)["text"] for line in open(sys.argv[2])]
start, work = time.perf_counter(), time.process_time()
for first in range(0, len(texts), 2048):
    tokenizer.encode_batch(texts[first:first + 2048])
print(time.perf_counter() - start, time.process_time() - work)
"""
MAP = """
import sys
from datasets import load_dataset
from transformers import PreTrainedTokenizerFast
if __name__ == "__main__":
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=sys.argv[1])
    data = load_dataset("json", data_files=sys.argv[2], cache_dir=sys.argv[3], split="train")
    data = data.map(lambda rows: tokenizer(rows["text"]), batched=True, num_proc=int(sys.argv[4]),
                    remove_columns=["text"])
"""


def descriptions():
    """Descriptions of packages, unfolded."""
    text = []
    for line in subprocess.run(["apt-cache", "dumpavail"], check=True, capture_output=True).stdout.decode().splitlines():
        if re.match(r"Description(-en)?:", line):
            text = [line.split(":", 1)[1].strip()]
        elif text and line.startswith(" "):
            text.append(line.strip().lstrip("."))
        elif text:
            yield " ".join(part for part in text if part)
            text = []


def make_documents(path, count):
    base = sorted(set(descriptions()))
    if not base:
        sys.exit("apt-cache dumpavail has no descriptions; run apt-get update")
    choice = random.Random(1)
    with open(path, "w", encoding="utf-8") as out:
        for _ in range(count):
            out.write(json.dumps({"text": ". ".join(choice.sample(base, 8)) + "."}, ensure_ascii=False) + "\n")


def timed(command, environment=None):
    """Seconds, those of the processors, peak of resident memory in MB and what is printed."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    printed = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{command[0]} failed")
    return time.perf_counter() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, printed


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("trireme")
    parser.add_argument("tokenizer")
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--documents", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--oracle", help="a Python that has datasets and transformers")
    o = parser.parse_args()
    o.folder.mkdir(parents=True, exist_ok=True)
    documents = o.folder / f"documents-{o.documents}.jsonl"
    if not documents.exists():
        make_documents(documents, o.documents)
    tokenizer = f"{o.tokenizer}/tokenizer.json"
    environment = os.environ | {"TOKENIZERS_PARALLELISM": "true"}
    times = {}
    for _ in range(o.rounds):
        *_, memory, printed = timed([sys.executable, "-c", ENCODE, tokenizer, str(documents)], environment)
        times.setdefault("encode_batch", []).append((*map(float, printed.split()), memory))
        shutil.rmtree(o.folder / "out", ignore_errors=True)
        seconds, work, memory, _ = timed([o.trireme, "prepare", "--task", "language-modeling", "--tokenizer", o.tokenizer,
                                          "--train", str(documents), "--output", str(o.folder / "out")])
        times.setdefault("prepare", []).append((seconds, work, memory))
        if o.oracle:
            shutil.rmtree(o.folder / "cache", ignore_errors=True)
            seconds, work, memory, _ = timed([o.oracle, "-c", MAP, tokenizer, str(documents), str(o.folder / "cache"),
                                              str(len(os.sched_getaffinity(0)))],
                                             os.environ | {"TOKENIZERS_PARALLELISM": "false"})
            times.setdefault("datasets.map", []).append((seconds, work, memory))
    print(f"{o.documents} documents, {documents.stat().st_size / 1e6:.0f} MB, {len(os.sched_getaffinity(0))} cores, "
          f"load {os.getloadavg()[0]:.1f}")
    base = [statistics.median(run[i] for run in times["prepare"]) for i in (0, 1)]
    for name, runs in times.items():
        seconds, work = (statistics.median(run[i] for run in runs) for i in (0, 1))
        print(f"{name:<14}{o.documents / seconds:>8.0f} documents/s, {o.documents / work:>8.0f} per second of processor time; "
              f"prepare is {seconds / base[0]:.2f} and {work / base[1]:.2f} times as fast; "
              f"peak {max(run[2] for run in runs):.0f} MB")


main()
