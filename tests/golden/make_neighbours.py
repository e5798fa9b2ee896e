"""Labels of the nearest texts by scikit-learn, on embeddings that transformers makes of the golden models: neighbours.json.

    /path/to/python make_neighbours.py      (transformers, torch, tokenizers, scikit-learn)

An embedding is the mean of the last hidden states over the tokens of a text, special ones among them. The texts are those whose
neighbours no rounding can exchange: the script fails where two distances that decide are nearer than 5e-6.
"""
import itertools
import json
import pathlib

import numpy
import torch
from sklearn.neighbors import KNeighborsClassifier
from tokenizers import Tokenizer
from transformers import AutoModel

HERE = pathlib.Path(__file__).parent
TOKENIZER = Tokenizer.from_file(str(HERE / "tokenizer" / "tokenizer.json"))
TOKENIZER.no_padding()
MODELS = ("bert-masked", "modernbert-masked", "eurobert-masked", "distilbert-masked")
COUNTS, LEAST = (1, 3, 4), 5e-6
SUBJECTS, WORDS = ("film", "plot", "the actors", "it"), {"neg": ("bad", "boring", "not good"), "pos": ("good", "great", "very great")}


def texts():
    """Three labelled texts of each word to learn from, and others of the same words to tell."""
    for label, words in WORDS.items():
        for i, (subject, word) in enumerate(itertools.product(SUBJECTS, words)):
            yield ("train" if i % 4 else "test"), (f"{subject} is {word}" if i % 2 else f"{word} {subject} and a film", label)


def embedding(model, text):
    with torch.no_grad():
        return model(torch.tensor([TOKENIZER.encode(text).ids])).last_hidden_state[0].mean(0).numpy()


def entry(name, train, test):
    model = AutoModel.from_pretrained(HERE / name, attn_implementation="eager", dtype=torch.float64).eval()
    known, asked = ([embedding(model, text) for text, _ in part] for part in (train, test))
    found = {}
    for count in COUNTS:
        classifier = KNeighborsClassifier(n_neighbors=count, metric="cosine", algorithm="brute").fit(known, [label for _, label in train])
        distances, places = classifier.kneighbors(asked, n_neighbors=count + 1)
        gap = numpy.diff(distances).min()
        assert gap > LEAST, f"{name}: distances {gap} apart"
        found[str(count)] = {"predictions": classifier.predict(asked).tolist(), "shares": classifier.predict_proba(asked).tolist(),
                             "neighbours": places[:, :count].tolist(), "accuracy": classifier.score(asked, [label for _, label in test])}
    return found


def main():
    splits = {split: [text for of, text in texts() if of == split] for split in ("train", "test")}
    golden = {**splits, "models": {name: entry(name, splits["train"], splits["test"]) for name in MODELS}}
    (HERE / "neighbours.json").write_text(json.dumps(golden, indent=None, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
