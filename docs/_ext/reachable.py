"""What the theme leaves out for those who use a keyboard or a screen reader; ``tests/axe.py`` looks for the rest.

Captions of the sidebar are headings without a level, both side bars are landmarks without a name, and a signature of
many lines is written as a list of definitions without terms. ``reachable.js`` lets the keyboard scroll what is wide.
"""

from __future__ import annotations

import re
from pathlib import Path

from sphinx.application import Sphinx

LINES = re.compile(r"<dl>\n((?:<dd>.*</dd>\n)+)</dl>")
MENDS = (
    (re.compile(r'<p class="caption" role="heading">'), '<p class="caption" role="heading" aria-level="2">'),
    (re.compile(r'<aside class="sidebar-drawer">'), '<aside class="sidebar-drawer" aria-label="All pages">'),
    (re.compile(r'<aside class="toc-drawer([^"]*)">'), r'<aside class="toc-drawer\1" aria-label="On this page">'),
)


def mended(page: str) -> str:
    """Return a page with levels, names and plain lines."""
    for wrong, right in MENDS:
        page = wrong.sub(right, page)
    return LINES.sub(lambda found: f'<span class="ee-lines">{_spans(found[1])}</span>', page)


def _spans(lines: str) -> str:
    return re.sub(r"<dd>(.*)</dd>\n", r"<span>\1</span> ", lines)


def mend(folder: Path) -> None:
    """Mend all pages of a folder; what is right already stays."""
    for file in folder.rglob("*.html"):
        before = file.read_text("utf-8")
        after = mended(before)
        if after != before:
            file.write_text(after, "utf-8")


def _finished(app: Sphinx, error: Exception | None) -> None:
    if error is None and app.builder.format == "html":
        mend(Path(app.outdir))


def setup(app: Sphinx) -> dict[str, bool]:
    """Mend the pages when all are written."""
    app.add_js_file("reachable.js", loading_method="defer")
    app.connect("build-finished", _finished, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
