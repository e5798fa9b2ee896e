"""The configuration that a run kept, config.yaml in its folder."""
import yaml

from report.command import is_number, reason_of, refuse, size_of

MOST_BYTES = 1 << 20
LEGAL = "folder of a run, as `trireme train` writes one"
SMALLER_IS_BETTER = ("loss", "mse", "perplexity", "calibration_error")  # as framework/evaluation/metrics.cpp


def config_text(run):
    path = run + "/config.yaml"
    try:
        size_of(path, MOST_BYTES)
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError as error:
        refuse(f"{path}: {reason_of(error)}; legal: {LEGAL}")


def flat(values, place=""):
    """{"section.key": value}"""
    found = {}
    for key, value in values.items():
        found |= flat(value, f"{place}{key}.") if isinstance(value, dict) and value else {f"{place}{key}": value}
    return found


def read_config(run):
    """{"section.key": value} of all keys."""
    text = config_text(run)
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, yaml.SafeLoader)):
            refuse(f"{run}/config.yaml: an alias; legal: {LEGAL}")  # a few lines of them are gigabytes
        values = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError) as error:
        refuse(f"{run}/config.yaml: not YAML: {' '.join(str(error).split())[:200]}; legal: {LEGAL}")
    if not isinstance(values, dict):
        refuse(f"{run}/config.yaml: no keys; legal: {LEGAL}")
    return flat(values)


def best_of(evaluations, metric):
    """The evaluation that `trireme train` calls the best: the first with the best value; None where none has the metric."""
    some = [e for e in evaluations if is_number(e.get(metric))]
    return (min if metric in SMALLER_IS_BETTER else max)(some, key=lambda e: e[metric], default=None)
