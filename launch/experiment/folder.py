"""The folder of an experiment: what was begun and what came of it, in files that are there whole or not at all, so that it may be
killed at any moment and goes on with the same command.

    study.json, sweep.json                          what must not change, and versions, modules, host
    cells/NAME/attempt-K/started.json   an attempt has begun
    cells/NAME/attempt-K/job.json       Slurm has it
    cells/NAME/attempt-K/result.json    it is over
"""
import fcntl
import json
import os
import pathlib
import time

from report.command import reason_of, refuse, staged


def save_json(path, value):
    """The file is on the disk, whole, when this returns."""
    file, staging = staged(str(path))
    with file:
        file.write((json.dumps(value, ensure_ascii=False, indent=1) + "\n").encode())
        file.flush()
        os.fsync(file.fileno())
    os.replace(staging, path)


def read_json(path):
    """None where there is no such file."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        refuse(f"{path}: {error}; legal: a file that `trireme` wrote there")


class Attempt:
    """One start of one cell."""

    def __init__(self, path):
        self.path = path

    @property
    def number(self):
        return int(self.path.name.split("-")[1])

    @property
    def output(self):
        return self.path / "output.txt"

    def read(self, name):
        return read_json(self.path / f"{name}.json")

    def save(self, name, value):
        save_json(self.path / f"{name}.json", value)

    def begin(self, **facts):
        self.save("started", {"time": time.time(), **facts})

    def end(self, state, reason="", **facts):
        """`state`: ok, failed, interrupted."""
        self.save("result", {"state": state, "reason": reason, "time": time.time(), **facts})


class Folder:
    def __init__(self, path, kind):
        """`kind`: study or sweep, by which its facts and its command are named."""
        self.path, self.kind = pathlib.Path(path), kind
        self.lock = None

    def cell(self, cell):
        return self.path / "cells" / cell.name

    def attempts(self, cell):
        found = [Attempt(p) for p in self.cell(cell).glob("attempt-*") if p.is_dir()]
        return sorted(found, key=lambda attempt: attempt.number)

    def last(self, cell):
        found = self.attempts(cell)
        return found[-1] if found else None

    def new_attempt(self, cell):
        last = self.last(cell)
        attempt = Attempt(self.cell(cell) / f"attempt-{last.number + 1 if last else 1}")
        attempt.path.mkdir(parents=True)
        return attempt

    def result(self, cell):
        last = self.last(cell)
        return last.read("result") if last else None

    def open(self):
        """Makes the folder, and keeps others out of it for as long as this process lives."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self.lock = open(self.path / ".lock", "w", encoding="utf-8")
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            refuse(f"{self.path}: another `trireme {self.kind}` is at work in it; legal: wait for it, or another folder ({self.kind})")
        except OSError as error:
            refuse(f"{self.kind}: {self.path}: {reason_of(error)}; legal: a folder that can be made or written to")

    def check_same(self, plan, now):
        """Refuses to mix results of two different experiments. `now`: {field: value}; of values that are mappings only the names that
        both have are compared."""
        before = self.facts().get("fixed")
        if before is None:
            return
        for name, value in now.items():
            old = before.get(name)
            if isinstance(value, dict) and isinstance(old, dict):
                for part in value.keys() & old.keys():
                    if value[part] != old[part]:
                        self.differs(plan, f"{name}.{part}", value[part], old[part])
            elif value != old:
                self.differs(plan, name, value, old)

    def differs(self, plan, field, now, before):
        refuse(f"{plan.path}: {field}: {json.dumps(now)[:80]}: legal: {json.dumps(before)[:80]}, with which {self.path} was begun, or "
               f"another folder ({self.kind})")

    @staticmethod
    def read(path):
        return read_json(path)

    def facts(self):
        return read_json(self.path / f"{self.kind}.json") or {}

    def save_facts(self, facts):
        save_json(self.path / f"{self.kind}.json", facts)
