"""The pictures of all lessons on one page, each with its words and the way to its lesson."""

from __future__ import annotations

import base64
import html
import json
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx
from sphinx.util.osutil import relative_uri
from staging import ROOT

FOLDER = "_static/gallery"


class gallery(nodes.General, nodes.Element):  # noqa: N801  (nodes are named so)
    """Where the gallery stands."""


class Gallery(Directive):
    """Puts the gallery on the page."""

    def run(self) -> list[nodes.Node]:
        """Return the node."""
        return [gallery()]


def pictures() -> list[tuple[str, str, str, bytes]]:
    """Return file name and title of the lesson, words and PNG of the first two pictures of each lesson."""
    rows = []
    for file in sorted((ROOT / "lessons").glob("[0-9][0-9]_*.ipynb")):
        cells = json.loads(file.read_text("utf-8"))["cells"]
        title = next(
            "".join(cell["source"]).splitlines()[0].lstrip("# ")
            for cell in cells
            if cell["cell_type"] == "markdown" and "".join(cell["source"]).startswith("# ")
        )
        shown = [output["data"] for cell in cells for output in cell.get("outputs", []) if "data" in output]
        drawn = [data for data in shown if "image/png" in data and "".join(data.get("text/plain", "")).strip()]
        for data in drawn[:2]:
            words = [line for line in "".join(data["text/plain"]).splitlines() if line.strip()][-1]
            rows.append((file.stem, title, words, base64.b64decode("".join(data["image/png"]))))
    return rows


def write(app: Sphinx, error: Exception | None) -> None:
    """Write the pictures."""
    if error is not None or app.builder.format != "html":
        return
    folder = Path(app.outdir) / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for number, (*_, png) in enumerate(pictures()):
        (folder / f"{number}.png").write_bytes(png)


def _visit(writer: Any, node: gallery) -> None:
    here = writer.builder.get_target_uri(writer.builder.current_docname)
    writer.body.append('<div class="ee-gallery">')
    for number, (name, title, words, _) in enumerate(pictures()):
        lesson = relative_uri(here, writer.builder.get_target_uri(f"lessons/{name}"))
        picture = relative_uri(here, f"{FOLDER}/{number}.png")
        writer.body.append(
            f'<figure><a href="{lesson}"><img src="{picture}" loading="lazy" alt="{html.escape(words)}"></a>'
            f'<figcaption><a href="{lesson}">{html.escape(title)}</a>. {html.escape(words)}</figcaption></figure>'
        )
    writer.body.append("</div>")
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_node(gallery, html=(_visit, None))
    app.add_directive("gallery", Gallery)
    app.connect("build-finished", write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
