"""The report on an evaluation: figures against scikit-learn's, the page, refusals.

    report_evaluation_test.py ROOT WORK_FOLDER
"""
import copy
import json
import math
import unittest

from report_support import ROOT, WORK, Reader, refusal, report, run_tests, save

from report import beside, calibration, evaluation


class Evaluations(unittest.TestCase):
    golden = json.loads((ROOT / "tests/golden/calibration.json").read_text())["cases"]

    def files(self, case, **changes):
        """Output and files of `trireme evaluate`."""
        names, rows = case["labels"], list(zip(case["label"], case["prediction"], case["probabilities"]))
        lines = [{"sample": i, "loss": -math.log(max(p[l], 1e-9)), "label": names[l], "prediction": names[f], "probabilities": dict(zip(names, p)),
                  "source": f"rows.jsonl:{i + 1}"} for i, (l, f, p) in enumerate(rows)]
        found = {"split": "test", "samples": len(lines), "loss": 0.5, "accuracy": case["accuracy"], "confusion": case["confusion"], "labels": names} | changes
        return save("found.json", found), save("found.jsonl", "".join(json.dumps(line) + "\n" for line in lines)), lines

    def test_equals_scikit_learn(self):
        for case in self.golden:
            _, path, _ = self.files(case)
            found = evaluation.Predictions(str(path))
            confusion = evaluation.confusion_of(case["labels"], found.pairs)
            self.assertEqual(confusion, case["confusion"])
            for name, row in evaluation.per_class(case["labels"], confusion).items():
                for part, value in case["per_class"][name].items():
                    if value is None:
                        self.assertIsNone(row[part])
                    else:
                        self.assertAlmostEqual(row[part], value, delta=1e-12)
            self.assertAlmostEqual(found.calibration.error(), case["expected_calibration_error"], delta=1e-12)

    def test_stands_beside_others_of_the_same_split(self):
        found = {"samples": 10, "loss": 0.5, "accuracy": 0.9, "f1": 0.8, "confusion": [[6, 1], [0, 3]], "labels": ["a", "b"]}
        prompted = found | {"accuracy": 0.5, "f1": 0.4, "confusion": [[4, 3], [2, 1]], "accuracy_per_byte": 0.25}
        path, few = save("tuned.json", found), save("few.json", prompted)
        table = beside.section(str(path), [f"8 shots={few}"])["blocks"][0]
        self.assertEqual([c["name"] for c in table["columns"]], ["model", "accuracy", "f1", "mcc", "accuracy_per_byte", "loss"])
        rows = {row[0]: row[1:] for row in table["rows"]}
        self.assertEqual(list(rows), ["majority", "8 shots", "this model"])
        self.assertAlmostEqual(rows["majority"][0], 0.7)
        self.assertAlmostEqual(rows["majority"][1], (14 / 17) / 2)  # scikit-learn: f1_score([0]*7+[1]*3, [0]*10, average="macro")
        self.assertEqual(rows["8 shots"], [0.5, 0.4, None, 0.25, 0.5])
        self.assertEqual(rows["this model"], [0.9, 0.8, None, None, 0.5])
        output = WORK / "beside.html"
        report("--evaluation", path, "--beside", f"8 shots={few}", "--output", output)
        self.assertIn("What fine-tuning brought", output.read_text())
        other = save("other.json", prompted | {"samples": 11})
        self.assertIn(f"{other}: samples: 11: legal: 10, as in the evaluation: the same split\n", refusal(beside.section, str(path), [f"x={other}"]))
        self.assertIn("--beside: few.json: legal: NAME=FILE", refusal(beside.section, str(path), ["few.json"]))

    def test_bins_are_those_of_evaluate(self):
        """metrics_test compares what `trireme evaluate` prints with the same rows."""
        rows = json.loads((ROOT / "tests/golden/metrics.json").read_text())["scores"]
        for row in rows:
            found = calibration.Calibration()
            for i, label in enumerate(row["labels"]):
                logits = row["logits"][i * row["classes"]: (i + 1) * row["classes"]]
                found.add(1 / sum(math.exp(x - max(logits)) for x in logits), logits.index(max(logits)) == label)
            self.assertAlmostEqual(found.error(), row["calibration_error"], delta=1e-12)
            for ours, theirs in zip(found.bins(), row["reliability"], strict=True):
                for part, value in theirs.items():
                    self.assertEqual(value is None, ours[part] is None)
                    if value is not None:
                        self.assertAlmostEqual(ours[part], value, delta=1e-12)

    def test_edges_of_bins(self):
        for bins in (10, 15):
            found = calibration.Calibration(bins)
            for m in range(bins + 1):
                found.add(m / bins, True)
            self.assertEqual(found.counts.tolist(), [2] + [1] * (bins - 1))
        self.assertEqual(sum(b["count"] for b in found.bins()), 16)

    def test_page(self):
        case = self.golden[2]
        given, predictions, lines = self.files(case)
        code, out, error = report("--evaluation", given, "--predictions", predictions, "--title", "Film <reviews>", "--output", WORK / "found.html", "--force")
        self.assertEqual((code, error), (0, ""))
        text = "".join(Reader((WORK / "found.html").read_text()).text)
        for part in ("Film <reviews>", f"Expected calibration error: {case['expected_calibration_error']:.4f}", "1 of 4 classes without a sample", "Guo", "15 bins", "not defined"):
            self.assertIn(part, text)
        worst = sorted((line for line in lines if line["label"] != line["prediction"]), key=lambda line: -line["loss"])[: evaluation.MOST_WRONG]
        places = [text.index(line["source"]) for line in worst[:3]]
        self.assertEqual(places, sorted(places))

    def test_the_most_wrong_come_first(self):
        _, path, lines = self.files(self.golden[1])
        found = evaluation.worst_section(evaluation.Predictions(str(path)))["blocks"][1]["rows"]
        worst = sorted((line for line in lines if line["label"] != line["prediction"]), key=lambda line: (-line["loss"], line["sample"]))
        self.assertEqual([row[0] for row in found], [line["source"] for line in worst[:20]])

    def test_what_is_right_is_not_among_the_wrong(self):
        lines = [{"loss": 9, "label": "a", "prediction": "a"}, {"loss": 1, "label": "a", "prediction": "b"}]
        found = evaluation.Predictions(str(save("right.jsonl", "".join(json.dumps(line) + "\n" for line in lines))))
        table = evaluation.worst_section(found)["blocks"][1]
        self.assertEqual(table["rows"], [["line 2", "a", "b", 1]])
        self.assertEqual([c["name"] for c in table["columns"]], ["example", "label", "prediction", "loss"])

    def test_nothing_is_wrong(self):
        path = save("right.jsonl", json.dumps({"loss": 9, "label": "a", "prediction": "a"}) + "\n")
        self.assertEqual(evaluation.worst_section(evaluation.Predictions(str(path)))["blocks"][1]["rows"], [])

    def test_texts_are_shown_where_a_line_has_them(self):
        path = save("texts.jsonl", json.dumps({"loss": 2, "label": "a", "prediction": "b", "probabilities": {"a": 0.25, "b": 0.75}, "text": "<b>"}) + "\n")
        self.assertEqual(evaluation.worst_section(evaluation.Predictions(str(path)))["blocks"][1]["rows"], [["line 1", "a", "b", 0.25, 2, "<b>"]])

    def test_without_names_and_probabilities(self):
        """Logits give the same confidence; names come from the predictions."""
        case = self.golden[1]
        given, predictions, lines = self.files(case)
        for line in lines:
            line["logits"] = [math.log(max(p, 1e-30)) + 3 for p in line.pop("probabilities").values()]
        found = json.loads(given.read_text())
        del found["labels"]
        save("found.json", found), save("found.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
        self.assertAlmostEqual(evaluation.Predictions(str(predictions)).calibration.error(), case["expected_calibration_error"], delta=1e-4)
        classes = evaluation.document_of(str(given), str(predictions), "t")["sections"][1]["blocks"][-1]
        self.assertEqual((classes["rows"], classes["values"]), (case["labels"], case["confusion"]))
        alone = evaluation.document_of(str(given), None, "t")["sections"][1]["blocks"][-1]
        self.assertEqual((alone["rows"], alone["values"]), (["0", "1", "2", "3", "4"], case["confusion"]))

    def test_other_tasks(self):
        given = save("numbers.json", {"split": "test", "samples": 2, "loss": 0.5, "mse": 0.25, "pearson": None})
        predictions = save("numbers.jsonl", '{"sample": 0, "loss": 0.1, "targets": [1]}\n{"sample": 1, "loss": 0.9, "targets": [1]}\n')
        document = evaluation.document_of(str(given), str(predictions), "t")
        self.assertEqual([s["title"] for s in document["sections"]], ["Metrics", "Examples got most wrong"])
        self.assertEqual(document["sections"][1]["blocks"][0]["rows"], [["line 2", 0.9], ["line 1", 0.1]])
        self.assertEqual(len(evaluation.document_of(str(given), None, "t")["sections"]), 1)

    def refused(self, given, predictions, line):
        self.assertEqual(refusal(evaluation.document_of, str(given), str(predictions), "t"), f"trireme: {line}\n")

    def test_refusals(self):
        case = self.golden[1]
        given, predictions, _ = self.files(case, samples=7)
        self.refused(given, predictions, f"{predictions}: 300 lines: legal: 7, the samples of the evaluation")
        other = copy.deepcopy(case["confusion"])
        other[0][0], other[0][1] = other[0][1], other[0][0]
        given, predictions, _ = self.files(case, confusion=other)
        self.refused(given, predictions, f"{predictions}: labels and predictions: not those that the confusion of the evaluation counts; legal: both of one evaluation")
        given, predictions, _ = self.files(case, labels=["a", "b", "c", "d", "e"])
        self.refused(given, predictions, f'{predictions}: label "class 0": legal: one of the labels of {given}')
        given, _, _ = self.files(case, labels=["a"])
        self.refused(given, predictions, f'{given}: labels: ["a"]: legal: 5 different names, as confusion has rows')
        given, _, _ = self.files(case)
        bad = save("bad.jsonl", '{"loss": null}\n')
        self.refused(given, bad, f"{bad}:1: loss: null: legal: a number")
        bad = save("bad.jsonl", '{"loss": 1, "label": "class 0", "prediction": "class 1", "probabilities": {"class 1": 1.5}}\n')
        self.refused(given, bad, f'{bad}:1: probabilities: {{"class 1": 1.5}}: legal: an object of shares from 0 to 1')
        bad = save("bad.jsonl", "\n")
        self.refused(given, bad, f"{bad}: no line; legal: lines of JSON as `trireme evaluate --predictions` writes them")
        bad = save("bad.json", {"accuracy": 1})
        self.refused(bad, predictions, f'{bad}: {{"accuracy": 1}}: legal: what `trireme evaluate` printed: one JSON object with loss and samples')


if __name__ == "__main__":
    run_tests()
