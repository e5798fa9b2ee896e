"""Reports on runs: intervals against scikit-learn's values and known rates, costs counted again, verdicts, refusals.

    report_run_test.py ROOT WORK_FOLDER
"""
import argparse
import json
import re
import unittest

import numpy
from report_runs import CONFIG, CRASHED_ONCE, evaluated, folder, job, step
from report_support import ROOT, WORK, Reader, refusal, report, run_tests, save

from report import compare, events, intervals, learning_curve, performance, run, run_config, run_cost

NOTHING = argparse.Namespace(evaluation=None, predictions=None, audit=None, certificate=None)


def verdicts(document):
    return {item["name"]: item["verdict"] for item in document["sections"][0]["blocks"][0]["items"]}


class Performance(unittest.TestCase):
    EVENT = {"kind": "performance", "step": 4, "phases": {"forward": {"mean": 0.25, "most": 0.5}, "weight gradient": {"mean": 0, "most": 0}},
             "exposed": {"tensor": {"mean": 0.125, "most": 0.25}, "zero": {"mean": 0, "most": 0}}, "flops_per_second": {"palm": 2e12},
             "utilisation": {"palm": 0.5}, "peak_memory": 3e9, "planned_memory": 4e9}

    def test_the_last_event_is_shown_without_what_took_no_time(self):
        first = self.EVENT | {"step": 2, "phases": {"forward": {"mean": 9, "most": 9}}}
        (section,) = performance.section([first, self.EVENT])
        bars, against = section["blocks"]
        self.assertEqual(bars["categories"], ["forward", "waits: tensor"])
        self.assertEqual([s["values"] for s in bars["series"]], [[0.25, 0.125], [0.5, 0.25]])
        self.assertEqual([row[1] for row in against["rows"]], ["2 TFLOP/s", "50.0%", "3 of 4 GB"])

    def test_what_is_none_is_left_out(self):
        self.assertEqual(performance.section([]), [])
        for spoilt in ({"phases": 3, "exposed": None, "flops_per_second": [], "utilisation": None, "planned_memory": None}, {"phases": {"a": 1}, "exposed": {}}):
            performance.section([self.EVENT | spoilt])
        self.assertEqual(performance.section([{"kind": "performance", "step": 1}]), [])


class Intervals(unittest.TestCase):
    def test_scores_of_a_table_are_those_of_scikit_learn(self):
        cases = json.loads((ROOT / "tests/golden/metrics.json").read_text())["cases"]
        for case in cases:
            counts = numpy.array(case["confusion"], float)
            label, prediction = numpy.nonzero(counts)
            found = intervals.scores(counts[label, prediction][None], label, prediction, len(counts))
            self.assertAlmostEqual(found["accuracy"][0], case["accuracy"], delta=1e-12)
            self.assertAlmostEqual(found["f1"][0], case["f1"], delta=1e-12)
            if case["mcc"] is not None and not numpy.isnan(found["mcc"][0]):
                self.assertAlmostEqual(found["mcc"][0], case["mcc"], delta=1e-12)
        self.assertGreater(len(cases), 3)

    def test_draws_of_pairs_are_resamples_of_samples(self):
        confusion, generator = [[30, 5, 0], [8, 20, 2], [1, 3, 11]], numpy.random.default_rng(5)
        pairs = numpy.array([(i, j) for i, row in enumerate(confusion) for j, n in enumerate(row) for _ in range(n)])
        accuracies = [numpy.mean(drawn[:, 0] == drawn[:, 1]) for drawn in (pairs[generator.integers(0, len(pairs), len(pairs))] for _ in range(4000))]
        low, high = intervals.of_confusion(confusion, 4000)["accuracy"]
        self.assertAlmostEqual(low, numpy.quantile(accuracies, 0.025), delta=0.015)
        self.assertAlmostEqual(high, numpy.quantile(accuracies, 0.975), delta=0.015)

    def test_covers_a_known_rate_about_as_often_as_it_says(self):
        generator, covered = numpy.random.default_rng(11), 0
        for _ in range(300):
            right = int(generator.binomial(400, 0.8))
            low, high = intervals.of_confusion([[right, 400 - right], [0, 0]], 500)["accuracy"]
            covered += low <= 0.8 <= high
        self.assertTrue(0.91 <= covered / 300 <= 0.98, covered)

    def test_mean_is_that_of_numpy(self):
        values = numpy.random.default_rng(3).normal(2, 3, 1000)
        mean = intervals.Mean()
        for value in values:
            mean.add(float(value))
        reach = 1.96 * values.std(ddof=1) / 1000**0.5
        low, high = mean.interval()
        self.assertAlmostEqual(low, values.mean() - reach, delta=1e-4)
        self.assertAlmostEqual(high, values.mean() + reach, delta=1e-4)

    def test_one_sample_has_none(self):
        self.assertEqual(intervals.of_confusion([[1, 0], [0, 0]]), {})
        self.assertIsNone(intervals.Mean().interval())


