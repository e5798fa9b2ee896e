"""Writes metrics.json: metrics by scikit-learn and scipy, of labels, predictions and numbers made up here.

    pip install scikit-learn scipy && python make_metrics.py
"""
import json
import math
import random
import warnings
from pathlib import Path

import numpy
import scipy
import sklearn
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import (accuracy_score, confusion_matrix, f1_score, hamming_loss, log_loss, matthews_corrcoef,
                             mean_squared_error, precision_recall_fscore_support, roc_auc_score)

random.seed(7)
cases = [
    (3, [0, 1, 0, 1], [0, 1, 0, 1]),  # the third class neither occurs nor is predicted
    (3, [0, 1, 0, 1], [0, 2, 0, 1]),  # it is predicted only
    (3, [0, 2, 0, 1], [0, 0, 0, 1]),  # it occurs only
    (4, [3, 3, 3], [0, 0, 0]),
    (2, [1], [1]),
    (6, [random.randrange(5) for _ in range(200)], [random.randrange(6) for _ in range(200)]),
]


def per_class(classes, labels, predictions):
    """Precision, recall, F1 and support of each class; null: not defined."""
    found = precision_recall_fscore_support(labels, predictions, labels=range(classes), zero_division=numpy.nan)
    return {name: [None if math.isnan(v) else float(v) for v in values]
            for name, values in zip(("precision", "recall", "f1", "support"), found)}


rows = [{
    "classes": classes,
    "labels": labels,
    "predictions": predictions,
    "accuracy": accuracy_score(labels, predictions),
    "f1": f1_score(labels, predictions, average="macro", zero_division=0),
    "mcc": matthews_corrcoef(labels, predictions),
    "confusion": confusion_matrix(labels, predictions, labels=range(classes)).tolist(),
    "of_classes": per_class(classes, labels, predictions),
} for classes, labels, predictions in cases]


