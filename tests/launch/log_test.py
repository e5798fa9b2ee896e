"""Runs converted for Weights & Biases and MLflow, read again by the trackers' own libraries.

    log_test.py ROOT WORK_FOLDER
"""
import importlib.util
import json
import os
import struct
import subprocess
import sys
import unittest

from report_runs import CRASHED_ONCE, folder
from report_support import ROOT, WORK, run_tests

sys.dont_write_bytecode = True
WANDB, MLFLOW = (importlib.util.find_spec(name) is not None for name in ("wandb", "mlflow"))
BLOCK, WHOLE, LAST = 32768, 1, 4
# Values of CRASHED_ONCE by hand: step 3 was trained twice, and its second loss holds.
LOSSES = {1: 1.0, 2: 1.0, 3: 0.7, 4: 1.0, 5: 1.0, 6: 1.0}
ACCURACIES = {2: 0.5, 4: 0.75, 6: 0.75}


def convert(*arguments):
    done = subprocess.run([sys.executable, "-I", str(ROOT / "launch/log.py"), *map(str, arguments)], capture_output=True, text=True, cwd=WORK)
    return done.returncode, done.stdout, done.stderr


def fresh(name):
    path = WORK / name
    subprocess.run(["rm", "-rf", path], check=True)
    return path


def stored(data):
    """The records of a .wandb file: LevelDB's log format behind a header of 7 bytes, in blocks of 32 KiB."""
    assert data[:4] == b":W&B", data[:7]
    at, parts = 7, b""
    while at + 7 <= len(data):
        if BLOCK - at % BLOCK < 7:  # no room for a header: the rest of the block is zeros
            at += BLOCK - at % BLOCK
            continue
        length, kind = struct.unpack("<HB", data[at + 4 : at + 7])
        parts += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (WHOLE, LAST):
            yield parts
            parts = b""


class Refusals(unittest.TestCase):
    def refused(self, line, *arguments):
        self.assertEqual(convert(*arguments), (2, "", f"trireme: {line}\n"))

    def test_arguments(self):
        run = folder("logged", CRASHED_ONCE)
        self.refused("--to: missing; legal: wandb or mlflow", "convert", run, "--output", "new")
        self.refused("--to: neptune: legal: wandb, mlflow", "convert", run, "--to", "neptune", "--output", "new")
        self.refused("show: legal: trireme log convert RUN", "show", run, "--to", "wandb", "--output", "new")
        self.refused("RUN: 0 given; legal: one folder of a run", "convert", "--to", "wandb", "--output", "new")
        self.refused("--output: logged: exists already; legal: a new folder", "convert", run, "--to", "wandb", "--output", "logged")

    def test_absent_library_is_named_with_the_command(self):
        run = folder("logged", CRASHED_ONCE)
        for present, name, package in ((WANDB, "wandb", "wandb"), (MLFLOW, "mlflow", "mlflow-skinny")):
            if not present:
                self.refused(f"--to: {name}: its Python package is missing; legal: after {sys.executable} -m pip install {package}",
                             "convert", run, "--to", name, "--output", "new")
                self.assertFalse((WORK / "new").exists())


@unittest.skipUnless(MLFLOW, "mlflow is not installed")
class ByMlflow(unittest.TestCase):
    def test_read_again(self):
        out = fresh("mlruns")
        self.assertEqual(convert("convert", folder("logged", CRASHED_ONCE), "--to", "mlflow", "--output", out), (0, f"{out}\n", ""))
        os.environ |= {"MLFLOW_ALLOW_FILE_STORE": "true", "MLFLOW_DISABLE_TELEMETRY": "true"}
        import mlflow
        client = mlflow.MlflowClient(tracking_uri=out.as_uri())
        experiment = client.get_experiment_by_name("trireme")
        run, = client.search_runs([experiment.experiment_id])
        self.assertEqual((run.info.status, run.info.start_time, run.info.end_time), ("FINISHED", 1010_000, 2060_000))
        self.assertEqual(run.data.params["optimizer.learning_rate"], "0.1")
        for name, expected in (("train/loss", LOSSES), ("validation/accuracy", ACCURACIES)):
            self.assertEqual({m.step: m.value for m in client.get_metric_history(run.info.run_id, name)}, expected)
        self.assertNotIn(".partial-", run.info.artifact_uri)


@unittest.skipUnless(WANDB, "wandb is not installed")
class ByWandb(unittest.TestCase):
    def test_read_again(self):
        out = fresh("wandb-files")
        self.assertEqual(convert("convert", folder("logged", CRASHED_ONCE), "--to", "wandb", "--output", out), (0, f"{out}\n", ""))
        path, = out.glob("wandb/offline-run-*/*.wandb")
        losses, accuracies, names = self.records(path)
        self.assertEqual((losses, accuracies), (LOSSES, ACCURACIES))
        self.assertIn("optimizer.learning_rate", names)
        self.assertEqual([p for p in out.rglob("*") if not p.exists()], [], "links that lead nowhere")

    def records(self, path):
        """(losses by step, accuracies by step, names of the configuration) in a file of wandb."""
        from wandb.proto import wandb_internal_pb2
        losses, accuracies, names = {}, {}, set()
        for data in stored(path.read_bytes()):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(data)
            names |= {update.key for update in record.run.config.update}
            values = {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in record.history.item}
            for name, found in (("train/loss", losses), ("validation/accuracy", accuracies)):
                if name in values:
                    found[values["_step"]] = values[name]
        return losses, accuracies, names


if __name__ == "__main__":
    run_tests()
