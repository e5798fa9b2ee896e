"""Studies: the reader of STUDY.yaml, the cells and their cap, a study that is killed and goes on, and the report against the CSV.

    study_test.py ROOT WORK_FOLDER
"""
import contextlib
import csv
import io
import json
import os
import random
import re
import subprocess
import sys
import time
import unittest

from report_support import ROOT, WORK, refusal, run_tests
from study_recomputed import Recomputed
from study_support import STUDY, stand_in, write_study

from experiment.budget import check_cap
from experiment.files import write_pdf
from experiment.folder import Folder
from study import cells, settings


def study(path, *arguments, **environment):
    """(exit code, standard output, error) of the command, which Ctrl-C and kills of this test do not reach."""
    done = subprocess.run([sys.executable, "-I", str(ROOT / "launch/study.py"), str(path), *arguments], capture_output=True, text=True, cwd=WORK,
                          env={**os.environ, **environment})
    return done.returncode, done.stdout, done.stderr


MISTAKES = [  # (what is replaced, by what, the refusal after the file's name)
    ("where: local", "where: pbs", ":3: where: pbs: legal: local, slurm"),
    ("[1, 2, 4]", "[1, 4, 2]", ":4: nodes: a list: legal: a list of whole numbers from 1 to 100000, rising, as in [1, 2, 4]"),
    ("[1, 2, 4]", "[0]", ":4: nodes[0]: 0: legal: a list of whole numbers from 1 to 100000, rising, as in [1, 2, 4]"),
    ("[1, 2, 4]", "[1, 1]", ":4: nodes[1]: 1: legal: each value once"),
    ("[1, 2, 4]", "4", ":4: nodes: 4: legal: a list of whole numbers from 1 to 100000, rising, as in [1, 2, 4]"),
    ("[strong, weak]", "[stronk]", ":6: scaling[0]: stronk: legal: strong, weak"),
    ("steps: 60", "steps: 1e3", ":7: steps: 1e3: legal: a whole number from 2 to 1000000"),
    ("warmup: 10", "warmup: 60", ": warmup: 60: legal: less than steps, which is 60"),
    ("repeats: 3", "repeets: 3", ":9: repeets: no such key; did you mean repeats? legal: study, run, title, where, "),
    ("repeats: 3", "steps: 3", ":9: steps: is given twice; legal: once"),
    ("time: 0:01:00", "time: 0:61:00", ":10: time: 0:61:00: legal: MINUTES, H:MM:SS or D-HH:MM:SS, more than 0"),
    ("time: 0:01:00\n", "", ": time: missing; legal: MINUTES, H:MM:SS or D-HH:MM:SS"),
    ("node_hours: 10", "node_hours: .nan", ":11: node_hours: .nan: legal: a number > 0"),
    ("node_hours: 10", "node_hours: 0", ":11: node_hours: 0: legal: a number > 0"),
    ("  nodes: 4", "  nodes: 3", ": target.nodes: 3: legal: 1, 2, 4, the counts that are measured"),
    ("  restarts: 0.1", "  restarts: -1", ":18: target.restarts: -1: legal: a number >= 0"),
    ("  restarts: 0.1", "  layout: other", ": target.layout: other: legal: as_configured"),
    ("where: local", "where: slurm", ": site: missing; legal: with where: slurm, a file of configs/sites or the path of one"),
    ("where: local", "where: local\nsite: lumi-g", ": site: lumi-g: legal: with where: slurm"),
    ("where: local", "where: local\nset: [train.steps=3]", ":4: set[0]: train.steps=3: legal: keys but run, batch.global, "),
    ("where: local", "where: local\nset: [seed]", ":4: set[0]: seed: legal: KEY=VALUE, a key of `trireme explain-config --keys`"),
    ("where: local", "where: local\nlayouts: [{name: A-b}]", ":4: layouts[0].name: A-b: legal: small letters, digits and _, not _ first, at most 31"),
    ("where: local", "where: local\nlayouts: [{name: a}, {name: a, set: [seed=1]}]", ":4: layouts.name: a: legal: each name once"),
    ("where: local", "where: &a local", ":3: an anchor or alias (&name, *name); legal: plain values"),
    ("where: local", "where: !!str local", ":3: a tag (tag:yaml.org,2002:str); legal: plain values"),
    ("where: local", "where: [[[[[1]]]]]", ":3: nested deeper than the 4 levels that are legal"),
    ("where: local", "where: 'local", ": not YAML: "),
    ("where: local", "---\nwhere: local", ": a second document (after ---); legal: one"),
]


