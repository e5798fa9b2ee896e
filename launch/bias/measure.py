"""Measurements of a model, and of the one that it was tuned from, on the same texts."""
from typing import NamedTuple

import numpy

from audit import groups as named_groups
from bias import effects, intervals
from bias.model import CLASSES, LABELS, NUMBERS
from report import intervals as resamples
from report.command import refuse
from report.numbers import one_line

MOST_GROUPS = 40
CHANGED = "share of texts with another class"


class Swapped(NamedTuple):
    """One contrast of a swap: versions of texts, and what each model says of both."""
    swap: object
    first: str
    second: str
    versions: list
    several: int  # texts left out, since they have words of several groups

    def contrast(self):
        return f"{self.second} rather than {self.first}"


class Measured(NamedTuple):
    effects: list
    examples: list  # (effect, version, value of the first, value of the second)
    notes: list


def contrasts_of(swaps, rows, path):
    found = []
    for swap in swaps:
        one, several = swap.versions(rows)
        for first, second in swap.contrasts():
            versions = swap.pairs(one, first, second)
            if not versions:
                refuse(f"--swaps: {swap.name}: no text of {path} has words of {first} or {second} alone; legal: words that the texts have")
            found.append(Swapped(swap, first, second, versions, several))
    return found


def both_versions(outputs, contrasts):
    """(values of the first version, of the second) by contrast and output; the texts are those of `texts_of`."""
    at, found = 0, []
    for contrast in contrasts:
        n = len(contrast.versions)
        found.append({name: (values[at:at + n], values[at + n:at + 2 * n]) for name, values in outputs.values.items()})
        at += 2 * n
    return found


def texts_of(contrasts):
    return [text for c in contrasts for text in [*(v.first for v in c.versions), *(v.second for v in c.versions)]]


def same_outputs(models, outputs):
    if len({(o.kind, tuple(o.values)) for o in outputs}) > 1:
        refuse(f"--base: {models[1].folder}: gives {', '.join(outputs[1].values)}: legal: a model of the outputs of {models[0].folder}: "
               f"{', '.join(outputs[0].values)}")


def swapped_predictions(contrasts, models, folder):
    texts = texts_of(contrasts)
    outputs = [model.predictions(texts, folder) for model in models]
    same_outputs(models, outputs)
    values = [both_versions(o, contrasts) for o in outputs]
    found, examples = [], []
    for i, contrast in enumerate(contrasts):
        for name in outputs[0].told():
            moved = [v[i][name][1] - v[i][name][0] for v in values]
            effect = effects.of_units(("swaps", contrast.swap.name, contrast.contrast(), outputs[0].quantity(name)), moved[0], moved[1] if moved[1:] else None)
            found.append(effect)
            examples += [(effect, contrast.versions[k], *(float(side[k]) for side in values[0][i][name])) for k in numpy.argsort(-numpy.abs(moved[0]))[:5]]
        if outputs[0].kind == CLASSES:
            found.append(flips(contrast, [v[i] for v in values]))
    return found, examples, outputs[0].cut


def flips(contrast, values):
    """The share of texts whose class changes with the words; it has no direction, and none is neutral."""
    def changed(sides):
        places = [numpy.argmax(numpy.array([pair[side] for pair in sides.values()]), axis=0) for side in (0, 1)]
        return (places[0] != places[1]).astype(float)
    moved = [changed(sides) for sides in values]
    return effects.of_units(("swaps", contrast.swap.name, contrast.contrast(), CHANGED), moved[0], moved[1] if moved[1:] else None)


def preferred(scores):
    """1 where the first is likelier, 0 where the second is, 1/2 where neither."""
    return (numpy.sign(scores[:, 0] - scores[:, 1]) + 1) / 2


def swapped_likelihoods(contrasts, models, folder):
    pairs = [(v.second, v.first) for c in contrasts for v in c.versions]
    scores = [model.scores(pairs, folder) for model in models]
    found, examples, at = [], [], 0
    for contrast in contrasts:
        own = slice(at, at := at + len(contrast.versions))
        sides = [preferred(s[own]) for s in scores]
        effect = effects.of_units(("swaps", contrast.swap.name, contrast.contrast(), "share of texts likelier so"), sides[0], sides[1] if sides[1:] else None, 0.5)
        found.append(effect)
        far = numpy.argsort(-numpy.abs(scores[0][own, 0] - scores[0][own, 1]))[:5]
        examples += [(effect, contrast.versions[k], float(scores[0][own][k, 1]), float(scores[0][own][k, 0])) for k in far]
    return found, examples, 0


def of_swaps(swaps, rows, path, models, folder):
    contrasts = contrasts_of(swaps, rows, path)
    found, examples, cut = (swapped_predictions if models[0].classifies else swapped_likelihoods)(contrasts, models, folder)
    notes = [f"{c.swap.name}: {len(c.versions):,} of {len(rows):,} texts have words of {c.first} or {c.second} alone; {c.several:,} with words of several "
             "groups are left out." for c in contrasts]
    return Measured(found, examples, notes + ([f"{cut:,} texts were cut."] if cut else []))


