"""Fails on an include that goes up or across the layers or up the rooms of framework/, on a file of
framework/ outside a room, and on a file over the budget of lines.

    check_layers.py ROOT [--self-test]

cluster <- parallel <- framework <- launch and cluster <- data <- framework; torch stays out of cluster and data.
"""
import pathlib
import re
import subprocess
import sys

ALLOWED = {
    "cluster": {"cluster"},
    "parallel": {"cluster", "parallel"},
    "data": {"cluster", "data"},
    "framework": {"cluster", "parallel", "data", "framework"},
    "launch": {"cluster", "parallel", "data", "framework", "launch"},
}
NO_TORCH = {"cluster", "data", "framework/kernels", "launch/text"}
MAX_LINES = 300
ROOMS = re.compile(r"set\(TRIREME_ROOMS\s+([^)]*)\)")
JSON_PARSER = re.compile(r"[Jj]son::(parse|accept|sax_parse)\s*\(")
INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]', re.M)


def room_of(path):
    """Room of a file of framework/, or None."""
    parts = path.split("/")
    return parts[1] if parts[0] == "framework" and len(parts) > 2 else None


def faults(name, text, rooms):
    """Yields what is wrong with one file, as lines of text. `rooms`: from the ground floor up."""
    layer, room = name.split("/")[0], room_of(name)
    if layer == "framework" and room not in rooms:
        yield f"{name}: legal: a file of one of the rooms that framework/CMakeLists.txt lists"
    for mark, target in INCLUDE.findall(text):
        top = target.split("/")[0]
        if mark == '"' and layer in ALLOWED and top not in ALLOWED[layer]:
            yield f"{name}: includes {target}: legal from {layer}: {', '.join(sorted(ALLOWED[layer]))}"
        above = room_of(target)
        if mark == '"' and room in rooms and above in rooms and rooms.index(above) > rooms.index(room):
            yield f"{name}: includes {target}: legal: rooms up to {room}, as framework/CMakeLists.txt lists them"
        torch = top in {"ATen", "torch", "c10"}
        if torch and any(name.startswith(folder + "/") for folder in NO_TORCH):
            yield f"{name}: includes {target}: this layer does not know tensors of libtorch"
    # The shared precompiled header would hide this one from the test that compiles each header alone.
    if name.endswith(".hpp") and "at::Tensor" in text and "#include <ATen/" not in text:
        yield f"{name}: uses at::Tensor and does not include <ATen/ATen.h> itself"
    # A mistake that tests must find is a patch of tests/mutants, not a branch of the product.
    if "planted" in text and not name.startswith("tests/"):
        yield f"{name}: says `planted`: legal: in tests/ alone"
    if layer in ALLOWED and JSON_PARSER.search(text) and name != "data/json.hpp":
        yield f"{name}: calls nlohmann's parser: legal: data::parse_json (data/json.hpp), which names what is wrong"
    yield from faults_of_length(name, text)


def faults_of_length(name, text):
    if text.count("\n") > MAX_LINES:
        yield f"{name}: {text.count(chr(10))} lines: legal: at most {MAX_LINES}; a file is one thing"


def self_test():
    rooms = ["model", "train"]
    faults = lambda name, text: globals()["faults"](name, text, rooms)
    assert list(faults("cluster/a.hpp", '#include "parallel/mesh.hpp"\n'))
    assert list(faults("data/a.cpp", "#include <ATen/ATen.h>\n"))
    assert list(faults("parallel/a.hpp", '#include "data/micro_batch.hpp"\n'))
    assert list(faults("framework/train/a.cpp", "\n" * 500))
    assert list(faults("framework/train/a.hpp", "at::Tensor f();\n"))
    assert list(faults("framework/a.hpp", ""))
    assert list(faults("framework/model/a.hpp", '#include "framework/train/b.hpp"\n'))
    assert list(faults("launch/a.cpp", "auto j = nlohmann::json::parse(text);\n"))
    assert not list(faults("data/json.hpp", "Json::sax_parse(text, &builder);\n"))
    assert not list(faults("framework/train/a.hpp", '#include "framework/model/b.hpp"\n'))
    assert list(faults("parallel/a.cpp", "if (planted::is(Bug::slot_order)) return;\n"))
    assert not list(faults("tests/parity/a.cpp", "// A planted mistake.\n"))
    assert not list(faults("framework/train/a.cpp", '#include "data/micro_batch.hpp"\n#include <ATen/ATen.h>\n'))


def main(root):
    self_test()
    listed = subprocess.run(["git", "-C", root, "ls-files", "*.cpp", "*.hpp", "*.cu"], capture_output=True, text=True, check=True)
    names = listed.stdout.split()
    assert len(names) > 100, "git lists too few files: is this a checkout?"
    root = pathlib.Path(root)
    rooms = ROOMS.search((root / "framework/CMakeLists.txt").read_text(encoding="utf-8"))[1].split()
    bad = [fault for name in names for fault in faults(name, (root / name).read_text(encoding="utf-8"), rooms)]
    scripts = subprocess.run(["git", "-C", str(root), "ls-files", "tests/*.py"], capture_output=True, text=True, check=True).stdout.split()
    bad += [fault for name in scripts for fault in faults_of_length(name, (root / name).read_text(encoding="utf-8"))]
    print("\n".join(bad) if bad else f"{len(names)} files: no upward include, no file over {MAX_LINES} lines")
    sys.exit(bool(bad))


if __name__ == "__main__":
    main(sys.argv[1])
