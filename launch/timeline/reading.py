"""Timelines of the ranks, RUN/trace/rank-NNNNN.jsonl (docs/profile.md), as `trireme train` with log.trace_steps wrote them."""
import json
import pathlib

from report.command import is_number, reason_of, refuse, size_of

FORMAT, VERSION = "trireme-trace", 1
LEGAL = "what `trireme train --set log.trace_steps=N` wrote"
MOST_BYTES, MOST_RANKS = 1 << 33, 100_000
# Kind of a line: the types of what follows it, in order.
LINES = {"step": (int, int), "stepped": (int,), "place": (int, str, int, int, int), "call": (int, int, int, str, int, int),
         "send": (int, int, int, int, int, int), "receive": (int, int, int, int, int, int), "wait": (int, int, int), "finish": (int, int, int)}
HEAD = {"rank": int, "size": int, "host": str, "layout": dict, "schedule": str, "clocks": list, "groups": list, "names": list}


class Clock:
    """Turns times of a rank into those of rank 0: a line through two measurements."""

    def __init__(self, measured):
        (self.at, self.offset, first), (end, last, second) = measured[0], measured[-1]
        self.ends = (self.at, end)
        self.slope = (last - self.offset) / (end - self.at) if end > self.at else 0.0
        self.error = max(first, second)

    def __call__(self, time):
        return time + self.offset + round(self.slope * (time - self.at))

    def is_that_of(self, other):
        """Whether both may be one clock, by what was measured of this one."""
        return all(abs(self(at) - other(at)) <= self.error + other.error + 1 for at in self.ends)


class Rank:
    """One rank's events, with times of rank 0's clock in nanoseconds."""

    def __init__(self, path, head, events):
        self.path, self.rank, self.size, self.host = path, head["rank"], head["size"], head["host"]
        self.layout, self.schedule = head["layout"], head["schedule"]
        self.clock = Clock(head["clocks"])
        self.groups, self.names, self.local = head["groups"], head["names"], events

    @property
    def events(self):
        return [(kind, self.clock(time), *rest) for kind, time, *rest in self.local]


def share_clocks(ranks):
    """Processes of a host read one clock: the best measurement of it holds for all of them, unless theirs say otherwise."""
    best = {}
    for rank in sorted(ranks, key=lambda r: r.clock.error):
        clock = best.setdefault(rank.host, rank.clock)
        if rank.clock.is_that_of(clock):
            rank.clock = clock


def is_clock(value):
    return isinstance(value, list) and len(value) == 3 and all(isinstance(x, int) and not isinstance(x, bool) and abs(x) < 1 << 62 for x in value)


def is_group(value):
    return isinstance(value, dict) and isinstance(value.get("name"), str) and isinstance(value.get("members"), list) and \
        all(isinstance(m, int) and 0 <= m < MOST_RANKS for m in value["members"])


def head_of(path, line):
    try:
        head = json.loads(line)
    except (ValueError, RecursionError):
        refuse(f"{path}:1: not JSON; legal: {LEGAL}")
    if not isinstance(head, dict) or head.get("format") != FORMAT or head.get("version") != VERSION:
        refuse(f"{path}:1: legal: \"format\": \"{FORMAT}\", \"version\": {VERSION}, {LEGAL}")
    for name, kind in HEAD.items():
        if not isinstance(head.get(name), kind) or isinstance(head[name], bool):
            refuse(f"{path}:1: {name}: {json.dumps(head.get(name))[:60]}: legal: {LEGAL}")
    if not 0 <= head["rank"] < head["size"] <= MOST_RANKS:
        refuse(f"{path}:1: rank: {head['rank']}: legal: from 0 to {head['size'] - 1}, of at most {MOST_RANKS} ranks")
    for name, check in (("clocks", is_clock), ("groups", is_group), ("names", lambda v: isinstance(v, str))):
        if not all(map(check, head[name])) or name == "clocks" and not head[name]:
            refuse(f"{path}:1: {name}: legal: {LEGAL}")
    return head


def event_of(path, number, line, head):
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        refuse(f"{path}:{number}: not JSON; legal: {LEGAL}")
    kinds = LINES.get(event[0]) if isinstance(event, list) and event and isinstance(event[0], str) else None
    if kinds is None or len(event) != len(kinds) + 1 or \
            not all(isinstance(v, k) and not isinstance(v, bool) and (k is str or abs(v) < 1 << 62) for v, k in zip(event[1:], kinds)):
        refuse(f"{path}:{number}: {line.strip()[:60]}: legal: {LEGAL}")
    if event[0] in ("call", "send", "receive", "wait", "finish"):
        name = event[5] if event[0] == "call" else event[4] if event[0] in ("send", "receive") else 0
        if not 0 <= event[2] < len(head["groups"]) or event[0] in ("call", "send", "receive") and not 0 <= name < len(head["names"]):
            refuse(f"{path}:{number}: a number of a group or a name that line 1 does not have: legal: {LEGAL}")
    return event


def read_rank(path):
    try:
        size_of(path, MOST_BYTES)
        with open(path, encoding="utf-8", errors="replace") as file:
            head = head_of(path, file.readline())
            events = [event_of(path, n, line, head) for n, line in enumerate(file, 2)]
    except OSError as error:
        refuse(f"{path}: {reason_of(error)}; legal: {LEGAL}")
    for n, (before, after) in enumerate(zip(events, events[1:]), 3):
        if after[1] < before[1]:
            refuse(f"{path}:{n}: {after[1]}: legal: times that do not fall")
    return Rank(path, head, events)


def read(run):
    """The ranks of a run's trace, all of them, by rank."""
    folder = pathlib.Path(run) / "trace"
    paths = sorted(str(p) for p in folder.glob("rank-*.jsonl"))
    if not paths:
        refuse(f"{folder}: holds no trace; legal: {LEGAL}")
    ranks = [read_rank(path) for path in paths]
    size = ranks[0].size
    if [r.rank for r in ranks] != list(range(size)) or any(r.size != size for r in ranks):
        refuse(f"{folder}: holds ranks {', '.join(str(r.rank) for r in ranks[:8])} of {size}: legal: all ranks of one job")
    if not any(kind == "step" for kind, *_ in ranks[0].events):
        refuse(f"{folder}: holds no step; legal: {LEGAL}")
    share_clocks(ranks)
    return ranks


def number_of(text, name, legal):
    if not text.isdigit() or not is_number(int(text)):
        refuse(f"{name}: {text}: legal: {legal}")
    return int(text)
