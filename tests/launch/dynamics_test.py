"""Training dynamics: the reader of dynamics.bin, measures against loops of the test's own, the list and the page.

    dynamics_test.py ROOT WORK_FOLDER
"""
import csv
import json
import math
import random
import statistics
import subprocess
import sys
import unittest

import h5py
import numpy

from report_support import ROOT, WORK, Reader, refusal, run_tests

from dynamics import measures, records

SAMPLES, EPOCHS = 40, 6


def write_records(path, rows, samples=SAMPLES):
    head = b"trireme-dynamics" + (1).to_bytes(8, "little") + samples.to_bytes(8, "little")
    path.write_bytes(head + numpy.array(rows, records.RECORD).tobytes())


def made_up():
    """Visits in the order of a run: each epoch every sample once, four a step; sample 39 is never visited."""
    draw, rows, step = random.Random(4), [], 0
    for epoch in range(EPOCHS):
        order = list(range(SAMPLES - 1))
        draw.shuffle(order)
        for start in range(0, len(order), 4):
            step += 1
            for sample in sorted(order[start:start + 4]):
                hard = sample % 10 == 3
                loss = 2.5 + draw.random() if hard else draw.random() / (1 + epoch)
                rows.append((step, sample, loss, 1, int(loss < 0.69)))
    return rows


def write_run(name):
    """A run folder with its data."""
    run, data = WORK / name, WORK / f"{name}-data"
    run.mkdir()
    data.mkdir()
    write_records(run / "dynamics.bin", made_up())
    (run / "config.yaml").write_text(f"run: {run}\ndata:\n  path: {data}\n  train: train\n")
    shards = []
    for number, (first, end) in enumerate(((0, 25), (25, SAMPLES))):
        shards.append({"file": f"train-{number:05}.h5"})
        with h5py.File(data / shards[-1]["file"], "w") as file:
            file["columns/source_file/values"] = numpy.array([i % 2 for i in range(first, end)], "int32")
            file["columns/source_line/values"] = numpy.arange(first, end) + 1
            file["columns/label/values"] = numpy.array([i % 3 for i in range(first, end)], "int32")
    (data / "manifest.json").write_text(json.dumps({"labels": ["a", "b", "<c>"], "sources": ["x/one.jsonl", "two.csv"], "splits": {"train": {"shards": shards}}}))
    return run


def command(*arguments):
    done = subprocess.run([sys.executable, "-I", str(ROOT / "launch/dynamics.py"), *map(str, arguments)], capture_output=True, text=True, cwd=WORK, check=False)
    return done.returncode, done.stdout, done.stderr


class Measures(unittest.TestCase):
    def test_against_loops(self):
        """Definitions of Swayamdipta et al. 2020, section 2, and Toneva et al. 2019, section 3, sample by sample."""
        rows = made_up()
        found = measures.of(SAMPLES, numpy.array(rows, records.RECORD))
        for sample in range(SAMPLES - 1):
            mine = [row for row in rows if row[1] == sample]
            p = [math.exp(-row[2]) for row in mine]
            right = [row[4] for row in mine]
            self.assertEqual(found.visits[sample], EPOCHS)
            self.assertAlmostEqual(found.confidence[sample], statistics.mean(p), places=12)
            self.assertAlmostEqual(found.variability[sample], statistics.pstdev(p), places=12)
            self.assertAlmostEqual(found.correctness[sample], sum(right) / EPOCHS)
            self.assertEqual(found.forgotten[sample], sum(a == 1 and b == 0 for a, b in zip(right, right[1:])))
            self.assertAlmostEqual(found.last[sample], p[-1])
        self.assertEqual(found.visits[39], 0)
        self.assertTrue(numpy.isnan(found.confidence[39]))

    def test_tokens_have_their_geometric_mean(self):
        found = measures.of(1, numpy.array([(1, 0, 2.0, 4, 3), (2, 0, 4.0, 4, 4)], records.RECORD))
        self.assertAlmostEqual(found.confidence[0], (math.exp(-0.5) + math.exp(-1)) / 2)
        self.assertEqual(found.correctness[0], 0.5)

    def test_suspects_are_hard_and_mostly_wrong(self):
        found = measures.of(SAMPLES, numpy.array(made_up(), records.RECORD))
        self.assertEqual(sorted(measures.suspects(found, 0.2)), [3, 13, 23, 33])
        self.assertEqual(len(measures.least_confident(found, 0.2)), 8)

    def test_what_has_no_trained_label_is_no_visit(self):
        found = measures.of(2, numpy.array([(1, 0, 0.0, 0, 0), (1, 1, math.inf, 1, 0), (2, 1, 0.0, 1, 1)], records.RECORD))
        self.assertEqual(found.visits.tolist(), [0, 1])


