"""`trireme attribute --influence`: similarities against gradients of transformers (tests/golden/attributions.json) and against numpy; planted
near-copies of texts among the samples that helped; one result at any number of ranks.

    influence_test.py ROOT WORK_FOLDER TRIREME      TRIREME_TEST_LONG set: near-copies without a word too
"""
import json
import os
import random
import shutil
import unittest

import numpy
from attribution_support import GOLDEN, ROWS, attributed, command, golden, trained
from report_support import WORK, run_tests
from safetensors.numpy import load_file, save_file

GOOD, BAD = ["fine", "great", "lovely", "warm", "wise", "witty"], ["awful", "bland", "crude", "dull", "flat", "weak"]
MANY = [f"word{i}" for i in range(80)]
COPIES = 50
NEAR = 0.9  # of the texts whose near-copy in the training data is among the first 5 that helped
PROJECTED = 2048  # numbers of a projected gradient


def reviews(seed, rows, plain=(8, 16)):
    """Texts of as many plain words, with two or three of one kind that decide, and at times one of the other."""
    draw, made = random.Random(seed), []
    for i in range(rows):
        mine, others = (GOOD, BAD) if i % 2 else (BAD, GOOD)
        words = draw.choices(MANY, k=draw.randint(*plain)) + draw.choices(mine, k=draw.randint(2, 3)) + draw.choices(others, k=draw.randint(0, 1))
        draw.shuffle(words)
        made.append({"text": " ".join(words), "label": "good" if i % 2 else "bad"})
    return made


def planted(rows, remove):
    """Texts, and a row for each with another word in the place of one, or with one taken out."""
    draw, copies = random.Random(4), []
    for row in rows:
        words = row["text"].split()
        place = draw.choice([i for i, word in enumerate(words) if word in MANY])
        words[place:place + 1] = [] if remove else [draw.choice(MANY)]
        copies.append({"text": " ".join(words), "label": row["label"]})
    return [row["text"] for row in rows], copies


