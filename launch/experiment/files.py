"""Files that an experiment leaves for readers: what is attached, and the report as a page and as a PDF."""
from report.command import Output

MOST_ATTACHED = 60_000  # characters of one attached file


def beginning(path):
    try:
        content = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return content[:MOST_ATTACHED]


def write(path, content):
    Output(str(path), True).save(content.encode("utf-8") if isinstance(content, str) else content)


def no_network(url, *_, **__):
    raise ValueError(f"{url}: a report needs no other file")


def write_pdf(folder, html, say):
    """Makes a PDF of the page by WeasyPrint, which is not needed otherwise."""
    try:
        import weasyprint
    except (ImportError, OSError) as error:
        return say(f"report.pdf: not made: WeasyPrint is missing ({str(error).splitlines()[0]}); get it with: launch/setup --tests, or pip install "
                   "weasyprint")
    write(folder.path / "report.pdf", weasyprint.HTML(string=html.decode(), url_fetcher=no_network).write_pdf())
    say(str(folder.path / "report.pdf"))
