"""What fine-tuning brought: the evaluation beside others of the same split, and beside the most frequent class."""
from report import evaluation
from report.command import is_number, refuse

CAPTION = ("All of the same samples. Majority: whoever always says the most frequent class of this split. What stands above the last "
           "row is what can be had without fine-tuning.")
SHOWN = ("accuracy", "f1", "mcc", "micro_f1", "exact_match", "accuracy_per_byte", "mse", "pearson", "perplexity", "loss")


def named(words):
    """NAME=FILE of each --beside."""
    pairs = []
    for word in words:
        name, found, path = word.partition("=")
        if not (name and found and path):
            refuse(f"--beside: {word}: legal: NAME=FILE, a name for the row and the file with what `trireme evaluate` printed")
        if name in dict(pairs):
            refuse(f"--beside: {name}: given twice; legal: a name for each file")
        pairs.append((name, path))
    return pairs


def supports(found):
    return [sum(row) for row in found.get("confusion", ())]


def majority(found):
    """Metrics of the constant answer; F1 as scikit-learn's macro mean over the classes that occur."""
    classes = supports(found)
    share = max(classes) / sum(classes)
    return {"samples": sum(classes), "accuracy": share, "f1": 2 * share / (1 + share) / sum(map(bool, classes)), "mcc": 0.0}


def check_same(path, other, found):
    if other.get("samples") != found.get("samples"):
        refuse(f"{path}: samples: {other.get('samples')}: legal: {found.get('samples')}, as in the evaluation: the same split")
    if supports(other) and supports(found) and supports(other) != supports(found):
        refuse(f"{path}: confusion: other labels than in the evaluation; legal: the same split")


def section(path, words):
    """A table of one row for each evaluation, that of `path` last."""
    found = evaluation.read_evaluation(path)
    rows = [("majority", majority(found))] if sum(supports(found)) else []
    for name, file in named(words):
        other = evaluation.read_evaluation(file)
        check_same(file, other, found)
        rows.append((name, other))
    rows.append(("this model", found))
    metrics = [m for m in SHOWN if any(is_number(row.get(m)) for _, row in rows)]
    columns = ["model", *((m, evaluation.METRICS[m][0]) for m in metrics)]
    table = evaluation.table(CAPTION, columns, [[name, *(row.get(m) if is_number(row.get(m)) else None for m in metrics)] for name, row in rows])
    return {"title": "What fine-tuning brought", "blocks": [table]}
