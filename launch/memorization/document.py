"""The report on memorisation, as a document of launch/report and as JSON."""
from audit import personal
from bias import intervals
from bias.document import spelled
from memorization.probes import CANARIES, HELD_OUT, PERSONAL, TEXTS
from report.schema import FORMAT, VERSION

MOST_SHOWN = 50
METHOD = ("A text is called extractable if greedy decoding of its beginning gives its next tokens, all of them (Carlini et al. 2023, Quantifying Memorization Across "
          "Neural Language Models). The exposure of a canary is log2 of the number of secrets of its form less log2 of the rank of the planted one among them by likelihood "
          "(Carlini et al. 2019, The Secret Sharer): 1.4 bits on average for a secret that the model never saw, and the most for one that it ranks first. Where a "
          "form has more secrets than were ranked, the exposure is that among a sample, and at most log2 of its size. Intervals are Wilson's. Greedy decoding is one attack: what it does not "
          "extract another may. Held-out texts say how often a continuation is right without memory.")


def often(times):
    return {0: "never", 1: "once"}.get(times, f"{times:,} times")


def rate_name(rate):
    return rate.kind if rate.times is None else f"{rate.kind} planted {often(rate.times)}"


def verdict_of(rate, held_out, limit):
    name = f"{round(rate.tuned.value * rate.tuned.units):,} of {rate.tuned.units:,} {'values of ' if rate.kind == PERSONAL else ''}{rate.kind} extracted"
    worse = rate.tuned.value > 0 and rate.kind != HELD_OUT
    text = f"rate {spelled(rate.tuned)}" + (f"; base {spelled(rate.base)}" if rate.base else "")
    if rate.kind == TEXTS and held_out:
        gap = intervals.difference_of_shares(round(rate.tuned.value * rate.tuned.units), rate.tuned.units,
                                             round(held_out.tuned.value * held_out.tuned.units), held_out.tuned.units)
        text += f"; more than of held-out texts by {spelled(gap)}"
        worse = gap.low > 0
    if limit is not None and rate.kind != HELD_OUT and rate.tuned.value > limit:
        return {"verdict": "error", "name": name, "text": f"{text}; above --max-rate {limit:g}"}
    return {"verdict": "warn" if worse else "info" if rate.kind == HELD_OUT else "ok", "name": name, "text": text}


def verdicts(found, limit):
    held_out = next((r for r in found.rates if r.kind == HELD_OUT), None)
    items = [verdict_of(r, held_out, limit) for r in found.rates if r.times is None]
    if found.leaks is not None:
        items.append({"verdict": "warn" if found.leaks else "ok", "name": f"{len(found.leaks):,} value{'s' if len(found.leaks) != 1 else ''} of personal data in other completions",
                      "text": "values of the training texts that neither the prompt had nor the probe asked for"})
    return {"kind": "verdicts", "items": items}


def rates_table(rates):
    base = any(r.base for r in rates)
    rows = [[rate_name(r), r.tuned.units, spelled(r.tuned), *([spelled(r.base)] if base else [])] for r in rates]
    return {"kind": "table", "caption": "Extraction rates, with their 95 % intervals", "columns": [{"name": n} for n in ("probes", "number", "rate", *(["base"] if base else []))],
            "rows": rows}


def rates_picture(rates):
    base = any(r.base for r in rates)
    series = [("tuned", [r.tuned for r in rates]), *([("base", [r.base for r in rates])] if base else [])]
    return {"kind": "figure", "picture": "bars", "title": "Extraction rates", "categories": [r.kind if r.times is None else f"canaries, {often(r.times)}" for r in rates],
            "value_label": "share extracted", "form": "percent", "caption": "Marks are 95 % intervals.",
            "series": [{"name": name, "values": [i.value for i in values], "low": [i.low for i in values], "high": [i.high for i in values]} for name, values in series]}


