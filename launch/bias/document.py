"""The report on bias, as a document of launch/report and as JSON."""
from bias import effects, intervals
from bias.measure import CHANGED
from report.numbers import shown
from report.schema import FORMAT, VERSION

MOST_FOUND, MOST_BARS, MOST_EXAMPLES = 40, 30, 20
MARKS = {effects.FOUND: "warn", effects.NONE: "ok", effects.OPEN: "info", effects.FEW: "info"}
SAID = {effects.FOUND: "found", effects.NONE: "none beyond the margin", effects.OPEN: "not told apart", effects.FEW: "too few"}
TITLES = {"swaps": "Words in one another's place", "pairs": "Paired sentences", "groups": "Groups of the data"}
TOLD = {
    "swaps": "Each text that has words of one group alone is read twice: with the words of the first group, and with those of the second in their places. "
             "An effect is the mean over the texts of what the second version gets more than the first; of a language model it is the share of texts that are "
             "likelier with the second group's words, for which the words' own frequency counts too: compare it with the base.",
    "pairs": "Of each pair the model finds one sentence likelier. Without a preference half of the pairs have `more` as the likelier one. A decoder is asked "
             "for the log-likelihood of the whole sentence, an encoder for that of the tokens that both have, each hidden by itself (Nangia et al. 2020, "
             "CrowS-Pairs, equation 1).",
    "groups": "An effect is what a group's texts get more than all others, or than the other of two groups: equal shares predicted are demographic parity, and equal shares of a class found "
              "(its recall) equal opportunity (Hardt et al. 2016). Groups may differ for reasons other than their words.",
}
METHOD = ("Intervals hold the true value with 95 % under chance in the choice of the texts: of shares Wilson's, of their differences Newcombe's (1998, method 10), "
          "of means Student's t, of differences of means Welch's; F1 by the percentile bootstrap. A shift is the mean over the texts of what both models say of the same text, "
          "tuned less base. A bias is called found where its whole interval is further than {margin:g} from the neutral value, and none where all of it is within "
          f"(two one-sided tests, Schuirmann 1987); of fewer than {intervals.LEAST} texts nothing is concluded. Intervals are for one effect each: among many, some "
          "are off by chance. Texts made of one template are not independent, and their intervals too narrow.")


def spelled(interval):
    if interval is None:
        return "not defined"
    return f"{shown(interval.value, digits=3)} ({shown(interval.low, digits=3)} to {shown(interval.high, digits=3)})"


def distance(interval):
    """A difference without its sign, which words say."""
    turned = interval if interval.value >= 0 else interval._replace(value=-interval.value, low=-interval.high, high=-interval.low)
    return spelled(turned)


def sentence(effect):
    found, (first, second) = effect.tuned.value - effect.neutral, effect.contrast.split(" rather than ")
    if effect.neutral:
        text = f"{first if found > 0 else second} in {spelled(effect.tuned if found > 0 else mirrored(effect.tuned))} of them, where {effect.neutral:g} is neutral"
    elif effect.quantity == CHANGED:
        text = spelled(effect.tuned)
    else:
        text = f"{'higher' if found > 0 else 'lower'} for {first} by {distance(effect.tuned)}"
    if effect.base:
        text += f"; base {spelled(effect.base)}, moved by {spelled(effect.shift)}"
    return text


def mirrored(share):
    return share._replace(value=1 - share.value, low=1 - share.high, high=1 - share.low)


def verdicts(found, margin, broken):
    items = [{"verdict": "error", "name": f"{effect.name()}: beyond {option} {limit:g}", "text": spelled(interval)} for effect, interval, option, limit in broken]
    sorts = {sort: [e for e in found if effects.conclusion(e.tuned, e.neutral, margin) == sort] for sort in MARKS}
    items += [{"verdict": "warn", "name": e.name(), "text": sentence(e)} for e in sorts[effects.FOUND][:MOST_FOUND]]
    if len(sorts[effects.FOUND]) > MOST_FOUND:
        items.append({"verdict": "warn", "name": f"{len(sorts[effects.FOUND]) - MOST_FOUND} more found", "text": "in the tables below"})
    for sort, text in ((effects.NONE, f"their intervals lie within {margin:g} of the neutral value"), (effects.OPEN, "their intervals lie on both sides of the "
                       "margin: more texts would tell"), (effects.FEW, f"they rest on fewer than {intervals.LEAST} texts")):
        if sorts[sort]:
            items.append({"verdict": MARKS[sort], "name": f"{len(sorts[sort])} of {len(found)}: {SAID[sort]}", "text": text})
    return {"kind": "verdicts", "items": items}


