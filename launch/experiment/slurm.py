"""Cells as jobs of Slurm, with the scripts of `trireme submit`. A job outlives the call that submitted it; the next call finds
it by its name, its output or its id."""
import datetime
import getpass
import hashlib
import os
import re
import shutil
import subprocess
import time

from report.command import refuse
from experiment.budget import clock
from experiment.local import finish
from experiment.program import ask, set_options

PAUSE = 2.0  # seconds between two looks at the queue
PATIENCE = 30  # seconds that a job's output may take to be seen here


def said(*command):
    """Returns the output of a command of Slurm; empty if it fails."""
    return subprocess.run(command, capture_output=True, text=True, errors="replace", check=False).stdout.strip()


def queue():
    """{id: (state, name)} of this user's jobs; None if Slurm does not answer."""
    done = subprocess.run(["squeue", "-h", "-u", getpass.getuser(), "-o", "%i %T %j"], capture_output=True, text=True, check=False)
    if done.returncode:
        return None
    return {words[0]: (words[1], words[2]) for line in done.stdout.splitlines() if len(words := line.split()) == 3}


def epoch(text):
    """Seconds since 1970 of a time as Slurm writes it; None of none."""
    try:
        return datetime.datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None


def job_facts(number):
    text = said("scontrol", "-d", "-o", "show", "job", number)
    return dict(word.split("=", 1) for word in text.split() if "=" in word), text


def energy_of(number):
    """Joules of a job, where Slurm accounts them (AcctGatherEnergyType); None where it does not."""
    if not shutil.which("sacct"):
        return None
    found = [int(word) for word in said("sacct", "-n", "-P", "-j", number, "-o", "ConsumedEnergyRaw").split() if word.isdigit()]
    return max(found, default=0) or None


class Slurm:
    def __init__(self, plan, say):
        self.plan, self.say, self.at_once, self.gone = plan, say, plan.at_once(), {}
        if not shutil.which("sbatch"):
            refuse(f"{plan.path}: where: slurm: sbatch is not there; legal: on a login node of the site, or where: local")

    def name(self, cell, attempt):
        """A name that no other job has, by which a job is found whose id was not written down."""
        digest = hashlib.sha256(os.path.abspath(attempt.path).encode()).hexdigest()[:10]
        return f"{self.plan.kind}-{cell.name[:60]}-{digest}"

    def script(self, cell, attempt):
        plan = self.plan
        options = [word for option in plan.sbatch for word in ("--sbatch", option)]
        cpus = ["--cpus-per-task", str(plan.cpus_per_task)] if plan.cpus_per_task else []
        # A script of a chain, of which there is one: who started the cell decides what becomes of it.
        return ask("submit", plan.run, "--print", "--chain", "2", "--site", plan.site, "--nodes", str(cell.nodes), "--time", clock(plan.limit(cell)),
                   "--tasks-per-node", str(plan.ranks_per_node), *cpus, *options, "--name", self.name(cell, attempt),
                   "--lead", str(plan.lead(cell)), *set_options(cell.assignments(os.path.abspath(cell.run_folder(attempt)))))

    def take_up(self, cell, attempt):
        """An attempt of a call that was killed: True if its job is there, or was."""
        if attempt.read("job"):
            return True
        for number, (_, name) in (queue() or {}).items():
            if name == self.name(cell, attempt):
                attempt.save("job", {"id": number})
                return True
        for path in attempt.path.glob("job-*.out"):
            attempt.save("job", {"id": path.stem.removeprefix("job-")})
            return True
        attempt.end("interrupted", f"the {self.plan.kind} was killed before Slurm had it", elapsed_s=0.0)
        return False

    def start(self, cell, attempt):
        script = attempt.path / "job.sbatch"
        script.write_text(self.script(cell, attempt), encoding="utf-8")
        attempt.begin(name=self.name(cell, attempt))
        done = subprocess.run(["sbatch", "--parsable", "--no-requeue", f"--output={os.path.abspath(attempt.path)}/job-%j.out", str(script)],
                              capture_output=True, text=True, errors="replace", check=False)
        if done.returncode:
            attempt.end("failed", "sbatch: " + (done.stderr.strip().splitlines() or ["refused"])[-1], elapsed_s=0.0)
            return
        attempt.save("job", {"id": re.split(r"[;\n]", done.stdout)[0].strip()})

    def poll(self, running):
        time.sleep(PAUSE)
        waiting = queue()
        if waiting is None:
            return
        for cell, attempt in running:
            number = attempt.read("job")["id"]
            if attempt.read("result") is None and waiting.get(number, ("GONE",))[0] in ("GONE", "COMPLETED", "FAILED", "CANCELLED", "TIMEOUT"):
                self.over(cell, attempt, number)

    def over(self, cell, attempt, number):
        """Writes what came of a job that left the queue, once its output is seen, or is not to be expected any more."""
        facts, text = job_facts(number)
        output = attempt.path / f"job-{number}.out"
        told = re.findall(rf"^job {number}: exit code (\d+)$", output.read_text(errors="replace") if output.exists() else "", re.M)
        first = self.gone.setdefault(number, time.monotonic())
        if not told and time.monotonic() - first < PATIENCE and facts.get("JobState") not in ("TIMEOUT", "CANCELLED", "NODE_FAIL"):
            return
        if output.exists():
            shutil.copyfile(output, attempt.output)
        (attempt.path / "scontrol.txt").write_text(text + "\n", encoding="utf-8")
        begin, end = epoch(facts.get("StartTime", "")), epoch(facts.get("EndTime", ""))
        most = min(self.plan.limit(cell), time.time() - attempt.read("started")["time"])  # if Slurm has forgotten the job
        facts_of_it = {"job_id": number, "started": begin, "elapsed_s": end - begin if begin and end else most, "energy_j": energy_of(number)}
        finish(self.plan, cell, attempt, int(told[-1]) if told else None, facts_of_it,
               "" if told else f"Slurm: {facts.get('JobState', 'the job is not known any more')}")

    def stop(self, running):
        """Jobs stay in the queue: the next call waits for them."""