def of_pairs(pairs, models, folder):
    scores = [model.scores([(p.more, p.less) for p in pairs], folder) for model in models]
    kinds = {kind: numpy.array([p.kind == kind for p in pairs]) for kind in sorted({p.kind for p in pairs})}
    if len(kinds) > 1:
        kinds = {"all pairs": numpy.ones(len(pairs), bool)} | kinds
    found = []
    for kind, own in kinds.items():
        sides = [preferred(s[own]) for s in scores]
        found.append(effects.of_units(("pairs", kind, "more rather than less", "share of pairs likelier so"), sides[0], sides[1] if sides[1:] else None, 0.5))
    ties = int((scores[0][:, 0] == scores[0][:, 1]).sum())
    return Measured(found, [], [f"{ties:,} pairs are equally likely, and count half."] if ties else [])


def members(given, rows):
    """{group: array, which rows are in it}; `given`: a column, or groups as `trireme audit` reads them."""
    if isinstance(given, str):
        names = sorted({row["group"] for row in rows if row["group"] is not None})
        if not 2 <= len(names) <= MOST_GROUPS:
            refuse(f"--groups: {given}: {len(names)} different values; legal: a column with 2 to {MOST_GROUPS}")
        return {name: numpy.array([row["group"] == name for row in rows]) for name in names}
    found = {g.name: numpy.array([g.has(row["text"], {g.column: row.get("column " + g.column) or ""}, row["place"]) for row in rows]) for g in given}
    empty = [name for name, inside in found.items() if inside.all() or not inside.any()]
    if empty:
        refuse(f"--groups: {empty[0]}: has all texts, or none; legal: a group of some of them")
    return found


def contrasted(inside):
    """(group, who is in it, how it is compared): of two that have everybody between them the second alone, since the first is its mirror."""
    names = list(inside)
    if len(names) == 2 and (inside[names[0]] ^ inside[names[1]]).all():
        return [(names[1], inside[names[1]], f"{names[1]} rather than {names[0]}")]
    return [(name, own, f"{name} rather than the others") for name, own in inside.items()]


def quantities(outputs, labels):
    """{name: one number for each text}, NaN where it does not count. `labels`: true ones, or None."""
    names = list(outputs.values)
    if outputs.kind == NUMBERS:
        found = {f"mean {name}": values for name, values in outputs.values.items()}
        if labels is not None and len(names) == 1:
            found["absolute error"] = numpy.abs(outputs.values[names[0]] - labels)
        return found
    if outputs.kind == LABELS:
        return {f"{name} predicted": (outputs.values[name] >= 0.5).astype(float) for name in names}
    place = outputs.predicted()
    found = {f"{name} predicted": (place == names.index(name)).astype(float) for name in outputs.told()}
    if labels is None:
        return found
    right = (place == labels).astype(float)
    return found | {"accuracy": right} | {f"{name} found": numpy.where(labels == k, right, numpy.nan) for k, name in enumerate(names)}


def true_labels(rows, outputs):
    if "label" not in rows[0]:
        return None
    names = list(outputs.values)
    if outputs.kind == LABELS or outputs.kind == NUMBERS and len(names) > 1:
        refuse("--label: legal for a model of one class or of one number for each text")
    found = []
    for row in rows:
        try:
            found.append(float(row["label"]) if outputs.kind == NUMBERS else names.index(row["label"]))
        except (TypeError, ValueError):
            refuse(f"{row['place']}: --label: {one_line(row['label'], 60)}: legal: {'a number' if outputs.kind == NUMBERS else ', '.join(names[:20])}")
    return numpy.array(found)


class Table(NamedTuple):
    """Of each group: rows, and an interval for each quantity, by model."""
    groups: dict
    f1: dict


def of_groups(given, rows, models, folder):
    outputs = [model.predictions([row["text"] for row in rows], folder) for model in models]
    same_outputs(models, outputs)
    inside, labels = members(given, rows), true_labels(rows, outputs[0])
    values = [quantities(o, labels) for o in outputs]
    found = [effects.of_groups(("groups", name, other, quantity), own, values[0][quantity], values[1][quantity] if values[1:] else None)
             for name, own, other in contrasted(inside) for quantity in values[0]]
    groups = {name: (int(own.sum()), [{q: intervals.of_units(v[own & (v == v)]) for q, v in one.items()} for one in values]) for name, own in inside.items()}
    f1 = {name: f1_of(outputs[0], labels, own) for name, own in inside.items()} if labels is not None and outputs[0].kind == CLASSES else {}
    return Measured(found, [], [f"{outputs[0].cut:,} texts were cut."] if outputs[0].cut else []), Table(groups, f1)


def f1_of(outputs, labels, own):
    """The mean of F1 over classes in a group, by the bootstrap of launch/report."""
    classes, confusion = len(outputs.values), numpy.zeros((len(outputs.values),) * 2, int)
    numpy.add.at(confusion, (labels[own], outputs.predicted()[own]), 1)
    ends = resamples.of_confusion(confusion.tolist()).get("f1")
    value = resamples.scores(confusion.reshape(1, -1).astype(float), *numpy.divmod(numpy.arange(classes**2), classes), classes)["f1"][0]
    return None if ends is None else intervals.Interval(float(value), *ends, int(own.sum()))


def columns_for(given):
    """{role: column} that groups of `trireme audit` need."""
    return {"column " + g.column: g.column for g in given if g.column}


def read_groups(value):
    """A name of a column, or groups of a JSON file."""
    return named_groups.read_groups(value) if value.lower().endswith(".json") else value
