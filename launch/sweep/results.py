"""Results of a trial out of what its training logged (docs/metrics.md)."""
from report.command import is_number
from report.events import by_step
from report.run_config import best_of

GOOD = (0, 85)  # exit codes of a run that is over, and of one that was told to pause


def until_step(events, kind, until):
    """Events of a kind, one for each step, up to and with step `until`; None: all."""
    whole = [e for e in events if is_number(e.get("step")) and "kind" in e]
    return [e for e in by_step(whole, kind) if until is None or e["step"] <= until]


def best_at(events, until, metric):
    """The evaluation that `trireme train` calls the best of those up to step `until`; None without one."""
    return best_of(until_step(events, "evaluation", until), metric)


def fault_of(events, until, metric, code):
    """Why a run that ended in order has no result at step `until`; empty if it has one."""
    steps = until_step(events, "train", None)
    last = steps[-1]["step"] if steps else 0
    if code and (until is None or last < until):
        return f"paused at step {last}" + (f" before step {until}" if until else "") + ": told to stop, or its time was too short"
    if best_at(events, until, metric) is None:
        found = until_step(events, "evaluation", until)
        return f"no evaluation has a finite {metric}" if found else "nothing was evaluated: the data have no validation split"
    return ""


def rates_of(events):
    """(learning rates, losses) of all steps; empty where there are too few to judge by."""
    steps = until_step(events, "train", None)
    return ([e["learning_rate"] for e in steps], [e["loss"] for e in steps]) if len(steps) >= 10 else ()


def seconds_of(events):
    """Seconds of training up to now, evaluations and saves apart."""
    return sum(e["seconds"] for e in until_step(events, "train", None) if is_number(e.get("seconds")))