class Records(unittest.TestCase):
    def test_what_is_refused(self):
        run = WORK / "bad"
        run.mkdir()
        path = run / "dynamics.bin"
        self.assertIn("No such file", refusal(records.read, str(run)))
        for content, line in ((b"x" * 64, "another format"), (b"", "another format"), (b"trireme-dynamics", "another format")):
            path.write_bytes(content)
            self.assertIn(line, refusal(records.read, str(run)))
        for rows, line in (([], "no step is in it"), ([(1, 40, 0.0, 1, 1)], "record 1: not of this run"), ([(2, 0, 0.0, 1, 1), (1, 0, 0.0, 1, 1)], "record 2: not of"),
                           ([(1, 0, 0.0, 1, 2)], "record 1: not of")):
            write_records(path, rows)
            self.assertIn(line, refusal(records.read, str(run)))

    def test_half_a_record_is_passed_over(self):
        run = WORK / "half"
        run.mkdir()
        write_records(run / "dynamics.bin", made_up())
        whole = records.read(str(run))[1]
        with open(run / "dynamics.bin", "ab") as file:
            file.write(b"x" * 9)
        self.assertTrue((records.read(str(run))[1] == whole).all())


class Page(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = write_run("run")
        cls.done = command(cls.folder, "--output", "page.html", "--skip-list", "wrong.txt", "--csv", "all.csv", "--share", "0.1")

    def test_list_names_rows(self):
        self.assertEqual(self.done[0], 0, self.done)
        lines = [line for line in (WORK / "wrong.txt").read_text().splitlines() if not line.startswith("#")]
        rows = [line.split("\t")[0] for line in lines]
        self.assertEqual(sorted(rows), ["two.csv:14", "two.csv:24", "two.csv:34", "two.csv:4"])
        self.assertIn("\tb\tconfidence 0.0", next(line for line in lines if line.startswith("two.csv:14")))

    def test_table_has_every_sample(self):
        with open(WORK / "all.csv", newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        self.assertEqual(len(rows), SAMPLES)
        self.assertEqual((rows[2]["row"], rows[2]["label"], rows[2]["visits"]), ("x/one.jsonl:3", "<c>", str(EPOCHS)))
        self.assertEqual((rows[39]["confidence"], rows[39]["visits"]), ("", "0"))

    def test_page(self):
        page = (WORK / "page.html").read_text()
        Reader(page)
        for text in ("Data map", "Forgetting events", "4 suspects", "&lt;c&gt;"):
            self.assertIn(text, page)

    def test_mistakes(self):
        for arguments, line in (((), "--output: missing"), ((self.folder, "--output", "x.txt"), "--output: x.txt: legal: a name that ends in .html"),
                                (("--output", "x.html"), "RUN: missing"), ((self.folder, "--output", "x.html", "--share", "2"), "--share: 2: legal: a number > 0 and <= 1"),
                                ((self.folder, "--output", "page.html"), "--output: page.html: exists already")):
            code, _, error = command(*arguments)
            self.assertEqual((code, error.count("\n")), (2, 1), error)
            self.assertIn(line, error)

    def test_another_split_is_refused(self):
        run = write_run("other")
        write_records(run / "dynamics.bin", [(1, 0, 0.0, 1, 1)], samples=41)
        code, _, error = command(run, "--output", "other.html")
        self.assertEqual(code, 2)
        self.assertIn("split train has 40 samples: legal: 41, with which", error)


if __name__ == "__main__":
    run_tests()
