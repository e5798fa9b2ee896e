"""Tiny runs on the test cluster, and what Slurm and its nodes say of them: shared by the tests there.

The words after the test's own name are TRIREME and WRITE_TINY_RUN.
"""
import json
import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).parent
SITE = str(HERE / "site.yaml")
TRIREME, WRITE_TINY_RUN = [*map(os.path.abspath, sys.argv[1:3]), "", ""][:2]


def output(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: exit code {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout.strip()


def node(action, number):
    return output(str(HERE / "node"), action, str(number))


def processes_on(number, program):
    """Process ids of a program on a node; not those that ended and that nobody has waited for."""
    found = []
    for pid in node("pids", number).split():
        try:
            line = pathlib.Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue  # it ended
        if pathlib.Path(line.split("\0")[0].split(":")[0]).name == program:
            found.append(int(pid))
    return found


def ranks_on(number):
    return processes_on(number, "trireme")


class Run:
    """A tiny run in a folder that all nodes see."""

    def __init__(self, name):
        self.folder = pathlib.Path(os.environ["TRIREME_TEST_CLUSTER"], "work", name)
        self.folder.mkdir(parents=True)
        self.yaml = output(WRITE_TINY_RUN, str(self.folder))

    def submit(self, *options, fault="", nodes=2, minutes=10, site=SITE):
        """Ids of the jobs."""
        environment = dict(os.environ, TRIREME_FAULT=fault)
        said = output(TRIREME, "submit", self.yaml, "--site", site, "--nodes", str(nodes), "--time", str(minutes),
                      *options, cwd=self.folder, env=environment)
        return [int(word) for word in said.split(": ")[1].split(", ")]

    def said(self):
        """Output of all its jobs so far."""
        return "".join(path.read_text(errors="replace") for path in sorted(self.folder.glob("*.out")))

    def events(self, kind):
        try:
            lines = (self.folder / "run/metrics.jsonl").read_text().splitlines()
        except FileNotFoundError:
            return []
        found = []
        for line in lines:
            try:
                event = json.loads(line)
            except ValueError:
                continue  # the last line of a job that was killed
            if event.get("kind") == kind:
                found.append(event)
        return found

    def steps(self):
        return [event["step"] for event in self.events("train")]

    def hash(self):
        ends = self.events("end")
        return ends[-1]["weights_sha256"] if ends else ""

    def nodes_of_ranks(self):
        return [n for n in (1, 2, 3, 4) if ranks_on(n)]


def job(number):
    """Fields that Slurm has of a job: State, Restarts, ..."""
    text = output("scontrol", "-o", "show", "job", str(number))
    return dict(word.split("=", 1) for word in text.split() if "=" in word)
