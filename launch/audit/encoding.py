"""Finds characters of a text that speak of a wrong encoding."""
import html.entities
import re
import unicodedata

import ftfy
from ftfy.badness import is_bad

# Tabs and ends of lines are text; the last two are marks of byte order that stayed inside.
CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufeff\ufffe]")
ENTITY = re.compile(r"&(#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,30});")


def entity_in(text):
    return any(found[1][0] == "#" or found[1] + ";" in html.entities.html5 for found in ENTITY.finditer(text))


def oddities(text):
    """Names of findings."""
    found = []
    if CONTROL.search(text):
        found.append("control-characters")
    if "&" in text and entity_in(text):
        found.append("html-entities")
    if text.isascii():
        return found
    if "\ufffd" in text:
        found.append("replacement-characters")
    if is_bad(text) and ftfy.fix_encoding(text) != text:
        found.append("mojibake")
    if not unicodedata.is_normalized("NFC", text):
        found.append("mixed-normalisation")
    return found
