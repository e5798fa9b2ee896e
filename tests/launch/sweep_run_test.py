"""Sweeps of real runs under mpirun: successive halving killed and resumed, and a range test of the learning rate.

    sweep_run_test.py ROOT WORK_FOLDER TRIREME WRITE_TINY_RUN
"""
import os
import signal
import subprocess
import sys
import time
import unittest

from report_support import WORK, run_tests
from sweep_runs import HALVING, Runs

TRIREME, WRITE_TINY_RUN = map(os.path.abspath, sys.argv[3:5])


class Sweep(Runs, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.trireme, cls.run_yaml = TRIREME, cls.make_run(WRITE_TINY_RUN)
        cls.path = WORK / "sweep.yaml"
        text = HALVING.format(folder=WORK / "sweep", run=cls.run_yaml, where="local", trials=5, steps=12, node_hours=0.4) + "ranks_per_node: 2\nseed: 3\n"  # which draws one trial of five inside the region
        cls.path.write_text(text + "confirm: {best: 2, seeds: 2}\n")
        cls.kill_half_way()
        cls.resumed = cls.sweep()

    @classmethod
    def kill_half_way(cls):
        """Kills the sweep when it has three results and its next cell runs."""
        process = subprocess.Popen([TRIREME, "sweep", str(cls.path)], stdout=subprocess.DEVNULL, start_new_session=True)
        while len(cls.results()) < 3:
            assert process.poll() is None, process.poll()
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        cls.before = cls.results()

    def test_killed_and_resumed_within_the_budget(self):
        self.assertEqual(self.resumed.returncode, 0)
        after, rows = self.results(), self.cells()
        self.assertEqual({path: after[path] for path in self.before}, self.before)
        self.assertEqual(len(rows), 5 + 1 + 4)
        self.assertEqual({row["state"] for row in rows} - {"failed"}, {"ok"})
        self.assertLess(sum(float(row["node_hours"]) for row in rows), 0.4)

    def test_finds_the_planted_region(self):
        self.check_planted()

    def test_the_report_says_how_sure_it_is(self):
        page = (WORK / "sweep/report.html").read_text()
        self.assertIn("is the best of 2 with probability", page)

    def test_range_test(self):
        path = WORK / "rates.yaml"
        path.write_text(f"sweep: {WORK / 'rates'}\nrun: {self.run_yaml}\nwhere: local\nmethod: range_test\nrange: [1e-6, 3]\nsteps: 60\n"
                        "set: [guard.sensitivity=off, guard.overfitting=off]\ntime: 0:01:00\nnode_hours: 1\n")
        done = subprocess.run([TRIREME, "sweep", str(path)], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        rates = [event["learning_rate"] for event in self.events(next((WORK / "rates/trials").glob("*/run")), "train")]
        for i, rate in enumerate(rates):
            self.assertAlmostEqual(rate / (1e-6 * 3e6 ** (i / 59)), 1, places=9)
        self.assertIn("Loss over the rate", (WORK / "rates/report.html").read_text())


if __name__ == "__main__":
    del sys.argv[3:5]
    run_tests()
