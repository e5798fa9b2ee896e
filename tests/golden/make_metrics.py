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
from sklearn.metrics import (accuracy_score, confusion_matrix, f1_score, log_loss, mean_squared_error,
                             precision_recall_fscore_support)

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

text = json.dumps({"scikit-learn": sklearn.__version__, "scipy": scipy.__version__, "cases": rows, "numbers": reals,
                   "texts": texts}) + "\n"
(Path(__file__).parent / "metrics.json").write_text(text)
