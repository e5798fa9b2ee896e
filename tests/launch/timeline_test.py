"""`trireme profile` of traces that were written by hand (timelines.py): what it finds is what was put in.

    timeline_test.py ROOT WORK_FOLDER
"""
import contextlib
import io
import json
import re
import subprocess
import sys
import unittest

import timelines
from report_support import ROOT, WORK, run_tests

sys.dont_write_bytecode = True
from timeline import chrome, document, reading, spans, sums  # noqa: E402

FORWARD, BACKWARD, TRANSFER = 1_000_000, 2_000_000, 50_000


def profile(*arguments):
    done = subprocess.run([sys.executable, "-I", str(ROOT / "launch/timeline.py"), *map(str, arguments)], capture_output=True, text=True, cwd=WORK)
    return done.returncode, done.stdout, done.stderr


def fresh(name):
    path = WORK / name
    subprocess.run(["rm", "-rf", path], check=True)
    return path


def lanes_of(name, *arguments):
    ranks = timelines.run(*arguments)
    lanes, alone = spans.lanes_of(reading.read(str(timelines.write(fresh(name), ranks))))
    assert not alone, alone
    return ranks, lanes


class Sums(unittest.TestCase):
    def test_work_and_waits_are_those_put_in(self):
        ranks, lanes = lanes_of("known", 4, 8, FORWARD, BACKWARD, TRANSFER)
        for rank, lane in zip(ranks, lanes):
            found = sums.RankSums(lane, lane.steps[0])
            # to 1 us: a clock that runs fast is followed in whole nanoseconds
            for name, value in (("data", timelines.DATA), ("forward", 8 * FORWARD), ("backward", 8 * BACKWARD), ("update", timelines.UPDATE)):
                self.assertAlmostEqual(found.own[name] * 1e9, value, delta=1000)
            self.assertAlmostEqual((found.late["pipeline"] + found.transfer["pipeline"]) * 1e9, rank.waited, delta=1000)
            self.assertAlmostEqual(sum(found.own.values()) + found.waited(), found.seconds, delta=1e-6)
        # The last stage waits for its first activation: three forward passes and two transfers long until it is sent, then for its own.
        first = lanes[3].steps[0].actions()[0].waits[0]
        self.assertAlmostEqual(first.late(), 3 * FORWARD + 2 * TRANSFER, delta=100)
        self.assertAlmostEqual(first.end - first.begin - first.late(), TRANSFER, delta=100)
        # At the norm the last stage waits for the first, which ends last and for nobody.
        self.assertEqual(sums.RankSums(lanes[0], lanes[0].steps[0]).late["world"], 0)
        self.assertAlmostEqual(sums.RankSums(lanes[0], lanes[0].steps[0]).transfer["world"] * 1e9, timelines.MEET, delta=100)
        self.assertGreater(sums.RankSums(lanes[3], lanes[3].steps[0]).late["world"] * 1e9, 3 * BACKWARD - 100)

    def test_bubble_of_1f1b_is_the_papers(self):
        for stages, micro_steps in ((2, 4), (4, 8), (4, 3), (1, 5)):
            _, lanes = lanes_of("paper", stages, micro_steps, FORWARD, BACKWARD, 0)
            self.assertAlmostEqual(sums.idle(lanes, 0), (stages - 1) / (micro_steps + stages - 1), places=4)
            self.assertEqual(sums.ideal("1f1b", stages, micro_steps), (stages - 1) / (micro_steps + stages - 1))

    def test_the_ideal_is_that_of_the_step_which_is_shown(self):
        (_, lanes), (_, others) = (lanes_of("long", 4, 8, FORWARD, BACKWARD, 0), lanes_of("short", 4, 3, FORWARD, BACKWARD, 0))
        for lane, other in zip(lanes, others):
            lane.steps.append(other.steps[0])
        for index, said in ((0, "for 27.3% of the time"), (0, "27.3%: 4 stages, 8 micro-steps"), (1, "for 50.0% of the time"), (1, "50.0%: 4 stages, 3 micro-steps")):
            self.assertIn(said, document.idle_text(lanes, index))

    def test_a_slow_action_is_found_on_its_rank(self):
        ranks = timelines.run(2, 4, FORWARD, BACKWARD, TRANSFER)
        late = [e for e in ranks[1].events if e[0] == "place" and e[2] == "forward" and e[3] == 1 and e[5] == 1][0]
        folder = fresh("slow")
        for event in ranks[1].events[ranks[1].events.index(late):]:
            event[1] += 9_000_000  # stage 1, micro-step 1; what comes later on this rank comes later
        ranks[1].time += 9_000_000
        lanes, _ = spans.lanes_of(reading.read(str(timelines.write(folder, ranks))))
        longest = max((s for lane in lanes for s in lane.steps[0].actions()), key=lambda s: s.own())
        self.assertIn(longest, lanes[1].steps[0].spans)
        self.assertEqual((longest.doing, longest.micro_step), ("forward", 1))


