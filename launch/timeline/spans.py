"""What ranks did and when: their events as nested spans, calls of all ranks matched, and each wait divided into what the rank
waited for others to come and what the transfer took."""
from dataclasses import dataclass, field

AXES = {"shard": "zero", "shard gradients": "zero", "tensor": "tensor", "pipeline": "pipeline", "data": "data", "replicate": "data"}
ACTIONS = ("forward", "backward", "weight gradient")


def axis_of(group):
    """The axis of a group, as framework/run/step_clock.cpp has it."""
    if group.startswith("tensor sharers of "):
        return "tensor"
    if group.startswith("activation"):
        return "pipeline"
    return AXES.get(group, "world")


@dataclass
class Call:
    """One collective call, or one message, of one rank."""
    rank: int
    group: str
    members: tuple
    sequence: int
    op: str
    name: str
    bytes: int
    start: int
    peer: int = -1  # of a message: in the world
    finish: int = -1
    others: list = field(default_factory=list)  # of a collective: all members' calls; of a message: its other end

    @property
    def axis(self):
        return axis_of(self.group)

    def ready(self):
        """When the last of those that it needs had come: a message needs its sender, a send nobody."""
        if self.op == "send" or not self.others:
            return self.start
        return max(other.start for other in self.others)


@dataclass
class Wait:
    begin: int
    end: int
    call: Call

    def late(self):
        """Nanoseconds in which another rank was not there yet."""
        return max(0, min(self.end, self.call.ready()) - self.begin)


@dataclass
class Span:
    """A place in a step: an action with its blocks, or a phase without."""
    doing: str
    begin: int
    end: int = -1
    micro_step: int = -1
    chunk: int = -1
    blocks: list = field(default_factory=list)  # (block, begin, end)
    waits: list = field(default_factory=list)

    def own(self):
        return self.end - self.begin - sum(w.end - w.begin for w in self.waits)


@dataclass
class Step:
    number: int
    begin: int
    end: int = -1
    spans: list = field(default_factory=list)

    def actions(self):
        return [s for s in self.spans if s.doing in ACTIONS and s.micro_step >= 0]


class Lane:
    """All that one rank did."""

    def __init__(self, rank):
        self.rank, self.host, self.layout, self.schedule = rank.rank, rank.host, rank.layout, rank.schedule
        self.error = rank.clock.error
        self.steps, self.calls = [], []
        self.step = self.span = self.block = self.waiting = None
        self.open = {}
        for kind, time, *rest in rank.events:
            getattr(self, "on_" + kind)(rank, time, *rest)
        self.steps = [s for s in self.steps if s.end >= 0]  # the last may have been cut off

    def close(self, time):
        if self.block is not None:
            self.span.blocks.append((self.block[0], self.block[1], time))
            self.block = None
        if self.span is not None:
            self.span.end = time
            self.span = None

    def on_step(self, rank, time, number):
        self.close(time)
        self.step = Step(number, time)
        self.steps.append(self.step)

    def on_stepped(self, rank, time):
        self.close(time)
        if self.step:
            self.step.end = time
        self.step = None

    def on_place(self, rank, time, doing, micro_step, chunk, block):
        if self.step is None:
            return
        same = self.span is not None and (doing, micro_step, chunk) == (self.span.doing, self.span.micro_step, self.span.chunk)
        if same and block >= 0:
            if self.block is not None:
                self.span.blocks.append((self.block[0], self.block[1], time))
        else:
            self.close(time)
            self.span = Span(doing, time if self.step.spans else self.step.begin, -1, micro_step, chunk)
            self.step.spans.append(self.span)
        self.block = (block, time) if block >= 0 else None

    def started(self, rank, time, group, sequence, op, name, size, peer=-1):
        members = tuple(rank.groups[group]["members"])
        call = Call(self.rank, rank.groups[group]["name"], members, sequence, op, rank.names[name], size, time,
                    members[peer] if 0 <= peer < len(members) else -1)
        self.calls.append(call)
        self.open[group, sequence] = call

    def on_call(self, rank, time, group, sequence, op, name, size):
        self.started(rank, time, group, sequence, op, name, size)

    def on_send(self, rank, time, group, sequence, name, size, peer):
        self.started(rank, time, group, sequence, "send", name, size, peer)

    def on_receive(self, rank, time, group, sequence, name, size, peer):
        self.started(rank, time, group, sequence, "receive", name, size, peer)

    def on_wait(self, rank, time, group, sequence):
        self.waiting = (group, sequence, time)

    def on_finish(self, rank, time, group, sequence):
        call = self.open.pop((group, sequence), None)
        if call is None:
            return
        call.finish = time
        if self.waiting and self.waiting[:2] == (group, sequence):
            if self.span is not None:
                self.span.waits.append(Wait(self.waiting[2], time, call))
            self.waiting = None


def match(lanes):
    """Joins calls of several ranks. Returns the messages of which one end is missing."""
    meetings, messages, alone = {}, {}, []
    for lane in lanes:
        seen = {}
        for call in lane.calls:
            if call.op in ("send", "receive"):
                ends = (call.rank, call.peer) if call.op == "send" else (call.peer, call.rank)
                messages.setdefault((call.group, call.members, ends), {"send": [], "receive": []})[call.op].append(call)
            elif len(call.members) > 1:
                key = (call.group, call.members, call.sequence)
                seen[key] = seen.get(key, -1) + 1  # a group of that name and these members may have been made anew
                meetings.setdefault((*key, seen[key]), []).append(call)
    for calls in meetings.values():
        if len(calls) == len(calls[0].members):
            for call in calls:
                call.others = calls
    for both in messages.values():
        for sent, received in zip(both["send"], both["receive"]):
            sent.others, received.others = [received], [sent]
        most = min(len(both["send"]), len(both["receive"]))
        alone += both["send"][most:] + both["receive"][most:]
    return alone


def lanes_of(ranks):
    lanes = [Lane(rank) for rank in ranks]
    return lanes, match(lanes)
