"""A document with every kind of block and picture, and texts that a careless renderer would trip over."""
import math

HOSTILE = ["<script>alert(1)</script>", "\"quoted\" & 'single' {{ 7 * 7777 }}", "bell\x07 escape\x1b null\x00 \ud800",
           "\u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd", "\u0645\u0631\u062d\u0628\u0627 1 2 3", "turned \u202elive\u202c", "$x^2_i$ \\frac", "\u6f22\u5b57\u6f22\u5b57",
           "</svg></style><img src=x onerror=alert(1)>", "a name that is much longer than any picture has room for"]


def curves():
    steps = list(range(0, 400, 4))
    loss = [2.2 * math.exp(-s / 120) + 0.3 + 0.05 * math.sin(s) for s in steps]
    series = [{"name": "training", "x": steps, "y": loss, "low": [v - 0.1 for v in loss], "high": [v + 0.1 for v in loss]},
              {"name": "validation", "x": steps[::10], "y": [v + 0.1 if i != 4 else None for i, v in enumerate(loss[::10])]}]
    return {"kind": "figure", "picture": "curves", "title": "Loss", "caption": "Mean of three seeds and its interval of 95 %.",
            "x_label": "step", "y_label": "loss", "series": series}


def scaling():
    nodes = [1, 2, 4, 8, 16, 32]
    return {"kind": "figure", "picture": "curves", "title": "Strong scaling", "alt": "Speed-up rises to 24 at 32 nodes.", "x_label": "nodes",
            "y_label": "speed-up", "x_scale": "log", "y_scale": "log", "series": [
                {"name": "ideal", "x": nodes, "y": nodes, "style": "dashed"},
                {"name": "measured", "x": nodes, "y": [1, 1.96, 3.8, 7.2, 13.5, 24.1], "style": "points",
                 "low": [1, 1.9, 3.6, 7.0, 13.1, 23.5], "high": [1, 2.0, 3.9, 7.4, 13.9, 24.8]},
                {"name": "Amdahl, serial part of 1.1 %", "x": nodes, "y": [n / (1 + 0.011 * (n - 1)) for n in nodes]}]}


def pareto():
    layouts = [(8.1, 70, "tensor 8"), (6.2, 74, "tensor 4, pipeline 2"), (9.5, 52, "zero 3"), (5.9, 79, "pipeline 4"), (7.0, 71, "tensor 2, zero 1"), (9.4, 53, "zero 3, full recomputation"), (9.45, 52.5, "zero 3, offload")]
    return {"kind": "figure", "picture": "curves", "title": "Time against memory", "x_label": "step time (s)", "y_label": "peak memory (GiB)", "series": [
        {"name": "layouts", "style": "points", "x": [a for a, _, _ in layouts], "y": [b for _, b, _ in layouts], "labels": [c for _, _, c in layouts]},
        {"name": "front", "x": [5.9, 6.2, 7.0, 9.5], "y": [79, 74, 71, 52]}]}


def many_curves():
    return {"kind": "figure", "picture": "curves", "title": "Many runs", "x_label": "step", "y_label": "loss", "series": [
        {"name": f"run {i} " + "x" * (5 * i), "x": list(range(9)), "y": [i + 0.1 * k * k for k in range(9)]} for i in range(9)]}


