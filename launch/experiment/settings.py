"""YAML of an experiment, read strictly: each mistake is refused in one line with file, line, field, value and what is legal."""
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

    def __init__(self, path, kind):
        self.path, self.kind = path, kind

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
            self.no(node, field or f"the {self.kind}", "a mapping of keys to values")
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


def assignments(own_keys, kind):
    """A field with a list of KEY=VALUE, without the keys that an experiment of this kind sets itself."""
    def read(reader, node, field):
        value = reader.text(node, field, "KEY=VALUE")
        key, equals, _ = value.partition("=")
        if not (key and equals):
            reader.no(node, field, "KEY=VALUE, a key of `trireme explain-config --keys`")
        if key in own_keys:
            reader.no(node, field, f"keys but {', '.join(own_keys)}, which the {kind} sets itself")
        return value
    return Field(lambda r, n, f: r.each(n, f, "a list of KEY=VALUE", lambda i, p: read(r, i, p), 0), "a list of KEY=VALUE", [])


def read_time(reader, node, field):
    legal = "MINUTES, H:MM:SS or D-HH:MM:SS, more than 0"
    if not seconds_of(reader.text(node, field, legal)):
        reader.no(node, field, legal)
    return node.value


def jobs_fields():
    """Fields that say where and how cells run, of every kind of experiment."""
    return {
        "site": text("a file of configs/sites, or the path of one"),
        "sbatch": words("a list of NAME=VALUE, options of sbatch"),
        "cpus_per_task": whole(1, 1024),
        "jobs_at_once": whole(1, 1000),
        "mpirun": words("a list of options of mpirun"),
    }


class Plan:
    """Values of the file; `path` is the file's. Each kind of experiment adds what it decides itself: `kind`, limit(cell),
    lead(cell), at_once() and fault_of(cell, attempt, code)."""

    def __init__(self, path, values):
        self.path, self.values = path, values

    def __getattr__(self, name):
        try:
            return self.values[name]
        except KeyError:
            raise AttributeError(name) from None

    def no(self, field, value, legal):
        refuse(f"{self.path}: {field}: {value}: legal: {legal}")


def check_place(plan):
    """Refuses values of the place that do not go together."""
    if plan.where == "slurm" and not plan.site:
        refuse(f"{plan.path}: site: missing; legal: with where: slurm, a file of configs/sites or the path of one")
    for field, where in (("site", "slurm"), ("sbatch", "slurm"), ("cpus_per_task", "slurm"), ("mpirun", "local")):
        if getattr(plan, field) and plan.where != where:
            plan.no(field, getattr(plan, field), f"with where: {where}")


def check_events(path, content):
    """Refuses what YAML has and an experiment needs not, before anything is built of it: anchors, tags, deep nesting, second documents."""
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


def root_of(path, content, fields):
    try:
        check_events(path, content)
        root = yaml.compose(content, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        refuse(f"{path}{f':{mark.line + 1}' if mark else ''}: not YAML: {str(getattr(error, 'problem', None) or error).splitlines()[0]}; legal: YAML")
    if root is None:
        refuse(f"{path}: empty; legal: a mapping with {', '.join(n for n, f in fields.items() if f.needed)}")
    return root


def read_values(path, kind, fields, legal):
    """{field: value} of the file; `legal` says which file it is to be."""
    try:
        size_of(path, MOST_BYTES)
        with open(path, encoding="utf-8") as file:
            content = file.read()
    except UnicodeDecodeError:
        refuse(f"{path}: not UTF-8; legal: YAML in UTF-8")
    except OSError as error:
        refuse(f"{path}: {reason_of(error)}; legal: {legal}")
    return Reader(path, kind).mapping(root_of(path, content, fields), "", fields)
