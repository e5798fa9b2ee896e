"""`trireme profile` of real runs: traces of every layout are well-formed and whole, a rank that is made late is found where it was,
and clocks of one host agree.

    profile_test.py ROOT WORK_FOLDER TRIREME WRITE_TINY_RUN MPIEXEC
"""
import json
import os
import subprocess
import sys
import unittest

import timelines
from busy_machine import right_in_one
from report_support import ROOT, WORK, run_tests

sys.dont_write_bytecode = True
from timeline import chrome, reading, spans, sums  # noqa: E402

TRIREME, TINY, MPIEXEC = sys.argv[3:6]
del sys.argv[3:6]
LATE, AT = 1.5, 4  # seconds that rank 1 sleeps in a forward pass, in this step
LAYOUTS = {"data": (2, ["parallel.replicate=2"]), "zero": (2, ["parallel.shard=2", "parallel.zero=3"]), "tensor": (2, ["parallel.tensor=2"]),
           "pipeline": (2, ["parallel.pipeline=2"]), "pipeline-4": (4, ["parallel.pipeline=4"]),
           "pipeline-tensor": (4, ["parallel.pipeline=2", "parallel.tensor=2"]),
           "zero-bubble": (2, ["parallel.pipeline=2", "parallel.schedule=zero-bubble"]),
           "interleaved": (2, ["parallel.pipeline=2", "parallel.schedule=interleaved", "parallel.virtual_stages=2"])}


def train(name, ranks, *settings, fault=""):
    words = [word for s in (f"run={WORK / name}", "log.every=1", "log.trace_steps=3", "train.steps=8", "guard.sensitivity=off",
                            "batch.tokens_per_micro_batch=12", *settings) for word in ("--set", s)]
    done = subprocess.run([MPIEXEC, "-n", str(ranks), TRIREME, "train", str(WORK / "run.yaml"), *words], capture_output=True, text=True,
                          env=os.environ | {"TRIREME_FAULT": fault}, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not fault or "fault fired" in done.stderr, done.stderr
    return WORK / name


def lanes_of(run):
    lanes, alone = spans.lanes_of(reading.read(str(run)))
    assert not alone, alone
    return lanes


class Profile(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        subprocess.run([TINY, str(WORK)], check=True, capture_output=True)

    def check_whole(self, lanes):
        for lane in lanes:
            self.assertEqual([step.number for step in lane.steps], [3, 4, 5])
            for step in lane.steps:
                found = sums.RankSums(lane, step)
                self.assertAlmostEqual(sum(found.own.values()) + found.waited(), found.seconds, delta=1e-3)

    def check_clocks(self, found):
        """The run's own clock of the same steps has the same means over the ranks."""
        lanes, events = found
        for step in range(3):
            ranks = sums.of_step(lanes, step)
            told = events[step + 3]
            for name in ("forward", "backward", "update"):
                mean = sum(r.own.get(name, 0.0) for r in ranks) / len(ranks)
                self.assertAlmostEqual(mean, told["phases"][name]["mean"], delta=0.1 * told["seconds"] + 2e-3)
            waited = sum(r.waited() for r in ranks) / len(ranks)
            self.assertAlmostEqual(waited, sum(part["mean"] for part in told["exposed"].values()), delta=0.1 * told["seconds"] + 2e-3)

    def check_arrows(self, name, lanes):
        arrows = timelines.check_trace(self, json.loads(chrome.of(lanes, {})))
        stages = 1 + max(lane.layout.get("pipeline", 0) for lane in lanes)
        crossings = sum(len([a for a in step.actions() if a.doing != "weight gradient"]) for lane in lanes for step in lane.steps)
        chunks = 2 if name == "interleaved" else 1
        ends = crossings * (stages * chunks - 1) // (stages * chunks)  # all parts but the last send on, all but the first back
        sent = [a for a in arrows.values() if a["s"]["name"].startswith("activation")]
        self.assertEqual(len(sent), ends if stages > 1 else 0)

    def traced(self, name, attempt):
        """(lanes, performance events by step) of a run of this layout, whose trace is whole."""
        ranks, layout = LAYOUTS[name]
        run = train(f"layout-{name}-{attempt}", ranks, *layout)
        lanes = lanes_of(run)
        self.assertEqual(len(lanes), ranks)
        self.check_whole(lanes)
        self.check_arrows(name, lanes)
        events = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        return lanes, {e["step"]: e for e in events if e["kind"] == "performance"}

    def test_every_layout_is_whole_and_well_formed(self):
        for name in LAYOUTS:
            with self.subTest(layout=name):
                right_in_one(lambda attempt: self.traced(name, attempt), self.check_clocks)

    def test_clocks_of_one_host_agree_within_the_error(self):
        run = train("clocks", 4, "parallel.replicate=4")
        for rank in reading.read(str(run)):
            for _, offset, error in json.loads((run / f"trace/rank-{rank.rank:05}.jsonl").read_text().splitlines()[0])["clocks"]:
                self.assertLessEqual(abs(offset), error + 1, "they have one clock")
                self.assertEqual(error > 0, rank.rank > 0)

    def check_late(self, name, lanes):
        index = [step.number for step in lanes[0].steps].index(AT)
        longest = max(((a.own(), lane.rank, a.doing) for lane in lanes for a in lane.steps[index].actions()))
        self.assertEqual(longest[1:], (1, "forward"))
        waits, late = sums.of_step(lanes, index)
        self.assertGreater(waits.late[name], 0.75 * LATE)
        self.assertEqual(max(waits.late, key=waits.late.get), name)
        self.assertLess(late.late[name], 0.5 * LATE)
        self.assertGreater(waits.late[name], waits.transfer[name], "the message was short, its sender late")

    def test_a_late_rank_is_found_where_it_was(self):
        fault = f"step/middle of forward:1:{AT - 1}:sleep={LATE}"
        for name in ("data", "zero", "tensor", "pipeline"):
            with self.subTest(axis=name):
                ranks, layout = LAYOUTS[name]
                right_in_one(lambda attempt: lanes_of(train(f"late-{name}-{attempt}", ranks, *layout, fault=fault)),
                             lambda lanes: self.check_late(name, lanes))

    def test_a_job_that_ends_early_leaves_what_there_is(self):
        run = WORK / "short"
        words = [word for s in (f"run={run}", "log.trace_steps=50", "log.trace_after=0", "train.steps=6", "guard.sensitivity=off") for word in ("--set", s)]
        subprocess.run([TRIREME, "train", str(WORK / "run.yaml"), *words], check=True, capture_output=True)
        self.assertEqual([step.number for step in lanes_of(run)[0].steps], [1, 2, 3, 4, 5, 6])

    def test_nothing_is_kept_where_nothing_is_asked_for(self):
        self.assertFalse((train("none", 1, "log.trace_steps=0") / "trace").exists())


if __name__ == "__main__":
    run_tests()
