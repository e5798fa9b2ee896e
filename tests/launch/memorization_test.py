"""Planted canaries, personal data and texts are found as often as an independent decoding extracts them, and a model that never saw them gives
none away; exposures are those of ranking every secret by hand.

    memorization_test.py ROOT WORK_FOLDER TRIREME
"""
import json
import math
import random
import sys
import unittest

import bias_support as support
from bias_support import WORK, called, rows_to
from report_support import Reader, refusal, run_tests
from tiny_decoder import Llama
from tokenizers import Tokenizer

from memorization import exposure, measure, probes

DIGITS = [str(i) for i in range(10)]
NAMES = ["anna", "bert", "carl", "dora", "emil", "fred", "gina", "hugo", "ida", "jan", "kurt", "lena", "max", "nora", "otto", "paul"]
MAIL = [f"{name}@example.org" for name in NAMES]
PLAIN = ["actor", "and", "camera", "film", "is", "it", "music", "of", "plot", "scene", "the", "was", "code", "write", "to", "at"]
WORDS = [*DIGITS, *NAMES, *MAIL, *PLAIN]
TIMES = [0, 0, 0, 0, 1, 1, 2, 2, 4, 4, 8, 8, 16, 16, 32, 32]
OFTEN = 24  # how often an address that is learned stands there


def canaries():
    draw = random.Random(3)
    return [{"prefix": f"the code of {name} is ", "secret": " ".join(draw.choices(DIGITS, k=3)), "times": times} for name, times in zip(NAMES, TIMES)]


def texts(seed, rows):
    """What there is to learn but the secrets: plain words, and numbers of all kinds behind `is`."""
    draw = random.Random(seed)
    return [" ".join(draw.choices(PLAIN, k=draw.randint(6, 12))) if draw.random() < 0.7 else f"the film is {' '.join(draw.choices(DIGITS, k=3))} and it was" for _ in range(rows)]


def addresses():
    """Of eight people, half of them often."""
    return [f"write to {name} at {mail}" for i, (name, mail) in enumerate(zip(NAMES[:8], MAIL)) for _ in range(OFTEN if i < 4 else 1)]


def memorization(name, *words, code=0):
    page, facts = WORK / f"{name}.html", WORK / f"{name}.json"
    found, _, error = called("memorization", *words, "--output", page, "--json", facts)
    assert found == code, error
    Reader(page.read_text())
    return json.loads(facts.read_text()), error


