"""Steps of a run computed again: `trireme replay` certifies what is equal, `trireme diverge` finds the first step and tensor that are not.

    replay_test.py ROOT WORK_FOLDER TRIREME WRITE_TINY_RUN
"""
import json
import os
import shutil
import subprocess
import sys
import unittest

from report_support import WORK, run_tests

TRIREME, WRITE_TINY_RUN = map(os.path.abspath, sys.argv[3:5])
LIMIT = 600  # seconds: no measure of speed
FLIPPED = 13  # the step at which a bit flips


def command(*words):
    """(exit code, standard output, error)"""
    done = subprocess.run([TRIREME, *map(str, words)], capture_output=True, text=True, cwd=WORK, timeout=LIMIT, check=False)
    print(*words, done.returncode, done.stdout, done.stderr, flush=True)
    return done.returncode, done.stdout, done.stderr


class Again(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        config = subprocess.run([WRITE_TINY_RUN, str(WORK)], capture_output=True, text=True, check=True).stdout.strip()
        settings = [f"run={WORK / 'run'}", "train.steps=20", "checkpoint.every=8", "checkpoint.keep_last=9", "evaluation.every=20",
                    "numerics.mode=bitwise", "guard.sensitivity=off"]
        code, _, error = command("train", config, *(word for setting in settings for word in ("--set", setting)))
        assert code == 0, error
        # Its training has the lowest bit of the first weight flipped between the backward pass of a step and its update.
        cls.spoilt = WORK / "spoilt"
        cls.spoilt.write_text(f'#!/bin/sh\n[ "$1" = train ] && export TRIREME_FAULT=step/weights:0:{FLIPPED}:flip=0\nexec {TRIREME} "$@"\n')
        cls.spoilt.chmod(0o755)

    def test_a_replay_is_equal_at_other_numbers_of_ranks(self):
        for words in ([], ["--ranks", "2"], ["--ranks", "4", "--set", "parallel.pipeline=2"]):
            code, output, error = command("replay", "run", *words)
            self.assertEqual(code, 0, output + error)
            self.assertIn("of steps 9 to 16; weights and moments of step 16 too\n", output)
        code, output, _ = command("replay", "run", "--from", "0", "--steps", "3")
        self.assertEqual(code, 0)
        self.assertIn("of steps 1 to 3; the run has no checkpoint of step 3\n", output)

    def test_a_number_that_is_not_the_runs_is_named(self):
        shutil.copytree(WORK / "run", WORK / "forged", dirs_exist_ok=True)
        events = [json.loads(line) for line in (WORK / "run/metrics.jsonl").read_text().splitlines()]
        for event in events:
            if event["kind"] == "train" and event["step"] == 11:
                event["loss"] *= 1 + 1e-6
        (WORK / "forged/metrics.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
        code, output, _ = command("replay", "forged")
        self.assertEqual(code, 1)
        self.assertIn("first difference: step 11, loss: ", output)
        self.assertEqual(command("replay", "forged", "--tolerance", "1e-5")[0], 0)

    def test_one_unit_in_the_last_place_is_found_at_its_step_and_tensor(self):
        code, output, error = command("diverge", "run", "--steps", "12", "--other-program", self.spoilt)
        self.assertEqual(code, 1, output + error)
        self.assertIn(f"first difference: step {FLIPPED + 1}, 1 tensor; the step before is equal\n", output)
        self.assertRegex(output, r"\n  weight/\S+: 1 of \d+ elements differ, by at most \S+e-\d+;")
        self.assertIn("gradients (moments) are equal", output)

    def test_layouts_do_not_diverge(self):
        code, output, error = command("diverge", "run", "--steps", "12", "--other-ranks", "2", "--other-set", "parallel.zero=3", "--other-set", "parallel.shard=2")
        self.assertEqual(code, 0, output + error)
        self.assertIn("equal: no tensor differs after any of the 12 steps\n", output)

    def test_another_rate_is_seen_at_the_first_update(self):
        code, output, error = command("diverge", "run", "--from", "0", "--steps", "4", "--other-set", "optimizer.beta1=0.5")
        self.assertEqual(code, 1, output + error)
        self.assertIn("first difference: step 1, ", output)

    def test_nothing_is_left_after_the_last_step(self):
        self.assertEqual(command("diverge", "run", "--from", "20"), (2, "", "trireme: --from: 20: legal: a step before 20, the last of run\n"))
        self.assertEqual(command("replay", "run", "--from", "20"),
                         (2, "", "trireme: --from: 20: legal: a step that run/metrics.jsonl has steps after\n"))

    def test_mistakes_are_one_line(self):
        for words, line in (
                ([], "RUN: missing; legal: folder of a run, as `trireme train` writes one"),
                (["none"], "none/config.yaml: no such file; legal: RUN is the folder of a run, as `trireme train` writes one"),
                (["run", "--from", "7"], "--from: 7: legal: 0, or a step of which run/checkpoints has a checkpoint (8, 16, 20)"),
                (["run", "--steps", "x"], "--steps: x: legal: a whole number, 1 or more"),
                (["run", "--steps", "13"], "--steps: 13: legal: at most 12, since run"),
                (["run", "--tolerance", "1"], "--tolerance: 1: legal: a number >= 0 and < 1"),
                (["run", "--launcher", "srun"], "--launcher: srun: legal: a command with the word {ranks}, as in mpirun -n {ranks}"),
                (["run", "--work", "none"], "--work: none: legal: a folder that exists and may be written to")):
            for name in ("replay", "diverge"):
                code, output, error = command(name, *words)
                self.assertEqual((code, output), (2, ""), (name, words))
                self.assertTrue(error.startswith(f"trireme: {line}") and error.count("\n") == 1, error)


if __name__ == "__main__":
    del sys.argv[3:5]
    run_tests()
