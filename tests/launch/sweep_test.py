"""Sweeps: the reader of SWEEP.yaml, draws and rungs against scipy and the published schedules, the sureness against its formula, and sweeps that are
killed and go on.

    sweep_test.py ROOT WORK_FOLDER
"""
import csv
import json
import math
import os
import re
import subprocess
import sys
import unittest

import numpy
import yaml
from scipy import stats

from report_support import ROOT, WORK, refusal, run_tests
from sweep_support import stand_in, write_sweep

from experiment.budget import check_cap
from sweep import best, certainty, halving, range_test, settings, space, start
from sweep.space import Parameter
from sweep.trials import Search


def sweep(path, *arguments, **environment):
    """(exit code, standard output, error) of the command."""
    done = subprocess.run([sys.executable, "-I", str(ROOT / "launch/sweep.py"), str(path), *arguments], capture_output=True, text=True, cwd=WORK,
                          env={**os.environ, **environment})
    return done.returncode, done.stdout, done.stderr


LR = "  optimizer.learning_rate: {log_uniform: [1e-6, 1]}"
MISTAKES = [  # (what is replaced, by what, the refusal after the file's name)
    ("where: local", "where: pbs", ":3: where: pbs: legal: local, slurm"),
    ("where: local", "where: slurm", ": site: missing; legal: with where: slurm, a file of configs/sites or the path of one"),
    ("method: random", "method: bayes", ":4: method: bayes: legal: grid, random, halving, range_test"),
    ("trials: 12", "trails: 12", ":8: trails: no such key; did you mean trials? legal: sweep, run, title, where, "),
    ("trials: 12\n", "", ": trials: missing: legal: with method: random, a whole number from 1 to 10000"),
    ("trials: 12", "trials: 0", ":8: trials: 0: legal: a whole number from 1 to 10000"),
    ("method: random", "method: grid", ": trials: is given: legal: with method: random, halving"),
    ("method: random\n", "method: random\nhalving: {first_steps: 2}\n", ": halving: is given: legal: with method: halving"),
    ("method: random\n", "method: halving\nhalving: {first_steps: 20}\n", ": halving.first_steps: 20: legal: less than steps, which is 20"),
    ("method: random\n", "method: halving\nhalving: {first_steps: 1}\n", ": trials: 12: legal: at least 27, so that one is left after 3 times a share of 1/3"),
    ("method: random\n", "method: halving\nhalving: {eta: 3}\n", ": halving.first_steps: missing; legal: a whole number from 1"),
    (LR, "  optimizer.learning_rate: {log_uniform: [0, 1]}", ":6: parameters.optimizer.learning_rate.log_uniform: a list: legal: [LOW, HIGH], two numbers, the lower one first and above 0"),
    (LR, "  optimizer.learning_rate: {log_uniform: [1, 0.1]}", ":6: parameters.optimizer.learning_rate.log_uniform: a list: legal: [LOW, HIGH]"),
    (LR, "  optimizer.learning_rate: {log_uniform: [a, 1]}", ":6: parameters.optimizer.learning_rate.log_uniform: a: legal: [LOW, HIGH]"),
    (LR, "  optimizer.learning_rate: {uniform: [0, 1], log_uniform: [1, 2]}", ":6: parameters.optimizer.learning_rate: a mapping: legal: either uniform or log_uniform"),
    (LR, "  optimizer.learning_rate: {normal: [0, 1]}", ":6: parameters.optimizer.learning_rate.normal: no such key; did you mean uniform? legal: uniform, log_uniform, whole, points"),
    (LR, "  optimizer.learning_rate: 1e-3", ":6: parameters.optimizer.learning_rate: 1e-3: legal: a list of values, as in [8, 16, 32], or a range"),
    (LR, "  optimizer.learning_rate: {uniform: [0.5, 2], whole: true}", ":6: parameters.optimizer.learning_rate: a mapping: legal: whole numbers at both ends"),
    (LR, "  optimizer.learning_rate: {uniform: [0, 1], points: 3}", ": parameters.optimizer.learning_rate.points: 3: legal: with method: grid, "),
    ("[4, 8]", "[4, 4]", ":7: parameters.batch.global[1]: 4: legal: each value once"),
    ("[4, 8]", "[]", ":7: parameters.batch.global: a list: legal: a list of values"),
    ("batch.global: [4, 8]", "optimizer.learning_rate: [1]", ":7: parameters.optimizer.learning_rate: is given twice; legal: once"),
    ("batch.global: [4, 8]", "seed: [4, 8]", ": parameters.seed: seed: legal: keys but run, seed, "),
    ("batch.global: [4, 8]", "train.epochs: [4, 8]", ": parameters.train.epochs: train.epochs: legal: keys but run, seed, "),
    ("trials: 12", "trials: 12\nset: [batch.global=3]", ": set: batch.global: legal: each key once, in set or in parameters"),
    ("trials: 12", "trials: 12\nset: [run=x]", ":9: set[0]: run=x: legal: keys but run, seed, job.until_step, evaluation.metric, which the sweep sets itself"),
    ("trials: 12", "trials: 12\nconfirm: {best: 2}", ": confirm.seeds: missing; legal: a whole number from 1 to 100"),
    ("node_hours: 10", "node_hours: 0", ":12: node_hours: 0: legal: a number > 0"),
    ("time: 0:01:00", "time: soon", ":10: time: soon: legal: MINUTES, H:MM:SS or D-HH:MM:SS, more than 0"),
]


