"""Sweeps: the reader of SWEEP.yaml, draws and rungs against scipy and the published schedules, the sureness against its formula.

    sweep_test.py ROOT WORK_FOLDER
"""
import math
import re
import unittest

import numpy
import yaml
from scipy import stats

from report_support import refusal, run_tests
from sweep_support import write_sweep

from sweep import best, certainty, halving, range_test, settings, space
from sweep.space import Parameter


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


if __name__ == "__main__":
    run_tests()
