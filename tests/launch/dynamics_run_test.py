"""Training dynamics of real runs: with 5 % of the labels flipped, the worst decile has most of them; the file has one content at any number of ranks
and after a pause; `prepare --skip-list` leaves the suspects out.

    dynamics_run_test.py ROOT WORK_FOLDER TRIREME
"""
import json
import os
import random
import subprocess
import sys
import unittest

from report_support import WORK, run_tests
from word_tokenizer import SPECIAL, tokenizer

from dynamics import measures, records, split

TRIREME = os.path.abspath(sys.argv[3])
GOOD, BAD = ["fine", "great", "lovely", "warm", "wise", "witty"], ["awful", "bland", "crude", "dull", "flat", "weak"]
PLAIN = ["actor", "and", "camera", "film", "it", "music", "plot", "scene", "the", "was"]
ROWS, FLIPPED, SEEDS = 800, 0.05, (1, 2, 3)
LEAST = 0.6  # of the flipped labels, in the worst decile


MODEL = {"model_type": "bert", "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64, "vocab_size": 26,
         "max_position_embeddings": 32, "type_vocab_size": 2, "hidden_act": "gelu", "layer_norm_eps": 1e-12, "hidden_dropout_prob": 0.1,
         "attention_probs_dropout_prob": 0.1, "initializer_range": 0.1, "pad_token_id": 0}
RUN = """\
run: {run}
seed: 1
task: classification
model: {{path: {model}, from_scratch: true}}
data: {{path: {data}}}
batch: {{global: 20, tokens_per_micro_batch: 80}}
numerics: {{mode: bitwise, threads: 1}}
optimizer: {{learning_rate: 1e-3}}
train: {{epochs: 8, dynamics: true}}
guard: {{sensitivity: off, overfitting: off}}
"""


def made_up(seed):
    """Rows of a verdict in words, one in twenty with the other label; some have words of both kinds and are hard. Returns (rows, flipped lines)."""
    draw, rows = random.Random(seed), []
    for _ in range(ROWS):
        good = draw.random() < 0.5
        mine, others = (GOOD, BAD) if good else (BAD, GOOD)
        words = draw.choices(PLAIN, k=draw.randint(4, 10)) + draw.choices(mine, k=draw.randint(2, 3)) + draw.choices(others, k=draw.randint(0, 1))
        draw.shuffle(words)
        rows.append({"text": " ".join(words), "label": "good" if good else "bad"})
    flipped = draw.sample(range(ROWS), round(FLIPPED * ROWS))
    for i in flipped:
        rows[i]["label"] = "bad" if rows[i]["label"] == "good" else "good"
    return rows, {i + 1 for i in flipped}


