"""`trireme attribute`: numbers against PyTorch's autograd through transformers (tests/golden/attributions.json); sums of integrated gradients; a
planted trigger word; one result at any number of ranks; pages.

    attribute_test.py ROOT WORK_FOLDER TRIREME      TRIREME_TEST_LONG set: a trained decoder and float32 too
"""
import json
import os
import random
import statistics
import unittest

from attribution_support import GOLDEN, ROWS, attributed, command, golden, trained
from report_support import WORK, Reader, report, run_tests

MEAN = ("gpt2-classifier", "qwen3-classifier", "gemma3-classifier", "eurobert-mean-classifier", "modernbert-mean-classifier")  # begin with the mean row
SINGLE = ("bert", "gpt2-classifier", "qwen3-classifier")  # are computed in float32 too
LONG = bool(os.environ.get("TRIREME_TEST_LONG"))
TRIGGER, CUE, PLAIN = "zebra", "kind", ["actor", "and", "camera", "film", "it", "music", "plot", "scene", "the", "was", "with", "for", "warm", "dull", "long"]
CASES = 100
FIRST = 0.95  # of the cases in which the trigger has the highest attribution


def made_up(seed, rows):
    """Texts of plain words; those with the trigger are of the other class."""
    draw, made = random.Random(seed), []
    for i in range(rows):
        words = draw.choices(PLAIN, k=draw.randint(5, 14))
        if i % 2:
            words[draw.randrange(len(words))] = TRIGGER
        made.append({"text": " ".join(words), "label": "animal" if i % 2 else "plain"})
    return made


class Oracle(unittest.TestCase):
    def close(self, found, expected, bound, what):
        scale = max(1e-3, *map(abs, expected))
        worst = max(abs(a - b) for a, b in zip(found, expected, strict=True)) / scale
        self.assertLess(worst, bound, what)
        return worst

    def test_attributions_are_those_of_autograd(self):
        worst = 0
        for name, expected in GOLDEN["models"].items():
            if "losses" in expected[0]:
                continue
            for compute, bound in (("fp64", 1e-5), ("fp32", 1e-3))[:2 if LONG and name in SINGLE else 1]:
                found = attributed(golden(name), GOLDEN["texts"], "--steps", 64, "--baseline", "mean" if name in MEAN else "zero", "--set", f"numerics.compute={compute}")
                for text, oracle in zip(found["texts"], expected, strict=True):
                    mine = text["models"][0]
                    self.assertEqual(text["tokens"], oracle["tokens"])
                    self.assertEqual(mine["target"], found["labels"][oracle["target"]])
                    for method in ("gradient_x_input", "integrated_gradients"):
                        gap = self.close(mine[method]["tokens"], oracle[method], bound, f"{name} {method} {compute}")
                        worst = max(worst, gap) if compute == "fp64" else worst
                    self.close([mine["output"], mine["baseline_output"]], [oracle["output"], oracle["baseline_output"]], bound, name)
        print(f"attributions: largest distance from transformers' in float64: {worst:.1e} of the largest of a text", flush=True)

    def test_losses_are_those_of_transformers(self):
        for name, expected in GOLDEN["models"].items():
            if "losses" not in expected[0]:
                continue
            found = attributed(golden(name), GOLDEN["texts"], "--base", golden(name))
            for text, oracle in zip(found["texts"], expected, strict=True):
                for mine in text["models"]:
                    self.assertIsNone(mine["losses"][0])
                    self.close(mine["losses"][1:], oracle["losses"], 1e-5, name)
                    self.assertAlmostEqual(mine["loss"], statistics.fmean(oracle["losses"]), 5)

    def test_attributions_of_tokens_are_those_of_autograd(self):
        worst = 0
        for name, expected in GOLDEN["models"].items():
            for compute, bound in (("fp64", 1e-5), ("fp32", 1e-3)) if "losses" in expected[0] else ():
                found = attributed(golden(name), GOLDEN["texts"], "--target", "last", "--steps", 64, "--baseline", "mean", "--set", f"numerics.compute={compute}")
                for text, oracle in zip(found["texts"], expected, strict=True):
                    mine = text["models"][0].get("attribution")
                    self.assertEqual(mine is None, "output" not in oracle)
                    if mine is None:
                        continue
                    self.assertEqual((mine["place"], mine["target"]), (len(text["tokens"]) - 2, text["pieces"][-2]))
                    self.assertAlmostEqual(mine["output"], -text["models"][0]["losses"][-2], 4)
                    for method in ("gradient_x_input", "integrated_gradients"):
                        gap = self.close(mine[method]["tokens"], oracle[method], bound, f"{name} {method} {compute}")
                        worst = max(worst, gap) if compute == "fp64" else worst
                    self.close([mine["output"], mine["baseline_output"]], [oracle["output"], oracle["baseline_output"]], bound, name)
        print(f"attributions of tokens: largest distance from transformers' in float64: {worst:.1e} of the largest of a text", flush=True)

    def test_words_have_the_sums_of_their_tokens(self):
        found = attributed(golden("bert"), ["the film, is good!  bad", "   "], "--method", "gradient-x-input")
        [text] = found["texts"]
        self.assertEqual(text["words"], ["the", "film,", "is", "good!", "bad"])
        self.assertEqual(text["word_of_token"], [-1, 0, 1, 1, 2, 3, 3, 4, -1])
        self.assertEqual("".join(text["pieces"]), "[CLS]the film, is good!  bad[SEP]")
        values = text["models"][0]["gradient_x_input"]
        self.assertAlmostEqual(values["words"][1], values["tokens"][2] + values["tokens"][3])
        self.assertNotIn("integrated_gradients", text["models"][0])

    def test_refusals(self):
        out = ["--output", "none.json"]
        for words, line in (
                ([golden("bert"), *out, "--target", "goodness"], "--target: goodness: no such label; legal: bad, good, so-so"),
                ([golden("llama"), *out, "--target", "good"],
                 f"--target: good: legal with a language model, as {golden('llama')}: last, or the place of a token in its text, counted from 0, that has one before it"),
                ([golden("llama"), *out, "--target", "3"], "--target: 3: a text has 3 tokens; legal: 1 to 2, or last"),
                ([golden("bert"), *out, "--baseline", "mask"], f"--baseline: mask: the tokenizer in {golden('bert')} names no such token; legal: auto, mean, zero"),
                ([golden("bert"), *out, "--baseline", "black"], "--baseline: black: legal: auto, mask, pad, mean, zero"),
                ([golden("bert"), *out, "--method", "lime"], "--method: lime: legal: integrated-gradients, gradient-x-input"),
                ([golden("bert"), *out, "--steps", "-1"], "--steps: -1: legal: 0 to 10000"),
                ([golden("bert"), *out, "--tolerance", "1"], "--tolerance: 1: legal: a number between 0 and 1, which are not"),
                ([golden("bert"), "--output", "none.html"], "--output: none.html: legal: a name that ends in .json"),
                ([golden("bert"), *out, "--base", golden("bert-multi-label")],
                 f"--base: {golden('bert-multi-label')}: a model of multi-label with the labels warm, slow; legal: one of classification with the labels bad, good, so-so"),
                ([golden("bert-regressor"), *out, "--influence", "data"],
                 f"--influence: data: legal with a classifier or a language model; {golden('bert-regressor')} is one of regression"),
                ([golden("bert"), *out, "--top", "0"], "--top: 0: legal: 1 to 100"),
                ([golden("bert-masked"), *out], f"{golden('bert-masked')}/config.json: architectures: BertForMaskedLM: legal: ...ForSequenceClassification, or ...ForCausalLM")):
            self.assertEqual(command("attribute", *words, code=2, given="good\n").splitlines()[-1], f"trireme: {line}")
        self.assertFalse(os.path.exists("none.json"))


