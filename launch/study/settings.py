"""STUDY.yaml, read strictly: each mistake is refused in one line with file, line, field, value and what is legal."""
import difflib
import re
from typing import NamedTuple

import yaml

from report.command import reason_of, refuse, size_of

MOST_BYTES, DEEPEST = 1 << 16, 4
WORD = re.compile(r"[^\x00-\x1f\x7f]+")
TIME = re.compile(r"(?:(\d{1,3})-)?(\d{1,3}):([0-5]\d):([0-5]\d)|(\d{1,6})")
WHOLE = re.compile(r"-?(0|[1-9]\d{0,14})")
REAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?")


class Layout(NamedTuple):
    name: str
    set: list


class Target(NamedTuple):
    tokens: float
    nodes: int
    layout: str
    scaling: str
    restarts: float


class Field(NamedTuple):
    read: object  # (reader, node, field) -> value
    legal: str
    default: object = None
    needed: bool = False


def seconds_of(time):
    """Seconds of MINUTES, H:MM:SS or D-HH:MM:SS; 0 for what is none."""
    found = TIME.fullmatch(time)
    if not found:
        return 0
    days, hours, minutes, seconds, alone = (int(part or 0) for part in found.groups())
    return alone * 60 or ((days * 24 + hours) * 60 + minutes) * 60 + seconds


class Reader:
    """Values of YAML nodes, or their refusal."""

    def __init__(self, path):
        self.path = path

    def no(self, node, field, legal):
        value = node.value if isinstance(node, yaml.ScalarNode) else "a list" if isinstance(node, yaml.SequenceNode) else "a mapping"
        refuse(f"{self.path}:{node.start_mark.line + 1}: {field}: {value[:60]}: legal: {legal}")

    def text(self, node, field, legal="a text"):
        if not isinstance(node, yaml.ScalarNode) or not WORD.fullmatch(node.value):
            self.no(node, field, legal)
        return node.value

    def whole(self, node, field, least, most, legal):
        if not isinstance(node, yaml.ScalarNode) or not WHOLE.fullmatch(node.value) or not least <= int(node.value) <= most:
            self.no(node, field, legal)
        return int(node.value)

    def real(self, node, field, legal, zero):
        value = float(node.value) if isinstance(node, yaml.ScalarNode) and REAL.fullmatch(node.value) else -1.0
        if not (0 <= value if zero else 0 < value) or value > 1e30:
            self.no(node, field, legal)
        return value

    def one_of(self, node, field, names):
        if not isinstance(node, yaml.ScalarNode) or node.value not in names:
            self.no(node, field, ", ".join(names))
        return node.value

    def items(self, node, field, legal, least=1):
        if not isinstance(node, yaml.SequenceNode) or len(node.value) < least:
            self.no(node, field, legal)
        return node.value

    def each(self, node, field, legal, read, least=1):
        """Values of a list, none of them twice."""
        found = []
        for i, item in enumerate(self.items(node, field, legal, least)):
            value = read(item, f"{field}[{i}]")
            if value in found:
                self.no(item, f"{field}[{i}]", "each value once")
            found.append(value)
        return found

    def mapping(self, node, field, fields):
        """Values of a mapping by `fields`; unknown, doubled and missing keys are refused."""
        dot = field + "." if field else ""
        if not isinstance(node, yaml.MappingNode):
            self.no(node, field or "the study", "a mapping of keys to values")
        found = {}
        for key, value in node.value:
            name = self.text(key, dot + "key")
            if name not in fields:
                near = difflib.get_close_matches(name, fields, 1)
                hint = f"; did you mean {near[0]}?" if near else ";"
                refuse(f"{self.path}:{key.start_mark.line + 1}: {dot}{name}: no such key{hint} legal: {', '.join(fields)}")
            if name in found:
                refuse(f"{self.path}:{key.start_mark.line + 1}: {dot}{name}: is given twice; legal: once")
            found[name] = fields[name].read(self, value, dot + name)
        for name, one in fields.items():
            if one.needed and name not in found:
                refuse(f"{self.path}: {dot}{name}: missing; legal: {one.legal}")
        return {name: found.get(name, one.default) for name, one in fields.items()}


