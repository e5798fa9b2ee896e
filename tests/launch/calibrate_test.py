"""`trireme calibrate` on several ranks: its file is read back and planned with; mistakes are one line and leave nothing.

    calibrate_test.py ROOT WORK_FOLDER TRIREME MPIEXEC      TRIREME_TEST_LONG set: on 1 and 4 ranks too, not on 2 alone
"""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import unittest

ROOT, WORK, TRIREME, MPIEXEC = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3], sys.argv[4]
WORLDS = (1, 2, 4) if os.environ.get("TRIREME_TEST_LONG") else (2,)
RANKS = {"OMPI_MCA_mpi_yield_when_idle": "1", "OMPI_MCA_hwloc_base_binding_policy": "none", "OMPI_ALLOW_RUN_AS_ROOT": "1",
         "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMPI_MCA_rmaps_base_oversubscribe": "1", "OMPI_MCA_orte_execute_quiet": "1"}
MODEL = dict(model_type="llama", hidden_size=64, num_hidden_layers=4, num_attention_heads=4, num_key_value_heads=4, intermediate_size=128,
             vocab_size=256, max_position_embeddings=64, hidden_act="silu", rms_norm_eps=1e-5)


def trireme(*words, ranks=1):
    done = subprocess.run([MPIEXEC, "-n", str(ranks), TRIREME, *map(str, words)] if ranks else [TRIREME, *map(str, words)], cwd=WORK,
                          capture_output=True, text=True, env=os.environ | RANKS, timeout=300)
    return done.returncode, done.stdout, done.stderr


def planned(machine, ranks, *settings):
    code, out, err = trireme("plan", "run.yaml", "--machine", machine, "--nodes", 1, "--sequence", 64, "--steps", 10,
                             *(word for setting in settings for word in ("--set", setting)), ranks=0)
    return code, out, err


class Calibrate(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        shutil.rmtree(WORK, ignore_errors=True)
        (WORK / "model").mkdir(parents=True)
        (WORK / "model/config.json").write_text(json.dumps(MODEL))
        (WORK / "run.yaml").write_text("run: none\ntask: language-modeling\nmodel:\n  path: model\n  from_scratch: true\ndata:\n  path: none-there\n"
                                       "batch:\n  global: 8\n  tokens_per_micro_batch: 128\n")

    def test_files_of_several_ranks_are_planned_with(self):
        for ranks in WORLDS:
            with self.subTest(ranks=ranks):
                name = f"machine-{ranks}.yaml"
                code, out, err = trireme("calibrate", "--output", name, "--quick", ranks=ranks)
                self.assertEqual(code, 0, out + err)
                self.assertIn(f"written: {name}", out)
                text = (WORK / name).read_text()
                self.assertRegex(text, rf"source: .measured on \S+, 20\d\d-\d\d-\d\d \d\d:\d\d UTC: mpirun -n {ranks} trireme calibrate --quick")
                self.assertRegex(text, rf"\n  gpus: {ranks}\n")
                self.assertEqual("all_reduce 2 1" in text, ranks > 1)
                self.assertEqual("all_reduce 4 1" in text, ranks > 2)
                code, out, err = planned(f"./{name}", ranks)
                self.assertEqual(code, 0, out + err)
                step = float(re.search(r"as configured.*\n  fits: .*; ([0-9.e+-]+) s a step", out)[1])
                self.assertTrue(1e-4 < step < 60, step)
        self.assertEqual([path.name for path in WORK.iterdir() if path.name.startswith(".calibrate")], [])

    def test_more_work_takes_longer(self):
        """Plans by a file of an idle machine of two cores (`calibrate --quick`): beside other tests the time of a small product
        may include waiting for a core."""
        machine = ROOT / "tests/golden/machine_of_two_cores.yaml"

        def step(*settings):
            code, out, err = planned(machine, 1, *settings)
            self.assertEqual(code, 0, out + err)
            return float(re.search(r"fits: .*; ([0-9.e+-]+) s a step", out)[1])

        once, twice, again = step(), step("batch.global=16"), step("parallel.recompute=full")
        self.assertGreater(twice, 1.7 * once)
        self.assertTrue(1.1 * once < again < 1.6 * once, (once, again))
        code, _, err = planned(machine, 1, "numerics.compute=bf16")
        self.assertEqual((code, err), (2, "trireme: calibration: no measured products in bf16: legal: a machine's file of `trireme calibrate` with that "
                                          "compute type\n"))

    def test_mistakes_are_one_line_and_leave_nothing(self):
        (WORK / "there.yaml").write_text("mine\n")
        for words, line in ((("--output", "there.yaml"), "--output: there.yaml: "), (("--output", "none-there/x.yaml"), "--folder: none-there: "),
                            (("--output", "x.yaml", "--compute", "int8"), "--compute: int8: legal: fp32, bf16, fp64"),
                            (("--output", "x.yaml", "--folder", "run.yaml"), "--folder: run.yaml: legal: a folder that is there"), ((), "--output")):
            for ranks in (1, 2):
                with self.subTest(words=words, ranks=ranks):
                    code, out, err = trireme("calibrate", *words, ranks=ranks)
                    self.assertEqual(code, 2, out + err)
                    self.assertEqual(err.count("\n"), 1, err)
                    self.assertIn(line, err)
        self.assertEqual((WORK / "there.yaml").read_text(), "mine\n")
        self.assertFalse((WORK / "x.yaml").exists())


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
