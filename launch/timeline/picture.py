"""The schedule as it ran, as an SVG of its own: light or dark as its reader's system is."""
from report import charts, colours, pictures


def style():
    exchanged = "\n".join(f'[style*="{kind}: {light}"] {{ {kind}: {dark} !important; }}' for light, dark in colours.pictures() for kind in ("fill", "stroke"))
    ground = colours.PAGE["surface"]
    return (f"svg {{ background: {ground[0]}; font-family: 'DejaVu Sans', sans-serif; }}\n"
            f"@media (prefers-color-scheme: dark) {{\nsvg {{ background: {ground[1]}; }}\n{exchanged}\n}}")


def of(block):
    """Bytes of the file."""
    with pictures.settings():
        figure, _, _ = charts.DRAW[block["picture"]](block)
        svg = pictures.embedded(figure, 1, block["title"], block["caption"])
    head, tag, rest = svg.partition(">")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{head}{tag}<style>{style()}</style>{rest}\n'.encode()
