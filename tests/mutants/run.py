"""Mutation testing: mistakes planted as patches, which the tests of this project must find.

    run.py BUILD                   every mutant of mutants.json
    run.py BUILD --quick           the few that CI runs, each by the first program of its list alone
    run.py BUILD --only NAME ...   these
    run.py BUILD --table           every mutant, and their table into docs/parity.md
    run.py BUILD --table --keep    the same, with what earlier calls found for mutants whose patch is what it was then

Each patch changes one source file. Its copy is compiled with the line that compiles the file in BUILD, but at -O1, the object is
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

import table
from build import ROOT, Broken, Build, apply_patch, copy_tree, patched_files
from drivers import Test, driver_of

HERE = pathlib.Path(__file__).resolve().parent
PAGE = ROOT / "docs" / "parity.md"


class Mutant:
    def __init__(self, entry, runs):
        self.name, self.kind, self.runs = entry["name"], entry["kind"], entry["runs"][:runs]
        self.quick = entry.get("quick", False)
        self.patch = HERE / f"{self.name}.patch"
        self.files = patched_files(self.patch)
        self.sources = entry.get("compile", self.files)
        self.all_drivers = [driver_of(spec) for spec in entry["runs"]]
        self.drivers = self.all_drivers[:runs]

    def check(self):
        if len(self.files) != 1 or self.files[0].split("/")[0] not in ("cluster", "parallel", "data", "framework"):
            raise Broken(f"{self.name}: changes {self.files}: legal: one file of cluster, parallel, data or framework")

    def key(self):
        runs = [driver.name() for driver in self.drivers]
        return hashlib.sha256((self.patch.read_text() + json.dumps(runs)).encode()).hexdigest()


def read_mutants(runs):
    """Reads mutants.json, and of each mutant the first `runs` runs; all if it is None."""
    entries = json.loads((HERE / "mutants.json").read_text())
    mutants = [Mutant(entry, runs) for entry in entries]
    names = [m.name for m in mutants]
    for mutant in mutants:
        if headers := [source for source in mutant.sources if not source.endswith(".cpp")]:
            raise Broken(f"{mutant.name}: {headers} are not compiled: legal: in mutants.json `compile`, the sources that include them")
        apply_patch(mutant.patch, ROOT, "--check")  # of those, too, that this call does not judge
    loose = {p.stem for p in HERE.glob("*.patch")} ^ set(names)
    if loose or len(set(names)) != len(names):
        raise Broken(f"mutants.json and *.patch do not agree: {sorted(loose) or names}")
    return mutants


def object_name(source):
    return source.replace("/", "_") + ".o"


class Judge:
    def __init__(self, build, mpiexec, pool):
        self.build, self.mpiexec, self.pool = build, mpiexec, pool
        self.tests = build.tests()
        # ctest sets the same: more ranks than cores.
        self.environment = self.tests["parity_command_test"][1]

    def compile(self, mutant, folder):
        """Objects of the mutant's sources, and what they replace."""
        copy_tree(mutant.files + [s for s in mutant.sources if s not in mutant.files], folder / "tree")
        apply_patch(mutant.patch, folder / "tree")
        return {folder / object_name(some[0]): self.build.compile(some, folder / "tree", folder / object_name(some[0]))
                for some in self.build.by_unit(mutant.sources).values()}

    def compile_unchanged(self, sources):
        """Once each unit: of those of `sources` that are in it, what compile() makes of a patch that changes nothing."""
        def one(unit, some):
            folder = self.build.work / "unchanged" / object_name(some[0])[:-2]
            copy_tree(some, folder / "tree")
            made = folder / object_name(some[0])
            return unit, (made, self.build.compile(some, folder / "tree", made))
        self.unchanged = dict(self.pool.map(one, *zip(*self.build.by_unit(sources).items())))

    def run(self, driver, objects, folder):
        program = self.build.link_in_force(driver.program, objects, folder / driver.program)
        outcome = driver.run(program, self.environment, folder, self.mpiexec)
        program.unlink()
        (folder / (driver.name().replace("/", "_").replace(" ", "_")[:80] + ".log")).write_text(outcome.output)
        return outcome

    def prove_control(self, driver, mutants):
        """The driver passes with unchanged copies of all that these mutants change."""
        folder = self.build.work / "control" / hashlib.sha256(driver.name().encode()).hexdigest()[:12]
        sources = [source for mutant in mutants for source in mutant.sources]
        objects = dict(self.unchanged[unit] for unit in self.build.by_unit(sources))
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
        objects = self.compile(mutant, folder)
        rows = []
        for driver in mutant.drivers:
            outcome = self.run(driver, objects, folder)
            rows.append({"run": driver.name(), "found": outcome.found, "where": outcome.where, "cause": outcome.cause,
                         "text": outcome.text, "failing": outcome.failing})
        result = {"key": mutant.key(), "rows": rows, "seconds": round(time.monotonic() - start, 1)}
        (folder / "result.json").write_text(json.dumps(result, indent=1))
        for made in objects:
            made.unlink()
        return result


