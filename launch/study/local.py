"""Cells on this machine: one mpirun after the other, the ranks of all nodes side by side."""
import ctypes
import os
import re
import shlex
import signal
import subprocess
import time

from study import measure
from study.program import set_options, trireme

GRACE = 15  # seconds that mpirun has to end its ranks


def with_parent():
    """Ends mpirun, and it its ranks, should the study be killed: a cell that nobody waits for must not disturb the next."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def end(process):
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(GRACE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def alive(pid):
    """Says whether the mpirun that an earlier study started still runs."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return b"mpirun" in file.read()
    except OSError:
        return False


class Local:
    at_once = 1

    def __init__(self, study, say):
        self.study, self.say, self.process, self.began = study, say, None, 0.0

    def command(self, cell, folder):
        return ["mpirun", "-n", str(cell.ranks), "--report-bindings", *self.study.mpirun, trireme(), "train", os.path.abspath(self.study.run),
                *set_options(cell.assignments(folder))]

    def take_up(self, cell, attempt):
        """An attempt of a study that was killed: its time is spent, and its steps are half."""
        started = attempt.read("started") or {}
        deadline = time.monotonic() + 2 * GRACE
        while alive(started.get("pid")) and time.monotonic() < deadline:
            time.sleep(0.2)
        last = max((event["time"] for event in measure.events_of(attempt.run / "metrics.jsonl") if "time" in event), default=None)
        spent = max(0.0, last - started["time"]) if started and last else 0.0
        attempt.end("interrupted", "the study was killed while it ran", elapsed_s=spent)

    def start(self, cell, attempt):
        command = self.command(cell, os.path.abspath(attempt.run))
        (attempt.path / "job.sh").write_text("#!/bin/sh\ncd " + shlex.quote(os.getcwd()) + "\nexec " + shlex.join(command) + "\n", encoding="utf-8")
        attempt.begin()
        self.process, self.began = None, time.time()
        with open(attempt.output, "wb") as output:
            try:
                self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                                                preexec_fn=with_parent, start_new_session=True)
            except OSError as error:
                attempt.end("failed", f"mpirun: {error.strerror}", elapsed_s=0.0)
                return
        attempt.begin(pid=self.process.pid)

    def poll(self, running):
        """Ends the attempt if its process has."""
        for cell, attempt in running:
            if attempt.read("result") is not None:
                continue
            late = time.time() - self.began > self.study.seconds()
            if late:
                end(self.process)
            try:
                code = self.process.wait(0.1)
            except subprocess.TimeoutExpired:
                continue
            finish(self.study, attempt, None if late else code, {"elapsed_s": time.time() - self.began, "started": self.began},
                   f"took longer than {self.study.time}" if late else "")

    def stop(self, running):
        for _, attempt in running:
            if self.process:
                end(self.process)
            attempt.end("interrupted", "the study was stopped while it ran", elapsed_s=time.time() - self.began)


def last_line(path):
    """The line of an output that tells most of a failure: our own, or the first that speaks of an error, or the last."""
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    except OSError:
        return ""
    ours = [line.removeprefix("trireme: ") for line in lines if line.startswith("trireme: ")]
    errors = [line for line in lines if re.search(r"Signal: |\berror\b", line)]
    return ([*errors[:1], *ours[-1:]] or lines or [""])[-1][:300]


def finish(study, attempt, code, facts, reason=""):
    """Writes what came of an attempt whose process ended with `code`; None if it is not known."""
    if code == 0:
        reason = measure.fault_of(measure.events_of(attempt.run / "metrics.jsonl"), study)
        return attempt.end("failed" if reason else "ok", reason, exit_code=code, **facts)
    attempt.end("failed", reason or f"exit code {code}: {last_line(attempt.output)}", exit_code=code, **facts)
