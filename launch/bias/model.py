"""A model, asked through `trireme predict` and `trireme evaluate --pairs`."""
import json
import os
import shlex
import subprocess
from typing import NamedTuple

import numpy

from experiment.program import set_options, trireme
from report import reading
from report.command import refuse

CLASSIFIER = "ForSequenceClassification"
LANGUAGE_MODELS = ("ForCausalLM", "ForMaskedLM", "LMHeadModel")
LEGAL = f"a Hugging Face folder of a model ...{CLASSIFIER}, or of ...{', ...'.join(LANGUAGE_MODELS)}"

CLASSES, LABELS, NUMBERS = "classes", "labels", "numbers"  # one of several, several of several, numbers


class Outputs(NamedTuple):
    """What a model says of texts."""
    kind: str
    values: dict  # {class, label or target: array over the texts}
    cut: int  # texts longer than --max-length

    def told(self):
        """Outputs of which something is told: of two classes the second, since the first has what is left."""
        names = list(self.values)
        return names[1:] if self.kind == CLASSES and len(names) == 2 else names

    def quantity(self, name):
        return name if self.kind == NUMBERS else f"probability of {name}"

    def predicted(self):
        """The place of the predicted class of each text."""
        return numpy.argmax(numpy.array(list(self.values.values())), axis=0)


class Model:
    def __init__(self, folder, given):
        """`given`: launcher, set, max_length of the command line."""
        self.folder, self.given = folder, given
        config = reading.read_json(os.path.join(folder, "config.json"), LEGAL)
        names = config.get("architectures") if isinstance(config, dict) else None
        name = names[0] if isinstance(names, list) and names and isinstance(names[0], str) else ""
        if not name.endswith((CLASSIFIER, *LANGUAGE_MODELS)):
            refuse(f"{folder}/config.json: architectures: {name or 'none'}: legal: {LEGAL}")
        self.classifies = name.endswith(CLASSIFIER)

    def command(self, *words):
        line = [*shlex.split(self.given.launcher), trireme(), *words, *set_options(self.given.set)]
        try:
            done = subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False)
        except OSError as error:
            refuse(f"--launcher: {line[0]}: {error.strerror}; legal: a command that starts ranks, such as mpirun -n 2")
        if done.returncode:
            told = [text for text in done.stderr.splitlines() if text.startswith("trireme: ")] or done.stderr.strip().splitlines()[-1:]
            refuse(f"{self.folder}: " + (told[0].removeprefix("trireme: ") if told else f"`trireme {words[0]}` ended with {done.returncode}"))

    def predictions(self, texts, folder):
        given, found = folder / "texts.jsonl", folder / "predictions.jsonl"
        given.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
        self.command("predict", self.folder, "--input", str(given), "--output", str(found), "--force", "--max-length", str(self.given.max_length))
        lines = [line for _, line in reading.read_json_lines(str(found), "predictions")]
        outputs = [line.get("probabilities") or line.get("predictions") for line in lines]
        if len(outputs) != len(texts) or not all(isinstance(o, dict) for o in outputs):
            refuse(f"{self.folder}: a text without a prediction; legal: texts that have words, and a model that gives each classes or numbers")
        kind = NUMBERS if "probabilities" not in lines[0] else CLASSES if "prediction" in lines[0] else LABELS
        return Outputs(kind, {name: numpy.array([o[name] for o in outputs], float) for name in outputs[0]}, sum("cut" in line for line in lines))

    def scores(self, pairs, folder):
        """Log-likelihoods of (more, less), one row for each pair."""
        given, found = folder / "pairs.jsonl", folder / "scores.jsonl"
        given.write_text("".join(json.dumps({"more": more, "less": less}) + "\n" for more, less in pairs), encoding="utf-8")
        self.command("evaluate", "--model", self.folder, "--pairs", str(given), "--predictions", str(found), "--force")
        return numpy.array([line["scores"] for _, line in reading.read_json_lines(str(found), "scores")], float).reshape(-1, 2)
