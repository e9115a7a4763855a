"""Links of the repository on the site: to a page, to a file for download, or, where the site has neither, plain words.

In the repository a lesson links ``../README.md#start`` and ``docs/design.md`` links ``../CHANGELOG.md``. Here each
such link is turned to where its target stands on the site. A link whose target does not exist stays and is an error.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from sphinx.application import Sphinx
from staging import PLACES, ROOT, place

PAGES = {ROOT / "README.md": "index.md"}  # the start page stands for the README
ANCHORS = {
    (ROOT / "README.md", "start"): "site/start.md",
    (ROOT / "README.md", "your-own-network-in-ten-lines"): "site/your_network.md",
    (ROOT / "README.md", "two-checkpoints-and-a-dataloader"): "site/your_network.md",
}
BADGE = re.compile(r"\[!\[(?P<words>[^\]]*)\]\(https?:[^)]*\)\]\((?P<target>[^)\s]+)\)")
LINK = re.compile(r"(?P<picture>!?)\[(?P<words>[^\]\[]*)\]\((?P<target>[^)\s:#]+)(?P<anchor>#[\w-]+)?\)")


def origin(docs: Path, name: str) -> Path:
    """Return the folder of the repository that a page's links start from."""
    for pattern, folder in PLACES:
        if Path(name).parent == Path(folder):
            return (ROOT / pattern).parent
    return docs / Path(name).parent


def turned(text: str, docs: Path, name: str) -> str:
    """Return a page with its links turned to places of the site."""
    home, page = origin(docs, name), docs / Path(name).parent

    def turn(link: re.Match[str]) -> str:
        words, anchor = link["words"], link["anchor"] or ""
        target = (home / link["target"]).resolve()
        on_site = ANCHORS.get((target, anchor[1:])) or PAGES.get(target)
        if on_site:
            return f"{link['picture']}[{words}]({os.path.relpath(docs / on_site, page)})"
        if copied := (place(target) if target.is_relative_to(ROOT) and target.is_file() else None):
            return f"{link['picture']}[{words}]({os.path.relpath(docs / copied, page)}{anchor})"
        if target.is_file() and target.is_relative_to(docs):
            return f"{link['picture']}[{words}]({os.path.relpath(target, page)}{anchor})"
        if target.exists():
            return words  # in the repository, and not on the site
        return link[0]

    return LINK.sub(turn, BADGE.sub(r"[\g<words>](\g<target>)", text))


def _read(app: Sphinx, name: str, content: list[str]) -> None:
    content[0] = turned(content[0], Path(app.srcdir), name)


def setup(app: Sphinx) -> dict[str, bool]:
    """Turn links when a page is read."""
    app.connect("source-read", _read)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