class Chrome(unittest.TestCase):
    def test_slices_nest_and_every_send_has_its_receive(self):
        for stages, micro_steps in ((2, 4), (4, 8)):
            _, lanes = lanes_of("chrome", stages, micro_steps, FORWARD, BACKWARD, TRANSFER)
            document = json.loads(chrome.of(lanes, {}))
            arrows = timelines.check_trace(self, document)
            self.assertEqual(len(arrows), 2 * (stages - 1) * micro_steps)
            for arrow in arrows.values():
                self.assertGreaterEqual(arrow["f"]["ts"] - arrow["s"]["ts"], TRANSFER / 1000 - 0.002)
            names = [e["args"]["name"] for e in document["traceEvents"] if e["name"] == "process_name"]
            self.assertEqual(names, [f"rank {r} on node (pipeline {r})" for r in range(stages)])

    def test_clocks_are_one(self):
        _, lanes = lanes_of("clocks", 4, 8, FORWARD, BACKWARD, TRANSFER)
        begins = [lane.steps[0].begin for lane in lanes]
        self.assertLess(max(begins) - min(begins), 10, "all began at one time, by clocks that differed by up to 21 ms")

    def test_a_message_without_its_other_end_is_told(self):
        ranks = timelines.run(2, 2, FORWARD, BACKWARD, TRANSFER)
        ranks[1].events = [e for e in ranks[1].events if not (e[0] == "send" and e[3] == 1)]
        timelines.write(fresh("alone"), ranks)
        code, out, err = profile("alone", "--output", "alone.html", "--force")
        self.assertEqual((code, err), (0, ""))
        self.assertIn("1 messages have one end in the trace only", (WORK / "alone.html").read_text())


class Command(unittest.TestCase):
    def test_files(self):
        timelines.write(fresh("run"), timelines.run(4, 8, FORWARD, BACKWARD, TRANSFER))
        outputs = [fresh(name) for name in ("out.json", "out.svg", "out.html")]
        code, out, err = profile("run", *(word for path in outputs for word in ("--output", path)))
        self.assertEqual((code, err), (0, ""))
        self.assertEqual(out.splitlines()[-3:], [str(path) for path in outputs])
        self.assertRegex(out, r"forward +8\.00 +8\.00 +8\.00 +8\.00\n")
        self.assertIn("it were 27.3%: 4 stages, 8 micro-steps, 1f1b.", out)
        self.assertIn("Clocks of the ranks agree within 0.9 \u00b5s.", out)
        timelines.check_trace(self, json.loads(outputs[0].read_text()))
        svg = outputs[1].read_text()
        self.assertEqual(len(re.findall(r">7</text>", svg)), 8, "micro-step 7, forward and backward of 4 stages")
        self.assertIn("prefers-color-scheme: dark", svg)
        self.assertEqual(profile("run", "--output", "out.json")[0], 2, "is there already")

    def refused(self, line, *arguments):
        code, out, err = profile(*arguments)
        self.assertEqual((code, out, err), (2, "", f"trireme: {line}\n"))

    def test_refusals(self):
        legal = "what `trireme train --set log.trace_steps=N` wrote"
        self.refused("RUN: missing; legal: folder of a run that was trained with log.trace_steps")
        fresh("empty").mkdir()
        self.refused(f"empty/trace: holds no trace; legal: {legal}", "empty")
        timelines.write(fresh("run"), timelines.run(2, 2, FORWARD, BACKWARD, TRANSFER))
        self.refused("--output: a.txt: legal: names that end in .json (trace for Perfetto), .svg (picture of the schedule) or .html (page)",
                     "run", "--output", "a.txt")
        self.refused("--step: 9: legal: 3", "run", "--step", "9")
        self.refused("--step: x: legal: 3", "run", "--step", "x")
        (WORK / "run/trace/rank-00001.jsonl").unlink()
        self.refused("run/trace: holds ranks 0 of 2: legal: all ranks of one job", "run")

    def test_spoilt_lines(self):
        legal = "what `trireme train --set log.trace_steps=N` wrote"
        ranks = timelines.run(2, 2, FORWARD, BACKWARD, TRANSFER)
        path = timelines.write(fresh("spoilt"), ranks) / "trace/rank-00000.jsonl"
        good = path.read_text().splitlines()
        name = "spoilt/trace/rank-00000.jsonl"
        for line, at, message in (('{"format": "x"}', 0, f':1: legal: "format": "trireme-trace", "version": 1, {legal}'), ("[", 3, f":4: not JSON; legal: {legal}"),
                                  ('["place",5]', 3, f':4: ["place",5]: legal: {legal}'), ('["stepped",1]', 5, ":6: 1: legal: times that do not fall"),
                                  ('["wait",99999999,7,0]', 9, f":10: a number of a group or a name that line 1 does not have: legal: {legal}")):
            path.write_text("\n".join([*good[:at], line, *good[at + 1:]]) + "\n")
            self.refused(name + message, "spoilt")
        timelines.write(WORK / "spoilt", ranks, clocks=[])
        self.refused(f"{name}:1: clocks: legal: {legal}", "spoilt")
        timelines.write(WORK / "spoilt", ranks, rank=5)
        self.refused(f"{name}:1: rank: 5: legal: from 0 to 1, of at most 100000 ranks", "spoilt")

    def test_random_damage_is_refused_in_one_line_or_shown(self):
        import random
        draw = random.Random(1)
        ranks = timelines.run(2, 2, FORWARD, BACKWARD, TRANSFER)
        path = timelines.write(fresh("damaged"), ranks) / "trace/rank-00000.jsonl"
        good = path.read_bytes()
        for _ in range(300):
            data = bytearray(good)
            for _ in range(draw.randint(1, 4)):
                data[draw.randrange(len(data))] = draw.randrange(256)
            path.write_bytes(data)
            shown = io.StringIO()
            with contextlib.redirect_stderr(shown):
                try:
                    lanes, _ = spans.lanes_of(reading.read(str(WORK / "damaged")))
                    if all(lane.steps for lane in lanes):
                        sums.means(lanes), chrome.of(lanes, {})
                except SystemExit as ended:
                    self.assertEqual(ended.code, 2)
                    self.assertEqual(shown.getvalue().count("\n"), 1, shown.getvalue())


if __name__ == "__main__":
    run_tests()
