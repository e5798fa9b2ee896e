"""Reads what a program says about itself: `trireme parity` on a model of tests/golden, or a test of ctest's list."""
import dataclasses
import json
import os
import re
import subprocess

from build import ROOT, Broken

LIMIT = 300  # seconds; only what hangs takes as long


@dataclasses.dataclass
class Outcome:
    found: bool
    where: str = ""    # how many layouts, or which tests
    cause: str = ""    # id of the first cause
    text: str = ""     # what it says
    failing: tuple = ()
    output: str = ""


def start(words, environment, folder):
    try:
        return subprocess.run([str(w) for w in words], capture_output=True, text=True, errors="replace", cwd=folder,
                              env=dict(os.environ, **environment), timeout=LIMIT)
    except subprocess.TimeoutExpired as error:
        raise Broken(f"hangs: {error}") from error


class Parity:
    """`trireme parity`, on threads or, with `ranks`, under mpirun."""
    target = "bin/trireme-model"

    def __init__(self, spec):
        self.model, self.ranks = spec["parity"], spec.get("ranks", 0)
        self.compute, self.mode = spec.get("compute", "fp32"), spec.get("mode", "fast")
        self.set = spec.get("set", [])
        self.program = self.target

    def name(self):
        words = ["parity", self.model, self.compute] + ([self.mode] if self.mode != "fast" else [])
        return " ".join(words + [f"on {self.ranks} ranks"] * bool(self.ranks) + self.set)

    def run(self, program, environment, folder, mpiexec):
        task = "classification" if self.model == "bert" or "classifier" in self.model else "language-modeling"
        config, certificate = folder / "parity.yaml", folder / "parity.json"
        config.write_text(f"run: unused\nseed: 1\ntask: {task}\nmodel:\n  path: {ROOT}/tests/golden/{self.model}\n"
                          f"data:\n  path: unused\nbatch:\n  global: 8\n"
                          f"numerics:\n  compute: {self.compute}\n  mode: {self.mode}\n")
        words = [program, "parity", config, "--out", certificate, "--force"]
        for key in self.set:
            words += ["--set", key]
        if self.ranks:
            words = [mpiexec, "-n", self.ranks, "--oversubscribe"] + words
        done = start(words, environment, folder)
        said = done.stdout + done.stderr
        if done.returncode not in (0, 1) or not certificate.exists():
            raise Broken(f"{self.name()}: exit status {done.returncode}, no certificate\n{said}")
        proof = json.loads(certificate.read_text())
        certificate.unlink()
        if (proof["verdict"] == "passed") != (done.returncode == 0):
            raise Broken(f"{self.name()}: exit status {done.returncode}, verdict {proof['verdict']}")
        failed = sum(not layout["passed"] for layout in proof["layouts"])
        where = f"{failed} of {len(proof['layouts'])} layouts"
        if not failed:
            return Outcome(False, where, output=said)
        first = proof["diagnosis"]["causes"][0]
        text = first["text"]
        return Outcome(True, where, first["id"], text, (), said) if not first["parameters"] else Outcome(
            True, where, first["id"], f"{text} ({first['parameters'][0]})", (), said)


class Test:
    """A test of ctest's list: a GoogleTest, under mpirun or not, or a script. With `command` it is the program `trireme`
    that carries the mutant, and the test that starts it."""

    def __init__(self, spec):
        self.test, self.filter, self.command = spec["test"], spec.get("filter", ""), spec.get("command", False)

    def name(self):
        return self.test + (f" {self.filter}" if self.filter else "")

    def find(self, tests):
        if self.test not in tests or not tests[self.test][0]:
            raise Broken(f"ctest knows no test {self.test}")
        self.words, self.environment = tests[self.test]
        own = [w for w in self.words if "/tests/bin/" in w]
        self.own = own[0] if own else None
        self.program = "bin/trireme-model" if self.command else "tests/bin/" + self.own.rsplit("/", 1)[1]

    def run(self, program, environment, folder, mpiexec):
        environment = dict(environment, **self.environment)
        words = list(self.words)
        if self.command:
            environment["TRIREME_COMMAND"] = str(program)
            words = [str(program) if w.endswith("/build/bin/trireme") else w for w in words]
        else:
            words = [str(program) if w == self.own else w for w in words]
        if self.filter:
            environment["GTEST_FILTER"] = self.filter
        done = start(words, environment, folder)
        said = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout + done.stderr)  # mpirun's terminal has colours
        failing = re.findall(r"^\[  FAILED  \] ([\w/]+\.[\w/]+)", said, re.M)
        ran = re.findall(r"^\[ +RUN +\] ([\w/]+\.[\w/]+)", said, re.M)
        if self.own and not ran:
            raise Broken(f"{self.name()}: no test ran\n{said}")
        if done.returncode and not failing and ran:
            failing = [ran[-1]]  # it ended the program
        names = tuple(dict.fromkeys(failing)) or ((self.test,) if done.returncode else ())
        first = re.search(r"^.*(?:Failure|Error).*\n(.*\n?.*)", said, re.M)
        return Outcome(done.returncode != 0, ", ".join(names) or f"{len(ran)} tests pass", names[0] if names else "",
                       " ".join(first[1].split())[:300] if first else "", names, said)


def driver_of(spec):
    return Parity(spec) if "parity" in spec else Test(spec)
