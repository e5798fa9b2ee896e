"""Sentences of film reviews with the mean of the ratings of ten people, out of vaderSentiment's source distribution (MIT licence),
which launch/quickstart has got: as classes, in the split of the quickstart, and as numbers. For bench/tasks.py and bench/prompting.py."""
import io
import json
import pathlib
import random
import tarfile

import h5py

QUICK = pathlib.Path(__file__).resolve().parent.parent / "quickstart"
TABLE = "hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt"


def split_of_quickstart(split):
    """Text and label of each review of a split, sorted by label."""
    lines = [json.loads(line) for line in open(QUICK / "reviews.jsonl")]
    for path in sorted((QUICK / "data").glob(f"{split}-*.h5")):
        with h5py.File(path) as file:
            yield from (lines[number - 1] for number in file["columns/source_line/values"][:].tolist())


def ratings():
    archive = next((QUICK / "packages").glob("vader*entiment-3.3.2.tar.gz"))
    with tarfile.open(archive) as outer:
        inner = next(m for m in outer if m.name.endswith("additional_resources/hutto_ICWSM_2014.tar.gz"))
        with tarfile.open(fileobj=io.BytesIO(outer.extractfile(inner).read())) as tables:
            text = tables.extractfile(TABLE).read().decode("utf-8")
    for line in text.splitlines():
        _, rating, sentence = line.split("\t", 2)
        yield {"text": sentence, "rating": float(rating)}


def parts(task, seed, sizes):
    """Rows of each split: the test split is the same for every seed, of training and validation each seed draws its own."""
    if task == "classification":
        found = {split: list(split_of_quickstart(split)) for split in sizes}
    else:
        rows = list(ratings())
        found = {"test": rows[1::10], "validation": rows[6::10], "train": [r for i, r in enumerate(rows) if i % 10 not in (1, 6)]}
    for split, size in sizes.items():
        random.Random(0 if split == "test" else seed).shuffle(found[split])
    return {split: found[split][:size] for split, size in sizes.items()}
