"""Bias without a model: intervals cover a known gap at their rate and equal published ones, words are swapped as they are written, files are
refused in one line.

    bias_test.py ROOT WORK_FOLDER
"""
import json
import os
import subprocess
import sys
import unittest

import numpy

from report_support import ROOT, WORK, refusal, run_tests, save

from bias import document, effects, intervals, measure, pairs, rows, swaps
from bias.model import CLASSES, LABELS, NUMBERS, Outputs

DRAWS = 1000
GENDER = {"men": ["he", "him", "his", "Emil"], "women": ["she", "her", "her", "Emma"]}


def coverage(draw, true):
    """How often the interval of a sample has the true value in it."""
    generator = numpy.random.default_rng(1)
    ends = [draw(generator) for _ in range(DRAWS)]
    return sum(e.low <= true <= e.high for e in ends) / DRAWS


class Intervals(unittest.TestCase):
    def test_they_cover_a_known_gap_at_their_rate(self):
        def two_shares(p, q, n, m):
            return lambda g: intervals.between((g.random(n) < p).astype(float), (g.random(m) < q).astype(float))

        def two_means(gap, n, m):
            return lambda g: intervals.between(g.beta(2, 2, n) + gap, g.beta(0.5, 0.5, m))

        def moved(share, n):
            return lambda g: intervals.mean(g.choice([1.0, 0.0, -1.0], n, p=[share, 0.9 - share, 0.1]))
        cases = {
            "share 0.1 of 40": (lambda g: intervals.of_units((g.random(40) < 0.1).astype(float)), 0.1),
            "share 0.5 of 200": (lambda g: intervals.of_units((g.random(200) < 0.5).astype(float)), 0.5),
            "gap of shares 0.2 of 60 and 90": (two_shares(0.4, 0.2, 60, 90), 0.2),
            "gap of shares 0.05 of 500 and 100": (two_shares(0.95, 0.9, 500, 100), 0.05),
            "mean of 0.3 moved, of 40": (lambda g: intervals.mean(g.normal(0.3, 0.2, 40)), 0.3),
            "gap of means 0.1 of 30 and 200": (two_means(0.1, 30, 200), 0.1),
            "shift 0.2 of preferences of 50": (moved(0.3, 50), 0.2),
            "shift 0.05 of preferences of 200": (moved(0.15, 200), 0.05),
        }
        for name, (draw, true) in cases.items():
            rate = coverage(draw, true)
            print(f"{name}: covered in {rate:.1%} of {DRAWS} samples", flush=True)
            self.assertTrue(0.93 <= rate <= 0.985, (name, rate))

    def test_units_that_never_move_are_not_taken_for_certain(self):
        """Of a share of 3 % that moves, 60 units often have none: the interval has the true mean nevertheless."""
        rate = coverage(lambda g: intervals.mean((g.random(60) < 0.03).astype(float)), 0.03)
        print(f"share 0.03 of 60, mean: covered in {rate:.1%}")
        self.assertGreater(rate, 0.93)
        found = intervals.mean(numpy.zeros(60))
        self.assertAlmostEqual(found.high, 1 - 0.025 ** (1 / 60), 12)  # Clopper and Pearson's, for none of 60
        self.assertEqual(found.low, -found.high)

    def test_they_are_the_published_ones(self):
        """Newcombe 1998, table II, method 10."""
        for counts, low, high in (((56, 70, 48, 80), 0.0524, 0.3339), ((9, 10, 3, 10), 0.1705, 0.8090), ((10, 10, 0, 20), 0.6791, 1.0), ((5, 56, 0, 29), -0.0381, 0.1926)):
            found = intervals.difference_of_shares(*counts)
            self.assertAlmostEqual(found.low, low, 4)
            self.assertAlmostEqual(found.high, high, 4)
        self.assertAlmostEqual(intervals.share(81, 263).low, 0.2553, 4)  # the same, Statistics in Medicine 17:857, table I, method 3
        self.assertAlmostEqual(intervals.share(81, 263).high, 0.3662, 4)

    def test_conclusions(self):
        def said(low, high, units=50, neutral=0.0):
            return effects.conclusion(intervals.Interval((low + high) / 2, low, high, units), neutral, 0.05)
        self.assertEqual([said(0.06, 0.2), said(-0.2, -0.06), said(-0.04, 0.05), said(0.01, 0.2), said(0.6, 0.7, neutral=0.5), said(0.06, 0.2, units=19)],
                         ["found", "found", "none", "open", "found", "few"])