class LearningCurves(unittest.TestCase):
    SHARES = (0.1, 0.1, 0.25, 0.25, 0.5, 0.5, 1.0, 1.0)

    def losses(self, seed, noise=0.004):
        generator = numpy.random.default_rng(seed)
        return [learning_curve.law(share, 0.3, 0.1, 0.6) + float(generator.normal(0, noise)) for share in self.SHARES]

    def test_finds_a_law_without_noise(self):
        curve = learning_curve.Curve(self.SHARES, self.losses(0, 0))
        for found, planted in zip(curve.parameters, (0.3, 0.1, 0.6)):
            self.assertAlmostEqual(found, planted, delta=0.02 * planted + 0.002)

    def test_covers_what_twice_the_data_would_bring(self):
        truth, covered = learning_curve.law(2.0, 0.3, 0.1, 0.6), 0
        for seed in range(60):
            _, low, high = learning_curve.Curve(self.SHARES, self.losses(seed)).at([2.0])
            covered += low[0] <= truth <= high[0]
        self.assertGreaterEqual(covered, 52)  # 95 % are meant

    def test_stands_where_runs_are_a_curve(self):
        paths = [folder(f"part{i}", [job(0, total_steps=1), step(1, 1), evaluated(1, 2, loss, 0.5)], fraction=share)
                 for i, (share, loss) in enumerate(zip(self.SHARES, self.losses(1)))]
        section = compare.document_of(paths, None)["sections"][1]
        self.assertEqual(section["title"], "What more data would bring")
        rows = section["blocks"][2]["rows"]
        self.assertEqual([row[0] for row in rows[-2:]], ["200 %", "400 %"])
        self.assertLess(rows[-1][1], rows[-2][1])
        self.assertEqual(len(compare.document_of(paths[:4], None)["sections"]), 3)
        exact = compare.document_of(paths[::3], None)["sections"][1]["blocks"][2]["rows"][-1]
        self.assertIn("no interval", exact[2])


