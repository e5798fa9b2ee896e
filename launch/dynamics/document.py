"""The report on training dynamics, as a document of launch/report, and its tables."""
import numpy

from experiment.tables import to_csv
from report.schema import FORMAT, VERSION

MOST_POINTS, MOST_ROWS = 2000, 200
COLUMNS = ("sample", "row", "label", "visits", "confidence", "variability", "correctness", "forgotten", "last")
THIRDS = (("rarely right", 0, 1 / 3), ("sometimes right", 1 / 3, 2 / 3), ("mostly right", 2 / 3, 1.01))


def row_of(found, split, i):
    return [int(i), split.row(i), split.name(i), int(found.visits[i]), *(None if numpy.isnan(v) else float(v) for v in
            (found.confidence[i], found.variability[i], found.correctness[i])), int(found.forgotten[i]), None if numpy.isnan(found.last[i]) else float(found.last[i])]


def table_of_all(found, split):
    return to_csv(COLUMNS, [row_of(found, split, i) for i in range(len(found.visits))])


def skip_list(found, split, chosen, head):
    """Lines that `prepare --skip-list` takes: FILE:LINE, and behind a tab what a reader may want to know. A row with several samples is there once."""
    lines = {}
    for i in chosen:
        lines.setdefault(split.row(i), f"{split.row(i)}\t{split.name(i)}\tconfidence {found.confidence[i]:.4f}\tright {found.correctness[i]:.2f}")
    return "".join(f"# {line}\n" for line in head) + "".join(line + "\n" for line in lines.values())


def data_map(found):
    """Variability against confidence, as the maps of Swayamdipta et al., by how often a sample was right."""
    series = []
    for name, low, high in THIRDS:
        inside = numpy.flatnonzero((found.correctness >= low) & (found.correctness < high))
        some = inside[numpy.linspace(0, len(inside) - 1, min(len(inside), MOST_POINTS)).astype(int)] if len(inside) else inside
        series.append({"name": f"{name}: {len(inside):,}", "style": "points", "x": found.variability[some].tolist(), "y": found.confidence[some].tolist()})
    return {"kind": "figure", "picture": "curves", "title": "Data map", "x_label": "variability", "y_label": "confidence", "series": series,
            "caption": "Easy samples lie at the top on the left, ambiguous ones on the right, hard and wrongly labelled ones at the bottom on the left."}


def forgetting(found):
    visited = found.visits > 0
    most = min(int(found.forgotten[visited].max(initial=0)), 12)
    counts = [int((found.forgotten[visited] == k).sum()) for k in range(most)] + [int((found.forgotten[visited] >= most).sum())]
    names = [str(k) for k in range(most)] + [f"{most}{' and more' if most == 12 else ''}"]
    return {"kind": "figure", "picture": "bars", "title": "Forgetting events", "categories": names, "value_label": "samples", "form": "integer",
            "series": [{"name": "samples", "values": counts}]}


def by_label(found, split):
    rows = []
    for place, name in enumerate(split.labels if split.label is not None else []):
        mine = (split.label == place) & (found.visits > 0)
        if mine.any():
            rows.append([name, int(mine.sum()), float(found.confidence[mine].mean()), float(found.variability[mine].mean()), float(found.correctness[mine].mean()),
                         float(found.forgotten[mine].mean())])
    columns = [("label", "text"), ("samples", "integer"), ("confidence", "number"), ("variability", "number"), ("correctness", "percent"), ("forgotten", "number")]
    return {"kind": "table", "caption": "Means by label", "columns": [{"name": n, "form": f} for n, f in columns], "rows": rows}


METHOD = ("Confidence is the mean of the probability of the true label over all visits of a sample, variability its standard deviation, correctness the "
          "share of visits in which it was predicted right (Swayamdipta et al. 2020, Dataset Cartography); a forgetting event is a visit that was wrong "
          "right after one that was right (Toneva et al. 2019). Probabilities are those of the training steps themselves, before their update and with "
          "dropout. Low confidence has two causes that the numbers do not tell apart, a wrong label and a hard sample: read before you leave out.")


def document(run, found, split, chosen, share):
    visited = int((found.visits > 0).sum())
    never = int(((found.correctness == 0) & (found.visits > 0)).sum())
    columns = [{"name": n, "form": f} for n, f in (("sample", "integer"), ("row", "text"), ("label", "text"), ("visits", "integer"), ("confidence", "number"),
                                                   ("variability", "number"), ("correctness", "percent"), ("forgotten", "integer"), ("last", "number"))]
    rows = [row_of(found, split, i) for i in chosen[:MOST_ROWS]]
    verdicts = [{"verdict": "info", "name": f"{len(chosen)} suspects", "text": f"of the least confident {share:.3g} of {visited:,} samples, those that were "
                 "mostly predicted wrong"},
                {"verdict": "info", "name": f"{never:,} samples never right", "text": f"{int((found.forgotten > 0).sum()):,} were forgotten at least once"}]
    if found.visits[found.visits > 0].min() < 3:
        verdicts.append({"verdict": "warn", "name": "few visits", "text": "some samples were visited fewer than three times: train for more epochs to tell "
                         "wrong labels from late ones"})
    blocks = [data_map(found), forgetting(found), *([by_label(found, split)] if split.label is not None else [])]
    return {"format": FORMAT, "version": VERSION, "title": f"Training dynamics of {run}",
            "summary": f"{visited:,} samples of {split.folder}, {int(found.visits.sum()):,} visits.",
            "sections": [{"title": "In short", "blocks": [{"kind": "verdicts", "items": verdicts}]}, {"title": "The data", "blocks": blocks},
                         {"title": "Probably wrong labels", "blocks": [{"kind": "table", "caption": f"The first {len(rows)} of {len(chosen)}, least confident first",
                                                                        "columns": columns, "rows": rows}]},
                         {"title": "How it was measured", "blocks": [{"kind": "text", "text": METHOD}]}]}
