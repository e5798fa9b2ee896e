"""Sweeps from start to end with a stand-in for `trireme`: planted regions, kills, failed trials, caps, Slurm's scripts, settings of `init`.

    sweep_whole_test.py ROOT WORK_FOLDER
"""
import csv
import json
import os
import re
import subprocess
import sys
import unittest

import yaml

from report_support import ROOT, WORK, run_tests
from sweep_support import stand_in, write_sweep

from sweep import best, halving, range_test, settings, start
from sweep.trials import Search


def sweep(path, *arguments, **environment):
    """(exit code, standard output, error) of the command."""
    done = subprocess.run([sys.executable, "-I", str(ROOT / "launch/sweep.py"), str(path), *arguments], capture_output=True, text=True, cwd=WORK,
                          env={**os.environ, **environment})
    return done.returncode, done.stdout, done.stderr


HALVE = "method: halving\nhalving: {first_steps: 2, eta: 3}\n"


def read_cells(name):
    with open(WORK / name / "cells.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


class Whole(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        stand_in()

    def test_random_finds_the_planted_region(self):
        code, output, error = sweep(write_sweep("whole", lambda text: text + "confirm: {best: 2, seeds: 3}\n"))
        self.assertEqual(code, 0, output + error)
        rate = float(yaml.safe_load((WORK / "whole/best.yaml").read_text())["optimizer"]["learning_rate"])
        self.assertTrue(1e-4 < rate < 1e-2, rate)
        rows = read_cells("whole")
        self.assertEqual([row["seed"] for row in rows], ["7"] * 12 + ["8"] * 2 + ["9"] * 2 + ["10"] * 2)
        self.assertLess(sum(float(row["node_hours"]) for row in rows), 10)
        page = (WORK / "whole/report.html").read_text()
        for text in ("Parallel coordinates", "with probability", "confirmation", "loss against optimizer.learning_rate"):
            self.assertIn(text, page)
        self.assertIn("the best of 2 compared with probability", (WORK / "whole/best.yaml").read_text())
        code, output, _ = sweep(WORK / "whole.yaml", "--dry-run")
        self.assertIn("\n0 cells to run, at most 0 node-hours; ", output)

    def test_halving_killed_and_resumed(self):
        """The promoted go on from where they were, none runs twice, and one that failed is not promoted."""
        path = write_sweep("halved", lambda text: text.replace("method: random\n", HALVE).replace("steps: 20", "steps: 18"))
        worst = {"STANDIN_FAIL": "c03-seed7"}
        whole = settings.read_sweep(str(path))
        names = list(Search(whole, 7, lambda cell: 0.0, lambda cell: False, True).configurations)
        code, output, error = sweep(path, **worst, STANDIN_DIE=f"{names[6]}-seed7-to2")
        self.assertEqual(code, -9, output + error)
        before = {p: p.read_bytes() for p in WORK.glob("halved/cells/*/attempt-1/result.json")}
        self.assertEqual(len(before), 6)
        code, output, error = sweep(path, **worst)
        self.assertEqual(code, 0, output + error)
        self.assertEqual({p: p.read_bytes() for p in before}, before)
        rows = read_cells("halved")
        self.assertEqual([(row["stage"], row["until"]) for row in rows], [("rung 1 of 3", "2")] * 12 + [("rung 2 of 3", "6")] * 4 + [("rung 3 of 3", "18")])
        self.assertEqual([row["configuration"] for row in rows if row["state"] == "failed"], ["c03"])
        first = sorted((float(row["value"]), row["configuration"]) for row in rows[:12] if row["value"])
        self.assertEqual([row["configuration"] for row in rows[12:16]], [name for _, name in first[:4]])
        log = (WORK / f"halved/trials/{rows[16]['configuration']}-seed7/run/metrics.jsonl").read_text().splitlines()
        self.assertEqual([e["step"] for e in map(json.loads, log) if e["kind"] == "train"], list(range(1, 19)), "no step is trained twice")
        self.assertEqual({row["attempt"] for row in rows if row["configuration"] != names[6]}, {"1"})

    def test_failed_trials_run_again_when_asked(self):
        path = write_sweep("again", lambda text: text.replace("trials: 12", "trials: 2"))
        code, *_ = sweep(path, STANDIN_FAIL="c00-seed7 c01-seed7")
        self.assertEqual(code, 1)
        code, output, _ = sweep(path)
        self.assertEqual(code, 1)
        code, output, error = sweep(path, "--retry")
        self.assertEqual((code, {row["attempt"] for row in read_cells("again")}), (0, {"2"}), output + error)

    def test_more_trials_go_on_other_ranges_are_refused(self):
        path = write_sweep("more", lambda text: text.replace("trials: 12", "trials: 2"))
        self.assertEqual(sweep(path)[0], 0)
        before = read_cells("more")
        self.assertEqual(sweep(write_sweep("more", lambda text: text.replace("trials: 12", "trials: 4")))[0], 0)
        self.assertEqual([row["cell"] for row in read_cells("more")][:2], [row["cell"] for row in before])
        code, _, error = sweep(write_sweep("more", lambda text: text.replace("1e-6", "1e-7")))
        self.assertEqual(code, 2)
        self.assertIn("with which more was begun, or another folder (sweep)", error)

    def test_over_the_cap_nothing_is_written(self):
        path = write_sweep("capped", lambda text: text.replace("method: random\n", HALVE).replace("steps: 20", "steps: 18").replace("node_hours: 10", "node_hours: 0.5"))
        code, _, error = sweep(path)
        # 12 cells of 1 + 2/18 minutes, 4 of 1 + 4/18 and one of 1 + 12/18, each in whole minutes
        self.assertEqual((code, (WORK / "capped").exists()), (2, False))
        self.assertIn("node_hours: 0.5: legal: at least 0.566667: 17 cells on 17 nodes in all for at most 0:02:00 each", error)

    def test_keys_and_values_are_tried_before_anything_is_written(self):
        code, _, error = sweep(write_sweep("keys", lambda text: text.replace("batch.global", "batch.globl")))
        self.assertEqual((code, error), (2, f"trireme: {WORK / 'keys.yaml'}: parameters.batch.globl: no such key; did you mean batch.global?: legal: the keys of "
                                            "`trireme explain-config --keys`\n"))
        code, _, error = sweep(write_sweep("values", lambda text: text.replace("{log_uniform: [1e-6, 1]}", "[1e-3, -1]").replace("trials: 12", "trials: 4")))
        self.assertEqual(code, 2)
        self.assertIn("optimizer.learning_rate=-1", error)
        self.assertIn("legal: a number > 0", error)
        code, _, error = sweep(write_sweep("many", lambda text: text.replace("{log_uniform: [1e-6, 1]}", "[1e-3, 1e-2]")))
        self.assertIn("trials: 12: legal: at most 4, as many combinations as there are", error)
        self.assertFalse(any((WORK / name).exists() for name in ("keys", "values", "many")))

    def test_range_test(self):
        path = write_sweep("rates", lambda text: re.sub(r"parameters:\n.*\n.*\ntrials: 12", "range: [1e-6, 1]\nrepeats: 2", text).replace("random", "range_test")
                           .replace("steps: 20", "steps: 60"))
        code, output, error = sweep(path)
        self.assertEqual(code, 0, output + error)
        rate = float(yaml.safe_load((WORK / "rates/best.yaml").read_text())["optimizer"]["learning_rate"])
        self.assertTrue(3e-4 < rate < 1e-2, rate)
        self.assertIn("Loss over the rate", (WORK / "rates/report.html").read_text())

    def test_grid_under_slurm(self):
        path = write_sweep("grid", lambda text: text.replace("where: local", "where: slurm\nsite: generic").replace("random", "grid").replace("trials: 12\n", "")
                           .replace("1]}", "1], points: 4}"))
        code, output, error = sweep(path)
        self.assertEqual(code, 0, output + error)
        rows = read_cells("grid")
        self.assertEqual([(row["optimizer.learning_rate"], row["batch.global"]) for row in rows][:3], [("1e-06", "4"), ("1e-06", "8"), ("0.0001", "4")])
        self.assertEqual({row["state"] for row in rows}, {"ok"})
        self.assertEqual(len({row["job_id"] for row in rows}), 8)

    def test_init_has_a_source_for_each_range(self):
        done = subprocess.run([sys.executable, "-I", str(ROOT / "launch/sweep.py"), "--init", "run.yaml", "--output", "first.yaml"], cwd=WORK, check=False)
        self.assertEqual(done.returncode, 0)
        text = (WORK / "first.yaml").read_text()
        self.assertIn("  # 2e-5: Liu et al. 2019: 2e-5\n  optimizer.learning_rate: {log_uniform: [5e-06, 8e-05]}", text)
        self.assertIn("  # 32: Devlin et al. 2019: 16 or 32\n  batch.global: [16, 32, 64]", text)
        read = settings.read_sweep(str(WORK / "first.yaml"))
        self.assertEqual((read.method, read.trials), ("random", 12))
        code, output, _ = sweep("first.yaml", "--dry-run")
        self.assertEqual(code, 0, output)

    def test_spoilt_settings_of_init(self):
        self.assertEqual(start.settings_of("# a\nx: 1\ny:\n  # b\n  # c\n  z: 2\n"), {"y.z": ("2", "b c")})


if __name__ == "__main__":
    run_tests()