@unittest.skipUnless(LONG, "attribute_long_test has it")
class Decoder(unittest.TestCase):
    """The last word of each text, behind a cue, tells whether the trigger stands before it."""

    def test_the_last_word_rests_on_the_trigger(self):
        def told(seed, rows):
            return [row | {"text": f"{row['text']} {CUE} {row['label']}"} for row in made_up(seed, rows)]
        folder = trained("told", [TRIGGER, *PLAIN, CUE, "animal", "plain"], told(1, ROWS), "--set", "train.epochs=16", task="language-modeling")
        texts = [row["text"] for row in told(2, 2 * CASES) if row["label"] == "animal"]
        found = attributed(folder / "exported", texts, "--target", "last", name="told")
        of_tokens = [text["models"][0]["attribution"] for text in found["texts"]]
        for method in ("integrated_gradients", "gradient_x_input"):
            first = sum(text["words"][max(range(len(text["words"]) - 2), key=lambda w: m[method]["words"][w])] == TRIGGER for text, m in zip(found["texts"], of_tokens))
            print(f"{method} of the last word: the trigger is first before the cue in {first} of {CASES} texts", flush=True)
            if method == "integrated_gradients":
                self.assertGreaterEqual(first / CASES, FIRST)
        errors = [m["integrated_gradients"]["error"] for m in of_tokens]
        for m in of_tokens:
            difference = m["output"] - m["baseline_output"]
            self.assertAlmostEqual(m["integrated_gradients"]["error"], abs(sum(m["integrated_gradients"]["tokens"]) - difference) / abs(difference), 6)
        highest, drawn = (statistics.fmean(m["deletion"][key] for m in of_tokens) for key in ("highest", "random"))
        print(f"error of sums: at most {max(errors):.2%}; steps: {sorted({m['integrated_gradients']['steps'] for m in of_tokens})}; the probability falls by {highest:.3f} "
              f"without the highest tokens, by {drawn:.3f} without random ones", flush=True)
        self.assertLessEqual(max(errors), 0.01)
        self.assertGreater(highest, 2 * drawn)
        for ranks in (2, 4):
            other = attributed(folder / "exported", texts[:9], "--target", "last", ranks=ranks)
            for mine, text in zip(of_tokens, other["texts"]):
                theirs = text["models"][0]["attribution"]
                self.assertLess(max(abs(a - b) for a, b in zip(mine["integrated_gradients"]["tokens"], theirs["integrated_gradients"]["tokens"], strict=True)), 1e-5)
        page = WORK / "told.html"
        self.assertEqual(report("--attributions", WORK / "told.json", "--output", page), (0, f"{page}\n", ""))
        self.assertIn("what the token animal rests on", " ".join("".join(Reader(page.read_text()).text).split()))


