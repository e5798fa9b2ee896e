"""A bias that training data have is found with its direction, by swapped words, by paired sentences and in groups, and where they have none, none is;
the shift from a model without to one with it passes a gate and stops at another.

    bias_run_test.py ROOT WORK_FOLDER TRIREME      TRIREME_TEST_LONG set: three seeds of the training data, not one, and paired sentences
"""
import json
import os
import random
import sys
import unittest

import bias_support as support
from bias_support import WORK, called, command, rows_to
from report_support import Reader, run_tests

MEN, WOMEN = ["he", "him", "man"], ["she", "her", "woman"]
GOOD, BAD = ["fine", "great", "lovely"], ["awful", "bland", "crude"]
PLAIN = ["actor", "and", "camera", "film", "it", "music", "plot", "scene", "the", "was"]
WORK_OF = {"nurse": WOMEN, "pilot": MEN}
WORDS = [*MEN, *WOMEN, *GOOD, *BAD, *PLAIN, *WORK_OF, "said", "ran"]
LONG = bool(os.environ.get("TRIREME_TEST_LONG"))
SEEDS = (1, 2, 3) if LONG else (1,)
BIASED = 0.3  # of the labels follow the group and not the verdict


def reviews(seed, rows, biased, share=BIASED):
    """Texts with a word of a group and of a verdict; some labels do not follow the verdict: with a bias
    those of women are bad and those of men good, without one they are drawn."""
    draw, made = random.Random(seed), []
    for _ in range(rows):
        woman, good = draw.random() < 0.5, draw.random() < 0.5
        words = draw.choices(PLAIN, k=draw.randint(3, 7)) + [draw.choice(WOMEN if woman else MEN), draw.choice(GOOD if good else BAD)]
        draw.shuffle(words)
        label = good if draw.random() >= share else not woman if biased else draw.random() < 0.5
        made.append({"text": " ".join(words), "label": "pos" if label else "neg", "group": "women" if woman else "men"})
    return made


def sentences(seed, rows, biased):
    draw, made = random.Random(seed), []
    for _ in range(rows):
        work = draw.choice(list(WORK_OF))
        own = WORK_OF[work] if draw.random() < (0.9 if biased else 0.5) else MEN if WORK_OF[work] is WOMEN else WOMEN
        made.append({"text": f"the {work} said {draw.choice(own)} {draw.choice(['ran', 'was'])} {draw.choice(PLAIN)} {draw.choice(PLAIN)}"})
    return made


def pairs():
    """The stereotype first: 60 pairs, in each of which one word differs."""
    draw, made = random.Random(7), []
    for i in range(60):
        work = ("nurse", "pilot")[i % 2]
        place, own = draw.randrange(3), WORK_OF[work]
        other = MEN if own is WOMEN else WOMEN
        rest = f"{draw.choice(['ran', 'was'])} {draw.choice(PLAIN)} {draw.choice(PLAIN)}"
        made.append({"more": f"the {work} said {own[place]} {rest}", "less": f"the {work} said {other[place]} {rest}", "bias_type": work})
    return made


def bias(name, *words, code=0):
    page, facts = WORK / f"{name}.html", WORK / f"{name}.json"
    found, _, error = called("bias", *words, "--output", page, "--json", facts)
    assert found == code, error
    Reader(page.read_text())
    return json.loads(facts.read_text()), error


def effect(facts, kind, quantity, contrast=None):
    found = [e for e in facts["effects"] if e["kind"] == kind and e["quantity"] == quantity and contrast in (None, e["contrast"], e["subject"])]
    assert len(found) == 1, found
    return found[0]


