"""The judgement of predictions of published rows: the split, medians of tables, out of memory, choices.

    judge_plan_test.py ROOT WORK_FOLDER
"""
import hashlib
import json
import math
import subprocess
import sys
import unittest

from report_support import ROOT, run_tests, save

sys.path.insert(0, str(ROOT / "bench"))
import judge_plan


def groups(fitted, count):
    """Names whose SHA-256 begins with a byte that 3 divides, or does not."""
    names = (f"group-{i}" for i in range(1000))
    return [name for name in names if (int(hashlib.sha256(name.encode()).hexdigest()[:2], 16) % 3 == 0) == fitted][:count]


def row(name, group, measured, usable=("time",)):
    return {"id": name, "table": name.split(":")[0], "group": group, "usable": list(usable),
            "measured": {"step_s": measured, "oom": measured is None, "mem_alloc_GB": None, "mem_reserved_GB": None}}


def said(rows, predictions):
    """Returns what the program prints; predictions: {id: (seconds, fits)}."""
    path = save("rows.jsonl", "".join(json.dumps(one) + "\n" for one in rows))
    lines = [f"{name},{seconds},,,{'true' if fits else 'false'}" for name, (seconds, fits) in predictions.items()]
    found = save("predictions.csv", "\n".join(["id,step_s,mem_alloc_GB,mem_reserved_GB,fits", *lines]) + "\n")
    return subprocess.run([sys.executable, ROOT / "bench/judge_plan.py", path, found], capture_output=True, text=True, check=True).stdout


class Judgement(unittest.TestCase):
    def test_split_is_that_of_the_hash_of_groups(self):
        self.assertTrue(all(map(judge_plan.is_fitted, groups(True, 20))))
        self.assertFalse(any(map(judge_plan.is_fitted, groups(False, 20))))

    def test_errors_are_medians_by_table_and_split(self):
        fit, judged = groups(True, 1)[0], groups(False, 1)[0]
        rows = [row("a:1", fit, 1), *(row(f"a:{i}", judged, 1) for i in (2, 3, 4)), row("b:1", judged, 1)]
        ratios = {"a:1": 0.5, "a:2": 0.1, "a:3": -0.2, "a:4": 0.9, "b:1": 0.4}
        text = said(rows, {name: (math.exp(error), True) for name, error in ratios.items()})
        self.assertRegex(text, r"a +1 +50\.0 % +3 +20\.0 %")
        self.assertRegex(text, r"b +0 +- +1 +40\.0 %")
        self.assertIn("median of the medians, judged: 30.0 %; all judged rows: mean 40.0 %", text)

    def test_out_of_memory_and_choices_are_of_judged_groups(self):
        fit, judged = groups(True, 1)[0], groups(False, 1)[0]
        both = ("oom", "layout_choice")
        rows = [row("a:1", judged, 2.0, both), row("a:2", judged, 1.0, both), row("a:3", judged, 3.0, both),
                row("a:4", judged, None, ("oom",)), row("a:5", judged, None, ("oom",)), row("a:6", fit, None, ("oom",))]
        text = said(rows, {"a:1": (1, True), "a:2": (2, True), "a:3": (3, False), "a:4": (4, False), "a:5": (5, True), "a:6": (1, True)})
        self.assertIn("1 foretold, 1 missed, 1 false alarms: precision 0.500, recall 0.500", text)
        self.assertIn("1 groups, median regret 100.0 %, worst 100 %, 0 picked what did not fit", text)


if __name__ == "__main__":
    run_tests()
