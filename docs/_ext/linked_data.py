"""What search engines and catalogues read of each page: its description, and what it is in the terms of schema.org."""

from __future__ import annotations

import html
import json
import re
from typing import Any

import metadata
from docutils import nodes
from sphinx.application import Sphinx

MINUTES = re.compile(r"(\d+) minutes")
LONG = 200  # characters of a description


def description(doctree: nodes.document) -> str:
    """Return the first paragraph that is not about how long it takes, in at most ``LONG`` characters."""
    for paragraph in doctree.findall(nodes.paragraph):
        words = " ".join(paragraph.astext().split())
        if len(words) > 40 and not MINUTES.match(words) and not isinstance(paragraph.parent, nodes.entry):
            return words if len(words) <= LONG else words[: words.rindex(" ", 0, LONG)] + " …"
    return ""


def described(name: str, title: str, doctree: nodes.document) -> dict[str, Any] | None:
    """Return what a page is: the course on the first page, one lesson on a lesson's, and else nothing."""
    project, words = metadata.source(), description(doctree)
    if name == "index":
        course = metadata.resource(project, project["teaching"]["title"], project["teaching"]["abstract"])
        return {"@context": "https://schema.org", "@graph": [course, metadata.code(project)]}
    if name.startswith("lessons/"):
        found = MINUTES.search(doctree.astext())
        return metadata.resource(project, title, words, int(found[1]) if found else 10)
    return None


def _add(app: Sphinx, name: str, template: str, context: dict[str, Any], doctree: nodes.document | None) -> None:
    if doctree is None:
        return
    tags = context.get("metatags", "")
    if words := description(doctree):
        tags += f'\n<meta name="description" content="{html.escape(words)}" />'
    if (known := described(name, context["title"], doctree)) is not None:
        data = json.dumps(known, ensure_ascii=False).replace("<", "\\u003c")
        tags += f'\n<script type="application/ld+json">{data}</script>'
    context["metatags"] = tags


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the tags when a page is written."""
    app.connect("html-page-context", _add)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
