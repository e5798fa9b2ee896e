"""RUN/dynamics.bin, as framework/run/dynamics_log.hpp writes it."""
import os

import numpy

from report.command import reason_of, refuse, size_of

RECORD = numpy.dtype([("step", "<i8"), ("sample", "<i8"), ("loss", "<f8"), ("trained", "<i4"), ("correct", "<i4")])
FORMAT, VERSION = b"trireme-dynamics", 1
MOST_BYTES = 1 << 40


def read(run):
    """(samples of the training split, records by step and sample); a record that a killed run left half is passed over."""
    path = os.path.join(run, "dynamics.bin")
    legal = "a file that a run with train.dynamics: true wrote"
    try:
        size = size_of(path, MOST_BYTES)
        with open(path, "rb") as file:
            head = file.read(RECORD.itemsize)
            samples = int.from_bytes(head[24:32], "little")
            if len(head) < RECORD.itemsize or head[:16] != FORMAT or int.from_bytes(head[16:24], "little") != VERSION or not 0 < samples < 1 << 48:
                refuse(f"{path}: another format; legal: {legal}")
            found = numpy.fromfile(file, RECORD, size // RECORD.itemsize - 1)
    except OSError as error:
        refuse(f"{path}: {reason_of(error)}; legal: {legal}")
    check(path, samples, found)
    return samples, found


def check(path, samples, found):
    """Refuses records that no run writes."""
    if len(found) == 0:
        refuse(f"{path}: no step is in it; legal: a run that made at least one")
    wrong = (found["sample"] < 0) | (found["sample"] >= samples) | (found["trained"] < 0) | (found["correct"] < 0) | (found["correct"] > found["trained"])
    wrong[1:] |= numpy.diff(found["step"]) < 0
    if wrong.any():
        refuse(f"{path}: record {int(numpy.argmax(wrong)) + 1}: not of this run; legal: records by step, of samples from 0 to {samples - 1}")
