"""The live stage on a page: the package's own module, joined to a plain script so that it runs from a folder too.

The script stands where the stage is and builds it while the page is read: it is there in the first picture, and
nothing beneath it moves later.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.osutil import relative_uri

from entropic_edu import course
from entropic_edu.course import stages
from entropic_edu.teaching import live
from entropic_edu.teaching.page import slider
from entropic_edu.teaching.stage import STYLE, Scene

FOLDER = "_static/live"
MOMENTUM = slider("momentum", (0.0, 0.5, 0.9), 0.0)
SCENES = {
    "opening": lambda: stages.waist(0, even=True),
    "waist": lambda: stages.waist(0, MOMENTUM, even=True),
    "bowl": lambda: stages.bowl(0, MOMENTUM),
    "tilted": lambda: stages.tilted(0, (8, 16, 32, 64, 128, 256, None), 256, 8),
    "shapes": lambda: stages.shapes(0),
    "barriers": lambda: stages.barriers(0),
    "curve": lambda: stages.curve(0),
}


class stage(nodes.General, nodes.Element):  # noqa: N801  (nodes are named so)
    """Where a stage stands."""


class Stage(SphinxDirective):
    """Puts the stage of a scene on the page, or that of a lesson's player, by the lesson's number and its name."""

    required_arguments = 1
    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the node."""
        name = " ".join(self.arguments)
        if len(self.arguments) == 1 and name not in SCENES:
            raise self.error(f"There is no scene {name!r}; there are {', '.join(SCENES)}.")
        known = self.env.temp_data
        known["stages"] = number = known.get("stages", 0) + 1
        return [stage(scene=name, number=number)]


def scene(name: str) -> Scene:
    """Return a scene of this page's own, or of a lesson."""
    number, _, player = name.partition(" ")
    return course.chapter(number).players[player](0).scene if player else SCENES[name]()  # type: ignore[union-attr]


def write(app: Sphinx, error: Exception | None) -> None:
    """Write script and style."""
    if error is None and app.builder.format == "html":
        folder = Path(app.outdir) / FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "stage.js").write_text(live.plain("stage", "stage"), "utf-8")
        (folder / "stage.css").write_text(STYLE, "utf-8")


def _visit(writer: Any, node: stage) -> None:
    builder = writer.builder
    folder = relative_uri(builder.get_target_uri(builder.current_docname), FOLDER + "/").rstrip("/") or FOLDER
    told = json.dumps(scene(node["scene"]).plain(), ensure_ascii=False, separators=(",", ":")).replace("</", "<\\/")
    place = f"ee-stage-{node['number']}"
    if node["number"] == 1:
        writer.body.append(
            f'<link rel="stylesheet" href="{folder}/stage.css"><script src="{folder}/stage.js"></script>'
        )
    writer.body.append(
        f'<div class="ee-stage-place" id="{place}"><noscript>The live stage needs JavaScript. Its picture is in lesson '
        f'02.</noscript></div><script>entropicLive.stage(document.getElementById("{place}"), {told});</script>'
    )
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_node(stage, html=(_visit, None))
    app.add_directive("stage", Stage)
    app.connect("build-finished", write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
