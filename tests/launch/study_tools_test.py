"""Files that a study makes for JUBE and ReFrame, run by these; exit code 77 where neither is installed (launch/setup --tests).

    study_tools_test.py ROOT WORK_FOLDER
"""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import unittest

from report_support import ROOT, WORK, run_tests
from study_support import stand_in, write_study

os.environ["PATH"] += f":{pathlib.Path(sys.executable).parent}"
CELLS = ("as_configured-n1-b8-r1", "as_configured-n2-b8-r1")


def output(*command):
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=WORK)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


class Tools(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        stand_in()
        cls.path = write_study("tools", lambda text: text.replace("[1, 2, 4]", "[1, 2]").replace("[strong, weak]", "[strong]")
                               .replace("repeats: 3", "repeats: 1").replace("  nodes: 4", "  nodes: 2"))
        output(sys.executable, "-I", str(ROOT / "launch/study.py"), str(cls.path))

    @unittest.skipUnless(shutil.which("jube"), "jube is missing")
    def test_jube(self):
        shutil.copy(WORK / "tools/jube.yaml", WORK)
        output("jube", "run", "jube.yaml")
        found = {line.split(",")[0]: line.split(",")[1] for line in output("jube", "result", "-a", "jube").splitlines() if "," in line}
        self.assertEqual({cell: float(found[cell]) for cell in CELLS}, {CELLS[0]: 0.1089, CELLS[1]: 0.0594})

    @unittest.skipUnless(shutil.which("reframe"), "reframe-hpc is missing")
    def test_reframe(self):
        told = output("reframe", "-c", "tools/reframe_study.py", "--prefix", str(WORK / "reframe"), "-r", "--performance-report")
        self.assertRegex(told, r"Ran 2/2 test case\(s\) from 2 check\(s\) \(0 failure\(s\)")
        for cell, step in zip(CELLS, ("0.1089", "0.0594")):
            self.assertRegex(told, rf"cell={re.escape(cell)}\b.*\bstep_s\b.*\b{re.escape(step)}\b")


if __name__ == "__main__":
    if not (shutil.which("jube") or shutil.which("reframe")):
        print("skipped: neither jube nor reframe-hpc; launch/setup --tests installs both")
        sys.exit(77)
    run_tests()