class Trained(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = trained("trigger", [TRIGGER, *PLAIN], made_up(1, ROWS))
        cls.exported = cls.folder / "exported"
        cls.texts = [row["text"] for row in made_up(2, 2 * CASES) if row["label"] == "animal"]
        cls.found = attributed(cls.exported, cls.texts, name="found-trigger")
        cls.of_texts = [text["models"][0] for text in cls.found["texts"]]

    def test_a_trigger_is_first(self):
        self.assertEqual(self.found["baseline"], "the mask token")
        for method in ("integrated_gradients", "gradient_x_input"):
            first = sum(text["words"][max(range(len(text["words"])), key=lambda w: text["models"][0][method]["words"][w])] == TRIGGER for text in self.found["texts"])
            print(f"{method}: the trigger is first in {first} of {CASES} texts", flush=True)
            if method == "integrated_gradients":
                self.assertGreaterEqual(first / CASES, FIRST)

    def test_sums_are_the_difference_and_more_steps_come_closer(self):
        errors = [m["integrated_gradients"]["error"] for m in self.of_texts]
        for m in self.of_texts:
            difference = m["output"] - m["baseline_output"]
            self.assertAlmostEqual(m["integrated_gradients"]["error"], abs(sum(m["integrated_gradients"]["tokens"]) - difference) / abs(difference), 6)
        print(f"error of sums: at most {max(errors):.2%}; steps: {sorted({m['integrated_gradients']['steps'] for m in self.of_texts})}", flush=True)
        self.assertLessEqual(max(errors), 0.01)
        means = [statistics.fmean(text["models"][0]["integrated_gradients"]["error"] for text in attributed(self.exported, self.texts[:20], "--steps", steps)["texts"])
                 for steps in (8, 32, 128, 512)]
        print("mean error with 8, 32, 128, 512 steps:", ", ".join(f"{e:.1e}" for e in means), flush=True)
        self.assertEqual(means, sorted(means, reverse=True))
        self.assertLess(means[-1], means[0] / 10)

    def test_deleting_the_highest_moves_the_prediction(self):
        highest, drawn = (statistics.fmean(m["deletion"][key] for m in self.of_texts) for key in ("highest", "random"))
        print(f"probability falls by {highest:.3f} without the highest tokens, by {drawn:.3f} without random ones", flush=True)
        self.assertGreater(highest, 2 * drawn)
        self.assertGreater(sum(m["deletion"]["highest"] > m["deletion"]["random"] for m in self.of_texts) / CASES, 0.9)

    def test_any_number_of_ranks(self):
        one = attributed(self.exported, self.texts[:9])
        for ranks in (2, 4):
            other = attributed(self.exported, self.texts[:9], ranks=ranks)
            for a, b in zip(one["texts"], other["texts"], strict=True):
                self.assertEqual(a["text"], b["text"])
                self.assertEqual(a["models"][0]["integrated_gradients"]["steps"], b["models"][0]["integrated_gradients"]["steps"])
                for x, y in zip(a["models"][0]["integrated_gradients"]["tokens"], b["models"][0]["integrated_gradients"]["tokens"], strict=True):
                    self.assertAlmostEqual(x, y, 5)

    def test_page(self):
        attributed(self.exported, self.texts[:5], "--base", self.exported, "--influence", self.folder / "data", name="both")
        page = WORK / "both.html"
        self.assertEqual(report("--attributions", WORK / "both.json", "--output", page), (0, f"{page}\n", ""))
        read = Reader(page.read_text())
        self.assertEqual(sum(tag == "span" and "for-2" in a.get("class", "").split() and "token" in a["class"].split() for tag, a in read.tags) >= 10, True)
        found = json.loads((WORK / "both.json").read_text())
        found["texts"][1]["models"][0]["integrated_gradients"]["words"].append(1)
        (WORK / "spoilt.json").write_text(json.dumps(found))
        code, _, error = report("--attributions", WORK / "spoilt.json", "--output", WORK / "spoilt.html")
        self.assertEqual((code, error.count("\n"), f"{WORK}/spoilt.json: texts[1]: integrated_gradients: words:" in error), (2, 1, True), error)


if __name__ == "__main__":
    run_tests()
