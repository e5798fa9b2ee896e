"""docs/tour.md: a first day with Trireme, as a terminal showed it.

    tour.py TRIREME            runs every command and writes the page
    tour.py TRIREME --check    runs them again; fails if a line says something else than on the page, numbers aside

The model is the tiny BERT of tests/golden, the reviews are made of its tokenizer's words, so that the day takes a minute.
"""
import difflib
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "tour.md"
SLOW = 300  # seconds that anything here may take on a slow machine

RUN = """run: runs/first
task: classification
model:
  path: model
data:
  path: data
batch:
  global: 16
  tokens_per_micro_batch: 64
optimizer:
  learning_rate: 3e-3
train:
  epochs: 40
evaluation:
  every: 50
  metric: accuracy
checkpoint:
  every: 100
"""

INTRODUCTION = """# A first day

Run here: `python3 docs/tour.py build/bin/trireme` typed these commands and copied what the terminal showed; the test
`tour_test` types them again and compares every line, numbers aside. The model is a BERT of two layers with the vocabulary
of twenty words, so that the whole day takes a minute; with a real one only the numbers change.

On one machine, `. launch/environment` tells Open MPI how ranks share it. Begin in a folder with `model/` (a Hugging Face
folder), `reviews.csv` (columns `text` and `label`) and `run.yaml`:

```yaml
{run}```
"""


class Terminal:
    """A shell in a folder, which notes what is typed and what is shown."""

    def __init__(self, folder, environment):
        self.folder, self.environment, self.text = folder, environment, ""

    def say(self, sentence):
        self.text += f"\n{sentence}\n"

    def start(self, command):
        # Starts a session of its own, as a terminal does: Ctrl-C reaches what runs in it and nobody else.
        return subprocess.Popen(["bash", "-c", command], cwd=self.folder, env=self.environment, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True)

    def show(self, command, output, code, expected):
        self.text += f"\n```console\n$ {command}\n{output.rstrip()}\n```\n"
        if code != expected:
            sys.exit(f"{command}: exit code {code}, not {expected}\n{output}")

    def type(self, command, expected=0):
        process = self.start(command)
        output, _ = process.communicate(timeout=SLOW)
        self.show(command, output, process.returncode, expected)
        return output

    def type_and_interrupt(self, command, when):
        """Ctrl-C as soon as `when()`: the signal goes to everything in the foreground, mpirun and ranks alike."""
        process = self.start(command)
        deadline = time.monotonic() + SLOW
        while not when() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        if process.poll() is not None:
            sys.exit(f"{command}: over before it could be stopped\n{process.communicate()[0]}")
        os.killpg(process.pid, signal.SIGINT)
        output, _ = process.communicate(timeout=SLOW)
        self.text += f"\n```console\n$ {command}\n{output.rstrip()}\n```\n"
        return output


