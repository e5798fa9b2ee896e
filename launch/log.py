"""The log of a run for other trackers: trireme log convert RUN --to wandb|mlflow --output FOLDER (docs/metrics.md)."""
import argparse
import os
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))  # -I leaves it out

from report import trackers
from report.command import EXIT_STATUS, Layout, deliver_name, parse, refuse


def arguments_of():
    parser = argparse.ArgumentParser(
        prog="trireme log", allow_abbrev=False, exit_on_error=False, add_help=False, formatter_class=Layout,
        usage="trireme log convert RUN --to TRACKER --output FOLDER [OPTION]...",
        description="The metrics and the configuration of a run in the files of Weights & Biases or MLflow, written by\n"
                    "their own libraries and without network. Steps that a resumed run repeated are there once.",
        epilog="Examples:\n  trireme log convert runs/reviews --to mlflow --output mlruns\n\n" + EXIT_STATUS)
    parser.add_argument("words", metavar="RUN", nargs="*", help=argparse.SUPPRESS)
    options = parser.add_argument_group("Options")
    taken = [options.add_argument("--to", metavar="TRACKER", help=f"{' or '.join(trackers.WRITERS)}"),
             options.add_argument("--output", metavar="FOLDER", help="folder for the tracker's files; must not exist"),
             options.add_argument("--project", metavar="TEXT", default="trireme",
                                  help="project (wandb) or experiment (mlflow) to which the run belongs (default: trireme)")]
    options.add_argument("-h", "--help", action="help", help="show this help")
    given = parse(parser, taken, ["--to", "--output", "--project"])
    if given.words[:1] != ["convert"]:
        refuse(f"{given.words[0] if given.words else 'log'}: legal: trireme log convert RUN")
    if len(given.words) != 2:
        refuse(f"RUN: {len(given.words) - 1} given; legal: one folder of a run")
    if given.to not in trackers.WRITERS:
        refuse(f"--to: {given.to}: legal: {', '.join(trackers.WRITERS)}")
    if os.path.lexists(given.output):
        refuse(f"--output: {given.output}: exists already; legal: a new folder")
    return given


def main():
    given = arguments_of()
    library = trackers.library(given.to)
    history = trackers.history_of(given.words[1])
    trackers.convert(given.to, library, history, given.output, given.project)
    deliver_name(given.output)


if __name__ == "__main__":
    main()
