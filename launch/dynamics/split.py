"""Rows that the samples of a training split were made of, and their labels, out of its shards (docs/data-format.md)."""
import os
from typing import NamedTuple

import h5py
import numpy

from report.command import reason_of, refuse
from report.reading import read_json
from report.run_config import read_config


class Split(NamedTuple):
    folder: str
    sources: list  # files
    file: numpy.ndarray  # place in these, of each sample
    line: numpy.ndarray
    labels: list  # names
    label: numpy.ndarray  # place in these; None where the task has no class

    def row(self, sample):
        """FILE:LINE"""
        return f"{self.sources[self.file[sample]]}:{self.line[sample]}"

    def name(self, sample):
        return "" if self.label is None else self.labels[self.label[sample]] if self.label[sample] >= 0 else "none"


def columns_of(path, names):
    """{name: values} of those columns that the shard has."""
    try:
        with h5py.File(path, "r") as file:
            return {name: file[f"columns/{name}/values"][...] for name in names if f"columns/{name}/values" in file}
    except (OSError, KeyError, RuntimeError) as error:
        reason = reason_of(error) if isinstance(error, OSError) and error.strerror else str(error).splitlines()[0]
        refuse(f"{path}: cannot be read: {reason}; legal: a shard that `trireme prepare` wrote")


def of_run(run, samples):
    """The split that the run learned from, which had so many samples. Paths are relative to where the run was started."""
    config = read_config(run)
    folder, name = config.get("data.path"), config.get("data.train", "train")
    if not isinstance(folder, str) or not isinstance(name, str):
        refuse(f"{run}/config.yaml: data.train: a list of sources: legal: a run that learned from one split")
    manifest = read_json(os.path.join(folder, "manifest.json"), "the data of the run, at data.path of its config.yaml")
    parts = {"source_file": [], "source_line": [], "label": []}
    for shard in manifest["splits"].get(name, {}).get("shards", []):
        for column, values in columns_of(os.path.join(folder, os.path.basename(shard["file"])), parts).items():
            parts[column].append(values)
    found = {column: numpy.concatenate(values) if values else None for column, values in parts.items()}
    if found["source_line"] is None or len(found["source_line"]) != samples:
        there = 0 if found["source_line"] is None else len(found["source_line"])
        refuse(f"{folder}: split {name} has {there} samples: legal: {samples}, with which {run} was trained (and data.fraction: 1)")
    return Split(folder, manifest["sources"], found["source_file"], found["source_line"], manifest.get("labels") or [], found["label"])
