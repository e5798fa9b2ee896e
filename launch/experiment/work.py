"""The loop that runs what is left of an experiment."""
from experiment.local import Local
from experiment.slurm import Slurm

BACK_ENDS = {"local": Local, "slurm": Slurm}


def is_open(folder, cell, retry):
    """Says whether a cell is to be run, or is running: not if it went well, or failed and nobody asked to try again."""
    result = folder.result(cell)
    return result is None or result["state"] == "interrupted" or retry and result["state"] == "failed"


class Work:
    """`say`: where a line about each cell goes."""

    def __init__(self, plan, folder, say):
        self.folder, self.say, self.running = folder, say, []
        self.back_end = BACK_ENDS[plan.where](plan, say)

    def take_up(self, cells):
        """Settles attempts that an earlier call left without a result."""
        for cell in cells:
            attempt = self.folder.last(cell)
            if attempt and attempt.read("result") is None and self.back_end.take_up(cell, attempt):
                self.running.append((cell, attempt))
                self.say(f"{cell.name}: its job is still there")

    def run(self, remaining):
        """Runs these cells, in their order."""
        left = [cell for cell in remaining if cell not in [c for c, _ in self.running]]
        total, done = len(remaining), 0
        try:
            while left or self.running:
                while left and len(self.running) < self.back_end.at_once:
                    self.start(left.pop(0))
                self.back_end.poll([pair for pair in self.running if pair[1].read("result") is None])
                for cell, attempt in [pair for pair in self.running if pair[1].read("result")]:
                    self.running.remove((cell, attempt))
                    done += 1
                    self.tell(f"{done} of {total}", cell, attempt.read("result"))
        except KeyboardInterrupt:
            self.back_end.stop([pair for pair in self.running if pair[1].read("result") is None])
            raise

    def start(self, cell):
        attempt = self.folder.new_attempt(cell)
        self.running.append((cell, attempt))  # before it starts: a signal may come in between
        self.back_end.start(cell, attempt)

    def tell(self, place, cell, result):
        seconds = result.get("elapsed_s")
        self.say(f"{place}: {cell.name}: {result['state']}" + (f", {seconds:.1f} s" if seconds is not None else "")
                 + (f": {result['reason']}" if result["reason"] else ""))
