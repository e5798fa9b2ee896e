"""The frame of commands that run an experiment: their options, and an end in order when they are told to stop."""
import argparse
import signal
import sys

from report.command import EXIT_STATUS, Layout, fail, reason_of

STOPPED = 85  # as of `train`: the same command goes on


def parser_of(kind, description, examples):
    """(parser, its group of options, options that every experiment has). `kind`: study or sweep."""
    parser = argparse.ArgumentParser(
        prog=f"trireme {kind}", allow_abbrev=False, exit_on_error=False, add_help=False, formatter_class=Layout,
        usage=f"trireme {kind} {kind.upper()}.yaml [OPTION]...", description=description,
        epilog="Examples:\n" + "".join(f"  {line}\n" for line in examples) + "\n" + EXIT_STATUS + "\n  85  stopped: the same command goes on")
    parser.add_argument("file", nargs="?", help=argparse.SUPPRESS)
    options = parser.add_argument_group("Options")
    taken = [options.add_argument("--folder", metavar="FOLDER", help=f"folder of the {kind}, instead of the file's `{kind}`"),
             options.add_argument("--dry-run", action="store_true", help="show the cells and what they may cost; run and write nothing"),
             options.add_argument("--report", action="store_true", help="make the report of what there is; run nothing"),
             options.add_argument("--retry", action="store_true", help="run failed cells again")]
    return parser, options, taken


def stop(*_):
    """Ends an experiment in order; a shell that starts it in the background has it ignore SIGINT, which could not be raised instead."""
    raise KeyboardInterrupt


def until_stopped(folder, work):
    """Calls `work`; a signal, or a disk that takes nothing more, ends it with a line and an exit code."""
    signal.signal(signal.SIGTERM, stop)
    try:
        work()
    except KeyboardInterrupt:
        print(f"trireme: stopped; the same command goes on (what is there: {folder.path})", file=sys.stderr)
        sys.exit(STOPPED)
    except OSError as error:
        fail(f"{error.filename or folder.path}: {reason_of(error)}")
