"""Writes what was found as JSON, as a page of HTML and as lines for a terminal."""
import numpy as np

from audit.columns import RANKS
from audit.findings import FINDINGS
from report import page, schema

VERDICT = {"error": "error", "warn": "warn"}


def example_of(session, example):
    columns, files = session.columns, session.o["files"]
    found = {name: value for name, value in example.items() if name not in ("row", "partner")}
    for part in ("row", "partner"):
        if part in example:
            row = example[part]
            found[part] = {"file": files[columns["file"][row]], "line": int(columns["line"][row]), "split": RANKS[columns["rank"][row]],
                           "text": session.snippets.get(row, "")}
    return found


def places_of(session, finding):
    """{file: lines} of all rows of the finding."""
    places = {}
    for row in finding.rows:
        places.setdefault(session.o["files"][session.columns["file"][row]], []).append(int(session.columns["line"][row]))
    return places


def lengths_of(session):
    """Rows by length: bins that double, in tokens where there is a tokenizer, else in characters."""
    values = np.array(session.token_counts or session.columns["length"], np.int64)
    bins = np.floor(np.log2(np.maximum(values, 1))).astype(np.int64)
    counts = np.bincount(bins) if len(bins) else []
    return {"unit": "tokens" if session.tokenizer else "characters", "max_length": session.o["max_length"] if session.tokenizer else None,
            "longer": session.truncated if session.tokenizer else None,
            "median": float(np.median(values)) if len(values) else None, "longest": int(values.max()) if len(values) else None,
            "bins": [{"from": 1 << i, "rows": int(n)} for i, n in enumerate(counts) if i >= bins.min()]}


def facts(session):
    rank = session.columns["rank"]
    found = session.findings.found()
    return {
        "format": "trireme-audit", "version": 1, "task": session.o["task"], "rows": len(session.columns),
        "verdict": "error" if any(f.level == "error" for f in found) else "warn" if found else "ok",
        "splits": {s: int((rank == i).sum()) for i, s in enumerate(RANKS) if (rank == i).any()},
        "tokens": dict(session.tokens), "parameters": session.parameters[0] if session.parameters else None,
        "findings": [{"name": f.name, "level": f.level, "count": f.count, "meaning": FINDINGS[f.name][1], **({"note": f.note} if f.note else {}),
                      "places": places_of(session, f), "examples": [example_of(session, e) for e in f.examples]} for f in found],
        "ignored": [f.name for f in session.findings.all.values() if f.level == "ignore"],
        "not_looked_at": session.unseen(),
        "classes": session.class_table(), "median_length": session.medians, "languages": session.language_counts,
        "groups": {g.name: {s: session.group_counts[g.name, s] for i, s in enumerate(RANKS) if (rank == i).any()} for g in session.groups},
        "lengths": lengths_of(session),
        "labels_judged": {"rows": session.suspects[2], "right": session.suspects[1], "suspects": len(session.suspects[0])} if session.suspects else None,
    }


def table(caption, columns, rows):
    return {"kind": "table", "caption": caption, "columns": [{"name": c} if isinstance(c, str) else {"name": c[0], "form": c[1]} for c in columns], "rows": rows}


def place(part):
    return f"{part['file']}:{part['line']} ({part['split']})" if part else ""


def finding_block(finding):
    rows, paired = [], any("partner" in e for e in finding["examples"])
    for example in finding["examples"]:
        row, partner = example.get("row"), example.get("partner")
        what = example.get("value") or (f"{example['tokens']:,} tokens" if "tokens" in example else "") or (
            f"similarity {example['similarity']:.2f}" if "similarity" in example else "")
        rows.append([place(row), what, row["text"] if row else "", *([place(partner), partner["text"]] if paired and partner else [""] * (2 * paired))])
    head = ["where", "what", "text", *(["partner", "its text"] if paired else [])]
    used = [i for i in range(len(head)) if any(r[i] for r in rows)] or [0]
    rows, head = [[r[i] for i in used] for r in rows], [head[i] for i in used]
    caption = f"The first {len(rows):,} of {finding['count']:,}" if finding["count"] > len(rows) else f"All {len(rows):,}"
    note = [{"kind": "text", "text": finding["note"]}] if "note" in finding else []
    return {"kind": "details", "title": f"{finding['name']}: {finding['count']:,}", "blocks": [*note, table(caption, head, rows)]}


