"""Runs in the files of Weights & Biases and of MLflow, by their own libraries; nothing is sent anywhere."""
import importlib
import os
import pathlib
import shutil
import sys
import tempfile

import yaml

from report.command import fail, is_number, reason_of, refuse
from report.events import by_step, read

NOT_METRICS = {"step", "time"}  # what places a metric
MLFLOW_BATCH = 1000  # metrics in a call, as MLflow limits it
MLFLOW_PARAMETERS = 100  # likewise


class History:
    """Numbers by step, under the names that TensorBoard has, and the configuration."""

    def __init__(self, name, settings, metrics, times):
        self.name, self.settings, self.metrics, self.times = name, settings, metrics, times


def flat(value, prefix="", separator="."):
    """Keys of the configuration as `--set` names them, with their values."""
    if not isinstance(value, dict):
        return {prefix: value}
    return {name: leaf for key, inner in value.items() for name, leaf in flat(inner, f"{prefix}{separator}{key}" if prefix else str(key), separator).items()}


def settings_of(run):
    path = f"{run}/config.yaml"
    try:
        with open(path, encoding="utf-8") as file:
            found = yaml.safe_load(file)
    except OSError as error:
        refuse(f"{path}: {reason_of(error)}; legal: folder of a run, as `trireme train` writes one")
    except (UnicodeDecodeError, yaml.YAMLError):
        refuse(f"{path}: not YAML; legal: the configuration as `trireme train` writes it")
    if not isinstance(found, dict):
        refuse(f"{path}: not a configuration; legal: the configuration as `trireme train` writes it")
    return flat(found)


def history_of(run):
    events = read(run)
    metrics, times = {}, {}
    for kind in ("train", "performance", "evaluation"):
        for event in by_step(events, kind):
            prefix = str(event.get("split", "validation")) if kind == "evaluation" else kind
            numbers = flat(event, separator="/") if kind == "performance" else event
            values = {f"{prefix}/{name}": value for name, value in numbers.items() if name not in NOT_METRICS and is_number(value)}
            metrics.setdefault(event["step"], {}).update(values)
            times[event["step"]] = max(times.get(event["step"], 0), event.get("time", 0))
    if not metrics:
        refuse(f"{run}/metrics.jsonl: no step yet; legal: a run that has trained for one or more")
    return History(pathlib.Path(run).resolve().name, settings_of(run), metrics, times)


def write_wandb(wandb, history, folder, _, project):
    settings = wandb.Settings(mode="offline", console="off", silent=True, disable_git=True, disable_code=True, x_disable_stats=True, x_disable_meta=True)
    with wandb.init(dir=folder, project=project, name=history.name, config=history.settings, settings=settings) as run:
        for step in sorted(history.metrics):
            run.log(history.metrics[step] | {"time": history.times[step]}, step=step)


def write_mlflow(mlflow, history, folder, output, project):
    from mlflow.entities import Metric, Param
    client = mlflow.MlflowClient(tracking_uri=pathlib.Path(folder).resolve().as_uri())
    first, last = (int(1000 * pick(history.times.values())) for pick in (min, max))
    experiment = client.create_experiment(project, artifact_location=(pathlib.Path(output).resolve() / "artifacts").as_uri())
    run = client.create_run(experiment, start_time=first, run_name=history.name).info.run_id
    parameters = [Param(name, str(value)) for name, value in history.settings.items()]
    for i in range(0, len(parameters), MLFLOW_PARAMETERS):
        client.log_batch(run, params=parameters[i : i + MLFLOW_PARAMETERS])
    metrics = [Metric(name, value, int(1000 * history.times[step]), step) for step in sorted(history.metrics) for name, value in history.metrics[step].items()]
    for i in range(0, len(metrics), MLFLOW_BATCH):
        client.log_batch(run, metrics=metrics[i : i + MLFLOW_BATCH])
    client.set_terminated(run, end_time=last)


WRITERS = {"wandb": write_wandb, "mlflow": write_mlflow}
PACKAGES = {"wandb": "wandb", "mlflow": "mlflow-skinny"}


def library(name):
    """The tracker's own library, whose settings keep it off the network and quiet."""
    os.environ |= {"WANDB_MODE": "offline", "WANDB_ERROR_REPORTING": "false", "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_ALLOW_FILE_STORE": "true"}
    try:
        return importlib.import_module(name)
    except ImportError:
        refuse(f"--to: {name}: its Python package is missing; legal: after {sys.executable} -m pip install {PACKAGES[name]}")


def convert(name, module, history, output, project):
    """The files are there whole or not at all."""
    parent = os.path.dirname(output) or "."
    try:
        staging = tempfile.mkdtemp(prefix=os.path.basename(output.rstrip("/")) + ".partial-", dir=parent)
    except OSError as error:
        refuse(f"--output: {output}: {reason_of(error)}; legal: a new folder in one that exists and may be written to")
    try:
        WRITERS[name](module, history, staging, output, project)
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(staging, 0o777 & ~mask)  # mkdtemp made it for its owner alone
        os.rename(staging, output)
    except OSError as error:
        fail(f"{output}: write: {error}")
    finally:
        shutil.rmtree(staging, ignore_errors=True)
