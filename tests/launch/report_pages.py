"""Opens pages of reports and of an audit in Chromium, light, dark and narrow: no request, no complaint, nothing that sticks out, overlaps
or is too faint. Exits with 77 where there is no Chromium; the pictures of the pages stay in the work folder.

    report_pages.py ROOT WORK_FOLDER TRIREME
"""
import json
import os
import random
import subprocess
import sys
import tempfile
import types
import unittest

import attribution_example
import audit_faults
import chromium
import numpy
import report_example
import report_runs
import study_support
from report_support import ROOT, WORK, report, run_tests, save

from bias import document, effects, intervals, measure, swaps
from bias.model import Outputs
from memorization import document as memory_page
from memorization import exposure, probes
from memorization import measure as memory
from report import page, schema

TRIREME = sys.argv.pop(3)  # unittest reads what follows

# Boxes of the texts of a picture: turned ones are narrow. A hair of overlap is how fonts differ.
OVERLAPS = """[...document.querySelectorAll('svg')].flatMap((svg, number) => {
  const whole = svg.getBoundingClientRect(), hair = 1.5;
  const boxes = [...svg.querySelectorAll('text')].map(t => [t.textContent.trim(), t.getBoundingClientRect()]).filter(([t]) => t);
  const out = boxes.filter(([, b]) => b.left < whole.left - hair || b.right > whole.right + hair || b.top < whole.top - hair || b.bottom > whole.bottom + hair);
  const over = boxes.flatMap(([t, a], i) => boxes.slice(i + 1).filter(([, b]) =>
    Math.min(a.right, b.right) - Math.max(a.left, b.left) > hair && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > hair * 2).map(([u]) => t + ' | ' + u));
  return [...out.map(([t]) => number + ' sticks out: ' + t), ...over.map(t => number + ' overlap: ' + t)];
})"""
# Contrast of every text of HTML to the nearest ground below it.
FAINT = """(() => {
  const channels = c => c.match(/[\\d.]+/g).map(Number);
  const luminance = c => channels(c).slice(0, 3).map(v => v / 255).map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor; if (channels(c)[3] !== 0) return c; } return 'rgb(255,255,255)'; };
  const texts = [...document.querySelectorAll('body *')].filter(e => !e.closest('svg') && [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()));
  const found = texts.map(e => { const [a, b] = [luminance(getComputedStyle(e).color), luminance(ground(e))].sort((x, y) => x - y); return [(b + 0.05) / (a + 0.05), e.textContent.slice(0, 40)]; });
  return {count: found.length, faint: found.filter(([c]) => c < 4.5)};
})()"""
GROUND = "getComputedStyle(document.body).backgroundColor"
# The first line of the first picture, as it is drawn.
LINE = "getComputedStyle(document.querySelector('svg path[style*=\"stroke: #0a64ad\"]')).stroke"


