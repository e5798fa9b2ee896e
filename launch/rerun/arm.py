"""One way to compute the steps of a run: a program, a number of ranks and settings, in a folder of its own."""
import dataclasses
import os
import pathlib
import re
import shlex
import shutil
import subprocess

from experiment.local import with_parent
from experiment.log import events_of, last_line, of_kind
from experiment.program import set_options
from report.command import fail, refuse

SAVED = re.compile(r"step-(\d+)")


def steps_saved(folder):
    """{step: folder} of the checkpoints there that are whole."""
    found = {}
    for path in pathlib.Path(folder, "checkpoints").glob("step-*"):
        name = SAVED.fullmatch(path.name)
        if name and (path / "manifest.json").is_file():
            found[int(name[1])] = path
    return found


def steps_of(folder):
    """{step: event} of the training steps that a run computed; of one computed twice, the last."""
    return {event["step"]: event for event in of_kind(events_of(pathlib.Path(folder, "metrics.jsonl")), "train")}


def total_steps(run):
    """Steps of the whole run, as its newest job counted them."""
    jobs = of_kind(events_of(pathlib.Path(run, "metrics.jsonl")), "job")
    if not jobs or not isinstance(jobs[-1].get("total_steps"), int):
        refuse(f"{run}/metrics.jsonl: no job; legal: RUN is the folder of a run that `trireme train` began")
    return jobs[-1]["total_steps"]


@dataclasses.dataclass
class Start:
    """Where all arms begin: a checkpoint and its step, or nothing and step 0."""
    step: int
    checkpoint: pathlib.Path | None


def start_of(run, wanted):
    """`wanted`: the step that the user gave, or None for the first checkpoint."""
    saved = steps_saved(run)
    if wanted is None:
        wanted = min(saved, default=0)
    if wanted and wanted not in saved:
        known = ", ".join(map(str, sorted(saved))) or "none"
        refuse(f"--from: {wanted}: legal: 0, or a step of which {run}/checkpoints has a checkpoint ({known})")
    return Start(wanted, saved.get(wanted))


@dataclasses.dataclass
class Arm:
    name: str
    program: str
    ranks: int
    config: str
    settings: list
    folder: pathlib.Path
    launcher: str = "mpirun -n {ranks}"

    def describe(self):
        program = "" if os.path.basename(self.program) == "trireme" else f", {self.program}"
        return f"{self.ranks} rank{'s' * (self.ranks > 1)}{''.join(', ' + s for s in self.settings)}{program}"

    def command(self, last, every):
        settings = [*self.settings, f"run={self.folder.resolve()}", f"job.until_step={last}", f"checkpoint.every={every}", "checkpoint.minutes=0",
                    "checkpoint.keep_last=1000000", f"evaluation.every={last + 1}", "evaluation.patience=0", "job.minutes=0"]
        return [*shlex.split(self.launcher.format(ranks=self.ranks)), self.program, "train", os.path.abspath(self.config), *set_options(settings)]

    def compute(self, start, last, every):
        """Trains from the start to step `last`, with a checkpoint every `every` steps and of the last. Fails if it ends before."""
        shutil.rmtree(self.folder, ignore_errors=True)
        (self.folder / "checkpoints").mkdir(parents=True)
        if start.checkpoint:
            shutil.copytree(start.checkpoint, self.folder / "checkpoints" / start.checkpoint.name)
        output = self.folder.with_suffix(".out")
        try:
            with open(output, "wb") as file:
                done = subprocess.run(self.command(last, every), stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT,
                                      preexec_fn=with_parent, check=False)
        except OSError as error:
            fail(f"{self.launcher}: {error.strerror}")
        if last not in steps_saved(self.folder):
            fail(f"{self.name} ({self.describe()}) ended with exit code {done.returncode} before step {last}: {last_line(output)}")

    def checkpoint(self, step):
        return steps_saved(self.folder).get(step)

    def steps(self):
        return steps_of(self.folder)