def is_seen(where, layouts):
    """Whether as many layouts fail as `layouts` says: `some`, three or more and not one that the mutant cannot touch, `all`,
    or any number."""
    failed, total = (int(n) for n in re.match(r"(\d+) of (\d+)", where).groups())
    return {"some": 3 <= failed < total, "all": failed == total, "any": True}[layouts]


def is_named(row, spec):
    """The first cause has the right id and place, and as many layouts fail as must; of a test, the right one fails."""
    if not row["found"]:
        return False
    if "parity" not in spec:
        return any(name == spec["fails"] or name.startswith(spec["fails"] + "/") for name in row["failing"])
    return (row["cause"] in spec["cause"] and re.search(spec.get("place", ""), row["text"]) is not None
            and is_seen(row["where"], spec.get("layouts", "any")))


def verdict(row, spec):
    """Says what came of a run, and whether it is as the table has it: `gap` admits what nothing finds or names yet, and a
    gap that is closed must leave the table."""
    word = "survives" if not row["found"] else "found" if is_named(row, spec) else "misnamed"
    gap = spec.get("gap", "found")
    return (word if word == gap else f"{word} (the table: {gap})", word == gap)


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


def check_programs(judge, mutants):
    """Brings the build up to date, and proves that the program of each run has in it what its mutant changes."""
    for mutant in mutants:
        for driver in mutant.all_drivers:
            if isinstance(driver, Test):
                driver.find(judge.tests)
    judge.build.finish(sorted({driver.program for mutant in mutants for driver in mutant.all_drivers}))
    for mutant in mutants:
        for driver in mutant.all_drivers:
            for source in mutant.sources:
                judge.build.must_contain(driver.program, *judge.build.member_of(source))


def prepare(judge, todo):
    """Proves that every program passes without a mutant."""
    together = {}
    for mutant in todo:
        for driver in mutant.drivers:
            together.setdefault((driver.program, driver.name()), (driver, []))[1].append(mutant)
    judge.compile_unchanged(sorted({source for mutant in todo for source in mutant.sources}))
    controls = [judge.pool.submit(judge.prove_control, driver, some) for driver, some in together.values()]
    broken = []
    for control in controls:
        try:
            control.result()
        except Broken as error:
            broken.append(str(error))
    if broken:
        raise Broken("\n".join(broken))
    print(f"{len(controls)} programs pass without a mutant", flush=True)


def judge_all(build, mutants, everything, options, pool):
    judge = Judge(build, options.mpiexec, pool)
    for mutant in mutants:
        mutant.check()
    check_programs(judge, everything if options.quick else mutants)
    results = {m.name: r for m in mutants if options.keep and (r := stored(build, m))}
    todo = [m for m in mutants if m.name not in results]
    if todo:
        prepare(judge, todo)
    good = True
    for mutant, future in [(m, pool.submit(judge.judge, m)) for m in todo]:
        try:
            results[mutant.name] = future.result()
            good &= say(mutant, results[mutant.name])
        except Broken as error:  # the others are judged all the same
            print(f"FAILED {mutant.name}: {error}", flush=True)
            good = False
    for mutant in mutants:
        if mutant not in todo:
            good &= say(mutant, results[mutant.name])
    return results, good


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME")
    which = parser.add_mutually_exclusive_group()  # the table has every run
    which.add_argument("--quick", action="store_true")
    which.add_argument("--table", action="store_true")
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--mpiexec", default="mpiexec")
    options = parser.parse_args()
    start = time.monotonic()
    try:
        mutants = read_mutants(1 if options.quick else None)
        unknown = set(options.only) - {m.name for m in mutants}
        if unknown:
            raise Broken(f"mutants.json has no {sorted(unknown)}")
        chosen = [m for m in mutants if (not options.only or m.name in options.only)
                  and (m.quick or not options.quick)]
        with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
            results, good = judge_all(Build(options.build), chosen, mutants, options, pool)
        if options.table and len(results) == len(chosen):
            table.write(PAGE, [(m, results[m.name]["rows"]) for m in chosen], is_named)
    except Broken as error:
        print(f"mutants: {error}", file=sys.stderr)
        return 2
    print(f"{len(chosen)} mutants, {time.monotonic() - start:.0f} s: {'as the table has it' if good else 'FAILED'}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
