"""Values of options that several of the Python commands take; each is refused in one line."""
from report.command import refuse


def whole(name, text, least=1):
    if not text.isascii() or not text.isdigit() or len(text) > 9 or int(text) < least:
        refuse(f"{name}: {text}: legal: a whole number, {least} or more")
    return int(text)


def share(name, text):
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1:
        refuse(f"{name}: {text}: legal: a number >= 0 and < 1")
    return value


def number(name, text, least):
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not least <= value < float("inf"):
        refuse(f"{name}: {text}: legal: a number >= {least:g}")
    return value


def check_page(output, json=None):
    """Names of the page, and of the same for machines."""
    if not output.endswith(".html"):
        refuse(f"--output: {output}: legal: a name that ends in .html")
    if json == output:
        refuse(f"--json: {json}: legal: another file than --output")
