#!/usr/bin/env python3
"""Counts the instructions of each kernel of the CPU and fails on one that takes more than is recorded, or so much less that the record is old.

    instructions.py KERNEL_CALLS COMPILER [--record]

Instructions and never seconds: on a machine that others use too, a time says little, and a count is the same in each run. KERNEL_CALLS
(kernel_calls.cpp) runs on one thread under callgrind, which needs no counters of the processor. Valgrind does not know AVX-512, so the kernels
find a processor without it and take their code for AVX2: what is counted is that code on all machines, and the code for AVX-512 is counted
nowhere. COMPILER is a name with a version, since each compiler makes other code: `--record` adds what it finds to instructions.json, or
replaces it. Exits with 77 where there is no valgrind, or no record for the compiler and the instructions that the kernels choose.
"""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

RECORDS = pathlib.Path(__file__).with_suffix(".json")
MOST, LEAST = 1.1, 0.7  # of what is recorded
SKIPPED = 77
CALL = re.compile(r"^cfn=measured_(\w+)\ncalls=1 .*\n\S+ (\d+)$", re.M)


def skip(why):
    print(f"instructions_test is SKIPPED, no kernel was measured: {why}")
    sys.exit(SKIPPED)


def environment():
    """Looks symbols up before the first call, which would be counted, and leaves out how tests allocate, which moves counts by 0.3 %."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    return kept | {"OMP_NUM_THREADS": "1", "LD_BIND_NOW": "1"}


def run_counted(program):
    """Returns what the program printed, and the instructions of each measured function."""
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "callgrind.out"
        words = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", "--compress-strings=no", "--compress-pos=no",
                 "--collect-atstart=no", "--toggle-collect=measured_*", program]
        done = subprocess.run(words, capture_output=True, text=True, env=environment())
        if done.returncode != 0:
            sys.exit(f"instructions.py: {program} under valgrind ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout, {name: int(count) for name, count in CALL.findall(out.read_text())}


def measured(program):
    """Returns the instructions that the kernels chose, and for each kernel how many it takes per element, and of what."""
    printed, counts = run_counted(program)
    chosen, *lines = printed.splitlines()
    rows = [line.split(" ", 2) for line in lines]
    assert rows and {row[0] for row in rows} == set(counts), f"the program printed {rows}, callgrind counted {counts}"
    return chosen, {name: (float(f"{counts[name] / int(count):.4g}"), unit) for name, count, unit in rows}


def fault(found, recorded):
    """Says what is wrong with a kernel, if anything is; None: it is missing."""
    if found is None:
        return "is recorded and no longer called: take it out of the record"
    if recorded is None:
        return "has no record: add it with --record"
    if found > MOST * recorded:
        return f"takes {found / recorded:.2f} times what is recorded: legal: at most {MOST}"
    if found < LEAST * recorded:
        return f"takes {found / recorded:.2f} of what is recorded: lower the ceiling with --record"
    return ""


def self_test():
    assert not fault(1.09, 1) and not fault(0.71, 1)
    assert all((fault(1.11, 1), fault(0.69, 1), fault(None, 1), fault(1, None)))


def compare(found, record):
    """Prints the table and returns what is wrong."""
    bad = []
    print(f"{'kernel':28}{'instructions':>14}{'recorded':>10}  for each")
    for name in [*found, *(name for name in record if name not in found)]:
        number, unit = found.get(name, (None, "-"))
        print(f"{name:28}{number or '-':>14}{record.get(name, '-'):>10}  {unit}")
        if why := fault(number, record.get(name)):
            bad.append(f"{name} {why}")
    return bad


def write(records, compiler, chosen, found):
    records.setdefault(compiler, {})[chosen] = {name: number for name, (number, unit) in found.items()}
    RECORDS.write_text(json.dumps(records, indent=2) + "\n")


def main(program, compiler, record=""):
    self_test()
    records = json.loads(RECORDS.read_text()) if RECORDS.exists() else {}
    if not shutil.which("valgrind"):
        skip("there is no valgrind; get it with: launch/setup")
    if compiler not in records and not record:
        skip(f"{RECORDS.name} has no record for {compiler}; the way to add one is `--record`")
    chosen, found = measured(program)
    if record:
        write(records, compiler, chosen, found)
    if chosen not in records[compiler]:
        skip(f"{RECORDS.name} has no record for {compiler} and kernels for {chosen}")
    print(f"{compiler}, kernels for {chosen}")
    if bad := compare(found, records[compiler][chosen]):
        sys.exit("\n".join(bad))


if __name__ == "__main__":
    main(*sys.argv[1:])
