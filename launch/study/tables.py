"""CSV and LaTeX out of rows and series."""
from experiment.tables import to_csv
from report.numbers import shown
from study import measure, summary

FITS = ("scaling", "layout", "law", "serial_fraction", "serial_s", "parallel_s", "compute_s", "alpha_s", "message_s", "beta_bytes_per_s",
        "largest_residual", "free")
COST = ("tokens", "scaling", "layout", "nodes", "tokens_per_s", "restarts", "hours", "node_hours", "gpu_hours", "core_hours", "flop")
STEPS = ("cell", "step", "seconds", "tokens")


def files(rows, steps, series, cost):
    """{name: content} of all CSV files."""
    fits = [{"scaling": one.scaling, "layout": one.layout, **fit} for one in series for fit in one.fits]
    return {"cells.csv": to_csv((*measure.COLUMNS, "flagged"), rows), "steps.csv": to_csv(STEPS, steps),
            "summary.csv": to_csv(summary.COLUMNS, [line for one in series for line in one.lines]), "fits.csv": to_csv(FITS, fits),
            "cost.csv": to_csv(COST, [cost] if cost else [])}


ESCAPES = {"\\": r"\textbackslash{}", **{c: "\\" + c for c in "&%$#_{}"}, "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
           "\u00a0": "~", "\u2013": "--"}


def tex(text):
    return "".join(ESCAPES.get(character, character) for character in text)


LATEX = (("nodes", "Nodes", "integer"), ("ranks", "Ranks", "integer"), ("wall_s", "Wall time", "seconds"), ("step_s", "Step", "seconds"),
         ("tokens_per_s", "Tokens/s", "number"), ("tokens_per_s_per_rank", "per rank", "number"), ("speedup", "Speed-up", "number"),
         ("efficiency", "Efficiency", "percent"), ("verdict", "75\\,\\%", "text"), ("startup_s", "Start-up", "seconds"),
         ("peak_memory_bytes", "Memory", "bytes"))


def latex_table(columns, rows, caption, label):
    head = " & ".join(title for _, title, _ in columns)
    body = "".join(" & ".join("--" if row[name] is None else tex(shown(row[name], form)) for name, _, form in columns) + " \\\\\n" for row in rows)
    return (f"\\begin{{table}}\n\\centering\n\\caption{{{tex(caption)}}}\n\\label{{tab:{label}}}\n\\begin{{tabular}}{{{'r' * len(columns)}}}\n\\hline\n"
            f"{head} \\\\\n\\hline\n{body}\\hline\n\\end{{tabular}}\n\\end{{table}}\n")


def to_latex(study, series, cost):
    """Tables of plain LaTeX, to be read by \\input."""
    parts = ["% Made by `trireme study`; needs no package.\n"]
    for one in series:
        caption = f"{one.scaling.capitalize()} scaling, layout {one.layout}: means of at most {study.repeats} repeats, each of {study.steps - study.warmup} steps after {study.warmup} of warm-up."
        parts.append(latex_table(LATEX, one.lines, caption, f"{one.scaling}-{one.layout}"))
    if cost:
        columns = (("tokens", "Tokens", "number"), ("nodes", "Nodes", "integer"), ("hours", "Hours", "number"), ("node_hours", "Node-h", "number"),
                   ("gpu_hours", "GPU-h", "number"), ("core_hours", "Core-h", "number"), ("flop", "FLOP", "number"))
        parts.append(latex_table(columns, [cost], f"Cost of the target run, with {cost['restarts']:.1%} for restarts.", "cost"))
    return "\n".join(parts)
