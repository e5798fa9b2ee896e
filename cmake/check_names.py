"""Fails on a name that two source files of one target each keep to themselves, in an anonymous namespace or as static.

    check_names.py ROOT TARGETS

A build that compiles files of a target together (CMAKE_UNITY_BUILD) would see one name twice; a build file by file does
not notice. TARGETS: a file that CMake writes, in each line a target and its sources, separated by semicolons. Layout is
as clang-format makes it: what a namespace declares begins in the first column.
"""
import collections
import pathlib
import re
import sys

END = re.compile(r"^\} // namespace.*$", re.M)
NOT_CODE = re.compile(r'R"(\w*)\(.*?\)\1"|//[^\n]*|/\*.*?\*/|"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.){1,4}\''
                      r"|^#(?:[^\n]*\\\n)*[^\n]*", re.S | re.M)
TEST = re.compile(r"(?:TEST|TEST_F|TEST_P|TYPED_TEST|INSTANTIATE_TEST_SUITE_P)\(\s*(\w+),\s*(\w+)")
ALIAS = re.compile(r"(?:using|namespace)\s+(\w+)\s*=\s*([^;]*);")
TYPE = re.compile(r"(?:struct|class|union|enum class|enum)\s+(?:alignas\([^)]*\)\s*)?(\w+)\s*(?:final\b\s*)?(?:[{;]|:(?!:))")
INTERNAL = re.compile(r"(?:template\s*<[^(]*>\s*)?(?:static|constexpr)\b")
ANGLES = re.compile(r"<[^<>;{}]*>")


def declarations(text):
    """Yields the namespace of each declaration, whether it is anonymous, and the code."""
    text = NOT_CODE.sub(lambda found: "\n" * found[0].count("\n"), END.sub("}namespace", text))
    spaces, code = [], ""
    for line in text.split("\n") + ["}namespace"]:
        begins = line[:1].strip() and line[0] not in "}):"
        opened = re.match(r"(?:inline )?namespace ?([\w:]*) \{$", line)
        if begins or line == "}namespace":
            if code and not re.match(r"(template|requires)\b[^(;{]*$", code):
                yield "::".join(filter(None, spaces)), "" in spaces, code
                code = ""
        if opened:
            spaces.append(opened[1])
        elif line == "}namespace":
            spaces = spaces[:-1]
        elif begins or code:
            code += line + "\n"


def names_in(code):
    """Yields the names that a declaration makes, each with what it is an alias of, or None."""
    if found := TEST.match(code):
        yield ".".join(found.groups()), None
    elif found := ALIAS.match(code):
        yield found[1], " ".join(found[2].split())
    elif found := TYPE.match(code):
        yield found[1], None
    elif not re.match(r"using\b|friend\b|extern\b|static_assert\b", code):
        code = code.replace("->", " ")
        while code != (shorter := ANGLES.sub(" ", code)):
            code = shorter
        head = re.match(r"[^(={;]*", code)[0]
        words = re.findall(r"[\w:~]+", re.sub(r"\[.*?\]", "", head))
        if len(words) > 1 and re.fullmatch(r"\w+", words[-1]) and "operator" not in words:
            yield words[-1], None
            if code[len(head):len(head) + 1] != "(":  # int a = 1, b = 2;
                yield from ((name, None) for name in re.findall(r",\s*(\w+)\s*(?:=[^=]|\{|;)", nested_out(code)))


def nested_out(code):
    while code != (shorter := re.sub(r"\([^(){}]*\)|\{[^(){}]*\}", "0", code)):
        code = shorter
    return code


def own_names(text):
    """Names that a file keeps to itself, with their namespaces: each with what it is an alias of, or None."""
    own = {}
    for space, anonymous, code in declarations(text):
        if anonymous or any(pattern.match(code) for pattern in (INTERNAL, TEST, ALIAS)):
            own.update(((space, name), alias) for name, alias in names_in(code))
    return own


def faults(target, texts):
    """Yields what is wrong with the files of one target, given as a dictionary from name to text."""
    files = collections.defaultdict(list)
    for file, text in texts.items():
        for name, alias in own_names(text).items():
            files[name].append((file, alias))
    for (_, name), found in files.items():
        aliases = {alias for _, alias in found}
        if len(found) > 1 and (None in aliases or len(aliases) > 1):
            for file, _ in found[1:]:
                yield (f"{file}: {name}: {found[0][0]} of the same target {target} has one too: give each a name of its own, "
                       "or one function a home of its own")


def self_test():
    def found(*bodies):
        return list(faults("t", {f"{i}.cpp": f"namespace a {{\n\n{body}\n\n}} // namespace a\n" for i, body in enumerate(bodies)}))

    def hidden(code):
        return f"namespace {{\n\n{code}\n\n}} // namespace"

    one = hidden("int f(int x) {\n    return x;\n}")
    assert found("#include <a>\n" + one, one) and found(one, one) and found(one, "static int f();")
    assert not found(one, hidden("int g() {\n    return f(1);\n}"))
    assert not found(one, "int f(int x) {\n    return x;\n}") and not found(one, "namespace b {\n" + one + "\n} // namespace b")
    assert not found(one, hidden("// int f(int x)\nint A::f(int x) {}")) and not found(one, hidden('auto a = R"(\nint f()\n)";'))
    assert found(hidden("template <typename T>\nrequires B<T, int>\nINLINE T f(T x) {\n}"), one)
    assert found(hidden("std::map<int, std::function<void(int)>> f;"), one)
    assert found(hidden("int f;"), hidden("int e = max(1, 2), f = 2;")) and not found(hidden("int f;"), hidden("int e = g(1, f);"))
    assert found(hidden("struct F {\n    int x;\n};"), hidden("class F final : public G {\n};"))
    assert not found(hidden("struct F::G {\n};"), hidden("struct F::H {\n};"))
    assert found(hidden("using F = int;"), hidden("using F = long;")) and not found(hidden("using F = int;"), hidden("using F = int;"))
    assert found("namespace f = g;", "namespace f = h;") and found("constexpr int f = 1;", hidden("int f[] = {1};"))
    assert found("TEST(A, B) {\n}", "TEST(A, B) {\n}") and not found("TEST(A, B) {\n}", "TEST(A, C) {\n}")
    assert found(*["INSTANTIATE_TEST_SUITE_P(All, A, Values(1));"] * 2)


def main(root, listed):
    self_test()
    targets = [line.split(";") for line in pathlib.Path(listed).read_text(encoding="utf-8").splitlines()]
    root, bad, count = pathlib.Path(root), [], 0
    for target, *sources in targets:
        files = [f for f in map(pathlib.Path, sources) if f.suffix == ".cpp" and f.is_relative_to(root) and f.is_file()]
        texts = {str(f.relative_to(root)): f.read_text(encoding="utf-8") for f in files}
        count += len(texts)
        bad += faults(target, texts)
    assert count > 100, f"{listed}: too few sources: does CMake still write it?"
    print("\n".join(bad) if bad else f"{count} sources of {len(targets)} targets: no two of a target share a name of their own")
    sys.exit(bool(bad))


if __name__ == "__main__":
    main(*sys.argv[1:])
