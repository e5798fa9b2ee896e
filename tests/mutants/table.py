"""The table of docs/parity.md that says what finds each mutant."""
HEAD = "| mutant | what it does | found by | fp32 | bf16 | first cause printed | named |"


def cause_of(row):
    if not row["found"]:
        return "none: it survives"
    return f"`{row['cause']}`" + (f": {row['text']}" if row["run"].startswith("parity ") else "")


def cells(mutant, rows):
    """One line for what is run; fp32 and bf16 of one model share it."""
    first = rows[0]
    if not first["run"].startswith("parity "):
        named = "yes" if first["named"] else "no"
        return [mutant.name, mutant.kind, f"`{first['run'].split()[0]}`", "", "", cause_of(first), named]
    by = {("bf16" if "bf16" in row["run"] else "fp32"): row for row in rows}
    where = [by[c]["where"] if c in by else "" for c in ("fp32", "bf16")]
    causes, named = [], []
    for compute, row in by.items():
        causes.append(("" if compute == "fp32" else "bf16: ") + cause_of(row))
        named.append("yes" if row["named"] else "no")
    causes = causes[:1] + [c for c in causes[1:] if c != "bf16: " + causes[0]]
    if len(set(named)) == 1:
        named = named[:1]
    model = first["run"].replace(" fp32", "").replace(" bf16", "")
    return [mutant.name, mutant.kind, f"`{model}`", *where, "; ".join(causes), ", ".join(named)]


def lines(results):
    text = [HEAD, "| --- | --- | --- | --- | --- | --- | --- |"]
    for mutant, rows in results:
        groups = {}
        for row in rows:
            groups.setdefault(row["run"].replace(" bf16", " fp32"), []).append(row)
        for some in groups.values():
            text.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells(mutant, some)) + " |")
    return text


def write(page, results, is_named):
    """Puts it in the place of the one that is there."""
    for mutant, rows in results:
        for row, spec in zip(rows, mutant.runs):
            row["named"] = is_named(row, spec)
    old = page.read_text().splitlines()
    begin = old.index(HEAD)
    end = begin
    while end < len(old) and old[end].startswith("|"):
        end += 1
    page.write_text("\n".join(old[:begin] + lines(results) + old[end:]) + "\n")
    found = [row for _, rows in results for row in rows]
    print(f"{page}: {len(results)} mutants, {len(found)} runs: {sum(r['found'] for r in found)} found, "
          f"{sum(r['named'] for r in found)} named")
