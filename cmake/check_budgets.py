"""Fails on a function, a file or a line over its budget, in the code of the product.

    check_budgets.py ROOT

Functions are measured by lizard, which reads tokens and needs no compiler: seconds for the whole tree.
"""
import dataclasses
import pathlib
import subprocess
import sys

try:
    import lizard
except ModuleNotFoundError:
    sys.exit("check_budgets.py: the package lizard is missing; get it with: launch/setup")

LAYERS = ("cluster", "parallel", "data", "framework", "launch")
ENDINGS = (".cpp", ".hpp", ".cu", ".cuh")
CODE_LINES = 60  # of a function, without comments and blank lines
PARAMETERS = 6
TWENTIETH_LONGEST = 20  # lines of the function that 95 % are not longer than
FILE_LINES = 300
COLUMNS = 100

# Functions that may take more than six parameters, each with the reason; one that no longer needs
# it is a fault. A kernel takes pointers and sizes, one by one, so that the compiler keeps them in
# registers and no struct has to be made on a device or per row of a loop.
KERNEL = "a kernel: pointers and sizes, one by one"
WIDE = {
    "framework/kernels/attention.cpp": {name: KERNEL for name in (
        "attention_backward", "backward_one", "backward_task", "forward_one", "forward_task")},
    "framework/kernels/cross_entropy.cpp": {"cross_entropy": KERNEL},
    "framework/kernels/decode_attention.cpp": {"attend": KERNEL},
    "framework/kernels/norm.cpp": {name: KERNEL for name in (
        "backward_row", "rms_norm_backward", "rms_norm_forward", "row_backward")},
    "framework/kernels/random.cpp": {"dropout_rows": KERNEL},
    "framework/kernels/rotary.cpp": {name: KERNEL for name in ("apply_rotary", "rotate", "rotate_row")},
    "framework/model/composed.cpp": {"attention_backward": "a kernel in operations of libtorch, with the arguments of the kernel"},
    "framework/model/flash.cpp": {"forward": "a graph's function takes what it differentiates as arguments"},
}


@dataclasses.dataclass
class Function:
    file: str
    name: str
    line: int
    code: int  # lines of code
    length: int  # lines from the first to the last
    parameters: int


def functions_of(name, text):
    found = lizard.analyze_file.analyze_source_code(name, text).function_list
    return [Function(name, f.name.split("::")[-1], f.start_line, f.nloc, f.length, f.parameter_count) for f in found]


def faults_of_functions(functions, wide):
    needed = set()
    for f in functions:
        if f.code > CODE_LINES:
            yield f"{f.file}:{f.line}: {f.name} has {f.code} lines of code: legal: at most {CODE_LINES}; name its steps"
        if f.parameters > PARAMETERS:
            needed.add((f.file, f.name))
            if f.name not in wide.get(f.file, {}):
                yield (f"{f.file}:{f.line}: {f.name} takes {f.parameters} parameters: legal: at most {PARAMETERS}, "
                       "or a row in WIDE of cmake/check_budgets.py with the reason")
    for file, names in wide.items():
        for name in names:
            if (file, name) not in needed:
                yield f"cmake/check_budgets.py: WIDE lists {name} of {file}, which has no more than {PARAMETERS} parameters"


def twentieth_longest(functions):
    """Returns the length that 95 % of the functions do not exceed."""
    lengths = sorted(f.length for f in functions)
    return lengths[-(-len(lengths) * 95 // 100) - 1]


def faults_of_lengths(functions):
    found = twentieth_longest(functions)
    if found > TWENTIETH_LONGEST:
        longest = sorted(functions, key=lambda f: -f.length)[:5]
        yield (f"of {len(functions)} functions 5 % are longer than {found - 1} lines: legal: {TWENTIETH_LONGEST}; "
               "the longest: " + ", ".join(f"{f.file}:{f.line} {f.name} ({f.length})" for f in longest))


def faults_of_file(name, text):
    lines = text.splitlines()
    if len(lines) > FILE_LINES:
        yield f"{name}: {len(lines)} lines: legal: at most {FILE_LINES}; a file is one thing"
    for number, line in enumerate(lines, 1):
        if len(line) > COLUMNS:
            yield f"{name}:{number}: {len(line)} columns: legal: at most {COLUMNS}"


def self_test():
    """Plants one of each fault."""
    def function(lines=1, parameters="", name="f"):
        return functions_of("a.cpp", f"int {name}({parameters}) {{\n" + "    g();\n" * (lines - 2) + "}\n")

    seven = ", ".join(f"int a{i}" for i in range(7))
    assert list(faults_of_functions(function(61), {})) and not list(faults_of_functions(function(60), {}))
    assert list(faults_of_functions(function(parameters=seven), {}))
    assert not list(faults_of_functions(function(parameters=seven), {"a.cpp": {"f": "as a test"}}))
    assert not list(faults_of_functions(function(parameters=seven[:seven.rindex(",")]), {}))
    assert list(faults_of_functions(function(), {"a.cpp": {"f": "no longer needed"}}))
    most = TWENTIETH_LONGEST
    assert not list(faults_of_lengths(function(most) * 95 + function(most + 1) * 5))
    assert list(faults_of_lengths(function(most) * 94 + function(most + 1) * 6))
    assert list(faults_of_file("a.cpp", "\n" * (FILE_LINES + 1))) and not list(faults_of_file("a.cpp", "\n" * FILE_LINES))
    assert list(faults_of_file("a.cpp", "x" * (COLUMNS + 1))) and not list(faults_of_file("a.cpp", "ä" * COLUMNS))


def main(root):
    self_test()
    listed = subprocess.run(["git", "-C", root, "ls-files", *LAYERS], capture_output=True, text=True, check=True)
    names = [name for name in listed.stdout.split() if name.endswith(ENDINGS)]
    assert len(names) > 100, "git lists too few files: is this a checkout?"
    texts = {name: (pathlib.Path(root) / name).read_text(encoding="utf-8") for name in names}
    functions = [f for name, text in texts.items() for f in functions_of(name, text)]
    assert len(functions) > 1000, "lizard found too few functions"
    bad = [fault for name, text in texts.items() for fault in faults_of_file(name, text)]
    bad += [*faults_of_functions(functions, WIDE), *faults_of_lengths(functions)]
    print("\n".join(bad) if bad else f"{len(functions)} functions, {len(names)} files: "
          f"95 % of the functions have at most {twentieth_longest(functions)} lines")
    sys.exit(bool(bad))


if __name__ == "__main__":
    main(sys.argv[1])
