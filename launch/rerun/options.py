"""Options that `trireme replay` and `trireme diverge` share, and numbers among their values."""
import os
import pathlib

from report.command import refuse


def whole(name, text, least=1):
    if not text.isascii() or not text.isdigit() or len(text) > 9 or int(text) < least:
        refuse(f"{name}: {text}: legal: a whole number, {least} or more")
    return int(text)


def share(name, text):
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1:
        refuse(f"{name}: {text}: legal: a number >= 0 and < 1")
    return value


def config_of(run):
    if not run:
        refuse("RUN: missing; legal: folder of a run, as `trireme train` writes one")
    config = pathlib.Path(run, "config.yaml")
    if not config.is_file():
        refuse(f"{config}: no such file; legal: RUN is the folder of a run, as `trireme train` writes one")
    return config


def launcher(name, text):
    if "{ranks}" not in text or text.replace("{ranks}", "").count("{"):
        refuse(f"{name}: {text}: legal: a command with the word {{ranks}}, as in mpirun -n {{ranks}}")
    return text


def work(folder):
    if folder and not (os.path.isdir(folder) and os.access(folder, os.W_OK)):
        refuse(f"--work: {folder}: legal: a folder that exists and may be written to")
    return folder