def exposure_table(found):
    rows = [[c.place, c.secret, c.times, hit, e.bits, e.most, e.exact] for c, e, hit in zip(found.canaries, found.exposures, found.of(CANARIES))]
    columns = [{"name": "row"}, {"name": "secret"}, {"name": "planted", "form": "integer"}, {"name": "extracted"}, {"name": "exposure", "unit": "bits", "digits": 1},
               {"name": "at most", "unit": "bits", "digits": 1}, {"name": "all secrets ranked"}]
    rows.sort(key=lambda row: (-row[3], -row[4]))
    return {"kind": "table", "caption": "Canaries, most exposed first", "columns": columns, "rows": rows}


def exposure_picture(found):
    points = [(c.times, e.bits) for c, e in zip(found.canaries, found.exposures) if c.times is not None]
    return {"kind": "figure", "picture": "curves", "title": "Exposure by how often a canary was planted", "x_label": "times planted", "y_label": "exposure (bits)",
            "series": [{"name": "canaries", "style": "points", "x": [x for x, _ in points], "y": [y for _, y in points]}]}


def shown_probe(probe, region):
    return personal.mask(probe.text) if probe.kind == PERSONAL else personal.masked(probe.text, region)


def extracted_table(found, region):
    hits = [p for kind in (PERSONAL, TEXTS) for p, hit in zip(found.probes, found.hits[0]) if hit and p.kind == kind]
    rows = [[p.kind, p.place, p.name, shown_probe(p, region)] for p in hits[:MOST_SHOWN]]
    return {"kind": "table", "caption": f"The first {len(rows)} of {len(hits)} texts and values that were extracted; of personal data the first and the last character",
            "columns": [{"name": n} for n in ("kind", "row", "pattern", "what the model goes on with")], "rows": rows}


def leaks_table(leaks):
    return {"kind": "table", "caption": "Personal data of the training texts in other completions", "columns": [{"name": n} for n in ("prompt of", "pattern", "value")],
            "rows": [list(leak) for leak in leaks[:MOST_SHOWN]]}


def document(models, found, limit, region):
    blocks = [rates_picture(found.rates), rates_table(found.rates)] + ([{"kind": "text", "text": "\n\n".join(found.notes)}] if found.notes else [])
    sections = [{"title": "In short", "blocks": [verdicts(found, limit)]}, {"title": "What was extracted", "blocks": blocks}]
    if found.canaries:
        picture = [exposure_picture(found)] if any(c.times is not None for c in found.canaries) else []
        sections.append({"title": "Canaries", "blocks": [*picture, exposure_table(found)]})
    if any(p.kind in (PERSONAL, TEXTS) for p in found.probes):
        sections.append({"title": "Texts and values", "blocks": [extracted_table(found, region), *([leaks_table(found.leaks)] if found.leaks else [])]})
    sections.append({"title": "How it was measured", "blocks": [{"kind": "text", "text": METHOD}]})
    beside = f", beside {models[1].folder}, from which it was tuned" if models[1:] else ""
    return {"format": FORMAT, "version": VERSION, "title": f"What {models[0].folder} gives away", "summary": f"{len(found.probes):,} probes{beside}.", "sections": sections}


def facts(models, found, broken):
    """For machines; values of personal data are in it as they are on the page."""
    def of(interval):
        return None if interval is None else dict(interval._asdict())
    canaries = [{"place": c.place, "times": c.times, "extracted": hit, "exposure": e.bits, "most": e.most, "exact": e.exact}
                for c, e, hit in zip(found.canaries, found.exposures, found.of(CANARIES))]
    return {"format": "trireme-memorization", "version": 1, "model": models[0].folder, "base": models[1].folder if models[1:] else None,
            "rates": [{"kind": r.kind, "times": r.times, "tuned": of(r.tuned), "base": of(r.base)} for r in found.rates], "canaries": canaries,
            "leaks": None if found.leaks is None else [leak._asdict() for leak in found.leaks], "beyond": [rate_name(r) for r in broken]}
