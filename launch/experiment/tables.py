"""Tables as CSV."""
import csv
import io


def cell_text(value):
    """Numbers with all their digits; nothing for what is not defined."""
    return "" if value is None else repr(float(value)) if isinstance(value, float) else str(value)


def to_csv(columns, rows):
    """`rows`: of values in the order of the columns, or by name."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([cell_text(value) for value in (row if isinstance(row, list) else [row.get(name) for name in columns])])
    return text.getvalue()