class Oracle(unittest.TestCase):
    def influenced(self, texts, label, rows):
        """{measure: [texts, rows]} of what stands beside the training rows."""
        found = attributed(golden("bert"), texts, "--influence", WORK / "few", "--top", len(rows), "--method", "gradient-x-input", *(["--target", label] if label else []))
        values = {("head", "similarity"): [], ("projected", "cosine"): [], ("projected", "similarity"): []}
        for text in found["texts"]:
            for (measure, name), of_texts in values.items():
                mine = {int(s["source"].rsplit(":", 1)[1]) - 1: s[name] for kind in ("helpful", "harmful") for s in text["influence"][measure][kind]}
                of_texts.append([mine[i] for i in range(len(rows))])
        return {f"{measure} {name}": numpy.array(of_texts) for (measure, name), of_texts in values.items()}

    def test_similarities_are_cosines_of_gradients(self):
        influence = GOLDEN["influence"]
        rows = influence["rows"]
        (WORK / "few.jsonl").write_text("".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in rows))
        command("prepare", "--task", "classification", "--tokenizer", golden("bert"), "--train", WORK / "few.jsonl", "--label", "label",
                "--labels", "bad", "good", "so-so", "--output", WORK / "few")
        found = self.influenced(GOLDEN["texts"], None, rows)
        worst = {name: abs(found[name] - influence[exact]).max() for name, exact in (("head similarity", "head"), ("projected cosine", "all"))}
        print(f"similarities: largest distance from transformers' cosines: {worst}", flush=True)
        self.assertLess(worst["head similarity"], 1e-5)
        self.assertLess(worst["projected cosine"], 5 / PROJECTED ** 0.5)
        # The rows as texts, each with its label, have the cosines of all pairs of rows: what the metric of influence is made of.
        of_labels = {label: self.influenced([text for text, _ in rows], label, rows)["projected cosine"] for label in ("bad", "good", "so-so")}
        pairs = numpy.array([of_labels[label][i] for i, (_, label) in enumerate(rows)])
        self.assertLess(abs(pairs - pairs.T).max(), 1e-5)
        cosines, inverse = found["projected cosine"], numpy.linalg.inv(pairs + 0.1 / PROJECTED * len(rows) * numpy.eye(len(rows)))
        products = cosines - cosines @ inverse @ pairs  # by Woodbury's identity
        texts, samples = 1 - ((cosines @ inverse) * cosines).sum(1), numpy.diag(pairs - pairs @ inverse @ pairs)
        expected = products / numpy.sqrt(texts)[:, None] / numpy.sqrt(samples)
        gap = abs(found["projected similarity"] - expected).max() / abs(expected).max()
        print(f"influences: {gap:.1e} of the largest, {abs(expected).max():.3f}, from those made of all cosines", flush=True)
        self.assertLess(gap, 0.01)

    def test_where_no_sample_has_a_gradient_none_helped(self):
        """A model whose logits are a million times as large, each class as large in the mean as the others, and labels that it predicts."""
        model, texts = WORK / "sure-model", [text for text, _ in GOLDEN["influence"]["rows"]]
        shutil.copytree(golden("bert"), model)
        (WORK / "sure.txt").write_text("".join(text + "\n" for text in texts))
        weights = load_file(model / "model.safetensors")
        weights["classifier.weight"] *= 1e6
        for _ in range(2):
            save_file(weights, model / "model.safetensors", {"format": "pt"})
            command("predict", model, "--input", WORK / "sure.txt", "--output", WORK / "sure.jsonl", "--force")
            found = [json.loads(line) for line in (WORK / "sure.jsonl").read_text().splitlines()]
            weights["classifier.bias"] -= numpy.mean([row["logits"] for row in found], 0).astype("float32")
        self.assertEqual({max(row["probabilities"].values()) for row in found}, {1})
        (WORK / "sure.jsonl").write_text("".join(json.dumps({"text": row["text"], "label": row["prediction"]}) + "\n" for row in found))
        command("prepare", "--task", "classification", "--tokenizer", golden("bert"), "--train", WORK / "sure.jsonl", "--label", "label",
                "--labels", "bad", "good", "so-so", "--output", WORK / "sure")
        of_texts = attributed(model, texts, "--influence", WORK / "sure", "--method", "gradient-x-input", name="sure-found")["texts"]
        self.assertEqual([text["influence"] for text in of_texts], [{name: {"helpful": [], "harmful": []} for name in ("head", "projected")}] * len(texts))

    def test_similarities_of_losses_are_cosines_of_gradients(self):
        (WORK / "texts.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text, _ in GOLDEN["influence"]["rows"]))
        for name, expected in GOLDEN["influence_on_losses"].items():
            data = WORK / f"texts-{name}"
            command("prepare", "--task", "language-modeling", "--tokenizer", golden(name), "--stop", "[SEP]", "--train", WORK / "texts.jsonl", "--output", data)
            found = attributed(golden(name), GOLDEN["texts"], "--influence", data, "--top", len(expected[0]))
            worst = 0
            for text, oracle in zip(found["texts"], expected, strict=True):
                self.assertEqual(list(text["influence"]), ["projected"])
                mine = {s["sample"]: s["cosine"] for kind in ("helpful", "harmful") for s in text["influence"]["projected"][kind]}
                worst = max(worst, *(abs(mine[i] - value) for i, value in enumerate(oracle)))
            print(f"{name}: largest distance from transformers' cosines of gradients of losses: {worst:.3f}", flush=True)
            self.assertLess(worst, 5 / PROJECTED ** 0.5)
        refused = command("attribute", golden("bert"), "--output", WORK / "none.json", "--influence", data, code=2, given="good\n")
        self.assertIn(f"trireme: --influence: {data}: data of language-modeling: legal: of classification\n", refused)


class NearCopies(unittest.TestCase):
    def found(self, name, remove, plain, task="classification"):
        """The folder, the texts and what was found of them; their near-copies are checked."""
        copied, copies = planted(reviews(3, COPIES, plain), remove)
        folder = trained(name, [*GOOD, *BAD, *MANY], reviews(1, ROWS, plain) + copies, "--set", "train.epochs=3", task=task)
        found = attributed(folder / "exported", copied, "--influence", folder / "data", "--method", "gradient-x-input", name=name)
        hits = dict.fromkeys(found["texts"][0]["influence"], 0)
        for measure in hits:
            for i, text in enumerate(found["texts"]):
                values = [sample["similarity"] for sample in text["influence"][measure]["helpful"]]
                self.assertEqual(values, sorted(values, reverse=True))
                hits[measure] += any(sample["source"].endswith(f"rows.jsonl:{ROWS + i + 1}") for sample in text["influence"][measure]["helpful"])
        print(f"{name}: the near-copy is among the first 5 of {ROWS + COPIES} samples for {hits} of {COPIES} texts", flush=True)
        self.assertGreaterEqual(hits["projected"] / COPIES, NEAR)
        return folder, copied, found

    def test_a_copy_with_a_word_replaced_is_among_the_helpful(self):
        folder, copied, found = self.found("replaced", False, (8, 16))
        self.at_any_number_of_ranks(folder, copied, found)

    def at_any_number_of_ranks(self, folder, copied, found):
        for ranks in (2, 4):
            few = attributed(folder / "exported", copied[:3], "--influence", folder / "data", "--method", "gradient-x-input", ranks=ranks, name="ranks")
            for a, b in zip(found["texts"], few["texts"]):
                a, b = (text["influence"]["projected"] for text in (a, b))
                self.assertEqual([s["sample"] for s in a["helpful"]], [s["sample"] for s in b["helpful"]])
                self.assertLess(max(abs(s["similarity"] - t["similarity"]) for s, t in zip(a["helpful"], b["helpful"])), 1e-5)
                self.assertLess(max(s["similarity"] for s in a["harmful"]), 0)

    def test_a_copy_is_among_the_helpful_of_a_decoder(self):
        self.at_any_number_of_ranks(*self.found("decoder-replaced", False, (8, 16), "language-modeling"))

    @unittest.skipUnless(os.environ.get("TRIREME_TEST_LONG"), "influence_long_test has it")
    def test_a_copy_without_a_word_is_among_the_helpful(self):
        self.found("removed", True, (5, 9))
        self.found("decoder-removed", True, (5, 9), "language-modeling")


if __name__ == "__main__":
    run_tests()
