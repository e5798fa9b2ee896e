"""Colours of pages and pictures in both schemes, and what is asked of them (WCAG 2.2: 4.5 for text, 3 for lines)."""

# name: (light, dark). The light ones are drawn into pictures; a rule of the style sheet exchanges each for the dark one, so
# that no two light colours of pictures may be equal.
PAGE = {
    "surface": ("#ffffff", "#14181d"), "panel": ("#f3f5f8", "#1e242c"), "rule": ("#c9d0d9", "#3b4552"),
    "ink": ("#1b1f24", "#e7ebf0"), "muted": ("#56606c", "#a4afbc"), "link": ("#0b57a4", "#86bdf4"),
    "ok": ("#0a6b3d", "#5fd39a"), "warn": ("#855300", "#f0be58"), "error": ("#b3201c", "#ff9a90"), "info": ("#0b57a4", "#86bdf4"),
}
# Series: apart for colour-blind eyes too (test), and told apart by dashes, markers and hatches as well.
SERIES = [("#0a64ad", "#7db8f2"), ("#c2500a", "#f79a5c"), ("#00806b", "#45cfb0"), ("#a8488f", "#eaa0d6"),
          ("#5b4d00", "#dccb57"), ("#4a5563", "#8f9cab")]
# Cells of a matrix from none to all, and the two inks on them.
RAMP = [("#f7fafd", "#1b222b"), ("#e3eef8", "#1f3144"), ("#cfe1f2", "#23405d"), ("#b4d2ea", "#275076"), ("#93bfdf", "#2c608f"),
        ("#2f6ba8", "#7fb4e4"), ("#235792", "#99c5ec"), ("#17447b", "#b6d7f4"), ("#0b3061", "#d6eafc")]
DARK_FROM = 5  # the level from which on a cell is written on in the second ink
ON_CELL = [("#1b1f25", "#e7ebf1"), ("#fffffe", "#14181e")]
LINES = {"ink": ("#1b1f24", "#e7ebf0"), "grid": ("#d5dbe2", "#39434f"), "axis": ("#66707c", "#98a3b0"), "surface": ("#ffffff", "#14181d")}
# Tokens: signed, from weak to strong, and groups.
FOR = [("#e4f0fb", "#1d3044"), ("#c5dff5", "#234668"), ("#9cc8ee", "#295b8c")]
AGAINST = [("#fdebdd", "#3a2a1e"), ("#fad3b3", "#593718"), ("#f4b37f", "#7a4712")]
GROUPS = [("#dcebfa", "#203a56"), ("#fbe2cd", "#4d331b"), ("#d3efe6", "#1b4238"), ("#f3dcee", "#4a2b44"), ("#f1ebbf", "#443d12"), ("#e2e6eb", "#343d48")]


def pictures():
    """(light, dark) of every colour that a picture may have."""
    return [*LINES.values(), *SERIES, *RAMP, *ON_CELL]


def luminance(colour):
    """Relative luminance, WCAG 2.2."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def style_rules():
    """Custom properties of both schemes, and the exchange of the pictures' colours in the dark one."""
    named = dict(PAGE)
    for prefix, colours in (("for", FOR), ("against", AGAINST), ("group", GROUPS)):
        named |= {f"{prefix}-{i}": pair for i, pair in enumerate(colours)}
    both = [" ".join(f"--{name}: {pair[scheme]};" for name, pair in named.items()) for scheme in (0, 1)]
    exchanged = "\n".join(f'  svg [style*="{kind}: {light}"] {{ {kind}: {dark} !important; }}'
                          for light, dark in pictures() for kind in ("fill", "stroke"))
    return (f":root {{ color-scheme: light dark; {both[0]} }}\n"
            f"@media screen and (prefers-color-scheme: dark) {{\n  :root {{ {both[1]} }}\n{exchanged}\n}}\n")