def bars(title, label, categories, series):
    return {"kind": "figure", "picture": "bars", "title": title, "value_label": label, "categories": categories, "form": "integer",
            "series": [{"name": name, "values": values} for name, values in series]}


def data_blocks(found):
    splits = list(found["splits"])
    blocks = [table("Rows by split", ["split", ("rows", "integer")], [[s, n] for s, n in found["splits"].items()])]
    if classes := found["classes"]:
        shown = sorted(classes, key=lambda c: -sum(classes[c].values()))[:40]
        blocks.append(bars("Classes", "rows", shown, [(s, [classes[c][s] for c in shown]) for s in splits]))
        blocks.append(table("Rows and median length by class", ["class", *((s, "integer") for s in splits), ("median length (characters)", "integer")],
                            [[c, *(classes[c][s] for s in splits), found["median_length"].get(c)] for c in sorted(classes)]))
    lengths = found["lengths"]
    blocks.append(bars("Lengths", "rows", [f"{b['from']:,} to {2 * b['from'] - 1:,}" for b in lengths["bins"]] or ["none"],
                       [(lengths["unit"], [b["rows"] for b in lengths["bins"]] or [0])]))
    if lengths["longer"] is not None:
        blocks.append({"kind": "text", "text": f"{lengths['longer']:,} rows are longer than {lengths['max_length']:,} tokens."})
    if found["languages"]:
        blocks.append(table("Languages, where a text is long enough to tell", ["language", ("rows", "integer")],
                            [[n.capitalize(), c] for n, c in list(found["languages"].items())[:20]]))
    if found["groups"]:
        names = list(found["groups"])
        blocks.append(table("Rows with the groups", ["group", *((s, "integer") for s in splits)], [[n, *(found["groups"][n][s] for s in splits)] for n in names]))
    return blocks


def render_page(found):
    items = [{"verdict": VERDICT[f["level"]], "name": f"{f['name']}: {f['count']:,}", "text": f["meaning"][0].upper() + f["meaning"][1:] + "."} for f in found["findings"]]
    items = items or [{"verdict": "ok", "name": "nothing found", "text": f"In {found['rows']:,} rows."}]
    unseen = [n for n in FINDINGS if n in found["ignored"] or n in found["not_looked_at"]]
    quiet = [n for n in FINDINGS if n not in unseen and n not in {f["name"] for f in found["findings"]}]
    more = [{"kind": "text", "text": "Looked for and not found: " + ", ".join(quiet) + "."}] if quiet else []
    more += [{"kind": "text", "text": "Not looked at: " + ", ".join(unseen) + "."}] if unseen else []
    sections = [{"title": "Findings", "blocks": [{"kind": "verdicts", "items": items}, *more]}]
    if found["findings"]:
        sections.append({"title": "Examples", "blocks": [finding_block(f) for f in found["findings"]]})
    sections.append({"title": "The data", "blocks": data_blocks(found)})
    document = {"format": schema.FORMAT, "version": schema.VERSION, "title": "Data audit", "sections": sections,
                "summary": f"{found['rows']:,} rows for {found['task']}."}
    schema.check(document, "audit")
    return page.render(document)


def summary(found, files):
    width = max((len(f["name"]) for f in found["findings"]), default=0)
    lines = [f"{found['rows']:,} rows: {found['verdict']}"]
    for f in found["findings"]:
        lines.append(f"  {f['level']:<6}{f['name']:<{width}} {f['count']:>9,}  {f['meaning']}")
    if "dropped" in found:
        lines.append(f"  dropped: {sum(found['dropped'].values()):,} rows" + "".join(f"; {n} {c:,}" for n, c in found["dropped"].items()))
    return "\n".join(lines + [f"  written: {f}" for f in files]) + "\n"
