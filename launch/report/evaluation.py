"""The report on one evaluation: what `trireme evaluate` prints, and its predictions."""
import heapq
import math

from report import intervals, reading
from report.calibration import BINS, Calibration
from report.command import is_number, refuse
from report.numbers import shown
from report.schema import FORMAT, VERSION, count, is_list_of, is_text, shown_value

EVALUATION = "what `trireme evaluate` printed: one JSON object with loss and samples"
PREDICTIONS = "lines of JSON as `trireme evaluate --predictions` writes them"
MOST_WRONG = 20
INTERVALS = (f"The intervals say how far chance in the choice of these samples may move a figure: the middle 95 % of {intervals.RESAMPLES:,} resamples "
             "with replacement (percentile bootstrap, Efron and Tibshirani 1993), of the loss by its standard error. They know nothing of "
             "other seeds and of other kinds of text.")
# name: (form of schema.FORMS, what it is)
METRICS = {
    "split": ("text", "part of the data"), "samples": ("integer", "in this split"),
    "loss": ("number", "mean over the trained labels, natural logarithm"), "accuracy": ("percent", "share of the labels that got the highest score"),
    "accuracy_per_byte": ("percent", "share of the questions whose right choice is likeliest per byte"),
    "f1": ("percent", "mean of F1 over the classes that occur or are predicted"), "perplexity": ("number", "e to the power of the loss"),
    "micro_f1": ("percent", "F1 of all labels of all samples together"), "exact_match": ("percent", "share of the samples that are right in everything"),
    "rouge_l": ("percent", "mean ROUGE-L of the completions"),
    "precision": ("percent", "share of the entities found that are right"), "recall": ("percent", "share of the entities that were found"),
    "macro_f1": ("percent", "mean of F1 over the types of entities"), "strict_f1": ("percent", "F1 of entities that are well-formed"),
    "has_answer_f1": ("percent", "F1 of words where there is an answer"), "no_answer_f1": ("percent", "share of the questions without one that are told"),
    "mcc": ("number", "Matthews' correlation"), "roc_auc": ("percent", "area under the ROC curve, mean over classes or labels"),
    "calibration_error": ("percent", "expected calibration error of the predicted class"),
    "mse": ("number", "mean squared error"), "pearson": ("number", "correlation, mean over the targets"),
    "spearman": ("number", "rank correlation, mean over the targets"), "seconds": ("seconds", "of the evaluation"), "compute": ("text", "arithmetic of the model"),
}


def is_share(value):
    return is_number(value) and 0 <= value <= 1


def need(where, line, name, check, legal):
    if not check(line.get(name)):
        refuse(f"{where}: {name}: {shown_value(line.get(name))}: legal: {legal}")
    return line[name]


def read_evaluation(path):
    found = reading.read_json(path, EVALUATION)
    if not isinstance(found, dict) or "loss" not in found:
        refuse(f"{path}: {shown_value(found)}: legal: {EVALUATION}")
    if "confusion" not in found:
        found.pop("labels", None)  # names of targets
        return found
    confusion = need(path, found, "confusion", is_list_of(is_list_of(count)), "rows of whole numbers >= 0, as many as classes")
    classes = len(confusion)
    if any(len(row) != classes for row in confusion):
        refuse(f"{path}: confusion: {classes} rows, and one of another length: legal: as many columns as rows")
    if "labels" in found:
        need(path, found, "labels", lambda v: is_list_of(is_text)(v) and len(v) == classes == len(set(v)), f"{classes} different names, as confusion has rows")
    return found


