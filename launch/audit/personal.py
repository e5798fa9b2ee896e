"""Patterns of personal data. Only what can be checked is found: checksums by python-stdnum, numbering plans by phonenumbers,
addresses by ipaddress. No value is ever shown whole."""
import ipaddress
import re

import phonenumbers
from stdnum import iban, luhn
from stdnum.be import nn
from stdnum.br import cpf
from stdnum.ch import ssn
from stdnum.es import dni, nie
from stdnum.fi import hetu
from stdnum.fr import nir
from stdnum.it import codicefiscale
from stdnum.pl import pesel
from stdnum.se import personnummer

# A text without any of these has none of what follows.
HINT = re.compile(r"@|[0-9](?:[ .()/-]{0,2}[0-9]){6}|[0-9A-Fa-f]{1,4}:[0-9A-Fa-f:]*:|[A-Z]{6}[0-9]{2}|[0-9]\.[0-9]{1,3}\.[0-9]|[0-9]{7}")
EMAIL = re.compile(r"(?<![\w.+-])[A-Za-z0-9][\w.+-]{0,63}@(?:[A-Za-z0-9-]{1,63}\.){1,5}[A-Za-z]{2,24}(?![\w-])")
IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?![A-Za-z0-9])")
# Visa, Mastercard, American Express, Discover, JCB, Diners: prefix and length.
CARD = re.compile(r"(?<![\w.-])(?:4[0-9]{3}|5[1-5][0-9]{2}|222[1-9]|22[3-9][0-9]|2[3-6][0-9]{2}|27[01][0-9]|2720|6011|65[0-9]{2}|35[2-8][0-9])"
                  r"[ -]?[0-9]{4}[ -]?[0-9]{4}[ -]?[0-9]{4}(?![\w-])|(?<![\w.-])3[47][0-9]{2}[ -]?[0-9]{6}[ -]?[0-9]{5}(?![\w-])"
                  r"|(?<![\w.-])3(?:0[0-5]|[68][0-9])[0-9][ -]?[0-9]{6}[ -]?[0-9]{4}(?![\w-])")
IPV4 = re.compile(r"(?<![\w.])(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?![\w.]*[\w])")
IPV6 = re.compile(r"(?<![\w:.])(?:[0-9A-Fa-f]{1,4}:|:){2,7}[0-9A-Fa-f]{1,4}(?![\w:])")
PHONE = re.compile(r"(?<![\w.+/-])(?:\+|00|\(?0|[1-9(])[0-9()][0-9 ()./-]{5,18}[0-9](?![\w-])")
NATIONAL = [
    (re.compile(r"(?<!\w)[A-Z]{6}[0-9LMNPQRSTUV]{2}[A-Z][0-9LMNPQRSTUV]{2}[A-Z][0-9LMNPQRSTUV]{3}[A-Z](?!\w)"), codicefiscale),
    (re.compile(r"(?<![\w.-])[0-9]{8}-?[A-Z](?![\w-])"), dni),
    (re.compile(r"(?<![\w.-])[XYZ]-?[0-9]{7}-?[A-Z](?![\w-])"), nie),
    (re.compile(r"(?<![\w.-])[12] ?[0-9]{2} ?(?:0[1-9]|1[0-2]) ?[0-9]{2} ?[0-9]{3} ?[0-9]{3} ?[0-9]{2}(?![\w-])"), nir),
    (re.compile(r"(?<![\w.-])756\.?[0-9]{4}\.?[0-9]{4}\.?[0-9]{2}(?![\w-])"), ssn),
    (re.compile(r"(?<![\w.-])[0-9]{6}[-+A][0-9]{3}[0-9A-Y](?![\w-])"), hetu),
    (re.compile(r"(?<![\w.-])(?:19|20)?[0-9]{6}[-+][0-9]{4}(?![\w-])"), personnummer),
    (re.compile(r"(?<![\w.-])[0-9]{2}\.[0-9]{2}\.[0-9]{2}-[0-9]{3}\.[0-9]{2}(?![\w-])"), nn),
    (re.compile(r"(?<![\w.-])[0-9]{3}\.[0-9]{3}\.[0-9]{3}-[0-9]{2}(?![\w-])"), cpf),
    (re.compile(r"(?<![\w.-])[0-9]{2}(?:0[1-9]|1[0-2]|2[1-9]|3[0-2])(?:0[1-9]|[12][0-9]|3[01])[0-9]{5}(?![\w-])"), pesel),
]


def is_public(text):
    """Four numbers of one digit each are rather the number of a version or of a chapter."""
    if re.fullmatch(r"(?:[0-9]\.){3}[0-9]", text):
        return False
    try:
        return ipaddress.ip_address(text).is_global
    except ValueError:
        return False


def is_phone(text, region):
    """International ones, and those of the plan of `region` (two letters; None: international ones alone)."""
    text = "+" + text[2:] if text.startswith("00") else text
    if not text.startswith("+") and not region:
        return False
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(text, region))
    except phonenumbers.NumberParseException:
        return False


def values_in(text, region=None):
    """(name of the finding, begin, end) of each, in the order of the text; none inside another."""
    if not HINT.search(text):
        return []
    found = []

    def take(name, match):
        if all(match.end() <= begin or match.start() >= end for _, begin, end in found):
            found.append((name, match.start(), match.end()))

    if "@" in text:
        for match in EMAIL.finditer(text):
            take("email", match)
    for pattern, name, valid in ((IBAN, "iban", iban.is_valid), (CARD, "credit-card", luhn_valid), (IPV6, "ip-address", is_public), (IPV4, "ip-address", is_public)):
        for match in pattern.finditer(text):
            if valid(match[0]):
                take(name, match)
    for pattern, module in NATIONAL:
        for match in pattern.finditer(text):
            if module.is_valid(match[0]):
                take("national-id", match)
    for match in PHONE.finditer(text):
        if is_phone(match[0], region):
            take("phone", match)
    return sorted(found, key=lambda f: f[1])


def luhn_valid(text):
    return luhn.is_valid(text.replace(" ", "").replace("-", ""))


def mask(value):
    """The first and the last character: never the value."""
    return f"{value[0]}\u2026{value[-1]}"


def masked(text, region=None):
    for _, begin, end in reversed(values_in(text, region)):
        text = text[:begin] + mask(text[begin:end]) + text[end:]
    return text
