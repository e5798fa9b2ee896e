"""The renderer of reports: one JSON document in, one self-contained page of HTML out (docs/reports.md)."""
