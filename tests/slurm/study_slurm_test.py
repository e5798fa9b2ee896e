"""A study over 1, 2 and 4 nodes of a real Slurm, killed in the middle and gone on with; a slow and a failing cell are injected:

    tests/slurm/cluster python3 tests/slurm/study_slurm_test.py ROOT WORK_FOLDER TRIREME WRITE_TINY_RUN
"""
import fcntl
import json
import os
import pathlib
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "launch"))
from report_support import ROOT, WORK, run_tests
from study_recomputed import Recomputed

TRIREME, WRITE_TINY_RUN = map(os.path.abspath, sys.argv[3:5])
LIMIT = 600  # seconds: no measure of speed
PARAMETERS, STEPS, WARMUP = 20304, 60, 10
STUDY = f"""\
study: {{folder}}
run: {{run}}
where: slurm
site: {ROOT}/tests/slurm/site.yaml
nodes: [1, 2, 4]
ranks_per_node: 1
scaling: [strong, weak]
set: [numerics.mode=fast]
steps: {STEPS}
warmup: {WARMUP}
repeats: 3
time: 0:05:00
node_hours: 5
jobs_at_once: 2
gpus_per_node: 4
cores_per_node: 16
peak_tflops: 0.01
target:
  tokens: 1e9
  nodes: 4
  restarts: 0.1
"""
SLOW, DEAD = "as_configured-n2-b7-r3", "as_configured-n2-b14-r3"


class Study(Recomputed, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.run_yaml = subprocess.run([WRITE_TINY_RUN, str(WORK)], capture_output=True, text=True, check=True).stdout.strip()
        cls.path = WORK / "study.yaml"
        cls.path.write_text(STUDY.format(folder=WORK / "study", run=cls.run_yaml))
        cls.kill_half_way()
        cls.slow = cls.study("--cell", SLOW, fault="step/slow:0:30:sleep=6")
        cls.dead = cls.study("--cell", DEAD, fault="step/slow:0:30:kill")
        cls.resumed = cls.study()
        cls.try_again()
        cls.read_tables(WORK / "study", flop_of_a_token=6 * PARAMETERS, peak=1e10, warmup=WARMUP)

    @classmethod
    def study(cls, *arguments, fault=""):
        done = subprocess.run([TRIREME, "study", str(cls.path), *arguments], capture_output=True, text=True, check=False, timeout=LIMIT,
                              env={**os.environ, "TRIREME_FAULT": fault})
        print(*arguments, done.returncode, done.stdout, done.stderr, flush=True)
        return done

    @classmethod
    def results(cls):
        return {path: path.read_bytes() for path in WORK.glob("study/cells/*/attempt-*/result.json")}

    @classmethod
    def kill_half_way(cls):
        """Kills the study when it has results and a job of it is in the queue."""
        process = subprocess.Popen([TRIREME, "study", str(cls.path)], stdout=subprocess.PIPE, text=True)
        end = time.monotonic() + LIMIT
        while len(cls.results()) < 5 or not cls.queue():
            assert time.monotonic() < end and process.poll() is None, process.poll()
            time.sleep(0.2)
        cls.queued = cls.queue()
        process.kill()
        cls.told, _ = process.communicate()
        cls.before, cls.exit_code = cls.results(), process.returncode

    @classmethod
    def try_again(cls):
        """MPI has been seen to die while ranks started on a loaded machine: such a cell is run again, as a user would."""
        for path in WORK.glob("study/cells/*"):
            last = max(path.glob("attempt-*/result.json"))
            if path.name != DEAD and json.loads(last.read_text())["state"] == "failed":
                cls.study("--cell", path.name, "--retry")
                cls.study("--report")

    @staticmethod
    def queue():
        return subprocess.run(["squeue", "-h", "-o", "%i"], capture_output=True, text=True, check=True).stdout.split()

    def row(self, name):
        return next(row for row in self.cells if row["cell"] == name)

    def test_killed_and_resumed(self):
        self.assertEqual((self.exit_code, self.resumed.returncode), (-9, 0))
        self.assertLess(len(self.before), len(self.cells))
        after = self.results()
        self.assertEqual({path: after[path] for path in self.before}, self.before)
        self.assertEqual({row["state"] for row in self.cells if row["cell"] != DEAD}, {"ok"})
        jobs = [row["job_id"] for row in self.cells]
        self.assertEqual(len(set(jobs)), len(self.cells), "a job for each cell")
        self.assertLessEqual(set(self.queued), {json.loads(text).get("job_id") for text in after.values()}, "the jobs that were in the queue were waited for, not submitted again")
        for path, text in after.items():  # of which none ran twice
            if json.loads(text)["state"] == "interrupted":
                self.assertEqual(json.loads(text)["reason"], "the study was killed before Slurm had it", path)
        self.assertTrue(all(json.loads(text)["elapsed_s"] is not None for text in after.values()))

    def test_one_study_at_a_time(self):
        """A lock keeps a second one out of the folder."""
        with open(WORK / "study/.lock", "w", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            refused = self.study()
        self.assertEqual((refused.returncode, "another `trireme study` is at work in it" in refused.stderr), (2, True))

    def test_the_injected_slow_cell_is_flagged(self):
        self.assertIn("fault fired", (WORK / f"study/cells/{SLOW}/attempt-1/output.txt").read_text())
        self.assertEqual(self.row(SLOW)["flagged"], "True")

    def test_the_failed_cell_is_kept_and_shown(self):
        self.assertIn("fault fired", (WORK / f"study/cells/{DEAD}/attempt-1/output.txt").read_text())
        self.assertEqual(self.row(DEAD)["state"], "failed")
        self.assertIn(f"<b><bdi>{DEAD}</bdi></b>", (WORK / "study/report.html").read_text())

    def test_start_up_is_apart(self):
        for row in self.cells:
            if row["state"] == "ok":
                self.assertGreater(float(row["startup_s"]), 0)
                self.assertEqual(int(row["steps"]), STEPS - WARMUP)

    def test_what_is_attached(self):
        page = (WORK / "study/report.html").read_text()
        for text in ("#SBATCH --nodes=4", "srun --kill-on-bad-exit=1", "CPU_IDs=", "trireme 0."):
            self.assertIn(text, page)


if __name__ == "__main__":
    if "TRIREME_TEST_CLUSTER" not in os.environ:
        sys.exit(__doc__)
    del sys.argv[3:5]
    run_tests()
