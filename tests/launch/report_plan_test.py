"""Reports on plans: the front against a search by hand, the picture, refusals.

    report_plan_test.py ROOT WORK_FOLDER
"""
import random
import unittest

from report_support import ROOT, WORK, refusal, report, run_tests, save

from report import plan, schema

LAYOUT = {"pipeline": 4, "replicate": 1, "shard": 8, "tensor": 2, "zero": 1, "schedule": "interleaved", "virtual_stages": 2, "recompute": "full",
          "offload": "none", "micro_batch_samples": 1, "micro_steps": 8, "fits": "yes", "step_s": 2, "tokens_per_s": 1000, "compute_s": 1.5,
          "tensor_s": 0.1, "pipeline_s": 0.1, "bubble_s": 0.2, "data_parallel_s": 0.05, "optimizer_s": 0.05, "weights_bytes": 1e9,
          "gradients_bytes": 2e9, "optimizer_bytes": 3e9, "activations_bytes": 4e9, "buffers_bytes": 0, "data_bytes": 0,
          "library_bytes": 1.5e9, "peak_bytes": 11.5e9, "fullest_stage": 0}


def csv_of(*changes):
    rows = [LAYOUT | change for change in changes]
    return "\n".join([",".join(LAYOUT), *(",".join(str(value) for value in row.values()) for row in rows)]) + "\n"


class Plans(unittest.TestCase):
    def test_columns_are_those_that_the_program_writes(self):
        source = (ROOT / "framework/planning/plan_report.cpp").read_text()
        titles = source[source.index("std::string to_csv"):].replace('"\n        "', "")
        for name in plan.COLUMNS:
            self.assertRegex(titles, rf'[",]{name}[,\\]')
        self.assertEqual(set(plan.COLUMNS), set(LAYOUT))

    def test_front_is_that_of_all_pairs(self):
        generator = random.Random(7)
        layouts = [{"step_s": generator.randint(1, 30), "peak_bytes": generator.randint(1, 30)} for _ in range(200)]
        best = {(a["step_s"], a["peak_bytes"]) for a in layouts
                if not any(b != a and b["step_s"] <= a["step_s"] and b["peak_bytes"] <= a["peak_bytes"] for b in layouts)}
        found = [(row["step_s"], row["peak_bytes"]) for row in plan.front_of(layouts)]
        self.assertEqual(set(found), best)
        self.assertEqual(found, sorted(found))

    def test_page_shows_front_parts_and_memory(self):
        path = save("layouts.csv", csv_of({}, {"step_s": 3, "peak_bytes": 5e9, "zero": 3}, {"step_s": 4, "peak_bytes": 20e9}, {"fits": "no", "peak_bytes": 1e12}))
        document = plan.document_of(str(path), None)
        schema.check(document, "plan")
        self.assertIn("3 of 4 layouts fit, 2 of them on the front", document["summary"])
        picture, front, layouts = document["sections"][0]["blocks"]
        self.assertEqual([series["x"] for series in picture["series"]], [[20], [11.5, 5]])
        self.assertEqual(front["rows"][0][:5], ["1", 2, 11.5, 1000, 0.75])
        self.assertEqual(layouts["rows"][0][1], "tensor 2, pipeline 4 (interleaved x 2), replicate 1, shard 8, zero 1, recompute full, micro-batch 1")
        self.assertEqual(document["sections"][1]["blocks"][0]["rows"][0], ["1", 11.5, 1, 2, 3, 4, 0, 0, 1.5, 0])
        self.assertEqual(report("--plan", path, "--output", "plan.html", "--force"), (0, "plan.html\n", ""))
        page = (WORK / "plan.html").read_text()
        self.assertIn("<svg", page)
        self.assertNotIn("<script", page)

    def test_other_files_are_refused(self):
        self.assertIn("no such column; legal: CSV file that `trireme plan --csv` wrote", refusal(plan.document_of, str(save("no.csv", "a,b\n1,2\n")), None))
        self.assertIn(":2: step_s: inf: legal: a number of 0 or more", refusal(plan.document_of, str(save("inf.csv", csv_of({"step_s": "inf"}))), None))
        self.assertIn("no layout fits", refusal(plan.document_of, str(save("none.csv", csv_of({"fits": "no"}))), None))
        self.assertIn("No such file", refusal(plan.document_of, "none-there.csv", None))
        path = save("good.csv", csv_of({}))
        self.assertEqual(report("--plan", path, "--run", "r", "--output", "x.html")[::2], (2, "trireme: --run: r: legal: without --plan\n"))


if __name__ == "__main__":
    run_tests()