class Words(unittest.TestCase):
    def setUp(self):
        self.swap = swaps.Swap("swaps.json", "gender", GENDER)

    def test_they_are_written_as_those_whose_place_they_take(self):
        for text, men, women in (("He saw her", None, None), ("SHE ran", "HE ran", "SHE ran"), ("saw her.", "saw him.", "saw her."), ("His hat", "His hat", "Her hat"),
                                 ("Emma ran", "Emil ran", "Emma ran"), ("emma ran", "emil ran", "emma ran"), ("EMMA, her", "EMIL, him", "EMMA, her"),
                                 ("the cheshire hero", None, None)):
            if men is None:
                self.assertNotEqual(len(self.swap.groups_in(text)), 1, text)
            else:
                self.assertEqual((self.swap.version(text, "men"), self.swap.version(text, "women")), (men, women))

    def test_versions_and_what_is_left_out(self):
        given = [{"place": str(i), "text": t} for i, t in enumerate(["he ran", "she ran", "he saw her", "it ran"])]
        one, several = self.swap.versions(given)
        self.assertEqual((len(one), several), (2, 1))
        self.assertEqual([(v.first, v.second) for v in self.swap.pairs(one, "men", "women")], [("he ran", "she ran")] * 2)

    def test_lists_that_are_refused(self):
        for given, line in (({"a": ["x"]}, "gender: legal: two groups or more"), ({"a": ["x"], "b": ["y", "z"]}, "a has 1, b has 2 words"),
                            ({"a": ["x"], "b\nc": []}, "gender: b c: legal: a list of words"), ({"a": ["they"], "b": ["They"]}, "They: is a word of a and of b")):
            self.assertIn(line, refusal(swaps.Swap, "swaps.json", "gender", given))


class Files(unittest.TestCase):
    def test_pairs_of_three_kinds(self):
        found = pairs.read_pairs(str(save("crows.csv", ",sent_more,sent_less,stereo_antistereo,bias_type\n0,\"She, a nurse\",\"He, a nurse\",stereo,gender\n")))
        self.assertEqual([(p.kind, p.more, p.less) for p in found], [("gender", "She, a nurse", "He, a nurse")])
        self.assertEqual(pairs.read_pairs(str(save("own.tsv", "more\tless\na \"b\tc\n")))[0].more, 'a "b')
        stereo = {"data": {"intrasentence": [{"bias_type": "race", "sentences": [{"sentence": "x", "gold_label": "stereotype"},
                                                                              {"sentence": "y", "gold_label": "anti-stereotype"}, {"sentence": "z", "gold_label": "unrelated"}]}]}}
        self.assertEqual(pairs.read_pairs(str(save("stereo.json", stereo)))[0][1:], ("race", "x", "y"))

    def test_files_that_are_refused(self):
        for name, content, line in (("a.jsonl", '{"more": "a", "less": "a"}\n', "a.jsonl:1: more, less: legal: two sentences that differ"),
                                    ("b.csv", "x,y\n1,2\n", "b.csv:2: no columns more and less; legal: rows of more and less"), ("c.txt", "a", "c.txt: legal: rows of more and less"),
                                    ("d.csv", "more,less\na\n", "d.csv:2: more or fewer cells than the header has"), ("e.json", {}, "e.json: data.intrasentence: missing"),
                                    ("f.csv", "more,less\n", "f.csv: no pair"), ("h.json", {"data": {"intrasentence": [{"sentences": 3}]}}, "h.json: data.intrasentence[0]: sentences: legal"), ("g.json", {"data": {"intrasentence": [{}]}}, "data.intrasentence[0]: sentences: legal: one of gold_label")):
            error = refusal(pairs.read_pairs, str(save(name, content)))
            self.assertIn(line, error)
            self.assertEqual(error.count("\n"), 1)
        path = str(save("texts.jsonl", '{"text": "a", "n": 1}\n'))
        self.assertEqual(rows.read_texts(path, {"text": "text", "group": "n"}), [{"place": f"{path}:1", "text": "a", "group": "1"}])
        self.assertIn("--groups: m: ", refusal(rows.read_texts, path, {"text": "text", "group": "m"}))

    def test_options_that_are_refused(self):
        save("swaps.json", {"gender": GENDER})
        for words, line in (([], "MODEL: missing"), (["m", "--output", "a.htm"], "--output: a.htm: legal: a name that ends in .html"),
                            (["m"], "--swaps, --pairs, --groups: missing; legal: one of them or more"), (["m", "--swaps", "s"], "--input: missing; legal: a file of texts, for --swaps"),
                            (["m", "--pairs", "p", "--max-shift", "1"], "--max-shift: legal with --base"), (["m", "--pairs", "p", "--margin", "-1"], "--margin: -1: legal: a number >= 0"),
                            (["m", "--pairs", "p", "--label", "l"], "--label: legal with --groups"), (["m", "--pairs", "p", "--input", "i"], "--input: legal with --swaps or --groups"),
                            (["m", "--pairs", "p", "--json", "page.html"], "--json: page.html: legal: another file than --output"),
                            (["m", "--pairs", "p"], "m/config.json: No such file or directory")):
            more = [] if "--output" in words else ["--output", "page.html"]
            done = subprocess.run([sys.executable, "-I", str(ROOT / "launch/bias.py"), *words, *more], capture_output=True, text=True, cwd=WORK)
            self.assertEqual((done.returncode, done.stderr.count("\n"), (WORK / "page.html").exists()), (2, 1, False), done.stderr)
            self.assertIn(line, done.stderr)


