"""The best configuration as a file that `trireme train` takes: the run's own, with the values put in."""
import yaml

from experiment.program import ask


def scalar(text):
    """A node of a value as the command line takes it."""
    return yaml.compose(text, Loader=yaml.SafeLoader) or yaml.ScalarNode("tag:yaml.org,2002:str", text)


def put(mapping, key, text):
    """Sets SECTION.KEY, or KEY, in a node of a mapping."""
    name, _, rest = key.partition(".")
    found = next((i for i, (k, _) in enumerate(mapping.value) if k.value == name), None)
    if found is None:
        child = yaml.MappingNode("tag:yaml.org,2002:map", []) if rest else None
        mapping.value.append((yaml.ScalarNode("tag:yaml.org,2002:str", name), child))
        found = len(mapping.value) - 1
    name_node, value = mapping.value[found]
    if not rest:
        mapping.value[found] = name_node, scalar(text)
        return
    if not isinstance(value, yaml.MappingNode):  # a section without keys
        value = yaml.MappingNode("tag:yaml.org,2002:map", [])
        mapping.value[found] = name_node, value
    put(value, rest, text)


def text_of(run_text, assignments, comment):
    """The YAML of the run with each KEY=VALUE in it, below lines of comment."""
    root = yaml.compose(run_text, Loader=yaml.SafeLoader)
    for assignment in assignments:
        key, _, value = assignment.partition("=")
        put(root, key, value)
    made = yaml.serialize(root, Dumper=yaml.SafeDumper, allow_unicode=True, width=120)
    return "".join(f"# {line}\n" for line in comment) + made


def check(path, ranks):
    """Refuses a file that training would refuse."""
    ask("train", str(path), "--dry-run", "--ranks", str(ranks))
