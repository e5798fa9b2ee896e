"""Documents that are spoilt at random are refused in one line or rendered; none ends in a traceback.

    report_fuzz_test.py ROOT WORK_FOLDER [SEED]
"""
import copy
import json
import math
import random
import sys
import unittest
import warnings

import report_example
from report_support import Reader, refusal, run_tests

from report import page, schema

SEED = int(sys.argv.pop(3)) if len(sys.argv) > 3 else 1
VALUES = [None, True, "", "x" * 500, 0, 1, -1, 3, 10**400, -(10**400), 0.5, 1e308, -1e308, 5e-324, math.nan, math.inf, -math.inf, [], {}, [None], [[]], "points", "log", "percent"]


def leaves(value, path=()):
    """Paths of everything inside a document."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield path + (key,)
        yield from leaves(inner, path + (key,))


def spoil(document, draw):
    paths = list(leaves(document))
    lists = [path for path in paths if isinstance(path[-1], str) and path[-1] in ("x", "y", "low", "high", "values", "rows", "bins")]
    for _ in range(draw.randint(1, 2)):
        path = draw.choice(lists if lists and draw.random() < 0.6 else paths)
        holder = document
        try:
            for key in path[:-1]:
                holder = holder[key]
            if draw.random() < 0.05:
                del holder[path[-1]]
            elif isinstance(holder[path[-1]], list) and draw.random() < 0.8:
                # A list of numbers stays one, so that what draws is reached and not the schema alone.
                holder[path[-1]] = [draw.choice(VALUES[3:17]) if not isinstance(v, (str, dict, list)) else v for v in holder[path[-1]]]
            else:
                holder[path[-1]] = draw.choice(VALUES)
        except (LookupError, TypeError):  # a change before this one took it away
            pass


class Fuzz(unittest.TestCase):
    def test_spoilt_blocks(self):
        warnings.simplefilter("error")
        draw = random.Random(SEED)
        blocks = [b for s in report_example.document()["sections"] for b in s["blocks"]]
        drawn = refused = 0
        for i in range(150):
            document = {"format": "trireme-report", "version": 1, "title": "t", "sections": [{"title": "s", "blocks": [copy.deepcopy(draw.choice(blocks))]}]}
            spoil(document["sections"][0], draw)
            with self.subTest(number=i, document=json.dumps(document)[:3000]):
                try:
                    schema.check(document, "d")
                except SystemExit as end:
                    self.assertEqual(end.code, 2)
                    line = refusal(schema.check, document, "d")
                    self.assertTrue(line.startswith("trireme: d: ") and line.count("\n") == 1 and "legal: " in line, line)
                    refused += 1
                    continue
                Reader(page.render(document).decode())
                drawn += 1
        self.assertGreater(min(drawn, refused), 25, (drawn, refused))


if __name__ == "__main__":
    run_tests()
