"""docs/command-line.md out of the program's own help texts.

    command_line.py TRIREME            writes it
    command_line.py TRIREME --check    fails if it is not up to date
"""
import pathlib
import re
import subprocess
import sys

PAGE = pathlib.Path(__file__).parent / "command-line.md"
INTRODUCTION = """# The command line

Made by `docs/command_line.py` out of the help texts; a test fails when it is out of date. `trireme help COMMAND` shows
the same, `cmake --build build --target man` makes manual pages of it, and `source <(trireme completion bash)` completes
commands, options and keys.

## Exit codes

A batch script can act on them: they are the same for every command, and `cluster/error.hpp` is where they are defined.

| code | meaning | what a script does |
| --- | --- | --- |
| 0 | done | goes on |
| 1 | failed: the message names call, rank and host (`doctor`: there is a problem) | counts it, tries again a few times |
| 2 | bad input: the message says where, which value, what is legal; nothing was written | stops: trying again cannot help |
| 3 | `train` must not go on by itself: a file STOP, a spent budget, no progress in several jobs | stops: a person decides |
| 85 | `train` was asked to stop (SIGUSR1, SIGUSR2, SIGTERM, SIGINT, SIGHUP) and saved | starts the same command again |

Any other code is a failure too: 128 + N under a shell means that signal N ended it.

## Where a value of the configuration comes from

Later ones win: default, file, environment variable `TRIREME_SET="KEY=VALUE KEY=VALUE"` (that of rank 0), `--set KEY=VALUE`.
`trireme explain-config CONFIG` and `trireme train CONFIG --dry-run` show for every key which it was.
"""


def output(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.rstrip()


def commands(overview):
    """Names in the groups of the overview, which come before its options."""
    return re.findall(r"^  ([a-z][a-z-]*) ", overview.split("\nOptions:")[0], re.M)


def page(trireme):
    overview = output(trireme, "--help")
    names = commands(overview)
    assert len(names) > 5, overview
    text = INTRODUCTION + f"\n## trireme\n\n```\n{overview}\n```\n"
    for name in names:
        if name != "help":
            text += f"\n## trireme {name}\n\n```\n{output(trireme, name, '--help')}\n```\n"
    return text


def main(trireme, *arguments):
    text = page(trireme)
    if arguments == ("--check",):
        if not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text:
            sys.exit(f"{PAGE} is out of date; run: python3 docs/command_line.py {trireme}")
    else:
        PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
