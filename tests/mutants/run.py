"""Mutation testing: mistakes planted as patches, which the tests of this project must find.

    run.py BUILD                   every mutant of mutants.json
    run.py BUILD --quick           the few that CI runs
    run.py BUILD --only NAME ...   these
    run.py BUILD --table           every mutant, and their table into docs/parity.md
    run.py BUILD --table --keep    the same, with what earlier calls found for mutants whose patch is what it was then

Each patch changes one source file. Its copy is compiled with the line that compiles the file in BUILD, the object is
linked in front of the archives of one program, and the program must fail and say the right thing. The same program with
unchanged copies of the same files, compiled and linked the same way, must pass.
"""
import argparse
import concurrent.futures
import hashlib
import json
import pathlib
import re
import shutil
import sys
import time

from build import ROOT, Broken, Build, apply_patch, copy_tree, patched_files
from drivers import Test, driver_of

HERE = pathlib.Path(__file__).resolve().parent
PAGE = ROOT / "docs" / "parity.md"


class Mutant:
    def __init__(self, entry):
        self.name, self.kind, self.runs = entry["name"], entry["kind"], entry["runs"]
        self.quick = entry.get("quick", False)
        self.patch = HERE / f"{self.name}.patch"
        self.files = patched_files(self.patch)
        self.sources = entry.get("compile", self.files)
        self.drivers = [driver_of(spec) for spec in self.runs]

    def check(self):
        if len(self.files) != 1 or self.files[0].split("/")[0] not in ("cluster", "parallel", "data", "framework"):
            raise Broken(f"{self.name}: changes {self.files}: legal: one file of cluster, parallel, data or framework")

    def key(self):
        return hashlib.sha256((self.patch.read_text() + json.dumps(self.runs)).encode()).hexdigest()


def read_mutants():
    entries = json.loads((HERE / "mutants.json").read_text())
    mutants = [Mutant(entry) for entry in entries]
    names = [m.name for m in mutants]
    loose = {p.stem for p in HERE.glob("*.patch")} ^ set(names)
    if loose or len(set(names)) != len(names):
        raise Broken(f"mutants.json and *.patch do not agree: {sorted(loose) or names}")
    return mutants


class Judge:
    def __init__(self, build, mpiexec):
        self.build, self.mpiexec = build, mpiexec
        self.tests = build.tests()
        # As for ctest's own: more ranks than cores.
        self.environment = self.tests["parity_command_test"][1]

    def compile(self, mutant, folder, patched):
        """Objects of the mutant's sources, and what they replace."""
        copy_tree(mutant.files + [s for s in mutant.sources if s not in mutant.files], folder / "tree")
        if patched:
            apply_patch(mutant.patch, folder / "tree")
        objects = {}
        for source in mutant.sources:
            made = folder / (source.replace("/", "_") + ".o")
            objects[made] = self.build.compile(source, folder / "tree", made)
        return objects

    def run(self, driver, objects, folder):
        program = self.build.link_in_force(driver.program, objects, folder / driver.program)
        outcome = driver.run(program, self.environment, folder, self.mpiexec)
        program.unlink()
        (folder / (driver.name().replace("/", "_").replace(" ", "_")[:80] + ".log")).write_text(outcome.output)
        return outcome

    def prove_control(self, driver, mutants):
        """The driver passes with unchanged copies of all that these mutants change."""
        folder = self.build.work / "control" / hashlib.sha256(driver.name().encode()).hexdigest()[:12]
        objects = {}
        for mutant in mutants:
            apart = folder / mutant.name
            if not any(made.name == (s.replace("/", "_") + ".o") for s in mutant.sources for made in objects):
                objects.update(self.compile(mutant, apart, False))
        outcome = self.run(driver, objects, folder)
        if outcome.found:
            raise Broken(f"{driver.name()} fails without a mutant: {outcome.where} {outcome.cause}\n{outcome.output}")
        shutil.rmtree(folder)

    def judge(self, mutant):
        """One row for each run of the mutant."""
        start = time.monotonic()
        folder = self.build.work / mutant.name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        objects = self.compile(mutant, folder, True)
        rows = []
        for spec, driver in zip(mutant.runs, mutant.drivers):
            outcome = self.run(driver, objects, folder)
            rows.append({"run": driver.name(), "found": outcome.found, "named": is_named(spec, outcome),
                         "where": outcome.where, "cause": outcome.cause, "text": outcome.text})
        result = {"key": mutant.key(), "rows": rows, "seconds": round(time.monotonic() - start, 1)}
        (folder / "result.json").write_text(json.dumps(result, indent=1))
        for made in objects:
            made.unlink()
        return result


