"""The trace that Chrome's tracing and Perfetto open: the Trace Event Format, in its JSON form. A process for each rank; in its
track of steps slices lie in each other (step, action, block, wait, and whether the wait was for another rank or for the transfer),
calls in flight are asynchronous, one track for each axis, and arrows go from a send to its receive."""
import json

LATE, TRANSFER = "another rank is late", "transfer"
AXES = ("data", "zero", "tensor", "pipeline", "world")


class Trace:
    def __init__(self, start):
        self.start, self.events, self.number = start, [], 0

    def us(self, time):
        """Microseconds with three digits: whole nanoseconds, so that what nests goes on nesting."""
        return (time - self.start) / 1000

    def add(self, phase, name, rank, time, **more):
        self.events.append({"ph": phase, "name": name, "pid": rank, "tid": 0, "ts": self.us(time), **more})

    def slice(self, name, category, rank, begin, end, **args):
        self.add("X", name, rank, begin, dur=(end - begin) / 1000, cat=category, **({"args": args} if args else {}))

    def wait(self, rank, wait):
        call, late = wait.call, wait.late()
        kind = "bubble" if call.axis == "pipeline" else "late"
        self.slice(f"wait: {call.name}", "wait", rank, wait.begin, wait.end, axis=call.axis, call=call.op, group=call.group, bytes=call.bytes)
        if late:
            self.slice(LATE, kind, rank, wait.begin, wait.begin + late, axis=call.axis)
        if wait.begin + late < wait.end:
            self.slice(TRANSFER, "transfer", rank, wait.begin + late, wait.end, axis=call.axis)

    def span(self, rank, span):
        action = span.micro_step >= 0
        args = {"micro_step": span.micro_step, "chunk": span.chunk} if action else {}
        self.slice(f"{span.doing} {span.micro_step}" if action else span.doing, "action" if action else "phase", rank, span.begin, span.end, **args)
        for block, begin, end in span.blocks:
            self.slice(f"block {block}", "block", rank, begin, end)
        for wait in span.waits:
            self.wait(rank, wait)

    def call(self, rank, call):
        if call.finish < 0 or len(call.members) == 1:
            return
        self.number += 1
        common = {"cat": call.axis, "id2": {"local": f"0x{self.number:x}"}}  # of this process
        args = {"call": call.op, "group": call.group, "bytes": call.bytes, "sequence": call.sequence}
        self.add("b", call.name, rank, call.start, **common, args=args)
        self.add("e", call.name, rank, call.finish, **common)
        if call.op == "send" and call.others and call.others[0].finish >= 0:
            arrow = {"cat": "message", "id": self.number}
            self.add("s", call.name, rank, call.start, **arrow)
            self.add("f", call.name, call.peer, max(call.start, call.others[0].finish), bp="e", **arrow)  # clocks differ by their error

    def head(self, lane):
        place = ", ".join(f"{axis} {place}" for axis, place in lane.layout.items())
        for name, value in (("process_name", {"name": f"rank {lane.rank} on {lane.host} ({place})"}), ("process_sort_index", {"sort_index": lane.rank}),
                            ("thread_name", {"name": "steps"})):
            self.events.append({"ph": "M", "name": name, "pid": lane.rank, "tid": 0, "args": value})


def of(lanes, about):
    """Bytes of the file."""
    trace = Trace(min(step.begin for lane in lanes for step in lane.steps))
    for lane in lanes:
        trace.head(lane)
        for step in lane.steps:
            trace.slice(f"step {step.number}", "step", lane.rank, step.begin, step.end)
            for span in step.spans:
                trace.span(lane.rank, span)
        first, last = lane.steps[0].begin, lane.steps[-1].end
        for call in lane.calls:
            if first <= call.start and call.finish <= last:
                trace.call(lane.rank, call)
    document = {"displayTimeUnit": "ms", "otherData": about, "traceEvents": trace.events}
    return json.dumps(document, separators=(",", ":")).encode()
