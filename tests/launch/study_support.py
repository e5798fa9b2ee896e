"""Shared by the tests of studies: a `trireme` that answers as the real one does and trains in no time, and a study of it."""
import os
import stat
import sys
import textwrap

from report_support import ROOT, WORK  # which puts launch/ where Python finds it

# What the stand-in does is in its environment: STANDIN_FAIL names cells that fail, STANDIN_SLOW cells that take three times as
# long, STANDIN_DIE one at whose start the study is killed, STANDIN_HANG one
# that does not end. Its step takes 0.1 s / nodes + 0.01 s.
STANDIN = '''#!{python} -I
import json, os, pathlib, signal, sys, time as clock
words = sys.argv[1:]
pairs = dict(word.split("=", 1) for flag, word in zip(words, words[1:]) if flag == "--set")
if words[0] == "--version":
    print("trireme stand-in")
elif words[0] == "study":
    os.execv(sys.executable, [sys.executable, "-I", "{root}/launch/study.py", *words[1:]])
elif words[0] == "submit":
    nodes = words[words.index("--nodes") + 1]
    print("#!/bin/sh\\nexport STANDIN_RANKS=" + nodes + "\\n{trireme} train", *(w for w in words if w == "--set" or "=" in w))
    print("echo job $SLURM_JOB_ID: exit code $?")
elif words[0] == "explain-config":
    print("seed            3        run.yaml:1\\nbatch.global    " + pairs.get("batch.global", "8") + "        default")
elif "--dry-run" in words:
    print("model       20,304 parameters")
elif words[0] == "plan":
    print("as configured  zero 0\\n  fits: at most 1.00 GB at rank 0; 0.090 s a step")
else:
    run = pathlib.Path(pairs["run"])
    cell = run.parent.parent.name
    if cell == os.environ.get("STANDIN_DIE"):
        os.kill(os.getppid(), signal.SIGKILL)
    if cell == os.environ.get("STANDIN_HANG"):
        clock.sleep(300)
    if cell in os.environ.get("STANDIN_FAIL", "").split():
        sys.exit("trireme: out of memory on purpose")
    ranks = int(os.environ["STANDIN_RANKS"])
    steps, batch = int(pairs["train.steps"]), int(pairs["batch.global"])
    slow = 3 if cell in os.environ.get("STANDIN_SLOW", "").split() else 1
    jitter = 1 + 0.01 * (int(cell[-1]) - 2)
    step = slow * jitter * (0.1 * batch / 8 / ranks + 0.01)
    time = clock.time()
    lines = [dict(kind="job", host="here", time=time)]
    for i in range(1, steps + 1):
        seconds = step * (5 if i == 1 else 1)
        time += seconds
        lines.append(dict(kind="train", step=i, seconds=seconds, tokens=10 * batch, samples=batch, peak_memory=1000 + ranks, time=time))
        if i % 50 == 0:
            own = dict(load=0.01, compute=0.4, norm=0.04, update=0.05)
            lines.append(dict(kind="ranks", step=i, ratio=1.1, seconds={{p: dict(median=v * 50 * step, slowest=v) for p, v in own.items()}}))
    lines.append(dict(kind="end", time=time))
    run.mkdir()
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\\n" for line in lines) + '{{"kind": "tra')
'''
MPIRUN = '''#!/bin/sh
[ "$1" = --version ] && echo stand-in && exit
export STANDIN_RANKS=$2; shift 3
exec "$@"
'''


# Slurm in four scripts: a job is over when sbatch returns; the number of jobs is in a file. STANDIN_DIE_SUBMITTED names a cell after
# whose submission the study is killed, before it knows the job's id.
SLURM = {"sbatch": '''#!/bin/sh
number=$(($(cat {folder}/jobs 2>/dev/null || echo 100) + 1)); echo $number > {folder}/jobs
for word; do case $word in --output=*) output=$(echo "${{word#--output=}}" | sed s/%j/$number/) ;; esac; script=$word; done
SLURM_JOB_ID=$number sh "$script" > "$output" 2>&1
case $script in */"${{STANDIN_DIE_SUBMITTED:-none}}"/*) kill -9 $PPID ;; esac
echo "$number;cluster"
''', "squeue": "#!/bin/sh\n", "sacct": "#!/bin/sh\necho 12\necho 5000\n",
         "scontrol": "#!/bin/sh\necho JobId=$5 JobState=COMPLETED StartTime=2026-01-01T00:00:00 EndTime=2026-01-01T00:00:30 CPU_IDs=0-3\n"}


def program(path, content):
    path.write_text(content)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def in_path(trireme, mpirun):
    """Puts these two, and Slurm, in front of PATH."""
    folder = WORK / "bin"
    folder.mkdir(exist_ok=True)
    program(folder / "trireme", trireme.format(python=sys.executable, root=ROOT, trireme=folder / "trireme"))
    program(folder / "mpirun", mpirun)
    for name, content in SLURM.items():
        program(folder / name, content.format(folder=folder) if name == "sbatch" else content)
    os.environ.update(PATH=f"{folder}:{os.environ['PATH']}", TRIREME_PROGRAM=str(folder / "trireme"))


def stand_in():
    """Puts both in front of PATH, and makes a run for them."""
    in_path(STANDIN, MPIRUN)
    (WORK / "run.yaml").write_text("run: runs/mine\n")


STUDY = textwrap.dedent("""\
    study: {folder}
    run: run.yaml
    where: local
    nodes: [1, 2, 4]
    ranks_per_node: 1
    scaling: [strong, weak]
    steps: 60
    warmup: 10
    repeats: 3
    time: 0:01:00
    node_hours: 10
    gpus_per_node: 4
    cores_per_node: 16
    peak_tflops: 0.01
    target:
      tokens: 1e9
      nodes: 4
      restarts: 0.1
    """)


def write_study(name, change=lambda text: text):
    path = WORK / f"{name}.yaml"
    path.write_text(change(STUDY.format(folder=name)))
    return path



