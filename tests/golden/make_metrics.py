"""Writes metrics.json: accuracy, macro F1 and confusion matrix by scikit-learn, of labels and predictions made up here.

    pip install scikit-learn && python make_metrics.py
"""
import json
import random
from pathlib import Path

import sklearn
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score

random.seed(7)
cases = [
    (3, [0, 1, 0, 1], [0, 1, 0, 1]),  # the third class neither occurs nor is predicted
    (3, [0, 1, 0, 1], [0, 2, 0, 1]),  # it is predicted only
    (3, [0, 2, 0, 1], [0, 0, 0, 1]),  # it occurs only
    (4, [3, 3, 3], [0, 0, 0]),
    (2, [1], [1]),
    (6, [random.randrange(5) for _ in range(200)], [random.randrange(6) for _ in range(200)]),
]
rows = [{
    "classes": classes,
    "labels": labels,
    "predictions": predictions,
    "accuracy": accuracy_score(labels, predictions),
    "f1": f1_score(labels, predictions, average="macro", zero_division=0),
    "confusion": confusion_matrix(labels, predictions, labels=range(classes)).tolist(),
} for classes, labels, predictions in cases]
text = json.dumps({"scikit-learn": sklearn.__version__, "cases": rows}) + "\n"
(Path(__file__).parent / "metrics.json").write_text(text)
