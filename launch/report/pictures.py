"""A figure of matplotlib as an SVG inside a page: text as text, equal bytes for equal figures, colours that the style
sheet exchanges in the dark scheme (colours.py)."""
import io
import math
import re
import unicodedata
import warnings
import xml.etree.ElementTree as xml

import matplotlib

matplotlib.use("svg")
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from report.colours import LINES
from report.numbers import one_line, real

INK, GRID, AXIS, SURFACE = (LINES[name][0] for name in ("ink", "grid", "axis", "surface"))
WIDTH = 5.2  # inches; a page shows them at up to 1.5 times their size
MOST_POINTS = 10_000  # of a picture
LONGEST_NAME = 26  # characters of a name in a picture; tables have it whole
SETTINGS = {
    "svg.fonttype": "none", "text.parse_math": False, "axes.unicode_minus": False, "font.family": ["DejaVu Sans"], "font.size": 10,
    "axes.titlesize": 10, "axes.labelsize": 10, "xtick.labelsize": 9, "ytick.labelsize": 9, "legend.fontsize": 9,
    "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": AXIS, "axes.linewidth": 0.8, "xtick.color": AXIS, "ytick.color": AXIS,
    "xtick.labelcolor": INK, "ytick.labelcolor": INK, "grid.color": GRID, "grid.linewidth": 0.6, "axes.axisbelow": True,
    "axes.facecolor": SURFACE, "legend.frameon": False, "lines.linewidth": 1.6, "hatch.linewidth": 0.8,
}
NAMESPACE = "{http://www.w3.org/2000/svg}"
xml.register_namespace("", NAMESPACE.strip("{}"))
xml.register_namespace("xlink", "http://www.w3.org/1999/xlink")


def settings():
    return matplotlib.rc_context(SETTINGS)


def new_figure(width, height):
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.patch.set_visible(False)
    return figure


def label(text, most=LONGEST_NAME):
    """A name as it stands in a picture. The font that texts are measured with lacks wide characters and takes them for
    narrower than a browser draws them: blanks, which a browser does not draw, make up for it."""
    name = one_line(text, 4 * most)
    if len(name) > most:  # names often begin alike: both ends stay
        name = name[: most // 2] + "\u2026" + name[len(name) - (most - most // 2 - 1):]
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in name)
    return " " * math.ceil(wide * 0.65) + name + " " * math.ceil(wide * 0.65)


def spare(axes, grid="both"):
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis=grid)


def ticks(axis, scale):
    """Plain numbers at the ticks of an axis, also of a logarithmic one, where matplotlib would write formulas."""
    if scale == "log":
        low, high = axis.get_view_interval()
        axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 500 * low else (1,), numticks=8))
        axis.set_minor_locator(NullLocator())
    else:
        axis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
    axis.set_major_formatter(FuncFormatter(lambda value, _: real(float(f"{value:.10g}"), None)))


def embedded(figure, number, title, description):
    """The SVG, to stand in HTML; `number`: of the figure in the page, which keeps ids apart."""
    stream = io.BytesIO()
    with warnings.catch_warnings(), matplotlib.rc_context({"svg.hashsalt": f"trireme-{number}"}):
        warnings.filterwarnings("ignore", message="Glyph")  # the reader's browser has its own fonts
        figure.savefig(stream, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    root = xml.fromstring(stream.getvalue())
    defs = root.find(NAMESPACE + "defs")
    if defs is not None and defs.find(NAMESPACE + "style") is not None:
        root.remove(defs)  # its rule would hold for the whole page, which has it
    for element in root.iter():
        if element.tag == NAMESPACE + "g":
            element.attrib.pop("id", None)
        if "style" in element.attrib:  # one family for all, by the style sheet
            element.set("style", re.sub(r"font-family: [^;]*;? ?", "", element.get("style")))
        if element.tag == NAMESPACE + "defs":  # markers: each use of one has its style
            for part in element:
                part.attrib.pop("style", None)
        if element.tag == NAMESPACE + "rect" and "fill" in element.attrib:  # the ground of a hatch, for the style sheet as well
            element.set("style", f"fill: {element.attrib.pop('fill')}")
        if "d" in element.attrib:
            element.set("d", " ".join(element.get("d").split()))
        element.tail = None
        if element.tag != NAMESPACE + "text":
            element.text = None
    width = float(root.get("viewBox").split()[2])
    for name in ("width", "height", "version"):
        root.attrib.pop(name, None)
    root.set("style", f"max-width: {width * 1.5:.0f}px; min-width: {width if width > 450 else min(width, 330):.0f}px")
    root.set("role", "img")
    root.set("aria-labelledby", f"picture-{number}-title picture-{number}-text")
    for place, (tag, text) in enumerate((("title", title), ("desc", description))):
        element = xml.Element(NAMESPACE + tag, {"id": f"picture-{number}-{'text' if place else 'title'}"})
        element.text = text
        root.insert(place, element)
    return xml.tostring(root, encoding="unicode")
