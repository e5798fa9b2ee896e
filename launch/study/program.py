"""Answers of the `trireme` command that only studies need."""
import json
import re
import subprocess

from experiment.program import set_options, trireme


def parameters_of(told):
    """Parameters of the model that a dry run told of; None if it does not."""
    found = re.search(r"^model +([\d,]+) parameters", told, re.M)
    return int(found[1].replace(",", "")) if found else None


def predicted_step(study, cell, folder):
    """(seconds of a step that `trireme plan` foretells, what it printed); (None, reason) where it foretells none."""
    command = [trireme(), "plan", study.run, "--machine", study.machine, "--nodes", str(cell.nodes), "--gpus-per-node", str(study.ranks_per_node),
               "--top", "1", *(["--sequence", str(study.sequence)] if study.sequence else []), *set_options(cell.assignments(folder))]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    found = re.search(r"^  fits: .*; ([\d.e+-]+) s a step$", done.stdout, re.M)
    seconds = float(found[1]) if found else 0
    return (seconds or None), done.stdout + done.stderr


def to_json(value):
    return json.dumps(value, ensure_ascii=False, indent=1)
