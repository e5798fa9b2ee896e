"""Values as a reader sees them: texts without invisible traps, numbers with sensible digits and units."""
import math
import re

import numpy

from report.command import is_number

NOT_DEFINED = "not defined"
LARGEST = 1e100  # of a number that is drawn: axes are computed with its powers
SPACE = "\u00a0"  # between a number and its unit: never broken
# Control characters, separators of lines, surrogates alone and what is no character; and marks that turn the direction of
# what follows: left as they are, a label could spoil or forge what stands beside it.
HIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")


def plain(text, most=None):
    """The text with hidden characters by their numbers, and cut after `most` characters."""
    text = str(text)
    cut = most is not None and len(text) > most
    return HIDDEN.sub(lambda found: f"\u27e8U+{ord(found[0]):04X}\u27e9", text[:most] if cut else text) + ("\u2026" if cut else "")


def floats(values):
    """float64, NaN where not defined or too large to draw."""
    try:
        found = numpy.array(values, float)
    except OverflowError:
        found = numpy.array([v if is_number(v) else math.nan for v in values], float)
    return numpy.where(numpy.abs(found) < LARGEST, found, math.nan)


def one_line(text, most):
    return plain(" ".join(str(text)[: 4 * most].split()), most)


def is_defined(value):
    return value is not None and not (isinstance(value, float) and math.isnan(value))


def scaled(value, units, base):
    for i, unit in enumerate(units):
        if abs(value) < base or i == len(units) - 1:
            return f"{value:.3g}{SPACE}{unit}" if abs(value) < 1000 else f"{value:,.0f}{SPACE}{unit}"
        value /= base


def seconds(value):
    if abs(value) < 60:
        return f"{value * 1000:.3g}{SPACE}ms" if 0 < abs(value) < 1 else f"{value:.3g}{SPACE}s"
    whole = round(abs(value))
    hours, minutes = whole // 3600, whole % 3600 // 60
    parts = [f"{hours:,}{SPACE}h", f"{minutes}{SPACE}min"] if hours else [f"{minutes}{SPACE}min", f"{whole % 60}{SPACE}s"]
    return ("-" if value < 0 else "") + SPACE.join(parts)


def real(value, digits):
    if digits is not None:
        return f"{value:,.{digits}f}"
    if value and not 1e-4 <= abs(value) < 1e9:
        return f"{value:.4g}".replace("e+0", "e").replace("e+", "e").replace("e-0", "e-")
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def shown(value, form="number", digits=None):
    """A scalar of a document in one of the forms of schema.FORMS."""
    if value is None or isinstance(value, float) and math.isnan(value):
        return NOT_DEFINED
    if isinstance(value, str):
        return plain(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if form == "text":
        return str(value)
    if isinstance(value, int) and abs(value) >= 1 << 63:
        return f"{value:,}" if abs(value) < 10**30 else "more than 30 digits"
    if math.isinf(value):
        return "\u221e" if value > 0 else "-\u221e"
    if form == "percent":
        return f"{value * 100:,.{1 if digits is None else digits}f}{SPACE}%"
    if form == "bytes":
        return scaled(value, ("B", "KiB", "MiB", "GiB", "TiB", "PiB"), 1024)
    if form == "seconds":
        return seconds(value)
    if form == "integer" or digits is None and isinstance(value, int):
        return f"{value:,.0f}"
    return real(value, digits)
