"""The `trireme` command, asked what an experiment needs to know before it starts anything."""
import hashlib
import json
import os
import pathlib
import re
import subprocess

from report.command import refuse

HERE = pathlib.Path(__file__).resolve().parent


def trireme():
    return os.environ.get("TRIREME_PROGRAM", "trireme")


def ask(*arguments, about=""):
    """Returns what it prints; its own refusal becomes ours, behind `about`."""
    try:
        done = subprocess.run([trireme(), *arguments], capture_output=True, text=True, errors="replace", check=False)
    except OSError as error:
        refuse(f"{trireme()}: {error.strerror}; legal: the command `trireme` in PATH")
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"`trireme {arguments[0]}` failed"]
        refuse(about + lines[-1].removeprefix("trireme: "))
    return done.stdout


def set_options(assignments):
    return [word for assignment in assignments for word in ("--set", assignment)]


def values_of(config, assignments):
    """{key: value} of the configuration, as texts."""
    lines = ask("explain-config", config, *set_options(assignments)).splitlines()
    return dict(found.groups() for line in lines if (found := re.match(r"(\S+) +(.*?)  +\S", line)))


def check_run(config, cell, folder, about=""):
    """Refuses what the run of a cell would refuse; what a dry run tells of it is returned."""
    return ask("train", config, "--dry-run", "--ranks", str(cell.ranks), *set_options(cell.assignments(folder)), about=about)


def digest(path):
    try:
        return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()
    except OSError as error:
        refuse(f"run: {path}: {error.strerror}; legal: the run, as YAML (`explain-config --keys`)")


def versions():
    told = ask("--version").strip().splitlines()
    try:
        mpi = subprocess.run(["mpirun", "--version"], capture_output=True, text=True, check=False).stdout.strip().splitlines()[:1]
    except OSError:
        mpi = []
    return told + mpi + [f"{os.uname().sysname} {os.uname().release} {os.uname().machine}"]


def surroundings():
    """Gathers what a reader wants to know of the place: variables that change how ranks run, and modules."""
    names = re.compile(r"(OMP|OMPI|MKL|NCCL|UCX|FI|PMIX|CUDA|TRIREME|SLURM_MPI)_\w+|LOADEDMODULES|LD_LIBRARY_PATH")
    hidden = re.compile(r"TOKEN|KEY|SECRET|PASS")
    return {name: "(not shown)" if hidden.search(name) else value for name, value in sorted(os.environ.items()) if names.fullmatch(name)}
