"""Shared by the tests of reports: a reader of pages, the command as it is installed, refusals in this process.

Each is called as NAME_test.py ROOT WORK_FOLDER.
"""
import contextlib
import html.parser
import io
import json
import pathlib
import shutil
import subprocess
import sys
import unittest

ROOT, WORK = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
sys.path.insert(0, str(ROOT / "launch"))

VOID = {"meta", "br", "img", "link", "input", "hr"}


class Reader(html.parser.HTMLParser):
    """Tags and texts of a page; every element is closed, and nothing but what a report has is there."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.ids, self.text = [], [], [], []
        self.feed(text)
        assert not self.open, self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self.ids += [value for name, value in attributes if name == "id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self.ids += [value for name, value in attributes if name == "id"]

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, (tag, self.open)

    def handle_data(self, data):
        self.text.append(data)


def report(*arguments):
    """(exit code, standard output, error) of the command, isolated as it is installed."""
    done = subprocess.run([sys.executable, "-I", str(ROOT / "launch/report.py"), *map(str, arguments)], capture_output=True, text=True, cwd=WORK)
    return done.returncode, done.stdout, done.stderr


def save(name, value):
    path = WORK / name
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


def refusal(call, *arguments):
    """The line with which a call ends the command, whose exit code is that of bad input."""
    error = io.StringIO()
    try:
        with contextlib.redirect_stderr(error):
            call(*arguments)
    except SystemExit as end:
        assert end.code == 2, end.code
        return error.getvalue()
    raise AssertionError("not refused")


def run_tests():
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    unittest.main(argv=sys.argv[:1] + sys.argv[3:])