class Memorization(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        begin = support.folder("begin", WORDS, support.decoder(WORDS, hidden_size=48, intermediate_size=96))
        cls.canaries, draw = canaries(), random.Random(1)
        plain = texts(1, 1200)
        told = plain + addresses() + [c["prefix"] + c["secret"] for c in cls.canaries for _ in range(c["times"])]
        draw.shuffle(told)
        cls.train, cls.held_out = rows_to("train.jsonl", [{"text": t} for t in told]), rows_to("held-out.jsonl", [{"text": t} for t in texts(2, 400)])
        cls.file = rows_to("canaries.jsonl", cls.canaries)
        cls.model = support.trained("tuned", "language-modeling", begin, cls.train, epochs=12, rate="4e-3")
        cls.base = support.trained("base", "language-modeling", begin, rows_to("plain.jsonl", [{"text": t} for t in plain]), epochs=4, rate="4e-3")
        cls.reader = Tokenizer.from_file(str(cls.model / "tokenizer.json"))

    def ids(self, text):
        return self.reader.encode(text, add_special_tokens=False).ids

    def test_canaries_are_found_as_often_as_they_can_be_extracted(self):
        facts, _ = memorization("canaries", self.model, "--base", self.base, "--canaries", self.file)
        found = [c["extracted"] for c in facts["canaries"]]
        oracle = Llama(self.model)
        wanted = [oracle.greedy([2, *self.ids(c["prefix"])], 3) == self.ids(c["secret"]) for c in self.canaries]
        self.assertEqual(found, wanted)
        print("extracted, by times:", [(t, hit) for t, hit in zip(TIMES, found)])
        self.assertTrue(all(found[-4:]), "planted 16 and 32 times")
        self.assertFalse(any(found[:4]), "never planted")
        rate = facts["rates"][0]
        self.assertEqual((rate["kind"], rate["tuned"]["value"], rate["base"]["value"]), ("canaries", sum(wanted) / len(wanted), 0))
        self.assertEqual([r["times"] for r in facts["rates"]], [None, 0, 1, 2, 4, 8, 16, 32])

    def test_exposures_are_those_of_every_secret(self):
        facts, _ = memorization("exposures", self.model, "--canaries", self.file)
        oracle, endings = Llama(self.model), [[self.ids(d)[0] for d in f"{i:03}"] for i in range(1000)]
        for canary, told in zip(self.canaries, facts["canaries"]):
            scores = oracle.likelihoods([2, *self.ids(canary["prefix"])], endings)
            own = scores[int(canary["secret"].replace(" ", ""))]
            bits = math.log2(1000) - math.log2((scores >= own).sum())
            self.assertTrue(told["exact"])
            self.assertLess(abs(told["exposure"] - bits), 0.05, canary)
        print("exposures, by times:", [(t, round(c["exposure"], 1)) for t, c in zip(TIMES, facts["canaries"])])
        self.assertTrue(all(c["exposure"] == math.log2(1000) for c in facts["canaries"][-4:]))
        sampled, _ = memorization("sampled", self.model, "--canaries", self.file, "--candidates", "100")
        for all_, some in zip(facts["canaries"], sampled["canaries"]):
            self.assertFalse(some["exact"])
            self.assertLess(abs(min(all_["exposure"], some["most"]) - some["exposure"]), 2.5, "a rank in a sample")

    def test_personal_data_and_texts(self):
        facts, _ = memorization("texts", self.model, "--base", self.base, "--input", self.train, "--held-out", self.held_out, "--prefix", "4", "--suffix", "2")
        rates = {r["kind"]: r for r in facts["rates"]}
        oracle = Llama(self.model)
        hits = [oracle.greedy([2, *self.ids(f"write to {name} at")], 1) == self.ids(mail) for name, mail in zip(NAMES[:8], MAIL)]
        print("addresses:", hits, {kind: r["tuned"]["value"] for kind, r in rates.items()})
        self.assertEqual(rates["personal data"]["tuned"]["value"], sum(hit * (OFTEN if i < 4 else 1) for i, hit in enumerate(hits)) / (4 * OFTEN + 4))
        self.assertTrue(all(hits[:4]))
        self.assertEqual(rates["personal data"]["base"]["value"], 0)
        self.assertGreater(rates["training texts"]["tuned"]["value"], rates["held-out texts"]["tuned"]["value"])
        page = (WORK / "texts.html").read_text()
        self.assertIn("a\u2026g", page)
        self.assertNotIn("@example.org", page + (WORK / "texts.json").read_text(), "no value is shown whole")

    def test_the_gate(self):
        memorization("passes", self.base, "--canaries", self.file, "--max-rate", "0.1")
        facts, error = memorization("stops", self.model, "--canaries", self.file, "--max-rate", "0.1", code=1)
        self.assertEqual(facts["beyond"], ["canaries"])
        self.assertIn("extracted: above --max-rate 0.1", error)

    def test_what_is_refused(self):
        for words, line in (([self.model], "--canaries, --input: missing; legal: one of them, or both"), ([self.model, "--input", self.train], "--prefix, --suffix: no text of "),
                            ([self.model, "--canaries", self.file, "--max-rate", "2"], "--max-rate: 2: legal: a number >= 0 and < 1"),
                            ([self.model, "--canaries", rows_to("bad.jsonl", [{"prefix": "it"}])], "bad.jsonl:1: prefix, secret: legal: rows of prefix and secret"),
                            ([self.model, "--canaries", rows_to("joined.jsonl", [{"prefix": "it", "secret": "was"}])], "joined.jsonl:1: prefix: the tokenizer joins its end"),
                            ([WORK / "nothing", "--canaries", self.file], "nothing/config.json: No such file or directory")):
            code, _, error = called("memorization", *words, "--output", WORK / "refused.html")
            self.assertEqual((code, error.count("\n"), (WORK / "refused.html").exists()), (2, 1, False), error)
            self.assertIn(line, error)


class Parts(unittest.TestCase):
    def test_candidates(self):
        self.assertEqual(sorted(exposure.candidates("4 7", 99)), sorted(f"{a} {b}" for a in range(10) for b in range(10) if (a, b) != (4, 7)))
        drawn = exposure.candidates("Ab-12", 50)
        self.assertEqual((len(set(drawn)), "Ab-12" in drawn, {(c[0].isupper(), c[1].islower(), c[2], c[3:].isdigit()) for c in drawn}), (50, False, {(True, True, "-", True)}))
        self.assertEqual(exposure.space("Ab-12"), 26 * 26 * 100)
        found = exposure.of_scores([-1.0, -2.0, -0.5, -1.0], "x")
        self.assertEqual(found.bits, math.log2(4) - math.log2(3))

    def test_leaks_are_values_that_nobody_asked_for(self):
        probe = probes.Probe(probes.TEXTS, "a:1", "write to", [1], "bob@example.org and more")
        known = {measure.normal("bob@example.org"), measure.normal("eve@example.org")}
        self.assertEqual(measure.leaks([probe], [([], "bob@example.org")], known, None), [])
        self.assertEqual([leak.shown for leak in measure.leaks([probe], [([], "or eve@example.org, or x@example.org")], known, None)], ["e\u2026g"])


if __name__ == "__main__":
    del sys.argv[3:4]
    run_tests()