def write_scene(folder):
    golden = ROOT / "tests" / "golden"
    (folder / "model").mkdir(parents=True)
    for name in ("config.json", "model.safetensors"):
        shutil.copy(golden / "bert" / name, folder / "model" / name)
    shutil.copy(golden / "tokenizer" / "tokenizer.json", folder / "model" / "tokenizer.json")
    chosen = random.Random(1)
    rows = ["text,label"]
    for _ in range(600):
        good = chosen.random() < 0.5
        words = chosen.sample(["the", "film", "is", "a", "plot", "actors", "and", "of", "it", "was"], 5)
        words[chosen.randrange(5)] = chosen.choice(["good", "great"] if good else ["bad", "boring"])
        mistaken = chosen.random() < 0.04  # as in any data
        rows.append(f"{' '.join(words)},{'good' if good != mistaken else 'bad'}")
    (folder / "reviews.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    (folder / "run.yaml").write_text(RUN, encoding="utf-8")


def steps_done(folder):
    path = folder / "runs" / "first" / "metrics.jsonl"
    return path.read_text(encoding="utf-8").count('"kind":"train"') if path.exists() else 0


def page(trireme, work):
    first, other = work / "first", work / "elsewhere"
    write_scene(first)
    other.mkdir()
    environment = dict(os.environ, PATH=f"{pathlib.Path(trireme).resolve().parent}:{os.environ['PATH']}",
                       HOME=str(work), COLUMNS="100", OMP_NUM_THREADS="1",
                       OMPI_MCA_odls_base_sigkill_timeout="5")  # as launch/environment has it: ranks of a busy machine save in time
    t = Terminal(first, environment)
    t.say("## Data, and a look at them")
    t.type("trireme prepare --task classification --tokenizer model --input reviews.csv --label label --output data")
    t.type("trireme inspect data --samples 2")
    t.say("## Before the run")
    t.type("mpirun -n 2 trireme doctor --run runs --data data | tail -1")
    t.type("mpirun -n 2 trireme train run.yaml --dry-run | grep -v default")
    t.say("## Training, Ctrl-C, and on")
    t.type_and_interrupt("mpirun -n 2 trireme train run.yaml", lambda: steps_done(first) > 220)  # the best is older than the last two then
    t.type("trireme status runs/first")
    t.type("trireme checkpoint verify --run runs/first")
    t.say("The same command goes on where the run stopped.")
    t.type("mpirun -n 2 trireme train run.yaml")
    t.type("trireme status runs/first")
    t.type("trireme plot --run runs/first --output curves.svg")
    t.say("## The result")
    t.type("trireme export --run runs/first --output exported")
    t.type("trireme verify exported")
    t.type("mpirun -n 2 trireme evaluate --model exported --data data --split test")
    t.say("From another folder, when the data and the first model are gone, the run folder still has all that an export "
          "needs.")
    for name in ("data", "model"):
        shutil.rmtree(first / name)
    t.folder = other
    t.type("trireme export --run ../first/runs/first --output exported")
    t.type("diff -r ../first/exported exported && echo the same")
    return INTRODUCTION.format(run=RUN) + t.text


def words(text):
    """Lines without their numbers, each once in a command's output, lines of steps in the order of the alphabet: how far a run comes
    in a moment differs, and with it whether a step or an evaluation is the first that a resumed run shows. So do the machine's name,
    its cores (threads of a rank, what the doctor warns of) and how much room its disk has."""
    lines, shown, steps = [], set(), 0
    for line in text.splitlines():
        if line.startswith("$ "):
            shown = set()
        if " is slow: " in line:  # by the clock
            continue
        line = re.sub(r"\b[0-9a-f]{12,}\b", "HASH", line)
        line = re.sub(r"[-+]?\d([\d,.:]*\d)?(e[-+]?\d+)?", "N", line)
        line = re.sub(r"\branks on \S+|\S*/?tmp/\S*", "PLACE", line)
        line = re.sub(r"\b(thread|warning)s\b", r"\1", re.sub(r"\bN [kMGT]B free", "N B free", line))
        line = re.sub(r"\s+", " ", line).replace("(best so far)", "").strip()
        line = re.sub(r"( waits N %)? (\?|N) left$", " left", line)  # known from the second such line on, which a fast run never shows
        if line in shown:
            continue
        shown.add(line)
        lines.append(line)
        steps = steps + 1 if line.startswith("step ") else 0
        lines[len(lines) - steps:] = sorted(lines[len(lines) - steps:])
    return lines


def main(trireme, *arguments):
    work = pathlib.Path(tempfile.mkdtemp(prefix="trireme-tour-"))
    try:
        text = page(trireme, work).replace(str(work), "~")
    finally:
        shutil.rmtree(work, ignore_errors=True)
    if arguments != ("--check",):
        PAGE.write_text(text, encoding="utf-8")
        return
    old, new = words(PAGE.read_text(encoding="utf-8")), words(text)
    if old != new:
        sys.exit("\n".join(difflib.unified_diff(old, new, "docs/tour.md", "now", lineterm="")) +
                 f"\nif this is as it should be, run: python3 docs/tour.py {trireme}")


if __name__ == "__main__":
    main(*sys.argv[1:])
