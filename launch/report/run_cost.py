"""Jobs of a run and what they took: node-hours, steps that were computed more than once, where the time went."""
from datetime import UTC, datetime

from report.command import is_number
from report.evaluation import table


def number(event, key, otherwise=0):
    return event[key] if is_number(event.get(key)) else otherwise


class Job:
    """One process group of the run: its `job` event and those up to the next one."""

    def __init__(self, event):
        self.event, self.events, self.nodes, self.ranks = event, [], int(number(event, "nodes", 1)), int(number(event, "ranks", 1))

    def of(self, kind):
        return [e for e in self.events if e["kind"] == kind]

    def seconds(self):
        """Counts from its first event to its last: what it took before and after these is not in the file."""
        times = [number(e, "time", self.event["time"]) for e in self.events]
        return max(0.0, max(times, default=self.event["time"]) - self.event["time"])

    def node_hours(self):
        return self.nodes * self.seconds() / 3600


def jobs_of(events):
    jobs = []
    for event in events:
        if event["kind"] == "job":
            jobs.append(Job(event))
        elif jobs:
            jobs[-1].events.append(event)
    return jobs


def total(jobs, kind, key):
    return sum(number(e, key) for job in jobs for e in job.of(kind))


def seconds_that_count(events):
    """Adds up the steps that the run still stands on: a job that takes it up, or a rollback, voids all later ones."""
    kept = {}
    for event in events:
        if event["kind"] == "train":
            kept[event["step"]] = number(event, "seconds")
        elif event["kind"] in ("job", "rollback"):
            kept = {step: seconds for step, seconds in kept.items() if step <= number(event, "step")}
    return sum(kept.values())


def cost_section(jobs, events, budget=0):
    """`budget`: node-hours of all jobs together, job.node_hours; 0: no limit"""
    steps = [e["step"] for e in events if e["kind"] == "train"]
    wall, train = sum(job.seconds() for job in jobs), total(jobs, "train", "seconds")
    evaluation, stalled = total(jobs, "evaluation", "seconds"), total(jobs, "checkpoint", "stalled")
    tokens, again = total(jobs, "train", "tokens"), len(steps) - len(set(steps))
    memory = max((number(e, "peak_memory") for job in jobs for e in job.of("train")), default=0)
    hours = sum(job.node_hours() for job in jobs)
    rows = [["node-hours", hours, "nodes x time of each job, from its first event to its last"],
            ["rank-hours", sum(job.ranks * job.seconds() for job in jobs) / 3600, "processes x time: GPU-hours where each has a GPU"]]
    if budget:
        rows.append(["left of job.node_hours", max(0.0, budget - hours), f"of a budget of {budget:g} node-hours"])
    times = [["wall time of its jobs", wall, ""], ["training steps", train, ""], ["evaluations", evaluation, ""],
             ["waiting for checkpoints", stalled, "the copy; the writing goes on beside training"],
             ["the rest", max(0.0, wall - train - evaluation - stalled), "loading, building, notes"]]
    counts = [["steps", len(set(steps)), ""], ["of these computed more than once", again, "after a crash or a rollback"],
              ["samples", total(jobs, "train", "samples"), "all steps, repeated ones too"], ["tokens", tokens, "likewise"]]
    blocks = [table("What it took", ["", ("hours", "number"), "counted how"], rows),
              table("Where the time went", ["", ("time", "seconds"), ("of the wall time", "percent"), ""],
                    [[name, value, value / wall if wall else None, how] for name, value, how in times]),
              table("What was done", ["", ("number", "integer"), ""], counts),
              table("Speed and memory", ["", "value", ""],
                    [["goodput", f"{seconds_that_count(events) / wall:.1%}" if wall else "not defined",
                      "share of the wall time of all jobs in steps that count: not computed again later, nor rolled back"],
                     ["tokens per second", f"{tokens / train:,.0f}" if train else "not defined", "over all steps and ranks, evaluations left out"],
                     ["peak memory of rank 0", f"{memory / 1e9:.2f} GB" if memory else "not defined", ""]])]
    return {"title": "Cost", "blocks": blocks}


def began(job):
    return datetime.fromtimestamp(job.event["time"], UTC).strftime("%Y-%m-%d %H:%M:%S")


def ended(job):
    ends = job.of("end")
    if not ends:
        return "without an end: killed, crashed or still running"
    return str(ends[-1].get("why") or ("done" if not ends[-1].get("exit_code") else "asked to stop"))


def jobs_section(jobs):
    columns = ["began (UTC)", "host of rank 0", ("nodes", "integer"), ("ranks", "integer"), "layout", ("ZeRO", "integer"), "schedule", "job", ("steps", "integer"), ("time", "seconds"), "end"]
    rows = [[began(job), str(job.event.get("host", "")), job.nodes, job.ranks, str(job.event.get("layout", "")), number(job.event, "zero"), str(job.event.get("schedule", "")),
             str(job.event.get("job_id", "")), len(job.of("train")), job.seconds(), ended(job)] for job in jobs]
    return {"title": "Jobs and layouts", "blocks": [table("Each job of the run", columns, rows)]}