def text(legal, default="", needed=False):
    return Field(lambda r, n, f: r.text(n, f, legal), legal, default, needed)


def whole(least, most, default=None, needed=False):
    legal = f"a whole number from {least} to {most}"
    return Field(lambda r, n, f: r.whole(n, f, least, most, legal), legal, default, needed)


def real(default=None, needed=False, zero=False):
    legal = "a number >= 0" if zero else "a number > 0"
    return Field(lambda r, n, f: r.real(n, f, legal, zero), legal, default, needed)


def choice(names, default=None, needed=False):
    return Field(lambda r, n, f: r.one_of(n, f, names), ", ".join(names), default, needed)


def words(legal):
    return Field(lambda r, n, f: r.each(n, f, legal, lambda i, p: r.text(i, p, legal), 0), legal, [])


def is_assignment(reader, node, field):
    value = reader.text(node, field, "KEY=VALUE")
    key, equals, _ = value.partition("=")
    if not (key and equals):
        reader.no(node, field, "KEY=VALUE, a key of `trireme explain-config --keys`")
    if key in OWN_KEYS:
        reader.no(node, field, f"keys but {', '.join(OWN_KEYS)}, which the study sets itself")
    return value


OWN_KEYS = ("run", "batch.global", "train.steps", "train.epochs", "evaluation.every", "checkpoint.every", "checkpoint.minutes",
            "guard.sensitivity", "guard.compare_replicas")
SET = Field(lambda r, n, f: r.each(n, f, "a list of KEY=VALUE", lambda i, p: is_assignment(r, i, p), 0), "a list of KEY=VALUE", [])
NAME = re.compile(r"[a-z0-9][a-z0-9_]{0,30}")


def read_name(reader, node, field):
    legal = "small letters, digits and _, not _ first, at most 31"
    if not NAME.fullmatch(reader.text(node, field, legal)):
        reader.no(node, field, legal)
    return node.value


def read_layouts(reader, node, field):
    legal = "a list of layouts, as in [{name: zero1, set: [parallel.zero=1]}]"
    fields = {"name": Field(read_name, "a name", needed=True), "set": SET}
    found = reader.each(node, field, legal, lambda i, p: Layout(**reader.mapping(i, p, fields)))
    names = [one.name for one in found]
    for item, name in zip(node.value, names):
        if names.count(name) > 1:
            reader.no(item.value[0][1], f"{field}.name", "each name once")
    return found


def read_nodes(reader, node, field):
    legal = "a list of whole numbers from 1 to 100000, rising, as in [1, 2, 4]"
    found = reader.each(node, field, legal, lambda i, p: reader.whole(i, p, 1, 100_000, legal))
    if found != sorted(found):
        reader.no(node, field, legal)
    return found


def read_time(reader, node, field):
    legal = "MINUTES, H:MM:SS or D-HH:MM:SS, more than 0"
    if not seconds_of(reader.text(node, field, legal)):
        reader.no(node, field, legal)
    return node.value


TARGET = {"tokens": real(needed=True), "nodes": whole(1, 100_000, needed=True), "layout": text("the name of a layout"),
          "scaling": choice(("strong", "weak")), "restarts": real(0.0, zero=True)}
SCALINGS = Field(lambda r, n, f: r.each(n, f, "strong, weak", lambda i, p: r.one_of(i, p, ("strong", "weak"))), "strong, weak",
                 ["strong"])
