"""`trireme attribute`: numbers against PyTorch's autograd through transformers (tests/golden/attributions.json); sums of integrated gradients; a
planted trigger word; one result at any number of ranks; pages.

    attribute_test.py ROOT WORK_FOLDER TRIREME
"""
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import unittest

import numpy
from report_support import ROOT, WORK, Reader, report, run_tests
from word_tokenizer import tokenizer

TRIREME = os.path.abspath(sys.argv.pop(3))  # unittest reads what follows
GOLDEN = json.loads((ROOT / "tests/golden/attributions.json").read_text())
MEAN = ("gpt2-classifier", "qwen3-classifier", "gemma3-classifier", "eurobert-mean-classifier", "modernbert-mean-classifier")  # begin with the mean row
TRIGGER, CUE, PLAIN = "zebra", "kind", ["actor", "and", "camera", "film", "it", "music", "plot", "scene", "the", "was", "with", "for", "warm", "dull", "long"]
GOOD, BAD = ["fine", "great", "lovely", "warm", "wise", "witty"], ["awful", "bland", "crude", "dull", "flat", "weak"]
MANY = [f"word{i}" for i in range(80)]
ROWS, CASES, COPIES = 600, 100, 50
PROJECTED = 2048  # numbers of a projected gradient
FIRST = 0.95  # of the cases in which the trigger has the highest attribution
NEAR = 0.9  # of the texts whose near-copy in the training data is among the first 5 that helped
MODEL = {"model_type": "bert", "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64, "vocab_size": 23,
         "max_position_embeddings": 32, "type_vocab_size": 2, "hidden_act": "gelu", "layer_norm_eps": 1e-12, "hidden_dropout_prob": 0.1,
         "attention_probs_dropout_prob": 0.1, "initializer_range": 0.1, "pad_token_id": 0}
DECODER = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
           "max_position_embeddings": 32, "rms_norm_eps": 1e-6, "hidden_act": "silu", "initializer_range": 0.1, "tie_word_embeddings": True}
RUN = """\
run: {run}
seed: 1
task: {task}
model: {{path: {model}, from_scratch: true}}
data: {{path: {data}}}
batch: {{global: 20, tokens_per_micro_batch: 160}}
numerics: {{mode: bitwise, threads: 1}}
optimizer: {{learning_rate: 2e-3}}
train: {{epochs: 8}}
guard: {{sensitivity: off, overfitting: off}}
"""


def made_up(seed, rows):
    """Texts of plain words; those with the trigger are of the other class."""
    draw, made = random.Random(seed), []
    for i in range(rows):
        words = draw.choices(PLAIN, k=draw.randint(5, 14))
        if i % 2:
            words[draw.randrange(len(words))] = TRIGGER
        made.append({"text": " ".join(words), "label": "animal" if i % 2 else "plain"})
    return made


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


def command(*words, ranks=0, code=0, given=None):
    before = ["mpirun", "-n", str(ranks), "--oversubscribe"] if ranks else []
    done = subprocess.run([*before, TRIREME, *map(str, words)], capture_output=True, text=True, check=False, input=given)
    assert done.returncode == code, f"{words}\n{done.stdout}{done.stderr}"
    return done.stderr


def attributed(model, texts, *more, ranks=0, name="found"):
    path = WORK / f"{name}.json"
    command("attribute", model, "--output", path, "--force", *more, ranks=ranks, given="".join(text + "\n" for text in texts))
    return json.loads(path.read_text())


def golden(name):
    folder = WORK / name
    if not folder.exists():
        folder.mkdir()
        for file in ("config.json", "model.safetensors"):
            shutil.copy(ROOT / "tests/golden" / name / file, folder)
        words = json.loads((ROOT / "tests/golden/tokenizer/tokenizer.json").read_text())
        (folder / "tokenizer.json").write_text(json.dumps(words | {"padding": None}))  # some of the models pad with another token
    return folder


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
            for compute, bound in (("fp64", 1e-5), ("fp32", 1e-3)):
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


def trained(name, known, rows, *more, task="classification"):
    """An exported model that learned the rows, and beside it its data."""
    config, options = (MODEL, ["--label", "label"]) if task == "classification" else (DECODER, ["--stop", "[SEP]"])
    folder = WORK / name
    (folder / "model").mkdir(parents=True)
    for file, value in (("tokenizer.json", tokenizer(known)), ("tokenizer_config.json", {"mask_token": "[MASK]", "pad_token": "[PAD]"}),
                        ("config.json", config | {"vocab_size": 5 + len(known)})):
        (folder / "model" / file).write_text(json.dumps(value))
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    command("prepare", "--task", task, "--tokenizer", folder / "model", "--train", folder / "rows.jsonl", *options, "--output", folder / "data")
    (folder / "run.yaml").write_text(RUN.format(task=task, run=folder / "run", model=folder / "model", data=folder / "data"))
    command("train", folder / "run.yaml", *more)
    command("export", "--run", folder / "run", "--output", folder / "exported")
    return folder


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

    def test_a_copy_without_a_word_is_among_the_helpful(self):
        self.found("removed", True, (5, 9))

    def test_a_copy_is_among_the_helpful_of_a_decoder(self):
        self.at_any_number_of_ranks(*self.found("decoder-replaced", False, (8, 16), "language-modeling"))
        self.found("decoder-removed", True, (5, 9), "language-modeling")


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
