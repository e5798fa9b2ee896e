"""Live metrics of real runs: a rank that is made late is found in its phase and on the axis of its layout, counts are those of
the files, operations those of the papers.

    performance_test.py ROOT WORK_FOLDER TRIREME WRITE_TINY_RUN MPIEXEC
"""
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import unittest

import h5py

from busy_machine import right_in_one

ROOT, WORK, TRIREME, TINY, MPIEXEC = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), *sys.argv[3:6]
LATE, AT = 1.5, 5  # seconds that rank 1 sleeps in a forward pass, in this step
LAYOUTS = {"data": ["parallel.replicate=2"], "zero": ["parallel.shard=2", "parallel.zero=3"], "tensor": ["parallel.tensor=2"],
           "pipeline": ["parallel.pipeline=2"]}


def train(name, *settings, ranks=1, fault="", code=0):
    run = WORK / name
    words = [word for s in (f"run={run}", "log.every=1", "train.steps=12", "guard.sensitivity=off", *settings) for word in ("--set", s)]
    done = subprocess.run([MPIEXEC, "-n", str(ranks), TRIREME, "train", str(WORK / "run.yaml"), *words], capture_output=True, text=True,
                          env=os.environ | {"TRIREME_FAULT": fault}, timeout=240)
    assert done.returncode == code, done.stdout + done.stderr
    assert not fault or "fault fired" in done.stderr, done.stderr
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def of_kind(events, kind):
    return {event["step"]: event for event in events if event["kind"] == kind}


def counts():
    """(tokens, labels that count) of an epoch, as h5py reads the shards."""
    tokens = labels = 0
    for path in sorted((WORK / "data").glob("train-*.h5")):
        with h5py.File(path) as shard:
            columns = shard["columns"]
            tokens += columns["tokens/values"].shape[0]
            labels += int((columns["token_labels/values"][...] != -100).sum())
    return tokens, labels