def numbers(outputs, targets, found):
    """A row for [samples][outputs] in float32, as a data set and a model have them; null: not defined."""
    t, f = (numpy.asarray(x, numpy.float32).astype(float).reshape(-1, outputs) for x in (targets, found))
    row = {"outputs": outputs, "targets": t.ravel().tolist(), "found": f.ravel().tolist(), "mse": mean_squared_error(t, f)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what does not vary
        for name, correlation in (("pearson", pearsonr), ("spearman", spearmanr)):
            value = float(numpy.mean([correlation(t[:, i], f[:, i]).statistic for i in range(outputs)]))
            row[name] = value if math.isfinite(value) else None
    return row


drawn = lambda n, places: [round(random.gauss(0, 2), places) for _ in range(n)]
reals = [
    numbers(1, [1, 2, 3], [2, 4, 6]),
    numbers(1, [1, 2, 3], [0.5, 0.25, -4]),
    numbers(1, [1, 2, 2, 3, 3, 3], [1, 1, 2, 2, 5, 2]),  # ties
    numbers(1, [1, 2, 3], [7, 7, 7]),  # does not vary
    numbers(1, drawn(200, 5), drawn(200, 5)),
    numbers(1, [1000 + x for x in drawn(50, 3)], [1000 + x for x in drawn(50, 3)]),
    numbers(3, drawn(150, 0), drawn(150, 1)),  # many ties
    numbers(2, [0, 1, 1, 2, 2, 3], [0, 5, 1, 6, 2, 8]),
]

probabilities = [[random.uniform(0.01, 1) for _ in range(4)] for _ in range(40)]
probabilities = [[p / sum(row) for p in row] for row in probabilities]
tokens = [random.randrange(4) for _ in probabilities]
texts = {
    "losses": [-math.log(row[token]) for row, token in zip(probabilities, tokens)],
    "loss": log_loss(tokens, probabilities, labels=range(4)),
    "perplexity": math.exp(log_loss(tokens, probabilities, labels=range(4))),
}



def reliability(confidence, right, bins=15):
    """Guo et al. 2017: bins (low, high] with their samples, mean confidence and accuracy."""
    rows = []
    for m in range(bins):
        inside = (confidence > m / bins) & (confidence <= (m + 1) / bins)
        some = bool(inside.any())
        rows.append({"low": m / bins, "high": (m + 1) / bins, "count": int(inside.sum()),
                     "confidence": float(confidence[inside].mean()) if some else None,
                     "accuracy": float(right[inside].mean()) if some else None})
    return rows


def scores(classes, labels, logits):
    """A row for logits of classes in float32; the area is null where a class has no sample or every one."""
    x, labels = numpy.asarray(logits, numpy.float32).astype(float).reshape(-1, classes), numpy.asarray(labels)
    shares = numpy.exp(x - x.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    found, confidence = x.argmax(axis=1), shares.max(axis=1)
    bins = reliability(confidence, found == labels)
    area = None
    if set(labels) == set(range(classes)):
        area = roc_auc_score(labels, shares[:, 1]) if classes == 2 else roc_auc_score(labels, shares, multi_class="ovr", average="macro")
    return {"classes": classes, "labels": labels.tolist(), "logits": x.ravel().tolist(), "accuracy": accuracy_score(labels, found),
            "mcc": matthews_corrcoef(labels, found), "roc_auc": area, "reliability": bins,
            "calibration_error": sum(b["count"] * abs(b["accuracy"] - b["confidence"]) for b in bins if b["count"]) / len(labels)}


def sets(outputs, targets, logits):
    """A row for labels of which a sample has any number; predicted from a probability of one half on."""
    t, x = numpy.asarray(targets).reshape(-1, outputs), numpy.asarray(logits, numpy.float32).astype(float).reshape(-1, outputs)
    found = (x >= 0).astype(int)
    both = (t.min(axis=0) == 0).all() and (t.max(axis=0) == 1).all()
    f1 = lambda average: float(f1_score(t, found, average=average, zero_division=0) if outputs > 1 else f1_score(t.ravel(), found.ravel(), zero_division=0))
    return {"outputs": outputs, "targets": t.ravel().tolist(), "found": x.ravel().tolist(), "accuracy": 1 - hamming_loss(t, found),
            "f1": f1("macro"), "micro_f1": f1("micro"), "exact_match": accuracy_score(t, found),
            "roc_auc": float(roc_auc_score(t, x, average="macro")) if both else None}


several = lambda classes, n: [random.randrange(classes) for _ in range(n)]
of_classes = [
    scores(2, [0, 1, 1, 0], [2, -1, -1, 3, 0.5, 0.25, 0.5, 0.5]),
    scores(2, several(2, 150), drawn(300, 1)),  # many ties
    scores(3, several(3, 200), drawn(600, 3)),
    scores(5, several(5, 300), drawn(1500, 4)),
    scores(3, [0, 1, 1, 0], drawn(12, 2)),  # the third class has no sample
    scores(2, [1, 1, 1], drawn(6, 2)),
]
of_sets = [
    sets(3, several(2, 300), drawn(300, 1)),
    sets(1, several(2, 80), drawn(80, 3)),
    sets(2, [1, 0, 1, 0, 1, 0], drawn(6, 2)),  # a label that every sample has, and one that none has
    sets(4, [int(random.random() < 0.1) for _ in range(400)], [x - 3 for x in drawn(400, 2)]),  # rare labels
]



def windows(kind, outputs, sizes, pooling):
    """Outputs of documents of so many windows each, and the losses of documents: classes, label_sets or numbers."""
    x = numpy.asarray(drawn(outputs * sum(sizes), 2), numpy.float32).reshape(-1, outputs)
    parts = numpy.split(x.astype(float), numpy.cumsum(sizes)[:-1])
    pooled = numpy.asarray([part.mean(axis=0) if pooling == "mean" else part.max(axis=0) for part in parts], numpy.float32)
    own = numpy.asarray([several(outputs, 1) if kind == "classes" else several(2, outputs) for _ in sizes])
    row, y = pooled.astype(float), own
    if kind == "classes":
        losses = numpy.log(numpy.exp(row).sum(axis=1)) - row[numpy.arange(len(row)), y[:, 0]]
        correct = row.argmax(axis=1) == y[:, 0]
    elif kind == "label_sets":
        losses = -(y * numpy.log(1 / (1 + numpy.exp(-row))) + (1 - y) * numpy.log(1 - 1 / (1 + numpy.exp(-row)))).sum(axis=1)
        correct = ((row >= 0) == y).sum(axis=1)
    else:
        losses, correct = ((row - y) ** 2).sum(axis=1), numpy.zeros(len(row), int)
    return {"kind": kind, "outputs": outputs, "sizes": sizes, "pooling": pooling, "logits": x.astype(float).ravel().tolist(),
            "own": own.tolist(), "pooled": row.ravel().tolist(), "losses": losses.tolist(), "correct": correct.astype(int).tolist()}


of_windows = [windows(kind, 3, [1, 4, 2, 1, 7, 3], pooling) for kind in ("classes", "label_sets", "numbers") for pooling in ("mean", "max")]

text = json.dumps({"scikit-learn": sklearn.__version__, "scipy": scipy.__version__, "cases": rows, "numbers": reals,
                   "texts": texts, "scores": of_classes, "sets": of_sets, "windows": of_windows}) + "\n"
(Path(__file__).parent / "metrics.json").write_text(text)