class Predictions:
    """One pass over a file of predictions, whose memory does not grow with it."""

    def __init__(self, path):
        self.lines, self.pairs, self.worst, self.calibration, self.loss = 0, {}, [], Calibration(), intervals.Mean()
        self.wrong, self.classes = 0, False
        for where, line in reading.read_json_lines(path, PREDICTIONS):
            self.add(where, line)
        if not self.lines:
            refuse(f"{path}: no line; legal: {PREDICTIONS}")

    def add(self, where, line):
        self.lines += 1
        loss = need(where, line, "loss", is_number, "a number")
        self.loss.add(loss)
        right = False
        if "label" in line or "prediction" in line:
            self.classes = True
            label, prediction = (need(where, line, name, is_text, "the name of a class") for name in ("label", "prediction"))
            self.pairs[label, prediction] = self.pairs.get((label, prediction), 0) + 1
            right = label == prediction
            self.wrong += not right
            if "probabilities" in line:
                shares = need(where, line, "probabilities", lambda v: isinstance(v, dict) and all(map(is_share, v.values())), "an object of shares from 0 to 1")
                need(where, shares, prediction, is_share, "in probabilities, for the prediction")
                self.calibration.add(shares[prediction], right)
            elif "logits" in line:  # the prediction has the highest
                logits = need(where, line, "logits", lambda v: is_list_of(is_number)(v) and v, "a list of numbers")
                self.calibration.add(1 / sum(math.exp(x - max(logits)) for x in logits), right)
        if not (self.classes and right):
            # Equal losses: the earlier line is the worse one, so that the order is one and the same.
            heapq.heappush(self.worst, (loss, -self.lines, line.get("source", f"line {self.lines}"), line))
            if len(self.worst) > MOST_WRONG:
                heapq.heappop(self.worst)


def confusion_of(labels, pairs):
    places = {name: i for i, name in enumerate(labels)}
    confusion = [[0] * len(labels) for _ in labels]
    for (label, prediction), times in pairs.items():
        confusion[places[label]][places[prediction]] = times
    return confusion


def share(part, whole):
    return part / whole if whole else None


def per_class(labels, confusion):
    """{name: precision, recall, f1, support}; null where there is nothing to divide by."""
    found = {}
    for i, name in enumerate(labels):
        hit, support, predicted = confusion[i][i], sum(confusion[i]), sum(row[i] for row in confusion)
        found[name] = {"precision": share(hit, predicted), "recall": share(hit, support), "f1": share(2 * hit, support + predicted), "support": support}
    return found


def table(caption, columns, rows):
    columns = [dict(zip(("name", "form", "digits"), c)) if isinstance(c, tuple) else {"name": c} for c in columns]
    return {"kind": "table", "caption": caption, "columns": columns, "rows": rows}


def intervals_of(found, confusion, predictions):
    """{metric: (low, high)}, of metrics of classes."""
    ends = intervals.of_confusion(confusion) if confusion else {}
    if predictions and predictions.classes and predictions.loss.interval():  # elsewhere a line has the mean of several labels
        ends["loss"] = predictions.loss.interval()
    return {name: pair for name, pair in ends.items() if is_number(found.get(name))}


def metrics_section(found, ends):
    """One table of numbers in the forms that each has."""
    rows = []
    for name, value in found.items():
        if isinstance(value, (str, int, float)) or value is None:
            form, meaning = METRICS.get(name, ("number", ""))
            interval = [" to ".join(shown(end, form) for end in ends[name]) if name in ends else ""] if ends else []
            rows.append([name, shown(value, form), *interval, meaning])
    blocks = [table("What the evaluation found", ["metric", "value", *([intervals.NAME] if ends else []), "meaning"], rows)]
    if ends:
        blocks.append({"kind": "text", "text": INTERVALS})
    return {"title": "Metrics", "blocks": blocks}


def classes_section(labels, confusion, given):
    classes = given if isinstance(given, dict) else per_class(labels, confusion)
    parts = ("precision", "recall", "f1", "support")
    rows = [[name, *(c.get(p) if is_number(c.get(p)) else None for p in parts)] for name in labels if isinstance(c := classes.get(name, {}), dict)]
    empty = [name for name, row in zip(labels, confusion) if not sum(row)]
    blocks = [table("Per class", ["class", ("precision", "percent"), ("recall", "percent"), ("F1", "percent"), ("support", "integer")], rows)]
    if empty:
        blocks.insert(0, {"kind": "verdicts", "items": [
            {"verdict": "warn", "name": f"{len(empty)} of {len(labels)} classes without a sample in this split",
             "text": "Recall is not defined for: " + ", ".join(empty[:20]) + (" and others" if len(empty) > 20 else "")}]})
    blocks.append({"kind": "figure", "picture": "matrix", "title": "Confusion matrix", "caption": "Samples by label and prediction.",
                   "row_label": "label", "column_label": "prediction", "rows": labels, "columns": labels, "values": confusion})
    return {"title": "Classes", "blocks": blocks}


