"""The renderer of reports: refusals, escaping, equal bytes, both colour schemes, bounds, contrast.

    report_test.py ROOT WORK_FOLDER
"""
import copy
import itertools
import math
import re
import unittest

import numpy
import report_example
from report_support import ROOT, WORK, Reader, refusal, report, run_tests, save

from report import charts, colours, numbers, page, reading, schema


def small(*blocks):
    return {"format": "trireme-report", "version": 1, "title": "A title", "sections": [{"title": "One", "blocks": list(blocks)}]}


def rendered(*blocks):
    return page.render(small(*blocks)).decode()


TABLE = {"kind": "table", "caption": "c", "columns": [{"name": "a"}], "rows": [[1]]}
CURVES = {"kind": "figure", "picture": "curves", "title": "t", "x_label": "x", "y_label": "y", "series": [{"name": "n", "x": [1, 2], "y": [1, None]}]}


class Refusals(unittest.TestCase):
    def refused(self, document, line):
        path = str(save("bad.json", document))
        found = refusal(lambda: schema.check(reading.read_json(path, "a report"), path))
        self.assertEqual(found, f"trireme: {path}{line}\n")

    def changed(self, change, *blocks):
        document = small(*copy.deepcopy(blocks))
        change(document)
        return document

    def test_what_is_no_document(self):
        self.refused("{", ": not JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1); legal: JSON in UTF-8")
        self.refused('{"title": 1, "title": 2}', ': not JSON: the name "title" is there twice; legal: JSON in UTF-8')
        self.refused("[" * 100_000, ": not JSON: too deep; legal: JSON in UTF-8")
        self.refused([1], ": [1]: legal: an object with the fields format, version, title, summary, sections")

    def test_fields(self):
        self.refused(self.changed(lambda d: d.pop("title")), ": title: missing; legal: a text")
        self.refused(self.changed(lambda d: d.update(version=2)), ": version: 2: legal: 1")
        self.refused(self.changed(lambda d: d.update(titel="x")), ": titel: no such field; legal: format, version, title, summary, sections")
        self.refused(small({"kind": "picture"}), ': sections[0].blocks[0].kind: "picture": legal: text, table, figure, verdicts, code, tokens, details')
        self.refused(small({"kind": "text", "text": None}), ": sections[0].blocks[0].text: null: legal: a text")
        self.refused(small(CURVES | {"picture": "pie"}), ': sections[0].blocks[0].picture: "pie": legal: curves, bars, matrix, reliability, parallel, timeline')
        self.refused(small(CURVES | {"x_scale": "cubic"}), ': sections[0].blocks[0].x_scale: "cubic": legal: linear, log')
        self.refused(small({"kind": "verdicts", "items": [{"verdict": "bad", "name": "n"}]}), ': sections[0].blocks[0].items[0].verdict: "bad": legal: ok, warn, error, info')
        self.refused(small(TABLE | {"rows": [[[1]]]}), ": sections[0].blocks[0].rows: [[[1]]]: legal: a list of lists of texts, numbers, true, false, null")

    def test_shares(self):
        bins = {"kind": "figure", "picture": "reliability", "title": "t", "bins": [{"low": 0, "high": 1, "count": 1, "confidence": None, "accuracy": 1.5}]}
        self.refused(small(bins), ": sections[0].blocks[0].bins[0].accuracy: 1.5: legal: a number from 0 to 1, null where not defined")

    def test_lengths(self):
        self.refused(small(TABLE | {"rows": [[1], [1, 2]]}), ": sections[0].blocks[0].rows[1] has a length of: 2: legal: as many as there are places: 1")
        series = {"name": "n", "x": [1, 2], "y": [1]}
        self.refused(small(CURVES | {"series": [series]}), ": sections[0].blocks[0].series[0].y has a length of: 1: legal: as many as there are places: 2")
        self.refused(small({"kind": "tokens", "title": "t", "groups": ["a"], "tokens": [{"text": "x", "group": 1}]}),
                     ": sections[0].blocks[0].tokens[0].group: 1: legal: a place in groups, from 0")

    def test_timelines(self):
        bar = {"row": 0, "kind": 0, "begin": 1, "end": 2}
        block = {"kind": "figure", "picture": "timeline", "title": "t", "x_label": "x", "rows": ["r"], "kinds": [{"name": "k", "style": "bar"}], "spans": [bar]}
        for key, value, line in (("row", 1, ".row: 1: legal: a place in rows, from 0"), ("kind", 2, ".kind: 2: legal: a place in kinds, from 0"),
                                 ("end", 0.5, ".end: 0.5: legal: a number that is not below begin"), ("begin", None, ".begin: null: legal: a number")):
            self.refused(small(block | {"spans": [bar | {key: value}]}), f": sections[0].blocks[0].spans[0]{line}")

    def test_depth(self):
        block = TABLE
        for _ in range(schema.DEEPEST):
            block = {"kind": "details", "title": "t", "blocks": [block]}
        schema.check(small(block), "d")
        deep = ".blocks[0]" * (schema.DEEPEST + 1)
        self.refused(small({"kind": "details", "title": "t", "blocks": [block]}), f': sections[0]{deep}: "details": legal: at most 4 details in one another')

    def test_command_line(self):
        good = save("good.json", small(TABLE))
        self.assertEqual(report("--document", good), (2, "", "trireme: --output: missing; legal: HTML file to write; must not exist\n"))
        self.assertEqual(report("--output", "a.html")[::2], (2, "trireme: --run: missing; legal: run folder, --evaluation with what "
                                                                  "`trireme evaluate` printed, --attributions with the JSON file of `trireme attribute`, --plan with the CSV file of a plan, or --document with the JSON file of a report\n"))
        self.assertEqual(report("--document", good, "--output", "a.pdf")[::2], (2, "trireme: --output: a.pdf: legal: a name that ends in .html\n"))
        self.assertEqual(report("--document", good, "--title", "x", "--output", "a.html")[::2], (2, "trireme: --title: x: legal: without --document\n"))
        self.assertEqual(report("--documents", good)[::2], (2, "trireme: --documents: no such option; legal: --run, --document, --evaluation, --attributions, --plan, --predictions, --beside, "
                                                                         "--audit, --certificate, --title, --output, --force, --help\n"))
        self.assertEqual(report("--force=1", "--document", good)[::2], (2, "trireme: --force: takes no value; legal: replace the file of --output\n"))
        bad = save("bad.json", small({"kind": "x"}))
        code, out, error = report("--document", bad, "--output", "bad.html")
        self.assertEqual((code, out, error.startswith(f"trireme: {bad}: sections[0].blocks[0].kind:")), (2, "", True), error)
        self.assertFalse((WORK / "bad.html").exists())
        self.assertEqual(report("--document", "none.json", "--output", "c.html")[::2], (2, "trireme: none.json: No such file or directory; legal: JSON file of a report\n"))
        (WORK / "there.html").write_text("mine")
        self.assertEqual(report("--document", good, "--output", "there.html")[::2], (2, "trireme: --output: there.html: exists already; legal: a new file, or --force to replace it\n"))
        self.assertEqual((WORK / "there.html").read_text(), "mine")
        self.assertEqual(report("--document", good, "--output", "there.html", "--force"), (0, "there.html\n", ""))
        self.assertTrue((WORK / "there.html").read_text().startswith("<!doctype html>"))
        self.assertEqual([p.name for p in WORK.glob("*partial*")], [])