FIELDS = {
    "study": text("a folder, made if it does not exist", needed=True),
    "run": text("the run, as YAML (`explain-config --keys`)", needed=True),
    "title": text("a text"),
    "where": choice(("local", "slurm"), needed=True),
    "nodes": Field(read_nodes, "a list of whole numbers, as in [1, 2, 4]", needed=True),
    "ranks_per_node": whole(1, 1024, needed=True),
    "scaling": SCALINGS,
    "layouts": Field(read_layouts, "a list of layouts", [Layout("as_configured", [])]),
    "set": SET,
    "steps": whole(2, 1_000_000, needed=True),
    "warmup": whole(0, 1_000_000, 5),
    "repeats": whole(1, 100, 3),
    "time": Field(read_time, "MINUTES, H:MM:SS or D-HH:MM:SS", needed=True),
    "node_hours": real(needed=True),
    "site": text("a file of configs/sites, or the path of one"),
    "sbatch": words("a list of NAME=VALUE, options of sbatch"),
    "cpus_per_task": whole(1, 1024),
    "jobs_at_once": whole(1, 1000, 4),
    "mpirun": words("a list of options of mpirun"),
    "machine": text("a file of configs/machines, or the path of one"),
    "sequence": whole(1, 1_000_000_000),
    "peak_tflops": real(),
    "gpus_per_node": whole(0, 1024, 0),
    "cores_per_node": whole(1, 100_000),
    "target": Field(lambda r, n, f: Target(**r.mapping(n, f, TARGET)), "a mapping with tokens and nodes"),
}


class Study(NamedTuple):
    """Values of STUDY.yaml; `path` is the file's."""
    path: str
    content: str
    values: dict

    def __getattr__(self, name):
        try:
            return self.values[name]
        except KeyError:
            raise AttributeError(name) from None

    def seconds(self):
        """Time limit of a cell."""
        return seconds_of(self.time)


def check_events(path, content):
    """Refuses what YAML has and a study needs not, before anything is built of it: anchors, tags, deep nesting, second documents."""
    depth = documents = 0
    for event in yaml.parse(content, Loader=yaml.SafeLoader):
        where = f"{path}:{event.start_mark.line + 1}"
        if getattr(event, "anchor", None):
            refuse(f"{where}: an anchor or alias (&name, *name); legal: plain values")
        if getattr(event, "tag", None):
            refuse(f"{where}: a tag ({event.tag}); legal: plain values")
        documents += isinstance(event, yaml.DocumentStartEvent)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if documents > 1:
            refuse(f"{where}: a second document (after ---); legal: one")
        if depth > DEEPEST:
            refuse(f"{where}: nested deeper than the {DEEPEST} levels that are legal")


def root_of(path, content):
    try:
        check_events(path, content)
        root = yaml.compose(content, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        refuse(f"{path}{f':{mark.line + 1}' if mark else ''}: not YAML: {str(getattr(error, 'problem', None) or error).splitlines()[0]}; legal: YAML")
    if root is None:
        refuse(f"{path}: empty; legal: a mapping with {', '.join(n for n, f in FIELDS.items() if f.needed)}")
    return root


def check_together(study):
    """Refuses values that are legal alone and not beside the others."""
    def no(field, value, legal):
        refuse(f"{study.path}: {field}: {value}: legal: {legal}")
    if study.warmup >= study.steps:
        no("warmup", study.warmup, f"less than steps, which is {study.steps}")
    if study.where == "slurm" and not study.site:
        refuse(f"{study.path}: site: missing; legal: with where: slurm, a file of configs/sites or the path of one")
    for field, where in (("site", "slurm"), ("sbatch", "slurm"), ("cpus_per_task", "slurm"), ("mpirun", "local")):
        if getattr(study, field) and study.where != where:
            no(field, getattr(study, field), f"with where: {where}")
    target, names = study.target, [layout.name for layout in study.layouts]
    if target and target.nodes not in study.nodes:
        no("target.nodes", target.nodes, ", ".join(map(str, study.nodes)) + ", the counts that are measured")
    if target and target.layout and target.layout not in names:
        no("target.layout", target.layout, ", ".join(names))
    if target and target.scaling and target.scaling not in study.scaling:
        no("target.scaling", target.scaling, ", ".join(study.scaling))


def read_study(path):
    try:
        size_of(path, MOST_BYTES)
        with open(path, encoding="utf-8") as file:
            content = file.read()
    except UnicodeDecodeError:
        refuse(f"{path}: not UTF-8; legal: YAML in UTF-8")
    except OSError as error:
        refuse(f"{path}: {reason_of(error)}; legal: a study, as YAML (docs/studies.md)")
    study = Study(path, content, Reader(path).mapping(root_of(path, content), "", FIELDS))
    check_together(study)
    return study
