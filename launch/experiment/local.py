"""Cells on this machine: under mpirun, the ranks of all nodes side by side."""
import ctypes
import os
import shlex
import signal
import subprocess
import time

from experiment.budget import clock
from experiment.log import events_of
from experiment.program import set_options, trireme

GRACE = 15  # seconds that mpirun has to end its ranks
PAUSE = 0.1  # seconds between two looks at the processes


def with_parent():
    """Ends mpirun, and it its ranks, should this process be killed: a cell that nobody waits for must not disturb the next."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def end(process):
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(GRACE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def alive(pid):
    """Says whether the mpirun that an earlier call started still runs."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return b"mpirun" in file.read()
    except OSError:
        return False


class Local:
    def __init__(self, plan, say):
        self.plan, self.say, self.processes = plan, say, {}
        self.at_once = plan.at_once()

    def command(self, cell, folder):
        free = ["--bind-to", "none"] if self.at_once > 1 else []  # or the ranks of all would share the first cores
        return ["mpirun", "-n", str(cell.ranks), "--report-bindings", *free, *self.plan.mpirun, trireme(), "train", os.path.abspath(self.plan.run),
                *set_options(cell.assignments(folder))]

    def take_up(self, cell, attempt):
        """An attempt of an experiment that was killed: its time is spent, and its process is gone."""
        started = attempt.read("started") or {}
        deadline = time.monotonic() + 2 * GRACE
        while alive(started.get("pid")) and time.monotonic() < deadline:
            time.sleep(0.2)
        last = max((event["time"] for event in events_of(cell.run_folder(attempt) / "metrics.jsonl") if "time" in event), default=None)
        spent = max(0.0, last - started["time"]) if started and last else 0.0
        attempt.end("interrupted", f"the {self.plan.kind} was killed while it ran", elapsed_s=spent)

    def start(self, cell, attempt):
        command = self.command(cell, os.path.abspath(cell.run_folder(attempt)))
        (attempt.path / "job.sh").write_text("#!/bin/sh\ncd " + shlex.quote(os.getcwd()) + "\nexec " + shlex.join(command) + "\n", encoding="utf-8")
        attempt.begin()
        began = time.time()
        with open(attempt.output, "wb") as output:
            try:
                process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                                           preexec_fn=with_parent, start_new_session=True)
            except OSError as error:
                attempt.end("failed", f"mpirun: {error.strerror}", elapsed_s=0.0)
                return
        self.processes[attempt.path] = process, began
        attempt.begin(pid=process.pid)

    def poll(self, running):
        """Ends the attempts whose processes have ended."""
        time.sleep(PAUSE)
        for cell, attempt in running:
            if attempt.read("result") is None:
                self.follow(cell, attempt, *self.processes[attempt.path])

    def follow(self, cell, attempt, process, began):
        late = time.time() - began > self.plan.limit(cell)
        if late:
            end(process)
        code = process.poll()
        if code is None:
            return
        del self.processes[attempt.path]
        finish(self.plan, cell, attempt, None if late else code, {"elapsed_s": time.time() - began, "started": began},
               f"took longer than {clock(self.plan.limit(cell))}" if late else "")

    def stop(self, running):
        for _, attempt in running:
            process, began = self.processes.pop(attempt.path, (None, time.time()))
            if process:
                end(process)
            attempt.end("interrupted", f"the {self.plan.kind} was stopped while it ran", elapsed_s=time.time() - began)


def finish(plan, cell, attempt, code, facts, reason=""):
    """Writes what came of an attempt whose process ended with `code`; None if it is not known, and then `reason` says why."""
    reason = reason or plan.fault_of(cell, attempt, code)
    attempt.end("failed" if reason else "ok", reason, exit_code=code, **facts)
