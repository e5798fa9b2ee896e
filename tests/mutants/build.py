"""Compiles a changed copy of one source file and links it into a program in front of the archives of a finished build.

The build is brought up to date and then only read: objects and programs go to BUILD/mutants.
"""
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
SLOPPINESS = "pch_defines,time_macros,include_file_mtime,include_file_ctime"  # as in cmake/TriremeCompiler.cmake


class Broken(Exception):
    """The check itself does not work: nothing is said about the mutant."""


def run(words, **options):
    return subprocess.run([str(word) for word in words], capture_output=True, text=True, errors="replace", **options)


def must(what, words, **options):
    done = run(words, **options)
    if done.returncode:
        raise Broken(f"{what}: exit status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def sources_in(unit):
    """The files that a batch of CMAKE_UNITY_BUILD includes, or the file itself."""
    if "/Unity/unity_" not in unit:
        return [unit]
    return re.findall(r'^#include "(.*)"$', pathlib.Path(unit).read_text(), re.M)


def in_trace(archive, member):
    return re.compile(rf"{re.escape(archive)}\W{re.escape(member)}")  # (folder/archive)member


def copy_of_unit(unit, sources, tree, copy):
    """The file to compile with TREE's copies of the sources: of a batch, a copy that includes them."""
    if sources_in(unit) == [unit]:
        return tree / sources[0]
    text = pathlib.Path(unit).read_text()
    for source in sources:
        text = text.replace(f'"{ROOT / source}"', f'"{tree / source}"')
    copy.write_text(text)
    return copy


class Build:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder).resolve()
        self.work = self.folder / "mutants"
        listed = json.loads((self.folder / "compile_commands.json").read_text())
        self.units = {}  # of each source: the file of a library that is compiled for it, and the words that do so
        for entry in listed:
            words = shlex.split(entry["command"])
            for source in sources_in(entry["file"]) if "/trireme_" in words[words.index("-o") + 1] else []:
                self.units.setdefault(source, (entry["file"], words))
        cache = (self.folder / "CMakeCache.txt").read_text()
        ccache = re.search(r"^CCACHE:FILEPATH=(.*)$", cache, re.M)
        self.ccache = ccache[1] if ccache and not ccache[1].endswith("NOTFOUND") else None
        self.traces = {}

    def finish(self, targets):
        """An object of today's source beside archives of yesterday's would be judged for what it is not."""
        must("ninja", ["ninja", "-C", self.folder, *targets])

    def tests(self):
        """Commands and environments of ctest's tests, by name."""
        said = must("ctest", ["ctest", "--test-dir", self.folder, "--show-only=json-v1"])
        found = {}
        for test in json.loads(said)["tests"]:
            properties = {p["name"]: p["value"] for p in test.get("properties", [])}
            environment = dict(line.split("=", 1) for line in properties.get("ENVIRONMENT", []))
            found[test["name"]] = (test.get("command", []), environment)
        return found

    def by_unit(self, sources):
        """The sources that are compiled in one file, by that file: each its own, or some of a batch (CMAKE_UNITY_BUILD)."""
        groups = {}
        for source in sources:
            if str(ROOT / source) not in self.units:
                raise Broken(f"{source}: compile_commands.json has no library that it belongs to")
            groups.setdefault(self.units[str(ROOT / source)][0], []).append(source)
        return groups

    def compile(self, sources, tree, out):
        """Compiles TREE/source for sources of one unit, whose other headers, and sources, come from the checkout, with the
        line of the unit, at -O1: the compiler takes most of the time, and unchanged copies are compiled alike. Returns the
        archive member that the object replaces, as a name in the traces of the linker."""
        unit, words = self.units[str(ROOT / sources[0])]
        words = list(words)
        words[words.index("-o") + 1] = str(out)
        words[words.index("-c") + 1] = str(copy_of_unit(unit, sources, tree, out.with_suffix(".cxx")))
        # An include in quotes is looked for beside the copy, in the copied tree, and beside the original.
        words[1:1] = ["-iquote", str(tree), *(w for s in sources for w in ("-iquote", str((ROOT / s).parent)))]
        words += ["-O1", "-Wno-error", "-MD", "-MF", str(out.with_suffix(".d"))]
        # By the list that -MD writes a cache, if one is used, knows what a file includes without preprocessing it first.
        environment = dict(os.environ, CCACHE_SLOPPINESS=SLOPPINESS, CCACHE_DEPEND="1")
        must(f"{sources} do not compile", ([self.ccache] if self.ccache else []) + words, cwd=self.folder, env=environment)
        return self.member_of(sources[0])

    def member_of(self, source):
        """The archive, and the member of it, that a source is compiled into."""
        _, words = self.units[str(ROOT / source)]
        place = pathlib.Path(words[words.index("-o") + 1])
        return "lib" + re.search(r"CMakeFiles/(trireme_\w+)\.dir", str(place))[1] + ".a", place.name

    def link(self, target, objects, out):
        """Links TARGET with the objects in front of its archives. Returns what the linker took, one name a line."""
        line = must("ninja", ["ninja", "-C", self.folder, "-t", "commands", target]).splitlines()[-1]
        words = [word for word in shlex.split(line) if word not in (":", "&&")]
        words[words.index("-o") + 1] = str(out)
        first = next(i for i, word in enumerate(words) if word.endswith(".a"))
        words[first:first] = [str(o) for o in objects] + ["-Wl,--trace,--trace"]
        return must(f"{target} does not link", words, cwd=self.folder)

    def trace_of(self, target):
        if target not in self.traces:
            self.work.mkdir(exist_ok=True)
            self.traces[target] = self.link(target, [], self.work / "plain")
            (self.work / "plain").unlink()
        return self.traces[target]

    def must_contain(self, target, archive, member):
        if not in_trace(archive, member).search(self.trace_of(target)):
            raise Broken(f"{target} does not contain {member} of {archive}: it cannot test it")

    def link_in_force(self, target, replaced, out):
        """Links with objects, a dictionary from object to (archive, member): the program must use the member without
        them, and not contain it with them."""
        out.parent.mkdir(parents=True, exist_ok=True)
        trace = self.link(target, replaced, out)
        for made, (archive, member) in replaced.items():
            self.must_contain(target, archive, member)
            if in_trace(archive, member).search(trace) or str(made) not in trace:
                raise Broken(f"{target} contains {member} of {archive}, not the mutant's")
        text = self.folder / "bin/trireme-text"  # the command looks for it beside itself
        if text.exists() and out.name == "trireme-model":
            beside = out.parent / "trireme-text"
            beside.unlink(missing_ok=True)
            beside.symlink_to(text)
        return out


def copy_tree(files, tree):
    shutil.rmtree(tree, ignore_errors=True)
    for file in files:
        (tree / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / file, tree / file)


def patched_files(patch):
    return re.findall(r"^\+\+\+ b/(\S+)", patch.read_text(), re.M)


def apply_patch(patch, tree, *options):
    """Offsets are fine, other lines are not."""
    done = run(["git", "apply", "-p1", *options, patch], cwd=tree,
               env=dict(os.environ, GIT_CEILING_DIRECTORIES=str(tree.parent), GIT_DIR="/nonexistent"))
    if done.returncode:
        raise Broken(f"{patch.name} does not apply to the sources any more; make it anew\n{done.stderr}")
