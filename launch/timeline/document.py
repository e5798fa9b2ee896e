"""The report on a trace: the schedule as it ran, and where each rank's time went."""
from report.evaluation import table
from report.schema import FORMAT, VERSION
from timeline import sums
from timeline.chrome import AXES
from timeline.spans import ACTIONS

KINDS = [{"name": "forward", "style": "bar"}, {"name": "backward", "style": "bar"}, {"name": "weight gradient", "style": "bar"},
         {"name": "data, reduction, norm, update", "style": "bar"}, {"name": "waits for a late rank", "style": "idle"},
         {"name": "waits for a transfer", "style": "thin"}]
OTHER, LATE, TRANSFER = 3, 4, 5
MS = 1e6


def row_name(lane):
    place = [f"{axis} {place}" for axis, place in lane.layout.items()]
    return f"rank {lane.rank}" + (f": {', '.join(place)}" if place else "")


def bar(row, kind, begin, end, start, label=None):
    return {"row": row, "kind": kind, "begin": (begin - start) / MS, "end": (end - start) / MS} | ({"label": label} if label else {})


def own_pieces(span):
    """(begin, end) of what is between the waits."""
    ends = [span.begin, *(time for wait in span.waits for time in (wait.begin, wait.end)), span.end]
    return [(begin, end) for begin, end in zip(ends[::2], ends[1::2]) if end > begin]


def waits_of(row, span, start):
    for wait in span.waits:
        late = wait.begin + wait.late()
        if late > wait.begin:
            yield bar(row, LATE, wait.begin, late, start)
        if wait.end > late:
            yield bar(row, TRANSFER, late, wait.end, start)


def bars_of(row, step, start):
    for span in step.spans:
        kind = ACTIONS.index(span.doing) if span.micro_step >= 0 and span.doing in ACTIONS else OTHER
        pieces = own_pieces(span)
        longest = max(pieces, key=lambda piece: piece[1] - piece[0], default=None)
        for piece in pieces:
            yield bar(row, kind, *piece, start, str(span.micro_step) if kind != OTHER and piece == longest else None)
        yield from waits_of(row, span, start)


def schedule(lanes, index):
    """The picture of one step as it ran."""
    start = min(lane.steps[index].begin for lane in lanes)
    bars = [b for row, lane in enumerate(lanes) for b in bars_of(row, lane.steps[index], start)]
    number = lanes[0].steps[index].number
    return {"kind": "figure", "picture": "timeline", "title": f"Step {number} as it ran", "x_label": "time (ms)", "rows": [row_name(lane) for lane in lanes],
            "kinds": KINDS, "spans": bars, "caption": "Numbers are micro-steps. A rank waits for a late one until the last of those that it needs has "
            "come, as a stage for the stage before it; from then on it waits for the transfer."}


def rank_table(found):
    doings = list(dict.fromkeys(name for rank in found for name in rank.own))
    axes = [axis for axis in AXES if any(rank.late[axis] + rank.transfer[axis] for rank in found)]
    columns = ["rank", ("step", "seconds"), *((name, "seconds") for name in doings),
               *((f"{axis}: {what}", "seconds") for axis in axes for what in ("late rank", "transfer")), ("waits", "percent")]
    rows = [[str(r.rank), r.seconds, *(r.own.get(name, 0.0) for name in doings), *(x[axis] for axis in axes for x in (r.late, r.transfer)),
             r.waited() / r.seconds if r.seconds else None] for r in found]
    return table("A mean step of each rank: its own work, and what it waited for", columns, rows)


def idle_text(lanes, index):
    share = sums.idle(lanes, index)
    stages = 1 + max(lane.layout.get("pipeline", 0) for lane in lanes)
    if share is None:
        return ""
    text = f"From the first action of the step to the last, ranks did not compute for {share:.1%} of the time."
    micro_steps = sums.micro_steps_of(lanes[0], index)
    ideal = sums.ideal(lanes[0].schedule, stages, micro_steps)
    if stages > 1 and ideal is not None:
        text += f" With actions that all take as long and transfers that take no time it were {ideal:.1%}: {stages} stages, {micro_steps} micro-steps, {lanes[0].schedule}."
    return text


def clocks_text(lanes):
    error = max(lane.error for lane in lanes)
    return f"Clocks of the ranks agree within {error / 1e3:.3g} \u00b5s." if error else "The ranks have one clock."


def document(run, lanes, index, alone):
    steps = [step.number for step in lanes[0].steps]
    of = f"step {steps[0]}" if len(steps) == 1 else f"steps {steps[0]} to {steps[-1]}"
    summary = f"{len(lanes)} ranks, {of}. {clocks_text(lanes)}"
    if alone:
        summary += f" {len(alone)} messages have one end in the trace only."
    text = idle_text(lanes, index)
    blocks = [schedule(lanes, index), *([{"kind": "text", "text": text}] if text else []), rank_table(sums.means(lanes))]
    return {"format": FORMAT, "version": VERSION, "title": f"Where the time of {run} went", "summary": summary,
            "sections": [{"title": "A step of every rank", "blocks": blocks}]}
