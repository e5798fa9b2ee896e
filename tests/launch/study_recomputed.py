"""Every number of a study's summary, fits and cost again, by formulas of their own, from cells.csv and steps.csv alone."""
import csv
import math
import statistics


class Recomputed:
    """Tests of a study of one layout over 1, 2 and 4 nodes, strong and weak; its target is 1e9 tokens on 4 nodes of 4 GPUs and 16 cores,
    with 0.1 for restarts. Beside unittest.TestCase."""

    @classmethod
    def read_tables(cls, folder, flop_of_a_token, peak, warmup):
        cls.folder, cls.flop, cls.peak, cls.warmup = folder, flop_of_a_token, peak, warmup
        cls.cells, cls.summary = cls.table("cells.csv"), cls.table("summary.csv")

    @classmethod
    def table(cls, name):
        with open(cls.folder / name, newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    def good(self, line):
        return [row for row in self.cells if line["scaling"] in row["scaling"].split() and row["layout"] == line["layout"]
                and row["nodes"] == line["nodes"] and row["state"] == "ok" and row["flagged"] == "False"]

    def same(self, text, value, name):
        self.assertAlmostEqual(float(text) / value, 1, places=9, msg=name)

    def test_cells_from_steps(self):
        steps = self.table("steps.csv")
        for row in (row for row in self.cells if row["state"] == "ok"):
            mine = [step for step in steps if step["cell"] == row["cell"] and int(step["step"]) > self.warmup]
            seconds, tokens = [float(s["seconds"]) for s in mine], sum(int(s["tokens"]) for s in mine)
            wall = math.fsum(seconds)
            self.assertEqual(int(row["steps"]), len(mine))
            for name, value in (("wall_s", wall), ("step_s", wall / len(mine)), ("tokens", tokens), ("tokens_per_s", tokens / wall),
                                ("tokens_per_s_per_rank", tokens / wall / int(row["ranks"])), ("step_median_s", statistics.median(seconds))):
                self.same(row[name], value, name)
            for name, part in (("data_share", float(row["load_s"])),
                               ("waiting_share", float(row["logged_s"]) - sum(float(row[f"{p}_s"]) for p in ("load", "compute", "norm", "update")))):
                self.same(row[name], part / float(row["logged_s"]), name)

    def test_summary_from_cells(self):
        for line in self.summary:
            good, base = self.good(line), self.good({**line, "nodes": "1"})
            rate = statistics.mean(float(row["tokens_per_s"]) for row in good)
            first = statistics.mean(float(row["tokens_per_s"]) for row in base)
            speedup = rate / first
            for name, value in (("tokens_per_s", rate), ("speedup", speedup), ("efficiency", speedup / int(line["nodes"])),
                                ("utilisation", rate / int(line["ranks"]) * self.flop / self.peak)):
                self.same(line[name], value, name)
            everyone = [[float(row["tokens_per_s"]) for row in self.cells if row["state"] == "ok" and line["scaling"] in row["scaling"].split()
                         and row["nodes"] == nodes] for nodes in (line["nodes"], "1")]
            self.same(line["efficiency_all"], statistics.mean(everyone[0]) / statistics.mean(everyone[1]) / int(line["nodes"]), "efficiency_all")
            for name in ("wall_s", "step_s", "step_median_s", "step_p5_s", "step_p95_s", "data_share", "waiting_share", "warmup_s"):
                self.same(line[name], statistics.mean(float(row[name]) for row in good), name)
            self.assertEqual(line["verdict"], "base" if line["nodes"] == "1" else "pass" if speedup / int(line["nodes"]) >= 0.75 else "fail")
            if len(good) == 1:
                self.assertEqual(line["step_half_s"], "", "one repeat has no interval")
                continue
            half = {2: 12.706205, 3: 4.302653}[len(good)] * statistics.stdev(float(row["step_s"]) for row in good) / math.sqrt(len(good))
            self.assertAlmostEqual(float(line["step_half_s"]) / half, 1, places=6)

    def test_fits_and_cost_from_the_summary(self):
        found = {(fit["scaling"], fit["law"]): fit for fit in self.table("fits.csv")}
        self.assertEqual(len(found), 4)
        times = {int(line["nodes"]): float(line["step_s"]) for line in self.summary if line["scaling"] == "strong"}
        fit = found["strong", "amdahl"]
        serial, divided = float(fit["serial_s"]), float(fit["parallel_s"])
        # At the least squares of relative residuals a derivative vanishes, or its coefficient is at its bound of 0 and it is positive.
        for coefficient, weight in ((serial, lambda n: 1), (divided, lambda n: 1 / n)):
            slope = sum(((serial + divided / n) / t - 1) * weight(n) / t for n, t in times.items())
            self.assertTrue(abs(slope) < 1e-9 * len(times) / min(times.values()) or coefficient == 0 and slope > 0, (fit, slope))
        self.same(fit["serial_fraction"], serial / (serial + divided), "serial_fraction")
        cost = self.table("cost.csv")[0]
        rate = next(float(line["tokens_per_s"]) for line in self.summary if (line["scaling"], line["nodes"]) == ("weak", "4"))
        hours = 1e9 / rate / 3600 * 1.1
        for name, value in (("hours", hours), ("node_hours", 4 * hours), ("gpu_hours", 16 * hours), ("core_hours", 64 * hours), ("flop", 1e9 * self.flop)):
            self.same(cost[name], value, name)