class Performance(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        shutil.rmtree(WORK, ignore_errors=True)
        WORK.mkdir(parents=True)
        subprocess.run([TINY, str(WORK)], check=True, capture_output=True)

    def delayed(self, axis, attempt):
        events = train(f"late-{axis}-{attempt}", *LAYOUTS[axis], ranks=2, fault=f"step/middle of forward:1:{AT}:sleep={LATE}")
        found = of_kind(events, "performance")
        self.assertEqual(sorted(found), list(range(1, 13)))
        return found

    def check_late(self, axis, found):
        late = found[AT + 1]
        exposed = {name: part["most"] for name, part in late["exposed"].items()}
        self.assertGreater(exposed[axis], 0.75 * LATE, late)  # what the rank before had left to do hides some
        self.assertEqual(max(exposed, key=exposed.get), axis, late)
        self.assertGreater(late["phases"]["forward"]["most"], LATE, late)
        others = [event["exposed"][axis]["most"] for step, event in found.items() if step != AT + 1]
        self.assertGreater(exposed[axis], 2 * statistics.median(others), others)

    def test_a_late_rank_is_seen_on_the_axis_of_the_layout(self):
        for axis in LAYOUTS:
            with self.subTest(axis=axis):
                right_in_one(lambda attempt: self.delayed(axis, attempt), lambda found: self.check_late(axis, found))

    def test_parts_are_the_whole_and_the_whole_is_the_step(self):
        for found in of_kind(train("parts", *LAYOUTS["tensor"], ranks=2), "performance").values():
            parts = sum(part["mean"] for name in ("phases", "exposed") for part in found[name].values())
            self.assertAlmostEqual(parts, found["seconds"], delta=1e-6)
        # Of one rank another clock, from the same beginning until the step's numbers were read.
        events = train("alone")
        steps = of_kind(events, "train")
        found = of_kind(events, "performance")
        self.assertTrue(all(event["seconds"] <= steps[step]["seconds"] for step, event in found.items()))
        self.assertGreater(statistics.median(event["seconds"] / steps[step]["seconds"] for step, event in found.items()), 0.9)

    def counted(self, attempt):
        tokens, labels = counts()
        events = train(f"counted-{attempt}", "train.steps=53", "batch.global=1", "log.every=10", "checkpoint.every=0", "evaluation.every=53")
        steps = list(of_kind(events, "train").values())
        self.assertEqual(sum(e["samples"] for e in steps), 53)  # one epoch
        self.assertEqual((sum(e["tokens"] for e in steps), sum(e["trained_tokens"] for e in steps)), (tokens, labels))
        last = steps[-20:]
        seconds = sum(e["seconds"] for e in last)
        self.assertAlmostEqual(steps[-1]["mean_tokens_per_second"] * seconds, sum(e["tokens"] for e in last), delta=1e-6 * tokens)
        self.assertAlmostEqual(steps[-1]["mean_trained_tokens_per_second"] * seconds, sum(e["trained_tokens"] for e in last), delta=1e-6 * tokens)
        self.assertEqual((steps[0]["seconds_left"], steps[-1]["seconds_left"]), (None, 0))
        return steps

    def check_pace(self, steps):
        """By the clock: of the events' own times."""
        pace = (steps[29]["time"] - steps[0]["time"]) / 29
        self.assertAlmostEqual(steps[29]["seconds_left"], pace * 23, delta=0.05 * pace * 23 + 0.01)

    def test_tokens_are_those_of_the_files(self):
        right_in_one(self.counted, self.check_pace)

    def test_operations_are_those_of_the_papers(self):
        model = WORK / "untied"  # so that the conventions differ
        shutil.copytree(WORK / "model", model)
        (model / "config.json").write_text((model / "config.json").read_text().replace('"tie_word_embeddings": true', '"tie_word_embeddings": false'))
        events = train("flops", "log.machine=dgx-h100", f"model.path={model}")
        steps = of_kind(events, "train")
        found = of_kind(events, "performance")[12]
        h, layers, heads, width, kv, ffn, words = 24, 4, 3, 8, 1, 40, 101
        weights = layers * (h * heads * width * 2 + h * kv * width * 2 + 3 * h * ffn)
        length = sum(e["tokens"] for e in steps.values()) / sum(e["samples"] for e in steps.values())
        attention = 12 * layers * heads * width * length
        head = words * h
        expected = {"palm": 6 * (weights + 2 * head) + attention, "megatron": 6 * (weights + head) + attention,
                    "torchtitan": 6 * (weights + head) + attention}
        rate = steps[12]["mean_tokens_per_second"]
        for name, flops in expected.items():
            self.assertAlmostEqual(found["flops_per_second"][name] / (flops * rate), 1, places=9)
            self.assertAlmostEqual(found["utilisation"][name] * 989e12 / (flops * rate), 1, places=9)
        plain = of_kind(train("no-machine"), "performance")[12]
        self.assertIsNone(plain["utilisation"])

    def two_jobs(self, attempt):
        train(f"jobs-{attempt}", "job.node_hours=1", "job.until_step=6", code=85)
        events = train(f"jobs-{attempt}", "job.node_hours=1")
        last = of_kind(events, "performance")[12]
        self.assertAlmostEqual(last["node_hours_left"], 1 - last["node_hours"], places=12)
        return events

    def check_account(self, events):
        jobs = [e["time"] for e in events if e["kind"] == "job"]
        last = of_kind(events, "performance")[12]
        first_job = max(e["time"] for e in events if e["time"] < jobs[1]) - jobs[0]
        since = last["time"] - jobs[1]
        self.assertTrue(first_job + since <= last["node_hours"] * 3600 <= first_job + since + 2, (first_job, since, last))
        kept = sum(e["seconds"] for e in of_kind(events, "train").values())
        self.assertAlmostEqual(last["goodput"], kept / (last["node_hours"] * 3600), places=3)

    def test_node_hours_and_goodput_over_jobs(self):
        right_in_one(self.two_jobs, self.check_account)

    def test_nothing_is_timed_where_nothing_is_asked_for(self):
        self.assertEqual(of_kind(train("off", "log.every=0"), "performance"), {})
        self.assertEqual(sorted(of_kind(train("each-4", "log.every=4"), "performance")), [4, 8, 12])

    def test_a_machine_that_is_none_is_refused(self):
        words = ["--set", f"run={WORK / 'refused'}", "--set", "log.machine=no-such-machine"]
        done = subprocess.run([TRIREME, "train", str(WORK / "run.yaml"), *words], capture_output=True, text=True)
        self.assertEqual(done.returncode, 2)
        self.assertRegex(done.stderr, r"^trireme: .*no-such-machine.*legal: .*alps.*\n$")
        self.assertFalse((WORK / "refused").exists())


if __name__ == "__main__":
    del sys.argv[1:]
    unittest.main(verbosity=2)