class Runs(unittest.TestCase):
    def test_tells_what_is_left_of_the_budget(self):
        path = folder("budget", CRASHED_ONCE)
        for budget, left in ((1, 1 - (2 * 40 + 70) / 3600), (0.01, 0)):
            save("budget/config.yaml", CONFIG.format("budget", "accuracy", 0.1, 1) + f"job:\n  node_hours: {budget}\n")
            cost = next(s for s in run.document_of(path, NOTHING, None)["sections"] if s["title"] == "Cost")
            name, hours, how = cost["blocks"][0]["rows"][2]
            self.assertAlmostEqual(hours, left)
            self.assertEqual((name, how), ("left of job.node_hours", f"of a budget of {budget} node-hours"))

    def test_goodput_counts_the_steps_that_the_run_stands_on(self):
        resumed = [job(1000), step(1, 1002), step(2, 1004), step(3, 1006), job(1100, step=2), step(3, 1102), step(4, 1104)]
        self.assertEqual(run_cost.seconds_that_count(resumed), 8)
        self.assertEqual(run_cost.seconds_that_count([*resumed, job(1200, step=1)]), 2)
        back = [job(1000), step(1, 1002), step(2, 1004), step(3, 1006), {"kind": "rollback", "step": 1, "from": 3, "time": 1007}]
        self.assertEqual(run_cost.seconds_that_count(back), 2)
        section = run_cost.cost_section(run_cost.jobs_of(resumed), resumed)
        self.assertEqual(section["blocks"][-1]["rows"][0][:2], ["goodput", "80.0%"])  # 8 s of 6 + 4

    def test_costs_are_counted_per_job(self):
        found = run_cost.jobs_of(CRASHED_ONCE)
        self.assertEqual([(j.nodes, j.ranks, j.seconds()) for j in found], [(2, 4, 40), (1, 2, 70)])
        section = run_cost.cost_section(found, CRASHED_ONCE)
        took, times, done, speed = (block["rows"] for block in section["blocks"])
        self.assertAlmostEqual(took[0][1], (2 * 40 + 70) / 3600)
        self.assertAlmostEqual(took[1][1], (4 * 40 + 2 * 70) / 3600)
        self.assertEqual([row[1] for row in times], [110, 14, 15, 1.5, 79.5])
        self.assertEqual([row[1] for row in done], [6, 1, 56, 700])
        self.assertEqual([row[1] for row in speed], ["10.9%", "50", "6.00 GB"])

    def test_says_where_it_stands(self):
        document = run.document_of(folder("crashed", CRASHED_ONCE), NOTHING, None)
        self.assertEqual(verdicts(document), {"Done: step 6 of 6": "ok", "The validation loss rose after step 4": "warn"})
        self.assertEqual(document["summary"], "Best by accuracy at step 4: loss 0.8, accuracy 75.0\u00a0%.")
        alive = run.document_of(folder("alive", CRASHED_ONCE[:9]), NOTHING, None)
        self.assertEqual(verdicts(alive), {"Not at its end: step 4 of 6": "warn", "The validation loss did not rise": "ok"})
        asked = CRASHED_ONCE[:-1] + [CRASHED_ONCE[-1] | {"exit_code": 85}, {"kind": "bad step", "step": 6, "what": "loss is NaN", "time": 2071}]
        found = verdicts(run.document_of(folder("asked", asked), NOTHING, None))
        self.assertEqual(found["Stopped at step 6 of 6, to be continued"], "warn")
        self.assertEqual(found["1 bad steps, 0 rollbacks"], "warn")

    def test_the_last_of_a_repeated_step_is_drawn(self):
        document = run.document_of(folder("repeated", CRASHED_ONCE), NOTHING, None)
        curves = document["sections"][1]["blocks"][0]["series"]
        self.assertEqual(curves[0]["x"], [1, 2, 3, 4, 5, 6])
        self.assertEqual(curves[0]["y"][2], 0.7)
        self.assertEqual(curves[1]["y"], [0.9, 0.8, 0.95])

    def test_best_is_that_of_train(self):
        some = [evaluated(2, 0, 0.9, 0.5), evaluated(4, 0, 0.8, 0.75), evaluated(6, 0, 0.7, 0.75)]
        self.assertEqual(run_config.best_of(some, "accuracy")["step"], 4)
        self.assertEqual(run_config.best_of(some, "loss")["step"], 6)
        self.assertIsNone(run_config.best_of(some, "mse"))
        table = (ROOT / "framework/evaluation/metrics.cpp").read_text()
        smaller = re.findall(r'\{"(\w+)",\s*Better::smaller', table)
        self.assertEqual(sorted(smaller), sorted(run_config.SMALLER_IS_BETTER))

    def test_makes_a_page(self):
        path, output = folder("paged", CRASHED_ONCE), WORK / "run.html"
        found = save("paged.json", {"samples": 10, "loss": 0.5, "accuracy": 0.9, "confusion": [[6, 1], [0, 3]], "labels": ["a", "b"]})
        audit = save("audit.json", {"format": "trireme-audit", "rows": 12, "splits": {"train": 10, "test": 2},
                                    "findings": [{"name": "leaks", "level": "error", "count": 2, "meaning": "rows of two splits"}]})
        proof = save("proof.json", {"verdict": "passed", "model": "tiny", "mode": "fast", "compute": "fp32", "code": "c0de", "layouts": [{"passed": True}] * 3})
        code, said, error = report("--run", path, "--evaluation", found, "--audit", audit, "--certificate", proof, "--output", output)
        self.assertEqual((code, said, error), (0, f"{output}\n", ""))
        text = "".join(Reader(output.read_text()).text)
        for part in ("leaks: 2", "passed: 3 of 3 layouts", "ab" * 32, "learning_rate: 0.1", "95 % interval", "Each job of the run"):
            self.assertIn(part, text)

    def test_compares(self):
        one, two = folder("one", CRASHED_ONCE), folder("two", CRASHED_ONCE[:9], "loss", 0.2)
        document = compare.document_of([one, two], None)
        reached, differ, _ = document["sections"]
        self.assertEqual([row[:5] for row in reached["blocks"][0]["rows"]], [["one", "accuracy", 4, 0.8, 0.75], ["two", "loss", 4, 0.8, 0.75]])
        self.assertEqual(differ["blocks"][0]["rows"], [["evaluation.metric", "accuracy", "loss"], ["optimizer.learning_rate", "0.1", "0.2"]])

    def test_refuses(self):
        empty = folder("empty", [job(1)])
        self.assertIn("no step yet", refusal(run.document_of, empty, NOTHING, None))
        self.assertIn("No such file", refusal(events.read, str(WORK / "nowhere")))
        self.assertIn('metrics.jsonl:1: time: "now": legal: a number', refusal(events.read, folder("timeless", [job("now")])))
        laughs = folder("laughs", CRASHED_ONCE)
        save("laughs/config.yaml", "a: &a [x, x]\nb: [*a, *a]\n")
        self.assertIn("an alias", refusal(run_config.read_config, laughs))
        save("laughs/config.yaml", "a: [")
        self.assertIn("not YAML", refusal(run_config.read_config, laughs))
        path = folder("whole", CRASHED_ONCE)
        for arguments, line in (
                (("--audit", "a.json"), "--run: missing"), (("--evaluation", "x", "--audit", "a.json"), "--audit: a.json: legal: with --run"),
                (("--run", path, "--predictions", "p"), "--predictions: p: legal: with --evaluation"),
                (("--run", path, "--document", "d"), f"--run: {path}: legal: without --document"),
                (("--run", path, "--certificate", save("no.json", {})), "certificate of `trireme parity`"),
                (("--run", path, "--audit", save("no.json", {})), "format: legal: trireme-audit")):
            code, said, error = report(*arguments, "--output", WORK / "refused.html")
            self.assertEqual((code, said, error.count("\n")), (2, "", 1), error)
            self.assertIn(line, error)
            self.assertFalse((WORK / "refused.html").exists())


if __name__ == "__main__":
    run_tests()
