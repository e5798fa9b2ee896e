"""Events of a run (docs/metrics.md), read as `trireme train` wrote them."""
import json
import sys

from report.command import is_number, reason_of, refuse, size_of

MOST_BYTES = 1 << 36  # as framework/log/event_lines.cpp
NEEDED = {"job": ("step", "time"), "train": ("step", "loss"), "evaluation": ("step", "loss")}


def event_of(path, number, line):
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):  # half a line of a run that was killed
        print(f"trireme: {path}:{number}: skipped a line that is not whole", file=sys.stderr)
        return None
    kind = event.get("kind") if isinstance(event, dict) else None
    if not isinstance(kind, str):
        refuse(f'{path}:{number}: not an event; legal: lines of JSON with a "kind", as `trireme train` writes them')
    for name in NEEDED.get(kind, ()):
        value = event.get(name)
        if not is_number(value):
            refuse(f"{path}:{number}: {name}: {json.dumps(value)[:60]}: legal: a number")
    return event


def read(run):
    """All events of the run's folder, in their order."""
    path = run + "/metrics.jsonl"
    try:
        size_of(path, MOST_BYTES)
        with open(path, encoding="utf-8", errors="replace") as file:
            return [e for n, line in enumerate(file, 1) if (e := event_of(path, n, line)) is not None]
    except OSError as error:
        refuse(f"{path}: {reason_of(error)}; legal: folder of a run, as `trireme train` writes one")


def by_step(events, kind):
    """One event of this kind for each step, the last where a resumed run repeated steps."""
    last = {e["step"]: e for e in events if e["kind"] == kind}
    return [last[step] for step in sorted(last)]


def smooth(values, window):
    """Means of the last `window` values, of fewer at the beginning."""
    out = []
    for i in range(len(values)):
        part = values[max(0, i - window + 1) : i + 1]
        out.append(sum(part) / len(part))
    return out