def parallel():
    axes = [{"name": "optimizer.learning_rate", "scale": "log"}, {"name": "optimizer.schedule", "names": HOSTILE}, {"name": "accuracy"}]
    lines = [{"name": f"c{i}", "values": [10.0 ** (i % 5 - 5) if i else None, i % len(HOSTILE), 0.5 + i / 40], "style": ("best", "good", "other")[min(i // 2, 2)]}
             for i in range(12)]
    return {"kind": "figure", "picture": "parallel", "title": "Parallel coordinates", "axes": axes, "lines": lines}


def timeline():
    kinds = [{"name": name, "style": style} for name, style in (("forward", "bar"), ("backward", "bar"), (HOSTILE[0], "bar"), ("waits", "idle"), ("transfer", "thin"))]
    spans = [{"row": r, "kind": (i + r) % len(kinds), "begin": i, "end": i + 0.1 + (i * r) % 3 / 2, "label": str(i)} for r in range(len(HOSTILE)) for i in range(9)]
    return {"kind": "figure", "picture": "timeline", "title": "A step as it ran", "x_label": "time (ms)", "rows": HOSTILE, "kinds": kinds, "spans": spans}


def pictures():
    names = HOSTILE
    bins = [{"low": i / 15, "high": (i + 1) / 15, "count": 0 if i < 5 else 40 * i, "confidence": None if i < 5 else (i + 0.5) / 15,
             "accuracy": None if i < 5 else (i + 0.1) / 15} for i in range(15)]
    return [curves(), scaling(), pareto(), many_curves(),
            {"kind": "figure", "picture": "bars", "title": "Samples per class", "value_label": "samples", "form": "integer", "categories": names,
             "series": [{"name": "training", "values": [900 * (i + 1) for i in range(len(names))]}, {"name": "test", "values": [100, None] + [80 * i for i in range(len(names) - 2)]}]},
            {"kind": "figure", "picture": "matrix", "title": "Confusion", "row_label": "label", "column_label": "prediction", "rows": names, "columns": names,
             "values": [[0 if i == 3 else 90 if i == k else (i * k) % 7 for k in range(len(names))] for i in range(len(names))]},
            {"kind": "figure", "picture": "reliability", "title": "Reliability", "bins": bins}, parallel(), timeline(),
            {"kind": "figure", "picture": "curves", "title": "Nothing at all", "x_label": "step", "y_label": "loss", "series": []}]


def table():
    columns = [{"name": "what"}, {"name": "count", "form": "integer"}, {"name": "share", "form": "percent"}, {"name": "memory", "form": "bytes"},
               {"name": "time", "form": "seconds"}, {"name": "loss", "digits": 3}, {"name": "rate", "unit": "tokens/s"}]
    rows = [[name, 1234567 * i, i / 7, 3.3 * 1024**i, 0.004 * 31**i, math.nan if i == 2 else i / 3, None if i == 1 else 10.0**(3 * i - 6)] for i, name in enumerate(HOSTILE)]
    return {"kind": "table", "caption": "Every form of number", "columns": columns, "rows": rows}


def document():
    verdicts = [{"verdict": "ok", "name": "No repeated texts", "text": "12,000 texts, all different."}, {"verdict": "warn", "name": "Classes out of balance", "text": "20 : 1"},
                {"verdict": "error", "name": "Leak between splits", "text": "31 texts of test are in train, too: " + HOSTILE[0]}, {"verdict": "info", "name": "Language: English"}]
    words = "The film was not good , but the music saved it .".split()
    tokens = [{"text": w + " ", "value": v} for w, v in zip(words, [0, 0.1, 0, -0.9, 0.7, 0, 0.2, 0, 0.3, 0.5, 0.05, None])]
    chat = [{"text": "<|user|>\nWhat is 2 + 2?\n", "group": 0}, {"text": "<|assistant|>", "group": 0}, {"text": "4", "group": 1}, {"text": "<|end|>", "group": 1}, {"text": "\n" + HOSTILE[3], "group": 2}]
    code = "#!/bin/bash\n#SBATCH --nodes=4\n\tsrun trireme train run.yaml  # <b> & \"quotes\"\n" + "x" * 300
    return {"format": "trireme-report", "version": 1, "title": "An example of everything: " + HOSTILE[0], "summary": "First paragraph.\n\nSecond: " + HOSTILE[1], "sections": [
        {"title": "Verdicts", "blocks": [{"kind": "text", "text": "What was found, " + HOSTILE[5]}, {"kind": "verdicts", "items": verdicts}]},
        {"title": "Tables", "blocks": [table()]},
        {"title": "Pictures", "blocks": pictures()},
        {"title": "Tokens", "blocks": [{"kind": "tokens", "title": "Attribution", "text": "Gradient x input.", "tokens": tokens},
                                       {"kind": "tokens", "title": "What is trained", "groups": ["prompt", "trained", "other"], "tokens": chat}]},
        {"title": "Files " + HOSTILE[8], "blocks": [{"kind": "code", "title": "job.sh", "text": code}, {"kind": "details", "title": "More " + HOSTILE[0], "blocks": [table(), curves()]}]}]}