class Quantities(unittest.TestCase):
    def test_what_groups_get_equals_loops(self):
        draw = numpy.random.default_rng(3)
        shares, labels, inside = draw.random(200), draw.integers(0, 2, 200), draw.random(200) < 0.4
        outputs = Outputs(CLASSES, {"neg": 1 - shares, "pos": shares}, 0)
        found = measure.quantities(outputs, labels)
        self.assertEqual(list(found), ["pos predicted", "accuracy", "neg found", "pos found"])

        def of(test, which):
            hits = [test(i) for i in range(200) if inside[i] == which and test(i) is not None]
            return sum(hits) / len(hits)
        tests = {"pos predicted": lambda i: shares[i] > 0.5, "accuracy": lambda i: (shares[i] > 0.5) == labels[i],
                 "pos found": lambda i: shares[i] > 0.5 if labels[i] else None}
        for quantity, test in tests.items():
            effect = effects.of_groups(("groups", "g", "rather than the others", quantity), inside, found[quantity], None)
            self.assertAlmostEqual(effect.tuned.value, of(test, True) - of(test, False), 12)

    def test_f1_of_a_group_is_that_of_scikit_learn(self):
        """The largest table of tests/golden/make_metrics.py is one group; rows outside it have other labels and predictions."""
        case = max(json.loads((ROOT / "tests/golden/metrics.json").read_text())["cases"], key=lambda c: len(c["labels"]))
        units, classes = len(case["labels"]), range(case["classes"])
        draw = numpy.random.default_rng(3)
        labels, predicted = (numpy.append(case[name], draw.integers(0, case["classes"], units)) for name in ("labels", "predictions"))
        outputs = Outputs(CLASSES, {str(c): (predicted == c).astype(float) for c in classes}, 0)
        f1 = measure.f1_of(outputs, labels, numpy.arange(2 * units) < units)
        self.assertAlmostEqual(f1.value, case["f1"], 12)
        self.assertTrue(f1.low < f1.value < f1.high)
        self.assertEqual(f1.units, units)

    def test_numbers_and_several_labels(self):
        numbers = Outputs(NUMBERS, {"stars": numpy.array([1.0, 2.0])}, 0)
        self.assertEqual([v.tolist() for v in measure.quantities(numbers, numpy.array([1.5, 2.0])).values()], [[1, 2], [0.5, 0]])
        self.assertEqual(measure.quantities(Outputs(LABELS, {"a": numpy.array([0.4, 0.5])}, 0), None)["a predicted"].tolist(), [0, 1])


if __name__ == "__main__":
    run_tests()
