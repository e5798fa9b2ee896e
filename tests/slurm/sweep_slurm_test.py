"""A sweep on the four nodes of a real Slurm, killed half-way and gone on with: within its budget it finds the region that was planted.

    tests/slurm/cluster python3 tests/slurm/sweep_slurm_test.py ROOT WORK_FOLDER TRIREME WRITE_TINY_RUN
"""
import json
import os
import pathlib
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "launch"))
from report_support import ROOT, WORK, run_tests
from sweep_runs import HALVING, LIMIT, Runs

TRIREME, WRITE_TINY_RUN = map(os.path.abspath, sys.argv[3:5])
BUDGET = 1.5  # node-hours: 17 cells on 2 nodes for at most 2 minutes each are 1.13
TRIALS = 12


class Sweep(Runs, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.trireme, cls.path = TRIREME, WORK / "sweep.yaml"
        cls.path.write_text(HALVING.format(folder=WORK / "sweep", run=cls.make_run(WRITE_TINY_RUN), where="slurm", trials=TRIALS, steps=36, node_hours=BUDGET)
                            + f"site: {ROOT}/tests/slurm/site.yaml\nnodes: 2\nranks_per_node: 1\njobs_at_once: 2\nseed: 1\n")
        cls.kill_half_way()
        cls.resumed = cls.sweep()
        cls.try_again()

    @staticmethod
    def queue():
        return subprocess.run(["squeue", "-h", "-o", "%i"], capture_output=True, text=True, check=True).stdout.split()

    @classmethod
    def kill_half_way(cls):
        """Kills the sweep when half of its first stage has results and jobs of it are in the queue."""
        process = subprocess.Popen([TRIREME, "sweep", str(cls.path)], stdout=subprocess.PIPE, text=True)
        end = time.monotonic() + LIMIT
        while len(cls.results()) < TRIALS // 2 or not cls.queue():
            assert time.monotonic() < end and process.poll() is None, process.poll()
            time.sleep(0.2)
        cls.queued = cls.queue()
        process.kill()
        process.communicate()
        cls.before = cls.results()

    @classmethod
    def try_again(cls):
        """MPI has been seen to die while ranks started on a loaded machine: such a trial is run again, as a user would."""
        if any(json.loads(text)["state"] == "failed" and "not finite" not in json.loads(text)["reason"] for text in cls.results().values()):
            cls.resumed = cls.sweep("--retry")

    def test_killed_resumed_and_finished(self):
        self.assertEqual(self.resumed.returncode, 0)
        after, rows = self.results(), self.cells()
        self.assertEqual({path: after[path] for path in self.before}, self.before, "no result is lost")
        self.assertEqual([row["until"] for row in rows], ["4"] * 12 + ["12"] * 4 + ["36"])
        jobs = [json.loads(text).get("job_id") for text in after.values()]
        self.assertLessEqual(set(self.queued), set(jobs), "jobs that were in the queue were waited for")
        self.assertEqual({row["state"] for row in rows if row["stage"] != "rung 1 of 3"}, {"ok"})

    def test_within_the_budget(self):
        spent = sum(float(row["node_hours"]) for row in self.cells())
        self.assertTrue(0 < spent <= BUDGET, spent)
        self.assertAlmostEqual(spent, sum(2 * (json.loads(text)["elapsed_s"] or 0) / 3600 for text in self.results().values()), places=9)

    def test_finds_the_planted_region(self):
        self.check_planted()

    def test_promoted_as_if_alone(self):
        self.check_promoted_as_if_alone()


if __name__ == "__main__":
    if "TRIREME_TEST_CLUSTER" not in os.environ:
        sys.exit(__doc__)
    del sys.argv[3:5]
    run_tests()
