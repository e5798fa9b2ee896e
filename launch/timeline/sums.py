"""Sums over a step: where the time of each rank went, and how much of the pipeline was idle."""
import statistics

from timeline.chrome import AXES

MS = 1e6


class RankSums:
    """Seconds of one rank in one step. `late`: waiting until the last of those it needed had come; `transfer`: the rest of the waits."""

    def __init__(self, lane, step):
        self.rank, self.seconds = lane.rank, (step.end - step.begin) / 1e9
        self.own, self.late, self.transfer = {}, dict.fromkeys(AXES, 0.0), dict.fromkeys(AXES, 0.0)
        for span in step.spans:
            self.own[span.doing] = self.own.get(span.doing, 0.0) + span.own() / 1e9
            for wait in span.waits:
                self.late[wait.call.axis] += wait.late() / 1e9
                self.transfer[wait.call.axis] += (wait.end - wait.begin - wait.late()) / 1e9

    def waited(self):
        return sum(self.late.values()) + sum(self.transfer.values())


def of_step(lanes, index):
    return [RankSums(lane, lane.steps[index]) for lane in lanes]


def means(lanes):
    """Mean steps of the ranks, over all steps that were traced."""
    found = []
    for lane in lanes:
        steps = [RankSums(lane, step) for step in lane.steps]
        mean = steps[0]
        n = len(steps)
        mean.seconds = statistics.fmean(s.seconds for s in steps)
        mean.own = {name: sum(s.own.get(name, 0.0) for s in steps) / n for name in {k: 0 for s in steps for k in s.own}}
        for axis in AXES:
            mean.late[axis] = statistics.fmean(s.late[axis] for s in steps)
            mean.transfer[axis] = statistics.fmean(s.transfer[axis] for s in steps)
        found.append(mean)
    return found


def idle(lanes, index):
    """Share of the stages' time between the first action of a step and the last one in which they did not compute: the bubble and
    the transfers, as measured. None without actions."""
    actions = [lane.steps[index].actions() for lane in lanes]
    if not all(actions):
        return None
    begin, end = min(a[0].begin for a in actions), max(a[-1].end for a in actions)
    busy = sum(span.own() for a in actions for span in a)
    return 1 - busy / (len(lanes) * (end - begin))


def ideal(schedule, stages, micro_steps):
    """The same of actions that all take as long and messages that take no time (Narayanan et al. 2021): (p - 1) / (m + p - 1)."""
    return (stages - 1) / (micro_steps + stages - 1) if schedule in ("1f1b", "gpipe") else None


def micro_steps_of(lane, index):
    """Forward passes of a chunk in a traced step: steps of samples of many lengths differ in it."""
    return len({a.micro_step for a in lane.steps[index].actions() if a.doing == "forward"})
