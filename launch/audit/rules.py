"""Rules that `prepare` tells too: they need counts alone."""
IMBALANCE = 10


def class_faults(table):
    """{finding: sentences} about classes. `table`: {class: {split: rows}}, every split in each."""
    splits = [s for s in ("train", "validation", "test") if any(c.get(s) for c in table.values())]
    largest = max((c.get("train", 0) for c in table.values()), default=0)
    found = {"missing-classes": [], "class-balance": []}
    for name, counts in table.items():
        missing = [s for s in splits if not counts.get(s)]
        if missing and len(table) > 1:
            found["missing-classes"].append(f"{name}: no row in {', '.join(missing)}")
        trained = counts.get("train", 0)
        if 0 < trained * IMBALANCE <= largest:
            found["class-balance"].append(f"{name}: {trained:,} rows, the largest class {largest:,}: 1 to {largest / trained:.0f}")
    return found


def notes(table):
    """A line for each kind of finding, with the first class."""
    found = [(name, lines) for name, lines in class_faults(table).items() if lines]
    return [f"{lines[0]}" + (f" (and {len(lines) - 1} classes more)" if len(lines) > 1 else "") + f": {name} of `trireme audit`" for name, lines in found]
