"""Shared by the tests of sweeps of real runs: a tiny language model whose best region is planted. A rate of 1e-3 hardly moves it within 36
steps, one of 1 spoils it, a grid of seven rates between has its lowest losses at 0.03 and 0.1; with an epsilon of 1000 an
update of Adam is at most a thousandth of rate times gradient, so that nothing is learned at any step and rate. (A dropout of 0.9 is no plant: at
a rate of 0.1 its loss was the lower one after 4 and 12 steps, where rungs choose.)"""
import csv
import json
import os
import pathlib
import re
import subprocess

from report_support import WORK

LIMIT = 600  # seconds: no measure of speed
REGION = 1e-2, 3e-1  # of rates: a quarter of the range in its logarithm
HALVING = """\
sweep: {folder}
run: {run}
where: {where}
method: halving
halving: {{first_steps: 4, eta: 3}}
parameters:
  optimizer.learning_rate: {{log_uniform: [1e-6, 1]}}
  optimizer.epsilon: [1e-8, 1000]
trials: {trials}
steps: {steps}
set: [evaluation.every=4, guard.sensitivity=off]
time: 0:01:00
startup: 0:01:00
node_hours: {node_hours}
"""


class Runs:
    """The command, and what a sweep left; for classes of tests that set `trireme` and `path`."""

    @classmethod
    def make_run(cls, write_tiny_run):
        return subprocess.run([write_tiny_run, str(WORK)], capture_output=True, text=True, check=True).stdout.strip()

    @classmethod
    def sweep(cls, *arguments, **environment):
        done = subprocess.run([cls.trireme, "sweep", str(cls.path), *arguments], capture_output=True, text=True, check=False, timeout=LIMIT,
                              env={**os.environ, **environment})
        print(*arguments, done.returncode, done.stdout, done.stderr, flush=True)
        return done

    @staticmethod
    def results():
        return {path: path.read_bytes() for path in WORK.glob("sweep/cells/*/attempt-*/result.json")}

    @staticmethod
    def cells():
        with open(WORK / "sweep/cells.csv", newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    @staticmethod
    def events(run, kind):
        lines = (pathlib.Path(run) / "metrics.jsonl").read_text().splitlines()
        return [event for line in lines if (event := json.loads(line))["kind"] == kind]

    def best(self):
        """(rate, epsilon) of best.yaml, as the real command reads it."""
        told = subprocess.run([self.trireme, "explain-config", str(WORK / "sweep/best.yaml")], capture_output=True, text=True, check=True).stdout
        return tuple(float(re.search(rf"^{key} +(\S+)", told, re.M)[1]) for key in ("optimizer.learning_rate", "optimizer.epsilon"))

    def check_planted(self):
        rate, epsilon = self.best()
        self.assertTrue(REGION[0] < rate < REGION[1], rate)
        self.assertEqual(epsilon, 1e-8)
        self.assertEqual(subprocess.run([self.trireme, "train", str(WORK / "sweep/best.yaml"), "--dry-run"], capture_output=True, check=False).returncode, 0)

    def check_promoted_as_if_alone(self):
        """The run that came through all rungs has the weights of one that was trained without a pause (bitwise mode)."""
        last = self.cells()[-1]
        trial = WORK / f"sweep/trials/{last['configuration']}-seed{last['seed']}/run"
        jobs = self.events(trial, "job")
        self.assertEqual([job["step"] for job in jobs], [0, 4, 12][:len(jobs)])
        self.assertGreater(len(jobs), 1)
        alone = subprocess.run(["mpirun", "-n", "1", self.trireme, "train", str(WORK / "sweep/best.yaml"), "--set", f"run={WORK / 'alone'}"],
                               capture_output=True, text=True, check=False)
        self.assertEqual(alone.returncode, 0, alone.stdout + alone.stderr)
        self.assertEqual(self.events(WORK / "alone", "end")[-1]["weights_sha256"], self.events(trial, "end")[-1]["weights_sha256"])
