"""Film-review sentences with human ratings, out of the source distribution of vaderSentiment (MIT licence), to JSONL.

    film_reviews.py vaderSentiment-3.3.2.tar.gz reviews.jsonl

A mean rating above 0 is "positive", below 0 "negative"; 0 is dropped.
Source: Hutto and Gilbert, "VADER", ICWSM 2014; sentences of Pang and Lee, ACL 2005.
"""
import io
import json
import sys
import tarfile

INNER = "additional_resources/hutto_ICWSM_2014.tar.gz"
TABLE = "hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt"


def main(archive, output):
    with tarfile.open(archive) as outer:
        inner = next(m for m in outer if m.name.endswith(INNER))
        with tarfile.open(fileobj=io.BytesIO(outer.extractfile(inner).read())) as tables:
            text = tables.extractfile(TABLE).read().decode("utf-8")
    with open(output, "w", encoding="utf-8") as out:
        for line in text.splitlines():
            _, rating, sentence = line.split("\t", 2)
            if float(rating) != 0:
                out.write(json.dumps({"text": sentence, "label": "positive" if float(rating) > 0 else "negative"}) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
