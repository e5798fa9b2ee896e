"""A study for the tools of centres: a JUBE configuration, a ReFrame test, and log lines as MLPerf's compliance checker reads them.

JUBE and ReFrame run each cell by `trireme study --cell`, which submits it itself where the study says so, and read its last line."""
import json
import os
import shlex

import yaml

from experiment.log import events_of, of_kind
from experiment.program import trireme
from experiment.settings import seconds_of

NUMBERS = (("step_s", "s"), ("tokens_per_s", "tokens/s"), ("tokens_per_s_per_rank", "tokens/s"), ("startup_s", "s"))


def command(study, folder, cell):
    """`folder` and `cell` are words that the tool replaces."""
    words = [trireme(), "study", os.path.abspath(study.path)]
    return f"cd {shlex.quote(os.getcwd())} && {shlex.join(words)} --folder {folder} --cell {cell}"


def jube(study, cells):
    patterns = [{"name": name, "type": "float", "unit": unit, "_": rf"\b{name}=$jube_pat_fp"} for name, unit in NUMBERS]
    made = {"name": "trireme-study", "outpath": "jube", "comment": study.title or study.run,
            "parameterset": {"name": "cells", "parameter": {"name": "cell", "_": ",".join(cell.name for cell in cells)}},
            "step": {"name": "run", "use": "cells", "do": command(study, "$jube_wp_abspath/study", "$cell")},
            "patternset": {"name": "numbers", "pattern": patterns},
            "analyser": {"name": "analyse", "use": "numbers", "analyse": {"step": "run", "file": "stdout"}},
            "result": {"use": "analyse", "table": {"name": "study", "style": "csv", "column": ["cell", *(name for name, _ in NUMBERS)]}}}
    return "# Made by `trireme study`: jube run jube.yaml, jube result -a jube\n" + yaml.safe_dump(made, sort_keys=False, width=1000)


REFRAME = '''"""Made by `trireme study`: reframe -c reframe_study.py -r --performance-report"""
import os

import reframe as rfm
import reframe.utility.sanity as sn


@rfm.simple_test
class TriremeStudy(rfm.RunOnlyRegressionTest):
    """One cell; the study submits it itself, so that ReFrame runs it where it is."""
    cell = parameter({cells})
    valid_systems, valid_prog_environs, local = ["*"], ["*"], True
    time_limit = {limit}
    executable = {trireme}

    @run_before("run")
    def name_cell(self):
        self.prerun_cmds = ["cd " + {folder}]
        self.executable_opts = ["study", {study}, "--folder", os.path.join(self.stagedir, "study"), "--cell", self.cell]

    @sanity_function
    def went_well(self):
        return sn.assert_found(r"^cell \\S+ state=ok ", self.stdout)
'''
NUMBER = '''
    @performance_function("{unit}")
    def {name}(self):
        return sn.extractsingle(r"\\b{name}=(\\S+)", self.stdout, 1, float)
'''


def reframe(study, cells):
    limit = f"{seconds_of(study.time) // 60 + 60}m"  # a queue may take a while
    head = REFRAME.format(cells=[cell.name for cell in cells], limit=repr(limit), trireme=repr(os.path.abspath(trireme())),
                          folder=repr(shlex.quote(os.getcwd())), study=repr(os.path.abspath(study.path)))
    return head + "".join(NUMBER.format(name=name, unit=unit) for name, unit in NUMBERS)


def log_line(seconds, kind, key, value, **metadata):
    line = {"namespace": "", "time_ms": round(seconds * 1000), "event_type": kind, "key": key, "value": value,
            "metadata": {"file": "trireme study", "lineno": 0, **metadata}}
    return ":::MLLOG " + json.dumps(line) + "\n"


def log_of(cell, row, events, seed):
    """Lines of one cell that went well: initialization, and its steps as the run."""
    steps, last = of_kind(events, "train"), of_kind(events, "end")[-1]
    first = steps[0]["time"] - steps[0]["seconds"]
    begun = first - (row["startup_s"] or 0)
    lines = [log_line(begun, "POINT_IN_TIME", "submission_benchmark", "trireme-study", cell=cell.name),
             log_line(begun, "INTERVAL_START", "init_start", None), log_line(first, "INTERVAL_END", "init_stop", None),
             log_line(first, "INTERVAL_START", "run_start", None)]
    lines += [log_line(first, "POINT_IN_TIME", key, value) for key, value in (("seed", seed), ("global_batch_size", cell.batch))]
    lines.append(log_line(steps[-1]["time"], "POINT_IN_TIME", "tracked_stats", {"throughput": row["tokens_per_s"]}, step=steps[-1]["step"]))
    lines.append(log_line(last["time"], "INTERVAL_END", "run_stop", None, status="success", samples_count=sum(step["samples"] for step in steps)))
    return "".join(lines)


def mlperf(folder, cells, rows):
    told = [(cell, row, folder.last(cell)) for cell, row in zip(cells, rows) if row["state"] == "ok"]
    seed = folder.facts().get("seed")
    return "".join(log_of(cell, row, events_of(cell.run_folder(attempt) / "metrics.jsonl"), seed) for cell, row, attempt in told)


def files(study, folder, cells, rows):
    return {"jube.yaml": jube(study, cells), "reframe_study.py": reframe(study, cells), "mlperf.log": mlperf(folder, cells, rows)}