def is_named(spec, outcome):
    """The first cause has the right id and place; of a test, the right one fails."""
    if not outcome.found:
        return False
    if "parity" not in spec:
        return any(name == spec["fails"] or name.startswith(spec["fails"] + "/") for name in outcome.failing)
    return outcome.cause in spec["cause"] and re.search(spec.get("place", ""), outcome.text) is not None


def verdict(row, spec):
    """What is said of a run, and whether it is as the table has it: `gap` admits what nothing finds or names yet."""
    if not row["found"]:
        return ("survives", spec.get("gap") == "survives")
    if not row["named"]:
        return ("misnamed", spec.get("gap") in ("misnamed", "survives"))
    return ("found" + (f" (no longer {spec['gap']})" if "gap" in spec else ""), True)


def say(mutant, result):
    good = True
    for row, spec in zip(result["rows"], mutant.runs):
        word, fine = verdict(row, spec)
        good &= fine
        print(f"{'ok    ' if fine else 'FAILED'} {mutant.name:<34} {word:<10} {row['run']:<34} {row['where']}"
              f"{': ' if row['cause'] else ''}{row['cause']}; {row['text'][:160]}", flush=True)
    return good


def stored(build, mutant):
    file = build.work / mutant.name / "result.json"
    if not file.exists():
        return None
    result = json.loads(file.read_text())
    return result if result["key"] == mutant.key() else None


def judge_all(build, mutants, options):
    judge = Judge(build, options.mpiexec)
    for mutant in mutants:
        mutant.check()
        for driver in mutant.drivers:
            if isinstance(driver, Test):
                driver.find(judge.tests)
    results = {m.name: r for m in mutants if options.keep and (r := stored(build, m))}
    todo = [m for m in mutants if m.name not in results]
    together = {}
    for mutant in todo:
        for driver in mutant.drivers:
            together.setdefault((driver.program, driver.name()), (driver, []))[1].append(mutant)
    if todo:
        build.finish(sorted({program for program, _ in together}))
        for program in {program for program, _ in together}:
            build.trace_of(program)
    good = True
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        controls = [pool.submit(judge.prove_control, driver, some) for driver, some in together.values()]
        for control in controls:
            control.result()
        if controls:
            print(f"{len(controls)} programs pass without a mutant", flush=True)
        for mutant, future in [(m, pool.submit(judge.judge, m)) for m in todo]:
            results[mutant.name] = future.result()
            good &= say(mutant, results[mutant.name])
    return results, good


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--mpiexec", default="mpiexec")
    options = parser.parse_args()
    start = time.monotonic()
    try:
        mutants = read_mutants()
        unknown = set(options.only) - {m.name for m in mutants}
        if unknown:
            raise Broken(f"mutants.json has no {sorted(unknown)}")
        chosen = [m for m in mutants if (not options.only or m.name in options.only)
                  and (m.quick or not options.quick)]
        results, good = judge_all(Build(options.build), chosen, options)
        if options.table:
            import table
            table.write(PAGE, [(m, results[m.name]) for m in chosen])
    except Broken as error:
        print(f"mutants: {error}", file=sys.stderr)
        return 2
    print(f"{len(chosen)} mutants, {time.monotonic() - start:.0f} s: {'as the table has it' if good else 'FAILED'}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
