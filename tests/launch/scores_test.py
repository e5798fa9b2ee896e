#!/usr/bin/env python3
"""Scores of completions by `trireme-text serve`: ROUGE-L against rouge-score's (tests/golden/make_rouge.py)."""

import json
import pathlib
import subprocess
import sys
import unittest

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "golden"
TOOL = sys.argv.pop()


class Scores(unittest.TestCase):
    def test_rouge_l_is_that_of_rouge_score(self):
        rows = json.loads((GOLDEN / "rouge.json").read_text())
        request = json.dumps({"score": [[row["completion"], row["reference"]] for row in rows]})
        answer = subprocess.run([TOOL, "serve", GOLDEN / "tokenizer"], input=request + "\n", capture_output=True, text=True, check=True)
        scores = json.loads(answer.stdout.splitlines()[1])["scores"]
        self.assertEqual(len(scores), len(rows))
        self.assertGreater(len({row["rouge_l"] for row in rows}), 100, "values differ")
        for row, found in zip(rows, scores):
            self.assertAlmostEqual(found["rouge_l"], row["rouge_l"], delta=1e-12, msg=row)


if __name__ == "__main__":
    unittest.main()