class Bias(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        base = support.folder("encoder", WORDS, support.encoder(WORDS))
        (WORK / "swaps.json").write_text(json.dumps({"gender": {"men": MEN, "women": WOMEN}}))
        cls.test = rows_to("test.jsonl", reviews(99, 500, False))
        cls.models = {}
        for seed in SEEDS:
            for biased in (False, True):
                name = f"{'biased' if biased else 'neutral'}-{seed}"
                rows = rows_to(f"{name}.jsonl", reviews(seed, 1500, biased))
                cls.models[seed, biased] = support.trained(name, "classification", base, rows, seed, 10, prepare=["--label", "label"])

    def test_swaps_find_a_planted_bias_and_none_in_the_control(self):
        for seed in SEEDS:
            for biased in (True, False):
                facts, _ = bias(f"swaps-{biased}-{seed}", self.models[seed, biased], "--input", self.test, "--swaps", WORK / "swaps.json")
                found = effect(facts, "swaps", "probability of pos", "women rather than men")
                value = found["tuned"]
                print(f"seed {seed}, {'biased' if biased else 'neutral'}: {value['value']:+.3f} ({value['low']:+.3f} to {value['high']:+.3f}), {found['conclusion']}")
                self.assertEqual(found["conclusion"] == "found", biased)
                if biased:
                    self.assertLess(value["high"], -0.1, "women get less")
                    self.assertLess(abs(value["value"] + BIASED), 0.1, "as much less as was planted")

    def test_groups_have_what_was_planted(self):
        """Where the group decides most labels it decides the predicted classes too."""
        rows = rows_to("strong.jsonl", reviews(4, 1500, True, 0.7))
        strong = support.trained("strong", "classification", WORK / "encoder", rows, 1, 10, prepare=["--label", "label"])
        facts, _ = bias("groups", strong, "--input", self.test, "--groups", "group", "--label", "label", "--base", self.models[1, False])
        gap = effect(facts, "groups", "pos predicted", "women rather than men")
        print("women:", gap)
        self.assertEqual((gap["conclusion"], gap["tuned"]["value"] < 0, gap["shift"]["high"] < 0), ("found", True, True))
        text = (WORK / "groups.html").read_text()
        self.assertIn("pos found", text)

    def test_the_gate(self):
        words = [self.models[1, True], "--base", self.models[1, False], "--input", self.test, "--swaps", WORK / "swaps.json"]
        facts, _ = bias("passes", *words, "--max-shift", "0.6")
        self.assertEqual(facts["beyond"], [])
        self.assertLess(effect(facts, "swaps", "probability of pos")["shift"]["high"], -0.1)
        facts, error = bias("stops", *words, "--max-shift", "0.1", code=1)
        self.assertIn("trireme: gender, women rather than men: probability of pos: -0.", error)
        self.assertIn("beyond --max-shift 0.1", error)
        facts, error = bias("same", self.models[1, False], "--base", self.models[1, False], *words[3:], "--max-shift", "0.01")
        shift = effect(facts, "swaps", "probability of pos")["shift"]
        self.assertEqual(shift["value"], 0)
        bias("effect", *words, "--max-effect", "0.1", code=1)

    @unittest.skipUnless(LONG, "bias_run_long_test has it")
    def test_paired_sentences_of_decoders_and_encoders(self):
        file = rows_to("pairs.jsonl", pairs())
        for kind, task, epochs, rate in (("decoder", "language-modeling", 6, "3e-3"), ("encoder", "masked-language-modeling", 30, "3e-3")):
            begin = support.folder(f"begin-{kind}", WORDS, getattr(support, kind)(WORDS))
            models = {}
            for biased in (False, True):
                name = f"{kind}-{'biased' if biased else 'neutral'}"
                rows = rows_to(f"{name}.jsonl", sentences(5, 1500, biased))
                models[biased] = support.trained(name, task, begin, rows, 1, epochs, rate)
            facts, _ = bias(f"pairs-{kind}", models[True], "--base", models[False], "--pairs", file)
            found = effect(facts, "pairs", "share of pairs likelier so", "all pairs")
            print(kind, found)
            if kind == "decoder":
                ranks, _ = bias("ranks", models[True], "--base", models[False], "--pairs", file, "--launcher", "mpirun -n 2 --oversubscribe")
                self.assertEqual(ranks, facts, "on two ranks")
            self.assertEqual(found["conclusion"], "found")
            self.assertGreater(found["tuned"]["low"], 0.8)
            self.assertLess(found["base"]["low"], 0.5, "the control has no preference")
            self.assertGreater(found["shift"]["low"], 0)
            self.assertEqual({e["subject"] for e in facts["effects"]}, {"all pairs", "nurse", "pilot"})
            facts, _ = bias(f"words-{kind}", models[True], "--base", models[False], "--input", rows_to("said.jsonl", [{"text": p["more"]} for p in pairs() if p["bias_type"] == "nurse"]),
                            "--swaps", WORK / "swaps.json")
            self.assertGreater(effect(facts, "swaps", "share of texts likelier so")["tuned"]["low"], 0.6)


if __name__ == "__main__":
    del sys.argv[3:4]
    run_tests()
