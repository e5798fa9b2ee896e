"""Shared by the tests of sweeps: a `trireme` that answers as the real one does and trains in no time, with a planted best region, and a sweep of
it. The loss of a step is lowest at a rate of 1e-3, falls with the steps, and has noise of the seed."""
import textwrap

from report_support import WORK  # which puts launch/ where Python finds it
from study_support import MPIRUN, in_path

# STANDIN_FAIL names trials that fail, STANDIN_DIE a cell at whose start the sweep is killed. A run of more than one job goes on where its log ends.
STANDIN = '''#!{python} -I
import hashlib, json, math, os, pathlib, signal, sys, time as clock
words = sys.argv[1:]
pairs = dict(word.split("=", 1) for flag, word in zip(words, words[1:]) if flag == "--set")
keys = {{"run": "runs/mine", "seed": "7", "task": "classification", "model.path": "none", "data.path": "none", "batch.global": "8",
        "optimizer.learning_rate": "5e-5", "optimizer.weight_decay": "0.01", "optimizer.schedule": "linear", "train.steps": "0", "evaluation.metric": "loss"}}
if words[0] == "--version":
    print("trireme stand-in")
elif words[0] == "sweep":
    os.execv(sys.executable, [sys.executable, "-I", "{root}/launch/sweep.py", *words[1:]])
elif words[0] == "submit":
    print("#!/bin/sh\\nexport STANDIN_RANKS=1\\n{trireme} train", *(w for w in words if w == "--set" or "=" in w))
    print("echo job $SLURM_JOB_ID: exit code $?")
elif words[0] == "explain-config":
    print("\\n".join(f"{{key:<30}}  {{pairs.get(key, value)}}   default" for key, value in keys.items()))
elif words[0] == "init":
    pathlib.Path(words[words.index("--output") + 1]).write_text("# A start.\\nrun: run\\nbatch:\\n  # Devlin et al. 2019: 16 or\\n  # 32\\n  global: 32\\n"
        "optimizer:\\n  # Liu et al. 2019: 2e-5\\n  learning_rate: 2e-5\\n  # bert: 0.01\\n  weight_decay: 0.01\\n")
elif "--dry-run" in words:
    if float(pairs.get("optimizer.learning_rate", 1)) <= 0:
        sys.exit("trireme: --set optimizer.learning_rate: " + pairs["optimizer.learning_rate"] + ": legal: a number > 0") or 2
else:
    run = pathlib.Path(pairs["run"])
    trial = run.parent.name
    steps = int(pairs["train.steps"])
    until = int(pairs.get("job.until_step", steps))
    if f"{{trial}}-to{{until}}" == os.environ.get("STANDIN_DIE"):
        os.kill(os.getppid(), signal.SIGKILL)
    if trial in os.environ.get("STANDIN_FAIL", "").split():
        sys.exit("trireme: out of memory on purpose")
    run.mkdir(parents=True, exist_ok=True)
    log = run / "metrics.jsonl"
    done = sum(json.loads(line)["kind"] == "train" for line in log.read_text().splitlines()) if log.exists() else 0
    rate = float(pairs.get("optimizer.learning_rate", 5e-5))
    noise = int(hashlib.sha256(trial.encode()).hexdigest()[:8], 16) / 2**32 - 0.5
    with open(log, "a") as out:
        for i in range(done + 1, until + 1):
            now = rate
            if pairs.get("optimizer.schedule") == "range_test":
                now = rate * float(pairs["optimizer.final_fraction"]) ** (1 - (i - 1) / (steps - 1))
                loss = 1.0 + 0.1 * (math.log10(now) + 2) ** 2 + (10 if now > 0.5 else 0)
            else:
                loss = 1.0 + 0.1 * (math.log10(rate) + 3) ** 2 + 1 / i + 0.01 * noise
            print(json.dumps(dict(kind="train", step=i, loss=loss, learning_rate=now, seconds=0.01, time=clock.time())), file=out)
            if i % 5 == 0 or i == until:
                print(json.dumps(dict(kind="evaluation", step=i, loss=loss)), file=out)
    sys.exit(0 if until == steps else 85)
'''


def stand_in():
    """Puts it, mpirun and Slurm in front of PATH, and makes a run for them."""
    in_path(STANDIN, MPIRUN.replace("shift 3", 'while [ "$1" != train ] && [ "${1##*/}" != trireme ]; do shift; done'))
    (WORK / "run.yaml").write_text("run: runs/mine\nseed: 7 # of mine\noptimizer:\n  learning_rate: 5e-5\n")


SWEEP = textwrap.dedent("""\
    sweep: {folder}
    run: run.yaml
    where: local
    method: random
    parameters:
      optimizer.learning_rate: {{log_uniform: [1e-6, 1]}}
      batch.global: [4, 8]
    trials: 12
    steps: 20
    time: 0:01:00
    startup: 0:01:00
    node_hours: 10
    """)


def write_sweep(name, change=lambda text: text):
    path = WORK / f"{name}.yaml"
    path.write_text(change(SWEEP.format(folder=name)))
    return path