class Settings(unittest.TestCase):
    def test_each_mistake_is_one_line(self):
        for old, new, line in MISTAKES:
            with self.subTest(new=new):
                path = write_sweep("spoilt", lambda text: text.replace(old, new, 1))
                self.assertIn(new, path.read_text())
                found = refusal(settings.read_sweep, str(path))
                self.assertEqual(found.count("\n"), 1)
                self.assertTrue(found.startswith(f"trireme: {path}{line}"), found)

    def test_what_the_range_test_sets_itself(self):
        path = write_sweep("own", lambda text: re.sub(r"parameters:\n.*\n.*\ntrials: 12", "range: [1e-6, 1]\nset: [optimizer.warmup=0.1]", text)
                           .replace("random", "range_test"))
        self.assertIn("set: optimizer.warmup: legal: keys but run, seed, job.until_step, evaluation.metric, train.steps, ", refusal(settings.read_sweep, str(path)))


class Draws(unittest.TestCase):
    """Distributions of the draws against those of scipy, by Kolmogorov and Smirnov's test and by chi-square."""
    COUNT = 4000

    def drawn(self, parameter):
        return [float(space.draw([parameter], 5, i)[0][1]) for i in range(self.COUNT)]

    def test_uniform(self):
        self.assertGreater(stats.kstest(self.drawn(Parameter("a", low=-1, high=3)), stats.uniform(-1, 4).cdf).pvalue, 0.01)

    def test_log_uniform(self):
        self.assertGreater(stats.kstest(self.drawn(Parameter("a", low=1e-6, high=1, log=True)), stats.loguniform(1e-6, 1).cdf).pvalue, 0.01)
        self.assertLess(stats.kstest(self.drawn(Parameter("a", low=1e-6, high=1)), stats.loguniform(1e-6, 1).cdf).pvalue, 1e-6)

    def test_whole_numbers_and_choices(self):
        counts = numpy.bincount(numpy.array(self.drawn(Parameter("a", low=2, high=6, whole=True)), int), minlength=7)[2:]
        self.assertGreater(stats.chisquare(counts).pvalue, 0.01)
        counts = numpy.bincount(numpy.array(self.drawn(Parameter("a", low=1, high=8, whole=True, log=True)), int), minlength=9)[1:]
        edges = numpy.log(numpy.arange(1, 10) - 0.5)
        self.assertGreater(stats.chisquare(counts, numpy.diff(edges) / (edges[-1] - edges[0]) * self.COUNT).pvalue, 0.01)
        counts = numpy.bincount(numpy.array(self.drawn(Parameter("a", ("0", "1", "2"))), int))
        self.assertGreater(stats.chisquare(counts).pvalue, 0.01)

    def test_parameters_are_independent(self):
        pair = [Parameter("a", low=0, high=1), Parameter("b", low=0, high=1)]
        drawn = numpy.array([[float(v) for _, v in space.draw(pair, 1, i)] for i in range(self.COUNT)])
        self.assertGreater(stats.pearsonr(drawn[:, 0], drawn[:, 1]).pvalue, 0.01)

    def test_a_draw_depends_on_seed_number_and_key_alone(self):
        one, other = Parameter("a", low=0, high=1), Parameter("b", low=0, high=1)
        self.assertEqual(space.draw([other, one], 3, 8)[1], space.draw([one], 3, 8)[0])
        self.assertNotEqual(space.draw([one], 3, 8), space.draw([one], 4, 8))
        self.assertEqual(space.random_points([one], 9, 3)[:4], space.random_points([one], 4, 3))

    def test_no_configuration_twice(self):
        few = [Parameter("a", ("1", "2", "3")), Parameter("b", ("x", "y"))]
        self.assertEqual(len(set(space.random_points(few, 6, 0))), 6)
        self.assertEqual(len(space.random_points(few, 7, 0)), 6)

    def test_grids_are_numpys(self):
        found = Parameter("a", low=1e-5, high=1e-1, log=True, points=5).grid()
        self.assertTrue(numpy.allclose([float(v) for v in found], numpy.geomspace(1e-5, 1e-1, 5)))
        self.assertEqual(Parameter("a", low=0, high=1, points=3).grid(), ["0", "0.5", "1"])
        self.assertEqual(Parameter("a", low=1, high=4, whole=True, points=7).grid(), ["1", "2", "3", "4"])
        points = space.grid_points([Parameter("a", ("1", "2")), Parameter("b", low=0, high=1, points=2)])
        self.assertEqual([[v for _, v in p] for p in points], [["1", "0"], ["1", "1"], ["2", "0"], ["2", "1"]])


