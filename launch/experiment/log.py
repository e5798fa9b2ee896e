"""Outcomes of one run: its events (docs/metrics.md), and the line of its output that says why it failed."""
import json
import re


def events_of(path):
    """Events of a metrics.jsonl; lines that a killed run left half are passed over."""
    found = []
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            for line in file:
                try:
                    event = json.loads(line)
                except ValueError:
                    continue
                if isinstance(event, dict):
                    found.append(event)
    except OSError:
        pass
    return found


def of_kind(events, kind):
    return [event for event in events if event.get("kind") == kind]


def last_line(path):
    """The line of an output that tells most of a failure: our own, or the first that speaks of an error, or the last."""
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    except OSError:
        return ""
    ours = [line.removeprefix("trireme: ") for line in lines if line.startswith("trireme: ")]
    errors = [line for line in lines if re.search(r"Signal: |\berror\b", line)]
    return ([*errors[:1], *ours[-1:]] or lines or [""])[-1][:300]


def exit_fault(attempt, code):
    return f"exit code {code}: {last_line(attempt.output)}"
