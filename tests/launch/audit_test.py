"""`trireme audit` on planted faults, on a clean control, and on mistakes.

    audit_test.py TRIREME ROOT WORK_FOLDER
"""
import json
import pathlib
import random
import re
import shutil
import subprocess
import sys
import unittest

import audit_faults

TRIREME, ROOT, WORK = sys.argv[1], pathlib.Path(sys.argv[2]).resolve(), pathlib.Path(sys.argv[3]).resolve()
TOKENIZER = ROOT / "tests/golden/tokenizer"
CLASSES = ("--task", "classification", "--label", "label")


def audit(name, *arguments):
    """(exit code, standard output, standard error, JSON or None)"""
    page, found = WORK / f"{name}.html", WORK / f"{name}.json"
    done = subprocess.run([TRIREME, "audit", "--output", page, "--json", found, *map(str, arguments)], capture_output=True, text=True, cwd=WORK)
    return done.returncode, done.stdout, done.stderr, json.loads(found.read_text()) if found.exists() else None


def save(name, rows):
    path = WORK / name
    path.write_text(rows if isinstance(rows, str) else "".join(json.dumps(row) + "\n" for row in rows))
    return path


def finding(found, name):
    return next((f for f in found["findings"] if f["name"] == name), None)


class Faults(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = WORK / "planted"
        cls.folder.mkdir()
        draw = random.Random(3)
        cls.planted = audit_faults.plant(cls.folder, audit_faults.made_up(ROOT, 4000, draw), draw)
        cls.code, cls.output, cls.error, cls.found = audit(
            "planted", *CLASSES, "--train", cls.folder / "train.jsonl", "--test", cls.folder / "test.jsonl",
            "--groups", cls.folder / "groups.json", "--fix", WORK / "cleaned")
        assert cls.code == 1, (cls.code, cls.error)
        cls.drops = [json.loads(line) for line in (WORK / "cleaned/drops.jsonl").read_text().splitlines()]

    def test_what_is_planted_is_found_and_little_else(self):
        least = {"near-duplicates": 0.9, "near-leaks": 0.95, "flipped-labels": 0.7}
        for name, (planted, hit, found) in audit_faults.judged(self.planted, self.found).items():
            with self.subTest(name, planted=planted, hit=hit, found=found):
                self.assertGreaterEqual(hit, least.get(name, 1) * planted)
                self.assertGreaterEqual(hit, 0.95 * found)
        self.assertGreater(len(self.planted), 15)

    def test_classes_and_groups(self):
        self.assertIn("class-2", finding(self.found, "class-balance")["examples"][0]["value"])
        missing = [e["value"] for e in finding(self.found, "missing-groups")["examples"]]
        self.assertEqual(missing, [f"{g}: no row of {s}" for g in ("absent", "region") for s in ("train", "test")])
        self.assertEqual(self.found["groups"]["present"]["train"], self.found["splits"]["train"] - 2)  # French has neither word

    def test_no_value_is_shown_whole(self):
        texts = json.dumps(self.found, ensure_ascii=False) + (WORK / "planted.html").read_text() + self.output
        for value in ("jane.doe", "4111 1111", "901820", "WEST 1234", "93.184.216.34", "9217.0769"):
            self.assertNotIn(value, texts)

    def test_the_copy_lacks_what_is_dropped_and_is_clean(self):
        dropped = {(pathlib.Path(d["file"]).name, d["line"]) for d in self.drops}
        for name in ("exact-duplicates", "leaks", "conflicting-labels"):
            self.assertLessEqual({tuple(p) for p in self.planted[name]}, dropped, name)
        for name in ("train.jsonl", "test.jsonl"):
            lines = (self.folder / name).read_text().splitlines(True)
            kept = [line for i, line in enumerate(lines, 1) if (name, i) not in dropped]
            self.assertEqual((WORK / "cleaned" / name).read_text(), "".join(kept))
        _, _, _, again = audit("again", *CLASSES, "--train", WORK / "cleaned/train.jsonl", "--test", WORK / "cleaned/test.jsonl")
        names = {f["name"] for f in again["findings"]}
        self.assertFalse(names & {"exact-duplicates", "near-duplicates", "leaks", "near-leaks", "conflicting-labels"}, names)
        self.assertTrue(all("partner" in d for d in self.drops))


class Page(unittest.TestCase):
    def test_the_page_has_every_finding(self):
        sys.path.insert(0, str(ROOT / "launch"))
        from audit.findings import FINDINGS
        rows = re.findall(r"^\| `([a-z-]+)` \| (error|warn) \|", (ROOT / "docs/audit.md").read_text(encoding="utf-8"), re.M)
        self.assertEqual(dict(rows), {name: level for name, (level, _) in FINDINGS.items()})


class Control(unittest.TestCase):
    def test_silent_on_clean_data(self):
        rows = audit_faults.made_up(ROOT, 3000, random.Random(4))
        path = save("clean.jsonl", [{"text": t, "label": c} for t, c in rows])
        code, output, error, found = audit("clean", *CLASSES, "--input", path)
        self.assertEqual((code, output.splitlines()[0], found["findings"]), (0, "3,000 rows: ok", []), error)
        self.assertEqual((found["verdict"], found["splits"].keys()), ("ok", {"train", "validation", "test"}))

    def test_severity_and_equal_bytes(self):
        path = save("twice.jsonl", [{"text": "one and the same", "label": c} for c in "ab"] * 20)
        code, *_ = audit("as-it-is", *CLASSES, "--input", path)
        self.assertEqual(code, 1)
        code, _, error, found = audit("quiet", *CLASSES, "--input", path, "--severity", "all=ignore", "exact-duplicates=warn")
        self.assertEqual((code, [f["name"] for f in found["findings"]]), (0, ["exact-duplicates"]), error)
        audit("quiet-again", *CLASSES, "--input", path, "--severity", "all=ignore", "exact-duplicates=warn")
        self.assertEqual((WORK / "quiet.html").read_bytes(), (WORK / "quiet-again.html").read_bytes())

    def test_lengths_with_the_tokenizer(self):
        path = save("long.jsonl", [{"text": "good " * (40 if i % 2 else 3) + str(i), "label": str(i % 2)} for i in range(60)])
        _, _, error, found = audit("long", *CLASSES, "--input", path, "--tokenizer", TOKENIZER, "--max-length", 16)
        self.assertEqual(found["lengths"]["longer"], 30, error)
        self.assertEqual(finding(found, "truncation")["count"], 30)
        self.assertIn("length-balance", {f["name"] for f in found["findings"]})

    def test_what_is_divided_is_not_cut(self):
        path = save("masked.jsonl", [{"text": "good " * 40 + str(i)} for i in range(20)])
        _, _, error, found = audit("masked", "--task", "masked-language-modeling", "--input", path, "--tokenizer", TOKENIZER, "--max-length", 16)
        self.assertIsNone(finding(found, "truncation"), error)

    def test_contexts_of_questions_have_tokens_too(self):
        rows = [{"question": f"the film {'very ' * i}", "context": "good " * 40, "answers": {"text": ["good"], "answer_start": [0]}} for i in range(5)]
        path = save("contexts.jsonl", rows)
        _, _, error, found = audit("contexts", "--task", "question-answering", "--train", path, "--tokenizer", TOKENIZER, "--max-length", 64)
        self.assertEqual(found and found["tokens"], {"train": 5 * (2 + 40 + 3) + 10}, error)  # 3: [CLS] and two [SEP]

    def test_conversations(self):
        rows = [{"messages": [{"role": "user", "content": f"What is {i} and {i * i}?"}, {"role": "assistant", "content": f"It is {i * 7919}"}]} for i in range(50)]
        _, _, error, found = audit("chat", "--task", "chat", "--input", save("chat.jsonl", rows + rows[:2]), "--severity", "size=ignore", "near-leaks=ignore",
                                   "near-duplicates=ignore")
        self.assertEqual([(f["name"], f["count"]) for f in found["findings"]], [("exact-duplicates", 2)], error)
        self.assertIn("conflicting-labels", found["not_looked_at"])
        found_none = re.search(r"Looked for and not found: ([^.]*)\.", (WORK / "chat.html").read_text(encoding="utf-8"))[1]
        self.assertIn("mojibake", found_none)
        self.assertNotIn("conflicting-labels", found_none)

    def test_prepare_says_of_classes_what_the_audit_says(self):
        rows = [{"text": f"good number {i}", "label": "b" if i % 30 else "a"} for i in range(60)]
        train, test = save("rare.jsonl", rows), save("rare-test.jsonl", [{"text": "another", "label": "b"}])
        done = subprocess.run([TRIREME, "prepare", *CLASSES, "--tokenizer", TOKENIZER, "--train", train, "--test", test, "--output", WORK / "rare"],
                              capture_output=True, text=True)
        _, _, error, found = audit("rare", *CLASSES, "--train", train, "--test", test)
        for name, line in (("missing-classes", "a: no row in test"), ("class-balance", "a: 2 rows, the largest class 58: 1 to 29")):
            self.assertEqual([e["value"] for e in finding(found, name)["examples"]], [line], error)
            self.assertIn(f"  note: {line}: {name} of `trireme audit`\n", done.stdout, done.stderr)

    def test_a_record_of_several_lines_leaves_the_copy_whole(self):
        path = save("records.csv", 'text,label\n"two\nlines",a\n"two\nlines",a\nlast,b\n')
        code, _, error, _ = audit("records", *CLASSES, "--train", path, "--fix", WORK / "records")
        self.assertEqual((code, (WORK / "records/records.csv").read_text()), (0, 'text,label\n"two\nlines",a\nlast,b\n'), error)
        drop = json.loads((WORK / "records/drops.jsonl").read_text())
        self.assertEqual(drop, {"file": str(path), "line": 4, "reason": "exact-duplicates", "partner": {"file": str(path), "line": 2}})


class Mistakes(unittest.TestCase):
    def test_each_has_its_line_and_nothing_is_written(self):
        rows = save("rows.jsonl", [{"text": "a text", "label": "a"}])
        groups = {"nothing": "{}", "words": '{"a": {"words": []}}', "both": '{"a": {"words": ["x"], "regex": "x"}}', "regex": '{"a": {"regex": "("}}',
                  "values": '{"a": {"column": "label"}}', "json": "{", "list": "[]"}
        paths = {name: save(f"groups-{name}.json", text) for name, text in groups.items()}
        slow = save("groups-slow.json", '{"a": {"regex": "(?:a|a)+(?:a|a)+(?:a|a)+(?:a|a)+$"}}')
        long = save("a.jsonl", [{"text": "a" * 20000 + "b", "label": "a"}])
        cases = [
            (["--near", "0"], "--near: 0: legal: a number above 0, at most 1"),
            (["--near", "2"], "--near: 2: legal: a number above 0, at most 1"),
            (["--severity", "leaks"], "--severity: leaks: legal: NAME=LEVEL with a LEVEL of error, warn, ignore"),
            (["--severity", "leaks=grave"], "--severity: leaks=grave: legal: NAME=LEVEL"),
            (["--severity", "leeks=warn"], "--severity: leeks: no such finding; legal: all, leaks, "),
            (["--region", "XX"], "--region: XX: legal: two letters of a country"),
            (["--parameters", "-1"], "--parameters: -1: legal: a whole number >= 0"),
            (["--max-length", "1"], "--max-length: 1: legal: a whole number >= 2"),
            (["--fix", WORK], f"--fix: {WORK}"),
            (["--groups", WORK / "none.json"], f"{WORK}/none.json: No such file or directory; legal: a JSON object like"),
            (["--groups", paths["nothing"]], "groups-nothing.json: legal: a JSON object like"),
            (["--groups", paths["list"]], "groups-list.json: legal: a JSON object like"),
            (["--groups", paths["json"]], "groups-json.json: not JSON: "),
            (["--groups", paths["words"]], "groups-words.json: a: words: legal: a list of one text or more"),
            (["--groups", paths["both"]], "groups-both.json: a: legal: words, or regex, or column and values"),
            (["--groups", paths["values"]], "groups-values.json: a: legal: words, or regex, or column and values"),
            (["--groups", paths["regex"]], "groups-regex.json: a: regex: "),
            (["--tokenizer", WORK], f"{WORK}/tokenizer.json: "),
            (["--groups", slow, "--train", long], f"groups-slow.json: a: takes more than 1 s on {long}:1; legal: "),
        ]
        for arguments, line in cases:
            with self.subTest(line):
                given = arguments if "--train" in arguments else [*arguments, "--train", rows]
                code, output, error, found = audit("mistake", *CLASSES, *given)
                self.assertEqual((code, output, found), (2, "", None), error)
                self.assertEqual(error.count("\n"), 1, error)
                self.assertIn(line, error)
        code, output, error, found = audit("mistake", *CLASSES, "--train", save("bytes\udcff.jsonl", [{"text": "a", "label": "a"}]))
        self.assertEqual((code, output, found), (2, "", None), error)
        self.assertTrue(error.endswith(".jsonl: legal: for an audit, a name in UTF-8\n"), error)
        by_column = save("groups-column.json", '{"a": {"column": "region", "values": ["north"]}}')
        tagged = save("tagged.jsonl", [{"tokens": ["a", "text"], "tags": ["A", "B"], "region": "north"}] * 2)
        code, output, error, found = audit("mistake", "--task", "token-classification", "--train", tagged, "--groups", by_column)
        self.assertEqual((code, output, found), (2, "", None), error)
        self.assertIn(f"--groups: {by_column}: column region: legal with --task token-classification: groups by words or regex\n", error)
        self.assertFalse((WORK / "mistake.html").exists())
        self.assertEqual(list(WORK.glob("*.partial-*")), [])


if __name__ == "__main__":
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    unittest.main(argv=sys.argv[:1] + sys.argv[4:])