# Table 1 of Li et al. 2018 (Hyperband: R = 81, eta = 3), all of whose brackets are successive halving: [(configurations, resource), ...]
HYPERBAND = [[(81, 1), (27, 3), (9, 9), (3, 27), (1, 81)], [(27, 3), (9, 9), (3, 27), (1, 81)], [(9, 9), (3, 27), (1, 81)], [(6, 27), (2, 81)], [(5, 81)]]


class Halving(unittest.TestCase):
    def test_the_published_schedule(self):
        for bracket in HYPERBAND:
            self.assertEqual([tuple(r) for r in halving.rungs(bracket[0][0], bracket[0][1], 3, 81)], bracket)

    def test_the_last_rung_ends_at_the_last_step(self):
        self.assertEqual([tuple(r) for r in halving.rungs(10, 4, 2, 20)], [(10, 4), (5, 8), (2, 16), (1, 20)])

    def test_each_rung_costs_about_the_same(self):
        """Total work is at most (rungs) times the first, as the paper has it for doubled budgets of half the arms."""
        found = halving.rungs(64, 1, 2, 64)
        self.assertEqual({r.count * r.steps for r in found}, {64})

    def test_the_best_go_on(self):
        scores = {"a": 3.0, "b": None, "c": 1.0, "d": 1.0, "e": 2.0}
        self.assertEqual(halving.best_of(scores, 3, True), ["c", "d", "e"])
        self.assertEqual(halving.best_of(scores, 9, False), ["a", "e", "c", "d"])