class Pages(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.document = report_example.document()
        schema.check(cls.document, "example")
        cls.html = page.render(cls.document).decode()
        cls.read = Reader(cls.html)

    def test_what_users_wrote_is_text(self):
        tags = {tag for tag, _ in self.read.tags}
        self.assertFalse(tags & {"script", "img", "link", "iframe", "object", "embed", "form", "base"}, tags)
        self.assertFalse([a for _, a in self.read.tags for name in a if name.startswith("on") or name == "src"])
        texts = "".join(self.read.text)
        for hostile in report_example.HOSTILE:
            self.assertIn(numbers.plain(hostile), texts)
        self.assertNotIn("54439", texts)  # what a template would make of a text
        # This holds for the value of an attribute too.
        named = rendered({"kind": "code", "title": '" onload="alert(1)', "text": ""})
        self.assertIn({"tabindex": "0", "role": "region", "aria-label": '" onload="alert(1)'}, [a for _, a in Reader(named).tags])

    def test_no_invisible_characters(self):
        for character in itertools.chain(range(9), range(11, 32), range(0x7F, 0xA0), range(0x202A, 0x202F), range(0x2066, 0x206A)):
            self.assertNotIn(chr(character), self.html)
        self.assertEqual(numbers.plain("a\x00\u202e\ud800\n"), "a\u27e8U+0000\u27e9\u27e8U+202E\u27e9\u27e8U+D800\u27e9\n")
        self.assertIn("\u05e9\u05dc\u05d5\u05dd", self.html)  # right to left is left as it is

    def test_nothing_from_elsewhere(self):
        policy = [a["content"] for t, a in self.read.tags if a.get("http-equiv") == "Content-Security-Policy"]
        self.assertEqual(policy, ["default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"])
        for name in ("href", "xlink:href"):
            self.assertEqual([a[name] for _, a in self.read.tags if name in a and not a[name].startswith("#")], [])
        self.assertFalse(re.search(r"url\((?!#)|@import|@font-face", self.html))
        self.assertEqual(set(re.findall(r"https?://[^\s\"'<>]+", self.html)), {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"})

    def test_ids_and_references(self):
        self.assertEqual(len(self.read.ids), len(set(self.read.ids)))
        wanted = set(re.findall(r'(?:xlink:)?href="#([^"]+)"|url\(#([^)]+)\)', self.html))
        self.assertLessEqual({a or b for a, b in wanted}, set(self.read.ids))

    def test_accessible(self):
        headings = [int(t[1]) for t, _ in self.read.tags if re.fullmatch("h[1-6]", t)]
        self.assertEqual(headings.count(1), 1)
        self.assertTrue(all(b - a <= 1 for a, b in zip(headings, headings[1:])), headings)
        self.assertTrue(all(a.get("scope") in ("col", "row") for t, a in self.read.tags if t == "th"))
        pictures = [a for t, a in self.read.tags if t == "svg"]
        self.assertEqual(len(pictures), 11)
        for picture in pictures:
            self.assertEqual(picture["role"], "img")
            self.assertTrue(set(picture["aria-labelledby"].split()) <= set(self.read.ids))
        self.assertIn("Speed-up rises to 24 at 32 nodes.", "".join(self.read.text))
        self.assertIn(("html", {"lang": "en"}), self.read.tags)

    def test_equal_documents_give_equal_bytes(self):
        path = save("example.json", self.document)
        for name in ("a.html", "b.html"):
            self.assertEqual(report("--document", path, "--output", WORK / name, "--force")[0], 0)
        self.assertEqual((WORK / "a.html").read_bytes(), (WORK / "b.html").read_bytes())
        self.assertEqual((WORK / "a.html").read_text(), self.html)
        self.assertFalse(re.search(r"20\d\d-\d\d-\d\d|[Mm]atplotlib v", self.html))

    def test_every_colour_of_a_picture_has_its_dark_one(self):
        known = {light for light, _ in colours.pictures()}
        self.assertEqual(len(known), len(colours.pictures()))
        drawn = set(re.findall(r"(?:fill|stroke): (#[0-9a-f]{6})", "".join(re.findall(r"<svg.*?</svg>", self.html, re.S))))
        self.assertLessEqual(drawn, known)
        self.assertIn("@media screen and (prefers-color-scheme: dark)", self.html)
        self.assertNotRegex("".join(re.findall(r"<text[^>]*>", self.html)), r'<text(?![^>]*fill: #)[^>]*>')  # black where none is named

    def test_numbers(self):
        for value, form, text in ((None, "number", "not defined"), (math.nan, "percent", "not defined"), (math.inf, "number", "\u221e"), (True, "number", "yes"),
                                  (0.93456, "percent", "93.5\u00a0%"), (1234567, "integer", "1,234,567"), (0.000012345, "number", "1.234e-5"), (1536, "bytes", "1.5\u00a0KiB"),
                                  (0.25, "seconds", "250\u00a0ms"), (3725, "seconds", "1\u00a0h\u00a02\u00a0min"), (119.7, "seconds", "2\u00a0min\u00a00\u00a0s"),
                                  (12345.6, "number", "12,346"), (10**400, "integer", "more than 30 digits")):
            self.assertEqual(numbers.shown(value, form), text)
        self.assertEqual(numbers.shown(1.3, "number", 3), "1.300")


class Bounds(unittest.TestCase):
    def test_long_tables(self):
        text = rendered(TABLE | {"rows": [[i] for i in range(100_000)]})
        self.assertIn("1,000 of 100,000 rows are shown.", text)
        self.assertLess(len(text), 500_000)
        text = rendered(TABLE | {"rows": [["x" * 100_000]] * 1000})
        self.assertRegex(text, r"\d+ of 1,000 rows are shown\.")
        self.assertLess(len(text), 2_000_000)
        text = rendered(TABLE | {"columns": [{"name": str(i)} for i in range(500)], "rows": [list(range(500))]})
        self.assertIn("60 of 500 columns are shown.", text)

    def test_a_million_points(self):
        x = list(range(1_000_000))
        for style in ("line", "points"):
            peak = [0.0] * len(x)
            peak[777_777] = 5.0
            series = {"name": "n", "x": x, "y": peak, "style": style}
            text = rendered(CURVES | {"series": [series]})
            self.assertRegex(text, r"n: [12],\d{3} of 1,000,000 points are drawn")
            self.assertLess(len(text), 1_000_000)
        y = numpy.zeros(len(x))
        y[777_777] = 5
        self.assertIn(777_777, charts.kept(numpy.array(x), y, 2000, True))

    def test_many_series_classes_tokens_and_characters(self):
        one = CURVES["series"][0]
        self.assertIn("The picture shows the first 24 of 100 series.", rendered(CURVES | {"series": [one] * 100}))
        names = [f"class {i}" for i in range(300)]
        matrix = {"kind": "figure", "picture": "matrix", "title": "t", "row_label": "r", "column_label": "c", "rows": names, "columns": names,
                  "values": [[(i + k) % 5 for k in range(300)] for i in range(300)]}
        text = rendered(matrix)
        self.assertIn("The picture shows the 60 largest of 300 classes.", text)
        self.assertLess(len(text), 2_000_000)
        self.assertIn("5,000 of 9,000 tokens are shown.", rendered({"kind": "tokens", "title": "t", "tokens": [{"text": "a"}] * 9000}))
        self.assertIn("200,000 of 900,000 characters are shown.", rendered({"kind": "code", "title": "t", "text": "x" * 900_000}))

    def test_a_page(self):
        text = rendered(*[{"kind": "code", "title": "t", "text": "x" * 200_000}] * 200)
        self.assertIn("Left out: the page is at its limit of 20,000,000 characters.", text)
        self.assertLess(len(text), 21_000_000)


class Colours(unittest.TestCase):
    def test_contrast(self):
        self.assertAlmostEqual(colours.contrast("#000000", "#ffffff"), 21)
        for scheme in (0, 1):
            own = {name: pair[scheme] for name, pair in colours.PAGE.items()}
            for name in set(own) - {"surface", "panel", "rule"}:
                for ground in ("surface", "panel"):
                    self.assertGreaterEqual(colours.contrast(own[name], own[ground]), 4.5, (scheme, name))
            for ground in (*colours.FOR, *colours.AGAINST, *colours.GROUPS):
                self.assertGreaterEqual(colours.contrast(own["ink"], ground[scheme]), 4.5, ground)
            for level, pair in enumerate(colours.RAMP):
                self.assertGreaterEqual(colours.contrast(colours.ON_CELL[level >= colours.DARK_FROM][scheme], pair[scheme]), 4.5, level)
            for pair in (*colours.SERIES, colours.LINES["axis"]):
                self.assertGreaterEqual(colours.contrast(pair[scheme], own["surface"]), 3, pair)
            levels = [colours.luminance(pair[scheme]) for pair in colours.RAMP]
            self.assertEqual(levels, sorted(levels, reverse=scheme == 0))

    def test_colour_blind_eyes(self):
        """Machado, Oliveira and Fernandes 2009, severity 1: every two series stay apart (CIE 1976)."""
        eyes = {"normal": numpy.eye(3),
                "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
                "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
                "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]}

        def lab(colour, eye):
            channels = numpy.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
            linear = numpy.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
            to_xyz = numpy.array([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]])
            xyz = to_xyz @ numpy.clip(numpy.array(eye) @ linear, 0, 1) / [0.95047, 1, 1.08883]
            f = numpy.where(xyz > 0.008856, numpy.cbrt(xyz), 7.787 * xyz + 16 / 116)
            return numpy.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])

        for (name, eye), scheme in itertools.product(eyes.items(), (0, 1)):
            for one, other in itertools.combinations(colours.SERIES, 2):
                self.assertGreater(numpy.linalg.norm(lab(one[scheme], eye) - lab(other[scheme], eye)), 8, (name, scheme, one, other))


class Documentation(unittest.TestCase):
    def test_every_field_is_on_its_page(self):
        written, heading = {}, ""
        for line in (ROOT / "docs/reports.md").read_text().splitlines():
            if match := re.match(r"### `(\w+)`", line):
                heading = match[1]
                written[heading] = set()
            elif heading and (match := re.match(r"\| `(\w+)` \|", line)):
                written[heading].add(match[1])
        shared = {"figure": set(schema.FIGURE)}
        self.assertEqual(written, {kind: set(fields) - (set(schema.FIGURE) if kind in schema.PICTURES else set()) for kind, fields in schema.FIELDS.items()} | shared)


if __name__ == "__main__":
    run_tests()