def evaluation(name, labels, samples, absent=None):
    """A page on made-up predictions."""
    draw = random.Random(len(labels))
    lines, confusion = [], [[0] * len(labels) for _ in labels]
    places = [i for i in range(len(labels)) if i != absent]
    for i in range(samples):
        label = draw.choice(places)
        found = label if draw.random() < 0.8 else draw.choice(places)
        confusion[label][found] += 1
        share = draw.uniform(0.5, 1)
        lines.append({"loss": draw.random() * 4, "label": labels[label], "prediction": labels[found], "source": f"data/rows.jsonl:{i}",
                      "probabilities": {labels[found]: share}})
    given = save(name + ".json", {"split": "test", "samples": samples, "loss": 0.4, "accuracy": 0.8, "labels": labels, "confusion": confusion})
    predictions = save(name + ".jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    return made(name, "--evaluation", given, "--predictions", predictions)


def made(name, *arguments):
    path = WORK / f"{name}.html"
    code, _, error = report(*arguments, "--output", path)
    assert code == 0, error
    return path


def audited(name):
    """The page of an audit that finds nearly everything there is to find."""
    folder, draw = WORK / name, random.Random(3)
    folder.mkdir()
    audit_faults.plant(folder, audit_faults.made_up(ROOT, 1000, draw), draw)
    path = WORK / f"{name}.html"
    done = subprocess.run([TRIREME, "audit", "--task", "classification", "--text", "text", "--label", "label", "--train", folder / "train.jsonl",
                           "--test", folder / "test.jsonl", "--groups", folder / "groups.json", "--output", path], capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    return path


def compared(name, *runs):
    path = WORK / f"{name}.html"
    subprocess.run([TRIREME, "compare", *runs, "--output", path], check=True, stdout=subprocess.DEVNULL)
    return path


def studied(name):
    """The page of a study with a failed and a slow cell."""
    study_support.stand_in()
    path = study_support.write_study(name, lambda text: text + "machine: cpu\nlayouts: [{name: zero0}, {name: zero2, set: [parallel.zero=2]}]\n")
    done = subprocess.run([sys.executable, "-I", ROOT / "launch/study.py", path], capture_output=True, text=True, cwd=WORK,
                          env=os.environ | {"STANDIN_SLOW": "zero0-n2-b8-r2", "STANDIN_FAIL": "zero2-n4-b32-r1"})
    assert done.returncode == 0, done.stderr
    return WORK / name / "report.html"


def page_of(name, made):
    schema.check(made, name)
    path = WORK / f"{name}.html"
    path.write_bytes(page.render(made))
    return path


MODELS = [types.SimpleNamespace(folder="exported"), types.SimpleNamespace(folder="base")]


def biased(name):
    """A page with effects of every kind, found and not, on made-up numbers."""
    draw = numpy.random.default_rng(5)
    swapped = [effects.of_units(("swaps", "gender", f"{who} rather than men", f"probability of {label}"), draw.normal(mean, 0.1, 200), draw.normal(0, 0.1, 200))
               for who, mean in (("women", -0.3), ("people of neither", 0.01)) for label in ("good", "a class with a long name")]
    version = swaps.Version("data/rows.jsonl:7", "he ran and he was seen by <b>him</b>", "she ran and she was seen by <b>her</b>")
    paired = [effects.of_units(("pairs", kind, "more rather than less", "share of pairs likelier so"), draw.integers(0, 2, n), draw.integers(0, 2, n), 0.5)
              for kind, n in (("all pairs", 300), ("socioeconomic", 12))]
    outputs = [Outputs("classes", {"neg": 1 - (p := draw.random(400)), "pos": p}, 0) for _ in MODELS]
    inside, labels = {g: draw.integers(0, 3, 400) == i for i, g in enumerate(("north", "south", "east and west"))}, draw.integers(0, 2, 400)
    values = [measure.quantities(o, labels) for o in outputs]
    grouped = [effects.of_groups(("groups", g, f"{g} rather than the others", q), own, values[0][q], values[1][q]) for g, own in inside.items() for q in values[0]]
    table = measure.Table({g: (int(own.sum()), [{q: intervals.of_units(v[own & (v == v)]) for q, v in one.items()} for one in values]) for g, own in inside.items()},
                          {g: measure.f1_of(outputs[0], labels, own) for g, own in inside.items()})
    parts = {"swaps": measure.Measured(swapped, [(swapped[0], version, 0.9, 0.2)], ["3 texts were cut."]), "pairs": measure.Measured(paired, [], []),
             "groups": measure.Measured(grouped, [], [])}
    found = [e for p in parts.values() for e in p.effects]
    return page_of(name, document.document(MODELS, parts, table, 0.05, effects.breaches(found, 0.2, 0.2)))


def remembered(name):
    draw = random.Random(5)
    canaries = [probes.Canary(f"canaries.jsonl:{i + 1}", "the code of someone is ", f"{draw.randrange(10**4):04}", 2 ** (i // 4)) for i in range(24)]
    made = [probes.Probe(probes.CANARIES, c.place, c.prefix, [1], c.secret, c.times) for c in canaries]
    made += [probes.Probe(kind, f"data/train.jsonl:{i}", "write to", [1], "anna@example.org", name="email" if kind == probes.PERSONAL else "")
             for kind in (probes.PERSONAL, probes.TEXTS, probes.HELD_OUT) for i in range(100)]
    hits = [[draw.random() < share for _ in made] for share in (0.5, 0.02)]
    exposures = [exposure.Exposure(draw.random() * 10, 9.967, i % 2 == 0) for i in range(24)]
    leaks = [memory.Leak("data/train.jsonl:8", "phone", "+\u20267")]
    return page_of(name, memory_page.document(MODELS, memory.Found(made, hits, memory.rates(made, hits), canaries, exposures, leaks, ["Notes."]), 0.4, None))


class Pages(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.pages = [made("example", "--document", save("example.json", report_example.document())),
                     evaluation("two", ["negative", "positive"], 300),
                     evaluation("absent", ["bad", "a class that was forgotten", "good"], 200, absent=1),
                     evaluation("fifty", [f"intent_{i}_of_a_customer_with_long_names_{i}" for i in range(50)], 3000),
                     evaluation("hostile", report_example.HOSTILE, 500),
                     made("run", "--run", report_runs.long_run("long", 0.02)),
                     compared("runs", report_runs.long_run("one", 0.02), report_runs.long_run("other", 0.005)),
                     audited("audit"), studied("study"), biased("bias"), remembered("memorization"),
                     *(made(name, "--attributions", save(name + ".json", attribution_example.document(of_losses)))
                       for name, of_losses in (("attributions", False), ("token-losses", True)))]
        cls.folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)  # a helper may outlive the browser
        cls.browser = chromium.Chromium(chromium.find(), cls.folder.name).__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.browser.__exit__()
        cls.folder.cleanup()

    def each(self):
        for path in self.pages:
            for name, width, dark in (("light", 1000, False), ("dark", 1000, True), ("narrow", 360, False)):
                yield path, name, width, dark

    def test_pages(self):
        for path, name, width, dark in self.each():
            with self.subTest(page=path.stem, view=name):
                self.browser.open(path, width, dark)
                self.browser.picture(WORK / f"{path.stem}-{name}.png")
                self.assertLessEqual(self.browser.ask("document.documentElement.scrollWidth"), width)
                self.assertEqual(self.browser.ask(GROUND), "rgb(20, 24, 29)" if dark else "rgb(255, 255, 255)")
                self.assertEqual(self.browser.ask(OVERLAPS), [])
                found = self.browser.ask(FAINT)
                self.assertGreater(found["count"], 20)
                self.assertEqual(found["faint"], [])
                self.assertEqual(self.browser.ask("document.scripts.length + document.images.length"), 0)
        self.assertEqual(set(self.browser.requests), {path.as_uri() for path in self.pages})
        self.assertEqual(self.browser.complaints, [])

    def test_pictures_change_with_the_scheme(self):
        for dark, colour in ((False, "rgb(10, 100, 173)"), (True, "rgb(125, 184, 242)")):
            self.browser.open(self.pages[0], dark=dark)
            self.assertEqual(self.browser.ask(LINE), colour)

    def test_print(self):
        self.browser.open(self.pages[0])
        self.browser.print_to(WORK / "example.pdf")
        self.assertTrue((WORK / "example.pdf").read_bytes().startswith(b"%PDF"))

    def test_the_watch_would_notice(self):
        """A page with a script, a picture from elsewhere and texts on one another: each is found, or its absence proves nothing."""
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile, chromium.Chromium(chromium.find(), profile) as browser:
            spoilt = WORK / "spoilt.html"
            spoilt.write_text("<body style='color: #bbb'>faint<script>console.error(1)</script><img src='http://127.0.0.1:9/x.png'>"
                              "<svg width=90 height=60><text y=30>aaaa</text><text y=31>bbbb</text><text y=30 x=80>long</text></svg>")
            browser.open(spoilt)
            self.assertIn("http://127.0.0.1:9/x.png", browser.requests)
            self.assertTrue(browser.complaints)
            self.assertEqual(len(browser.ask(FAINT)["faint"]), 1)
            self.assertEqual(browser.ask(OVERLAPS), ["0 sticks out: long", "0 overlap: aaaa | bbbb"])


if __name__ == "__main__":
    if chromium.find() is None:
        print("skipped: no Chromium; launch/setup --tests installs it")
        sys.exit(77)
    run_tests()