class Settings(unittest.TestCase):
    def test_each_mistake_is_one_line(self):
        for old, new, line in MISTAKES:
            with self.subTest(new=new):
                path = write_study("spoilt", lambda text: text.replace(old, new, 1))
                self.assertIn(new, path.read_text())
                found = refusal(settings.read_study, str(path))
                self.assertEqual(found.count("\n"), 1)
                self.assertTrue(re.sub(r"^(trireme: \S+?spoilt\.yaml)(:\d+)?(?=: (not YAML|a second))", r"\1", found).startswith(f"trireme: {path}{line}"), found)

    def test_what_is_no_study(self):
        for content, line in (("", "empty; legal: a mapping with study, run, "), ("- 1", "1: the study: a list: legal: a mapping of keys to values"),
                              ("a: \x00", "not YAML"), ("x" * 70_000, "70000 bytes, or no file; legal: a regular file of at most 65536 bytes")):
            path = WORK / "none.yaml"
            path.write_text(content)
            self.assertIn(line, refusal(settings.read_study, str(path)))
        path.write_bytes(b"study: \xff")
        self.assertIn("not UTF-8; legal: YAML in UTF-8", refusal(settings.read_study, str(path)))
        self.assertIn("No such file or directory; legal: a study, as YAML", refusal(settings.read_study, str(WORK / "nowhere.yaml")))

    def test_spoilt_at_random(self):
        """A study with bytes changed, doubled and left out is read, or refused in one line."""
        draw, path, refused = random.Random(5), WORK / "fuzz.yaml", 0
        whole = write_study("fuzz", lambda text: text + "layouts: [{name: a, set: [seed=1]}]\nset: ['x.y=1']\n").read_bytes()
        for _ in range(400):
            content = bytearray(whole)
            for _ in range(draw.randint(1, 4)):
                at = draw.randrange(len(content))
                content[at:at + draw.randint(0, 3)] = draw.choice((b"", b"\n", b": ", b"- ", b"[", b"}", b"'", b"-1", b"1e999", b"~", b"\xff", b"?", b"%", b"\t", b"9" * 30))
            path.write_bytes(content)
            error = io.StringIO()
            try:
                with contextlib.redirect_stderr(error):
                    settings.read_study(str(path))
            except SystemExit as end:
                self.assertEqual((end.code, error.getvalue().count("\n")), (2, 1), content)
                refused += 1
        self.assertGreater(refused, 200)

    def test_times(self):
        for text, seconds in (("5", 300), ("1:02:03", 3723), ("2-01:00:00", 176400), ("0", 0), ("1:60:00", 0), ("1:2:3", 0), ("-5", 0)):
            self.assertEqual(settings.seconds_of(text), seconds, text)


class Cells(unittest.TestCase):
    def read(self, change=lambda text: text):
        return settings.read_study(str(write_study("cells", change)))

    def test_what_is_common_is_run_once(self):
        found = cells.cells_of(self.read(), 8)
        self.assertEqual([c.name for c in found[:5]], [f"as_configured-{name}-r1" for name in ("n1-b8", "n2-b8", "n4-b8", "n2-b16", "n4-b32")])
        self.assertEqual([c.scaling for c in found[:5]], ["strong weak", "strong", "strong", "weak", "weak"])
        self.assertEqual([c.repeat for c in found], [1] * 5 + [2] * 5 + [3] * 5)
        self.assertIn("train.steps=60", found[0].set)

    def test_weak_scaling_needs_whole_samples(self):
        read = self.read(lambda text: text.replace("[1, 2, 4]", "[2, 3, 4]"))
        self.assertIn("nodes: 3: legal: with weak scaling from 2 nodes and batch.global 7", refusal(cells.cells_of, read, 7))

    def test_the_examples_are_within_their_caps(self):
        for path in sorted((ROOT / "configs/studies").glob("*.yaml")):
            read = settings.read_study(str(path))
            check_cap(read, 0, cells.cells_of(read, 32))

    def test_cap(self):
        read = self.read(lambda text: text.replace("node_hours: 10", "node_hours: 0.65"))
        remaining = cells.cells_of(read, 8)  # (1 + 2 + 4 + 2 + 4) x 3 nodes for a minute each: 0.65 node-hours
        check_cap(read, 0, remaining)
        self.assertIn("node_hours: 0.65: legal: at least 0.75: 0.1 used so far and 15 cells on 39 nodes in all for at most 0:01:00 each",
                      refusal(check_cap, read, 0.1, remaining))