def effect_table(found, margin):
    base = any(e.base for e in found)
    columns = ["contrast", "quantity", "bias", "effect", *(["base", "shift"] if base else []), "texts"]
    rows = [[e.contrast if e.kind == "groups" else f"{e.subject}: {e.contrast}", e.quantity, SAID[effects.conclusion(e.tuned, e.neutral, margin)], spelled(e.tuned),
             *([spelled(e.base), spelled(e.shift)] if base else []), e.tuned.units if e.tuned else 0] for e in found]
    return {"kind": "table", "caption": "Effects, with their 95 % intervals", "columns": [{"name": name} for name in columns], "rows": rows}


def bars(found, title):
    some = [e for e in found if e.tuned][:MOST_BARS]
    several = len({e.quantity for e in some}) > 1
    names = [(e.contrast.split(" rather than ")[0] if e.kind == "swaps" else e.subject) + (f": {e.quantity}" if several else "") for e in some]
    series = [("tuned", [e.tuned for e in some]), *([("base", [e.base for e in some])] if any(e.base for e in some) else [])]
    neutral = some[0].neutral if some else 0
    return {"kind": "figure", "picture": "bars", "title": title, "categories": names, "value_label": "effect" if not neutral else "share less one half",
            "series": [{"name": name, **{part: [None if i is None else getattr(i, field) - neutral for i in values]
                                         for part, field in (("values", "value"), ("low", "low"), ("high", "high"))}} for name, values in series],
            "caption": "Marks are 95 % intervals; zero is neutral." + (f" The first {MOST_BARS} of {len(found)}." if len(found) > MOST_BARS else "")}


def pictures(found):
    """One for each neutral value; shares of changed texts have no direction and are left to the table."""
    drawn = [e for e in found if e.quantity != CHANGED]
    some = {neutral: [e for e in drawn if e.neutral == neutral] for neutral in sorted({e.neutral for e in drawn})}
    return [bars(of, "Effects and their intervals") for of in some.values()]


def examples_table(examples):
    examples = sorted(examples, key=lambda e: -abs(e[3] - e[2]))[:MOST_EXAMPLES]
    names = ("row", "first version", "second version", "of", "first", "second")
    rows = [[v.place, v.first, v.second, e.quantity if not e.neutral else "log-likelihood", first, second] for e, v, first, second in examples]
    return {"kind": "details", "title": "Texts that moved most", "blocks": [
        {"kind": "table", "caption": "By how far", "columns": [{"name": n, **({"digits": 3} if n in ("first", "second") else {})} for n in names], "rows": rows}]}


def groups_table(table, models):
    groups, names = table.groups, list(next(iter(table.groups.values()))[1][0])
    sides = ["tuned", "base"][: len(next(iter(groups.values()))[1])]
    rows = [[group, side, count, *(spelled(values[q]) for q in names), *([spelled(table.f1[group])] if table.f1 and side == "tuned" else [""] if table.f1 else [])]
            for group, (count, both) in groups.items() for side, values in zip(sides, both)]
    columns = ["group", "model", "texts", *names, *(["F1"] if table.f1 else [])]
    return {"kind": "table", "caption": "What each group gets", "columns": [{"name": n} for n in columns], "rows": rows}


def section(kind, measured, margin, more=()):
    blocks = [{"kind": "text", "text": TOLD[kind] + "".join("\n\n" + note for note in measured.notes)}, *more, *pictures(measured.effects),
              effect_table(measured.effects, margin)]
    return {"title": TITLES[kind], "blocks": blocks + ([examples_table(measured.examples)] if measured.examples else [])}


def document(models, parts, table, margin, broken):
    """`parts`: {kind: Measured}."""
    found = [e for measured in parts.values() for e in measured.effects]
    sections = [{"title": "In short", "blocks": [verdicts(found, margin, broken)]}]
    sections += [section(kind, measured, margin, [groups_table(table, models)] if kind == "groups" else ()) for kind, measured in parts.items()]
    sections.append({"title": "How it was measured", "blocks": [{"kind": "text", "text": METHOD.format(margin=margin)}]})
    beside = f", beside {models[1].folder}, from which it was tuned" if models[1:] else ""
    return {"format": FORMAT, "version": VERSION, "title": f"Bias of {models[0].folder}", "summary": f"{len(found)} effects were looked at{beside}.",
            "sections": sections}


def facts(models, parts, margin, broken):
    """For machines: every number of the page that is an effect."""
    def of(interval):
        return None if interval is None else dict(interval._asdict())
    found = [{"kind": e.kind, "subject": e.subject, "contrast": e.contrast, "quantity": e.quantity, "neutral": e.neutral, "tuned": of(e.tuned), "base": of(e.base),
              "shift": of(e.shift), "conclusion": effects.conclusion(e.tuned, e.neutral, margin)} for measured in parts.values() for e in measured.effects]
    return {"format": "trireme-bias", "version": 1, "model": models[0].folder, "base": models[1].folder if models[1:] else None, "margin": margin,
            "effects": found, "beyond": [{"effect": e.name(), "limit": option, "value": limit} for e, _, option, limit in broken]}
