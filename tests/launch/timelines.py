"""Traces of ranks written by hand: a pipeline in 1F1B whose actions take exactly what they are told to, on clocks that are set wrong
and run fast, so that what `trireme profile` finds can be worked out."""
import json

DATA, UPDATE, MEET = 200_000, 500_000, 30_000  # ns
GROUPS = ("activations", "activation gradients", "world")


def actions_of(stage, stages, micro_steps):
    """PipeDream-Flush, written once more."""
    warm = min(stages - stage - 1, micro_steps)
    steady = [a for i in range(micro_steps - warm) for a in (("forward", warm + i), ("backward", i))]
    return [("forward", i) for i in range(warm)] + steady + [("backward", micro_steps - warm + i) for i in range(warm)]


class Stage:
    """A rank's events in true time."""

    def __init__(self, rank, stages, micro_steps):
        self.rank, self.time, self.events, self.sent = rank, DATA + 100, [["step", 100, 3], ["place", 100, "data", -1, -1, -1]], [0, 0]
        self.todo = actions_of(rank, stages, micro_steps)
        self.waited = 0

    def note(self, kind, *rest):
        self.events.append([kind, self.time, *rest])

    def message(self, kind, group, peer):
        self.note(kind, group, self.sent[group], group, 4096, peer)
        self.sent[group] += 1
        return group, self.sent[group] - 1

    def receive(self, group, peer, sent, transfer):
        key = self.message("receive", group, peer)
        end = max(self.time, sent + transfer)
        if end > self.time:
            self.note("wait", *key)
            self.waited += end - self.time
        self.time = end
        self.note("finish", *key)

    def send(self, group, peer):
        self.note("finish", *self.message("send", group, peer))

    def compute(self, doing, micro_step, duration):
        self.note("place", doing, micro_step, 0, 0)
        self.time += duration // 2
        self.note("place", doing, micro_step, 0, 1)
        self.time += duration - duration // 2


def run(stages, micro_steps, forward, backward, transfer):
    """All stages' events, by an event-driven simulation."""
    ranks = [Stage(s, stages, micro_steps) for s in range(stages)]
    done = {}
    while any(r.todo for r in ranks):
        for r in ranks:
            if not r.todo:
                continue
            doing, i = r.todo[0]
            step = -1 if doing == "forward" else 1
            source = r.rank + step
            if 0 <= source < stages and (doing, source, i) not in done:
                continue
            r.todo.pop(0)
            r.note("place", doing, i, 0, -1)
            group = 0 if doing == "forward" else 1
            if 0 <= source < stages:
                r.receive(group, source, done[doing, source, i], transfer)
            r.compute(doing, i, forward if doing == "forward" else backward)
            done[doing, r.rank, i] = r.time
            if 0 <= r.rank - step < stages:
                r.send(group, r.rank - step)
    last = max(r.time for r in ranks)
    for r in ranks:  # all meet at the norm, and update
        r.note("place", "norm", -1, -1, -1)
        r.note("call", 2, 0, "all_reduce", 2, 8)
        r.note("wait", 2, 0)
        r.time = last + MEET
        r.note("finish", 2, 0)
        r.note("place", "update", -1, -1, -1)
        r.time += UPDATE
        r.note("stepped")
    return ranks


def local(rank, time):
    """True time on a rank's own clock: set wrong by 7 ms a rank, and fast by 1 in 10,000."""
    return time + 7_000_000 * rank + (time * rank) // 10_000


def write(folder, ranks, **changes):
    """The files of a run folder; `changes` of the first line of rank 0."""
    (folder / "trace").mkdir(parents=True, exist_ok=True)
    members = [r.rank for r in ranks]
    for r in ranks:
        clocks = [[local(r.rank, t), t - local(r.rank, t), 900 if r.rank else 0] for t in (0, r.time + 1000)]
        head = {"format": "trireme-trace", "version": 1, "rank": r.rank, "size": len(ranks), "host": "node", "layout": {"pipeline": r.rank},
                "schedule": "1f1b", "virtual_stages": 1, "zero": 0, "clocks": clocks,
                "groups": [{"name": name, "members": members} for name in GROUPS], "names": ["activation", "activation gradient", "gradient norm"]}
        head |= changes if r.rank == 0 else {}
        lines = [json.dumps(head), *(json.dumps([e[0], local(r.rank, e[1]), *e[2:]]) for e in r.events)]
        (folder / "trace" / f"rank-{r.rank:05}.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def slices_of(events):
    """(begin, end, name) of the slices of each track, in whole nanoseconds, as they are in the file."""
    tracks = {}
    for e in events:
        if e["ph"] == "X":
            begin = round(1000 * e["ts"])
            tracks.setdefault((e["pid"], e["tid"]), []).append((begin, begin + round(1000 * e["dur"]), e["name"]))
    return tracks


def check_trace(case, document):
    """What the Trace Event Format asks for, by the file alone."""
    events = document["traceEvents"]
    for track in slices_of(events).values():
        stack = []
        for begin, end, name in sorted(track, key=lambda s: (s[0], -s[1])):
            while stack and stack[-1][1] <= begin:
                stack.pop()
            case.assertTrue(not stack or end <= stack[-1][1], (name, begin, end, stack[-1:]))
            stack.append((begin, end))
    open_, arrows = {}, {}
    for e in events:
        if e["ph"] in "be":
            open_.setdefault((e["pid"], e["cat"], e["id2"]["local"]), {})[e["ph"]] = e
        if e["ph"] in "sf":
            arrows.setdefault((e["cat"], e["id"]), {})[e["ph"]] = e
    for both in [*open_.values(), *arrows.values()]:
        case.assertEqual(len(both), 2, both)
    for both in open_.values():
        case.assertLessEqual(both["b"]["ts"], both["e"]["ts"])
    for arrow in arrows.values():
        case.assertLessEqual(arrow["s"]["ts"], arrow["f"]["ts"])
        case.assertNotEqual(arrow["s"]["pid"], arrow["f"]["pid"])
    return arrows
