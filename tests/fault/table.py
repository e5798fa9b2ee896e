"""The table of docs/reliability.md, out of the fault tests themselves.

    table.py BUILD [--only REGEX] [--quick]     runs `ctest -L fault` and writes the table
    table.py --from ROWS                        writes it from rows that runs left (TRIREME_FAULT_TABLE=ROWS ctest ...)

Each test that passed appends its rows (tests/support/fault_result.hpp); a test that failed has none, and makes this
fail. Rows of tests that did not run this time stay as they are.
"""
import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "reliability.md"
BEGIN, END = "<!-- table of faults: made by tests/fault/table.py -->", "<!-- end of the table -->"
HEAD = ["| id | fault | what came of it | detected after | recovered after | steps lost | test |",
        "| --- | --- | --- | --- | --- | --- | --- |"]


def rows_of(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def order(row):
    letters, digits = re.fullmatch(r"([A-Z]+)(\d+)", row["id"]).groups()
    return letters, int(digits), row["fault"]


def line_of(row):
    def seconds(key):
        return f"{row[key]:.1f} s" if row[key] >= 0 else ""
    steps = str(row["steps_lost"]) if row["steps_lost"] >= 0 else ""
    cells = [row["id"], row["fault"], row["outcome"], seconds("detect_seconds"), seconds("recover_seconds"), steps, f"`{row['test']}`"]
    return "| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |"


def merge(text, rows):
    before, rest = text.split(BEGIN)
    old, after = rest.split(END)
    ran = {row["test"] for row in rows}
    kept = [line for line in old.splitlines() if line.startswith("| F") and line.split("|")[-2].strip().strip("`") not in ran]
    lines = [(order({"id": line.split("|")[1].strip(), "fault": line.split("|")[2].strip()}), line) for line in kept]
    lines += [(order(row), line_of(row)) for row in rows]
    body = "\n".join(HEAD + [line for _, line in sorted(lines)])
    return f"{before}{BEGIN}\n\n{body}\n\n{END}{after}"


def run(build, only, quick):
    with tempfile.TemporaryDirectory() as folder:
        rows = pathlib.Path(folder) / "rows"
        command = ["ctest", "--test-dir", build, "-L", "fault", "--output-on-failure"]
        command += ["-R", only] if only else []
        command += ["-LE", "long"] if quick else []
        code = subprocess.run(command, env={**os.environ, "TRIREME_FAULT_TABLE": str(rows)}, check=False).returncode
        return (rows_of(rows) if rows.exists() else []), code


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", nargs="?")
    parser.add_argument("--only")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--from", dest="rows", type=pathlib.Path)
    arguments = parser.parse_args()
    if bool(arguments.build) == bool(arguments.rows):
        parser.error("legal: a build folder, or --from ROWS")
    rows, code = (rows_of(arguments.rows), 0) if arguments.rows else run(arguments.build, arguments.only, arguments.quick)
    if not rows:
        sys.exit("table.py: no test left a row")
    PAGE.write_text(merge(PAGE.read_text(encoding="utf-8"), rows), encoding="utf-8")
    print(f"{len(rows)} rows in {PAGE}")
    sys.exit(code)


if __name__ == "__main__":
    main()
