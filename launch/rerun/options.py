"""Options that `trireme replay` and `trireme diverge` share."""
import os
import pathlib

from report.command import refuse


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