def command(*words, ranks=0, code=0):
    before = ["mpirun", "-n", str(ranks), "--oversubscribe"] if ranks else []
    done = subprocess.run([*before, TRIREME, *map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == code, f"{words}\n{done.stdout}{done.stderr}"
    return done.stdout


class Dynamics(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        (WORK / "model").mkdir()
        (WORK / "model/tokenizer.json").write_text(json.dumps(tokenizer([*GOOD, *BAD, *PLAIN], SPECIAL[:4])))
        (WORK / "model/tokenizer_config.json").write_text("{}")
        (WORK / "model/config.json").write_text(json.dumps(MODEL))
        cls.flipped = {}
        for seed in SEEDS:
            rows, cls.flipped[seed] = made_up(seed)
            (WORK / f"rows-{seed}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
            cls.prepare(f"data-{seed}", seed)
            (WORK / f"run-{seed}.yaml").write_text(RUN.format(run=WORK / f"run-{seed}", model=WORK / "model", data=WORK / f"data-{seed}"))
            command("train", WORK / f"run-{seed}.yaml", "--set", f"seed={seed}")

    @staticmethod
    def prepare(folder, seed, *more, code=0):
        return command("prepare", "--task", "classification", "--tokenizer", WORK / "model", "--train", WORK / f"rows-{seed}.jsonl", "--label", "label",
                       "--output", WORK / folder, *more, code=code)

    def test_the_worst_decile_has_the_flipped_labels(self):
        for seed in SEEDS:
            run = str(WORK / f"run-{seed}")
            samples, found = records.read(run)
            self.assertEqual(len(found), 8 * ROWS)
            rows, measured = split.of_run(run, samples), measures.of(samples, found)
            worst = {int(rows.line[i]) for i in measures.least_confident(measured, 0.1)}
            share = len(worst & self.flipped[seed]) / len(self.flipped[seed])
            print(f"seed {seed}: {share:.1%} of {len(self.flipped[seed])} flipped labels are in the worst decile of {samples}", flush=True)
            self.assertGreaterEqual(share, LEAST)

    def test_one_file_at_any_number_of_ranks_and_after_a_pause(self):
        path = WORK / "run-1.yaml"
        short = ["--set", "train.steps=30"]
        for ranks, more in ((1, []), (2, []), (4, []), (2, ["--set", "parallel.pipeline=2"])):
            run = WORK / f"ranks-{ranks}{'-pipeline' if more else ''}"
            command("train", path, "--set", f"run={run}", *short, *more, ranks=ranks)
            self.assertEqual((run / "dynamics.bin").read_bytes(), (WORK / "ranks-1/dynamics.bin").read_bytes(), run)
        run = WORK / "paused"
        command("train", path, "--set", f"run={run}", *short, "--set", "job.until_step=13", ranks=2, code=85)
        self.assertEqual(records.read(str(run))[1]["step"].max(), 13)
        command("train", path, "--set", f"run={run}", *short)
        self.assertEqual((run / "dynamics.bin").read_bytes(), (WORK / "ranks-1/dynamics.bin").read_bytes())
        command("train", path, "--set", f"run={WORK / 'without'}", *short, "--set", "train.dynamics=false")
        hashes = [[e["weights_sha256"] for line in (WORK / name / "metrics.jsonl").read_text().splitlines() if (e := json.loads(line))["kind"] == "end"]
                  for name in ("ranks-1", "without")]
        self.assertEqual(hashes[0], hashes[1], "training is not changed")
        self.assertFalse((WORK / "without/dynamics.bin").exists())

    def test_prepare_leaves_the_suspects_out(self):
        command("dynamics", WORK / "run-1", "--output", WORK / "page.html", "--skip-list", WORK / "wrong.txt")
        listed = [line.split("\t")[0] for line in (WORK / "wrong.txt").read_text().splitlines() if not line.startswith("#")]
        self.assertGreater(len(listed), 20)
        told = self.prepare("data-cleaned", 1, "--skip-list", WORK / "wrong.txt")
        self.assertIn(f"{len(listed)} rows of --skip-list left out", told)
        counts = [sum(json.loads((WORK / name / "manifest.json").read_text())["splits"]["train"]["shards"][0][key] for key in ("samples",))
                  for name in ("data-1", "data-cleaned")]
        self.assertEqual(counts, [ROWS, ROWS - len(listed)])
        lines = {int(row.rsplit(":", 1)[1]) for row in listed}
        self.assertGreater(len(lines & self.flipped[1]) / len(lines), 0.5, "most of what is left out was wrong")

    def test_lists_that_are_refused(self):
        for content, line in (("rows.jsonl\n", ":1: rows.jsonl: legal: FILE:LINE, as in reviews.jsonl:17, with lines from 1"), ("# none\n", ": names no row; legal: lines of "),
                              ("a:0\n", ":1: a:0: legal: FILE:LINE"),
                              (f"{WORK}/rows-1.jsonl:5\nother.jsonl:2\n", ": names 2 rows, of which the input files have 1; legal: rows of these files")):
            (WORK / "list.txt").write_text(content)
            done = subprocess.run([TRIREME, "prepare", "--task", "classification", "--tokenizer", str(WORK / "model"), "--train", str(WORK / "rows-1.jsonl"),
                                   "--label", "label", "--output", str(WORK / "refused"), "--skip-list", str(WORK / "list.txt")],
                                  capture_output=True, text=True, check=False)
            self.assertEqual((done.returncode, done.stderr.count("\n"), (WORK / "refused").exists()), (2, 1, False), done.stderr)
            self.assertIn(line, done.stderr)


if __name__ == "__main__":
    del sys.argv[3:4]
    run_tests()