class Sure(unittest.TestCase):
    def test_of_two_it_is_students_t(self):
        values = {"a": [0.90, 0.92, 0.91], "b": [0.89, 0.90, 0.915]}
        found = certainty.probability_of_best(values, False, 200_000)
        deviation = math.sqrt((statistics_variance(values["a"]) + statistics_variance(values["b"])) / 2)
        t = (numpy.mean(values["a"]) - numpy.mean(values["b"])) / (deviation * math.sqrt(2 / 3))
        self.assertAlmostEqual(found.probability["a"], stats.t(4).cdf(t), delta=0.005)
        self.assertAlmostEqual(found.deviation, deviation)
        self.assertAlmostEqual(certainty.probability_of_best(values, True, 200_000).probability["b"], stats.t(4).cdf(t), delta=0.005)
        low, high = certainty.interval(values["a"], found.deviation, found.freedom)
        self.assertAlmostEqual(high - low, 2 * stats.t(4).ppf(0.975) * deviation / math.sqrt(3))

    def test_one_seed_tells_nothing(self):
        self.assertIsNone(certainty.probability_of_best({"a": [1.0], "b": [2.0]}, False))

    def test_it_is_right_as_often_as_it_says(self):
        """Of made-up sweeps with equal prior means the stated probability of the chosen is near the share of cases in which it is the best."""
        generator, told, right = numpy.random.default_rng(3), [], []
        for _ in range(400):
            means = generator.normal(0, 1, 4)
            values = {str(i): list(generator.normal(mean, 0.5, 4)) for i, mean in enumerate(means)}
            found = certainty.probability_of_best(values, False, 1000).probability
            chosen = max(values, key=lambda name: sum(values[name]))
            told.append(found[chosen])
            right.append(int(chosen) == int(numpy.argmax(means)))
        self.assertAlmostEqual(sum(told) / 400, sum(right) / 400, delta=0.06)


def statistics_variance(values):
    return float(numpy.var(values, ddof=1))


class RangeTest(unittest.TestCase):
    def test_a_planted_valley(self):
        rates = numpy.geomspace(1e-6, 10, 200)
        losses = [2.0 - 1.5 / (1 + math.exp(-3 * (math.log10(r) + 3))) + (50 if r > 1 else 0) * math.log10(max(r, 1)) for r in rates]
        found = range_test.find(list(rates), losses)
        self.assertTrue(found.diverged)
        self.assertAlmostEqual(math.log10(found.steepest), -3, delta=0.5)
        self.assertTrue(0.5 < found.lowest < 2, found.lowest)
        self.assertAlmostEqual(found.suggestion, found.lowest / 10)

    def test_means_do_not_lag(self):
        self.assertEqual(range_test.smoothed([1.0, 2.0, 3.0, 4.0, 8.0], 3), [1.5, 2.0, 3.0, 5.0, 6.0])

    def test_not_finite_ends_it(self):
        found = range_test.find([10.0 ** (i / 10 - 5) for i in range(40)], [1.0] * 20 + [math.nan] * 20)
        self.assertEqual((len(found.rates), found.diverged), (20, True))
        self.assertIsNone(range_test.find([1.0, 2.0], [1.0, 1.0]))


class BestFile(unittest.TestCase):
    def test_values_take_the_place_of_those_that_were_there(self):
        text = best.text_of("run: a\nguard:\n  sensitivity: off\noptimizer: {learning_rate: 1e-3}\n",
                            ["optimizer.learning_rate=3e-4", "train.steps=7", "run=b", "optimizer.freeze=[x, y]"], ["said"])
        self.assertTrue(text.startswith("# said\n"))
        self.assertIn("sensitivity: off", text)
        self.assertEqual(yaml.load(text, yaml.BaseLoader), {"run": "b", "guard": {"sensitivity": "off"}, "train": {"steps": "7"},
                                                            "optimizer": {"learning_rate": "3e-4", "freeze": ["x", "y"]}})


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
    assert check_cap
    run_tests()