def calibration_section(calibration):
    error = calibration.error()
    text = (f"Expected calibration error: {error:.4f}. The samples are put into {BINS} bins of equal width by their confidence, "
            "the probability of the predicted class; a bin has its upper edge and not its lower one. The error is the sum over the "
            "bins of (samples in the bin / all samples) x |accuracy - mean confidence| (Guo, Pleiss, Sun and Weinberger: On "
            "Calibration of Modern Neural Networks, ICML 2017, equation 3).")
    return {"title": "Calibration", "blocks": [
        {"kind": "text", "text": text},
        {"kind": "figure", "picture": "reliability", "title": "Reliability diagram",
         "caption": "Accuracy of the predictions by their confidence; on the dashed line the two are equal.", "bins": calibration.bins()}]}


def worst_section(found):
    lines = [(loss, source, line) for loss, _, source, line in sorted(found.worst, key=lambda w: (-w[0], -w[1]))]
    if not found.classes:
        rows = [[str(source), loss] for loss, source, _ in lines]
        return {"title": "Examples got most wrong", "blocks": [table("By loss", ["example", ("loss", "number", 3)], rows)]}
    given = [(line.get("probabilities", {}).get(line["label"]), line["text"] if is_text(line.get("text")) else None) for _, _, line in lines]
    shares, texts = (any(part is not None for part in column) for column in (zip(*given) if given else ((), ())))
    rows = [[str(source), line["label"], line["prediction"], *([share] if shares else []), loss, *([text or ""] if texts else [])]
            for (loss, source, line), (share, text) in zip(lines, given)]
    head = ["example", "label", "prediction", *([("probability of the label", "percent")] if shares else []), ("loss", "number", 3), *(["text"] if texts else [])]
    intro = {"kind": "text", "text": f"{found.wrong:,} of {found.lines:,} predictions are wrong; those with the largest loss:"}
    return {"title": "Examples got most wrong", "blocks": [intro, table("By loss", head, rows)]}


def check_same(path, labels, confusion, evaluation, predictions):
    """Predictions of another model or split would make a page that contradicts itself."""
    if count(evaluation.get("samples")) and evaluation["samples"] != predictions.lines:
        refuse(f"{path}: {predictions.lines} lines: legal: {evaluation['samples']}, the samples of the evaluation")
    if predictions.pairs and "confusion" in evaluation and confusion_of(labels, predictions.pairs) != confusion:
        refuse(f"{path}: labels and predictions: not those that the confusion of the evaluation counts; legal: both of one evaluation")


def sections_of(evaluation_path, predictions_path):
    evaluation = read_evaluation(evaluation_path)
    predictions = Predictions(predictions_path) if predictions_path else None
    named = {name for pair in predictions.pairs for name in pair} if predictions else set()
    if "labels" not in evaluation and named:  # in which order the confusion has the classes is not told
        evaluation.pop("confusion", None)
    labels = evaluation.get("labels") or sorted(named) or [str(i) for i in range(len(evaluation.get("confusion", ())))]
    if strange := sorted(named - set(labels)):
        refuse(f"{predictions_path}: label {shown_value(strange[0])}: legal: one of the labels of {evaluation_path}")
    confusion = evaluation.get("confusion") or confusion_of(labels, predictions.pairs if predictions else {})
    if predictions:
        check_same(predictions_path, labels, confusion, evaluation, predictions)
    sections = [metrics_section(evaluation, intervals_of(evaluation, confusion, predictions))]
    if labels:
        sections.append(classes_section(labels, confusion, evaluation.get("classes")))
    if predictions and predictions.calibration.samples():
        sections.append(calibration_section(predictions.calibration))
    if predictions:
        sections.append(worst_section(predictions))
    return sections


def document_of(evaluation_path, predictions_path, title):
    return {"format": FORMAT, "version": VERSION, "title": title, "sections": sections_of(evaluation_path, predictions_path)}
