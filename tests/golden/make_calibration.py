"""Writes calibration.json: figures of the report on an evaluation by scikit-learn and by Guo's formula in plain numpy, of
predictions made up here.

    launch/setup --tests && .venv/bin/python tests/golden/make_calibration.py
"""
import json
import math
from pathlib import Path

import numpy
import sklearn
from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support

random = numpy.random.default_rng(11)


def expected_calibration_error(confidence, right, bins=15):
    """Equation 3 of Guo et al. 2017, bin by bin: (low, high]."""
    total = 0.0
    for m in range(bins):
        inside = (confidence > m / bins) & (confidence <= (m + 1) / bins)
        if inside.any():
            total += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    return total


def case(classes, samples, sharpness, absent=None):
    """Predictions that are too sure of themselves; `absent`: a class that neither occurs nor is predicted."""
    names = [f"class {i}" for i in range(classes)]
    scores = random.normal(size=(samples, classes)) * sharpness
    if absent is not None:
        scores[:, absent] = -40
    truth = numpy.array([random.choice(classes, p=p) for p in softmax(scores * 0.5)])
    if absent is not None:
        truth[truth == absent] = (absent + 1) % classes
    shares = numpy.round(softmax(scores), 6)
    found = shares.argmax(axis=1)
    part = precision_recall_fscore_support(truth, found, labels=range(classes), zero_division=numpy.nan)
    value = lambda x: None if math.isnan(x) else float(x)
    return {
        "labels": names, "label": truth.tolist(), "prediction": found.tolist(), "probabilities": shares.tolist(),
        "accuracy": accuracy_score(truth, found), "confusion": confusion_matrix(truth, found, labels=range(classes)).tolist(),
        "per_class": {n: dict(precision=value(p), recall=value(r), f1=value(f), support=int(s)) for n, p, r, f, s in zip(names, *part)},
        "expected_calibration_error": expected_calibration_error(shares.max(axis=1), truth == found),
    }


def softmax(scores):
    shares = numpy.exp(scores - scores.max(axis=1, keepdims=True))
    return shares / shares.sum(axis=1, keepdims=True)


cases = [case(2, 200, 2.0), case(5, 300, 1.5), case(4, 60, 3.0, absent=2)]
text = json.dumps({"scikit-learn": sklearn.__version__, "numpy": numpy.__version__, "cases": cases}, separators=(",", ":")) + "\n"
(Path(__file__).parent / "calibration.json").write_text(text)
