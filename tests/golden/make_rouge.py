"""Writes rouge.json: pairs of texts made up here and their ROUGE-L by Google's rouge-score, without stemming.

    pip install rouge-score && python tests/golden/make_rouge.py
"""
import json
import pathlib
import random

from rouge_score import rouge_scorer

HERE = pathlib.Path(__file__).resolve().parent
WORDS = ("the", "cat", "sat", "on", "a", "mat", "Straße", "naïve", "don't", "3.5", "WORD", "x_y", "日本", "-", "end.", "\n", "é")
PAIRS = [("", ""), ("a", ""), ("", "a"), ("!!!", "..."), ("the cat", "the cat"), ("The Cat.", "the cat"), ("the cats", "the cat"),
         ("police killed the gunman", "police kill the gunman"), ("the gunman police killed", "police killed the gunman")]


def main():
    random_ = random.Random(0)
    pairs = list(PAIRS)
    for _ in range(200):
        some = [random_.choice(WORDS) for _ in range(random_.randrange(25))]
        other = [w if random_.random() < 0.7 else random_.choice(WORDS) for w in some if random_.random() < 0.8]
        pairs.append((" ".join(some), " ".join(other)))
    scorer = rouge_scorer.RougeScorer(["rougeL"])
    rows = [{"completion": made, "reference": wanted, "rouge_l": scorer.score(wanted, made)["rougeL"].fmeasure} for made, wanted in pairs]
    (HERE / "rouge.json").write_text(json.dumps(rows, ensure_ascii=False, indent=0) + "\n")


if __name__ == "__main__":
    main()
