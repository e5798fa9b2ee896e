"""Scores of entities as seqeval has them, and of answers as SQuAD's scripts have them, so that the tests need neither:

    pip install seqeval scikit-learn && python tests/golden/make_entity_scores.py

Writes entities.json: sentences of labels and predictions in BIO, BIOES and IOE, well-formed and not, with seqeval's lenient and
strict scores; and answers.json: answers with the scores of the functions of SQuAD's evaluation script of version 2.0
(rajpurkar.github.io/SQuAD-explorer), which are written out below.
"""
import collections
import json
import pathlib
import random
import re
import string
import warnings

from seqeval.metrics import accuracy_score, classification_report, f1_score
from seqeval.scheme import IOB2, IOBES

HERE = pathlib.Path(__file__).parent
SCHEMES = {
    "BIO": ["O", "B-PER", "I-PER", "B-LOC", "I-LOC", "B-ORG", "I-ORG"],
    "BIOES": ["O"] + [f"{p}-{t}" for t in ("PER", "LOC") for p in "BIES"],
    "IOE": ["O", "I-PER", "E-PER", "I-LOC", "E-LOC"],
    "two": ["O", "B-_x-y", "I-_x-y"],
}


def sentence(names, random_, like=None):
    """Runs of one label, as entities are; with `like` mostly the same."""
    if like and random_.random() < 0.4:
        return list(like)
    out = []
    length = len(like) if like else random_.randint(1, 12)
    for i in range(length):
        if like and random_.random() < 0.6:
            out.append(like[i])
        elif out and random_.random() < 0.4:
            out.append(out[-1].replace("B-", "I-"))
        else:
            out.append(random_.choice(names))
    return out


def case(names, random_):
    labels = [sentence(names, random_) for _ in range(random_.randint(1, 8))]
    predictions = [sentence(names, random_, s) for s in labels]
    report = classification_report(labels, predictions, output_dict=True, zero_division=0)
    strict = IOBES if any(n[0] in "ES" for n in names) else IOB2
    try:
        strict_f1 = f1_score(labels, predictions, mode="strict", scheme=strict, zero_division=0)
    except (ValueError, IndexError):  # no entity at all
        strict_f1 = 0.0
    types = {t: {k.replace("f1-score", "f1"): float(v) for k, v in scores.items()} for t, scores in report.items() if not t.endswith(" avg")}
    return {"names": names, "labels": labels, "predictions": predictions, "entities": types,
            "accuracy": float(accuracy_score(labels, predictions)), "precision": float(report["micro avg"]["precision"]),
            "recall": float(report["micro avg"]["recall"]), "f1": float(report["micro avg"]["f1-score"]),
            "macro_f1": float(report["macro avg"]["f1-score"]), "strict_f1": float(strict_f1)}


def normalize_answer(s):
    def remove_articles(text):
        return re.sub(re.compile(r"\b(a|an|the)\b", re.UNICODE), " ", text)

    return " ".join(remove_articles("".join(c for c in s.lower() if c not in set(string.punctuation))).split())


def compute_f1(gold, given):
    gold, given = normalize_answer(gold).split(), normalize_answer(given).split()
    same = sum((collections.Counter(gold) & collections.Counter(given)).values())
    if not gold or not given:
        return int(gold == given)
    if same == 0:
        return 0
    precision, recall = same / len(given), same / len(gold)
    return 2 * precision * recall / (precision + recall)


def score(given, answers):
    golds = [a for a in answers if normalize_answer(a)] or [""]
    return {"given": given, "answers": answers, "words": normalize_answer(given).split(),
            "exact": max(int(normalize_answer(a) == normalize_answer(given)) for a in golds),
            "f1": max(compute_f1(a, given) for a in golds)}


ANSWERS = [
    ("The Eiffel Tower", ["Eiffel tower", "the tower"]), ("a, an; the", ["", "The"]), ("", []), ("Paris", []), ("", ["Paris"]),
    ("in 1,000 years' time", ["1000 years time", "a thousand years"]), ("the the cat", ["cat the cat"]), ("ÉCOLE Ünal", ["école ünal"]),
    ("a\u00a0b", ["b"]), ("aé the-end anna", ["aé end anna"]), ("x\u3000y\tz", ["x y"]), ("İstanbul", ["i\u0307stanbul"]), ("a$b", ["ab", "b"]),
    ("ΑΘΗΝΑ", ["αθηνα"]), ("«the» “a” — an", ["« » “ ” —"]), ("ДОМ", ["дом и сад"]), ("東京 a 大阪", ["東京 大阪"]), ("the", ["an"]),
    ("naïve a\u0301 b", ["naïve b"]), ("cat sat mat cat", ["cat cat cat", "mat"]),
]


def main():
    warnings.simplefilter("ignore")
    random_ = random.Random(7)
    cases = [case(names, random_) for names in SCHEMES.values() for _ in range(12)]
    (HERE / "entities.json").write_text(json.dumps(cases, separators=(",", ":")) + "\n")
    (HERE / "answers.json").write_text(json.dumps([score(*a) for a in ANSWERS], separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