class Whole(Recomputed, unittest.TestCase):
    """A study with a failed and a slow cell, killed in the middle and gone on with."""

    SLOW, FAIL, DIE = "as_configured-n2-b8-r2", "as_configured-n4-b32-r1", "as_configured-n2-b16-r2"

    @classmethod
    def setUpClass(cls):
        stand_in()
        cls.path = write_study("whole")
        environment = {"STANDIN_SLOW": cls.SLOW, "STANDIN_FAIL": cls.FAIL}
        cls.killed = study(cls.path, **environment, STANDIN_DIE=cls.DIE)
        cls.before = {p: p.read_bytes() for p in WORK.glob("whole/cells/*/attempt-1/result.json")}
        cls.resumed = study(cls.path, **environment)
        assert cls.resumed[0] == 0, (cls.killed, cls.resumed)
        cls.read_tables(WORK / "whole", flop_of_a_token=6 * 20304, peak=1e10, warmup=10)

    def test_killed_and_resumed(self):
        self.assertEqual(self.killed[0], -9, self.killed)
        self.assertEqual(len(self.before), 8)
        self.assertEqual(self.resumed[0], 0, self.resumed)
        self.assertEqual({p: p.read_bytes() for p in self.before}, self.before, "nothing is run twice, and no result is lost")
        attempts = {row["cell"]: row["attempt"] for row in self.cells}
        self.assertEqual([cell for cell, attempt in attempts.items() if attempt != "1"], [self.DIE])
        self.assertEqual(json.loads((WORK / f"whole/cells/{self.DIE}/attempt-1/result.json").read_text())["state"], "interrupted")
        code, output, _ = study(self.path, "--dry-run")
        self.assertEqual((code, "\n0 of 15 cells to run, at most 0 node-hours" in output), (0, True), output)

    def test_a_failed_cell_is_kept_and_shown(self):
        row = next(row for row in self.cells if row["cell"] == self.FAIL)
        self.assertEqual((row["state"], row["reason"]), ("failed", "exit code 1: out of memory on purpose"))
        self.assertIn("failed: exit code 1: out of memory on purpose", (WORK / "whole/report.html").read_text())

    def test_a_slow_cell_is_flagged(self):
        self.assertEqual([row["cell"] for row in self.cells if row["flagged"] == "True"], [self.SLOW])
        line = next(line for line in self.summary if (line["scaling"], line["nodes"]) == ("strong", "2"))
        self.assertEqual((line["repeats"], line["flagged"]), ("2", "1"))
        self.assertAlmostEqual(float(line["step_s"]), 0.06, places=6)

    def test_other_settings_are_refused(self):
        path = write_study("whole", lambda text: text.replace("steps: 60", "steps: 70"))
        code, _, error = study(path)
        write_study("whole")
        self.assertEqual((code, error), (2, f"trireme: {path}: steps: 70: legal: 60, with which whole was begun, or another folder (study)\n"))

    def test_over_the_cap_nothing_is_written(self):
        path = write_study("capped", lambda text: text.replace("node_hours: 10", "node_hours: 0.5"))
        code, _, error = study(path)
        self.assertEqual((code, (WORK / "capped").exists()), (2, False))
        self.assertIn("node_hours: 0.5: legal: at least 0.65: 15 cells on 39 nodes in all", error)

    def test_dry_run_writes_nothing(self):
        path = write_study("dry")
        code, output, _ = study(path, "--dry-run")
        self.assertEqual((code, (WORK / "dry").exists()), (0, False))
        self.assertIn("15 of 15 cells to run, at most 0.65 node-hours; 0 used so far; the cap is 10", output)

    def test_a_job_is_found_again_whose_id_was_not_written_down(self):
        path = write_study("slurm", lambda text: text.replace("where: local", "where: slurm\nsite: generic").replace("[1, 2, 4]", "[1, 2]")
                           .replace("[strong, weak]", "[strong]").replace("repeats: 3", "repeats: 1").replace("  nodes: 4", "  nodes: 2"))
        second = "as_configured-n2-b8-r1"
        code, *_ = study(path, STANDIN_DIE_SUBMITTED=second)
        attempt = WORK / f"slurm/cells/{second}/attempt-1"
        self.assertEqual((code, (attempt / "job.json").exists(), (attempt / "started.json").exists()), (-9, False, True))
        code, output, error = study(path)
        self.assertEqual((code, (WORK / "bin/jobs").read_text()), (0, "102\n"), output + error)
        with open(WORK / "slurm/cells.csv", newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        self.assertEqual([(row["state"], row["job_id"], row["attempt"], row["elapsed_s"], row["energy_j"]) for row in rows],
                         [("ok", "101", "1", "30.0", "5000"), ("ok", "102", "1", "30.0", "5000")])

    def test_a_cell_past_its_time_has_failed(self):
        path = write_study("late", lambda text: text.replace("time: 0:01:00", "time: 0:00:01"))
        cell = "as_configured-n1-b8-r1"
        code, output, _ = study(path, "--cell", cell, STANDIN_HANG=cell)
        self.assertEqual((code, output.splitlines()[-1]), (0, f"cell {cell} state=failed"))
        self.assertIn("took longer than 0:00:01", (WORK / f"late/cells/{cell}/attempt-1/result.json").read_text())

    def test_stopped_by_a_signal(self):
        """TERM ends the cell that runs; the same command goes on with it."""
        path, cell = write_study("stopped"), "as_configured-n1-b8-r1"
        attempt = WORK / f"stopped/cells/{cell}/attempt-1"
        background = ["sh", "-c", "trap '' INT; exec \"$@\"", "sh"]  # as a shell starts what it does not wait for
        process = subprocess.Popen([*background, sys.executable, "-I", str(ROOT / "launch/study.py"), str(path)], cwd=WORK, text=True, stderr=subprocess.PIPE,
                                   stdout=subprocess.DEVNULL, env={**os.environ, "STANDIN_HANG": cell})
        while "pid" not in (json.loads((attempt / "started.json").read_text()) if (attempt / "started.json").exists() else {}):
            time.sleep(0.05)
        process.terminate()
        _, error = process.communicate()
        self.assertEqual((process.returncode, error), (85, "trireme: stopped; the same command goes on (what is there: stopped)\n"))
        self.assertEqual(json.loads((attempt / "result.json").read_text())["state"], "interrupted")
        code, output, _ = study(path, "--cell", cell)
        self.assertEqual((code, "state=ok" in output), (0, True))

    def test_one_cell_says_one_line(self):
        code, output, _ = study(write_study("one"), "--cell", "as_configured-n2-b8-r2")
        self.assertEqual(code, 0)
        self.assertEqual(output.splitlines()[-1].split("startup_s")[0],
                         "cell as_configured-n2-b8-r2 state=ok step_s=0.06 tokens_per_s=1333.33 tokens_per_s_per_rank=666.667 ")

    def test_the_page_has_the_numbers_of_the_csv(self):
        from report.numbers import shown
        page = (WORK / "whole/report.html").read_text()
        latex = (WORK / "whole/study.tex").read_text()
        for line in self.summary:
            for name, form in (("speedup", "number"), ("efficiency", "percent"), ("tokens_per_s", "number"), ("step_s", "seconds"), ("wall_s", "seconds")):
                text = shown(float(line[name]), form)
                self.assertIn(f"<bdi>{text}</bdi>", page, name)
                self.assertIn(text.replace("\u00a0", "~").replace("%", r"\%"), latex, name)

    def test_without_weasyprint_one_line_says_so(self):
        from unittest import mock

        lines = []
        with mock.patch.dict(sys.modules, weasyprint=None):
            write_pdf(Folder(WORK / "nowhere", "study"), b"<p>", lines.append)
        self.assertRegex(lines[0], r"^report\.pdf: not made: WeasyPrint is missing \(.*\); get it with: launch/setup --tests, or pip install weasyprint$")
        self.assertEqual(len(lines), 1)

    def test_files_for_other_tools(self):
        import yaml
        jube = yaml.safe_load((WORK / "whole/jube.yaml").read_text())
        self.assertEqual(jube["parameterset"]["parameter"]["_"].split(","), [row["cell"] for row in self.cells])
        compile((WORK / "whole/reframe_study.py").read_text(), "reframe_study.py", "exec")
        lines = [json.loads(line.removeprefix(":::MLLOG ")) for line in (WORK / "whole/mlperf.log").read_text().splitlines()]
        stops = [line for line in lines if line["key"] == "run_stop"]
        self.assertEqual(len(stops), sum(row["state"] == "ok" for row in self.cells))
        self.assertTrue(all({"namespace", "time_ms", "event_type", "key", "value", "metadata"} == set(line) for line in lines))


if __name__ == "__main__":
    assert "{folder}" in STUDY
    run_tests()
