"""The walker player without a kernel: recorded releases, sliders for batch size and learning rate, one script each.

A page that has a ``walkers`` directive loads the player of the package (``teaching/player.js``, made a plain script so
that it runs from a folder too) and the one run that its sliders stand at; other runs come when they are asked for.
"""

from __future__ import annotations

import base64
import html
import json
import os
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx
from sphinx.util.osutil import relative_uri

from entropic_edu.course.let_go import common
from entropic_edu.course.let_go.film import of_grid
from entropic_edu.teaching import player
from entropic_edu.teaching.player import STYLE, Player
from entropic_edu.teaching.strings import text

FOLDER = "_static/walkers"
START = (16, 0.02)
MODULE = Path(player.__file__).with_name("player.js")
EXPORT = "export default { render };"
FIELDS = ("title", "_steps", "_sentences", "_size", "_panels", "_seconds", "_groups", "_words")
BYTES = ("_plan", "_along", "_background")


class walkers(nodes.General, nodes.Element):  # noqa: N801  (nodes are named so)
    """Where a player stands."""


class Walkers(Directive):
    """Puts a player on the page."""

    def run(self) -> list[nodes.Node]:
        """Return the node."""
        return [walkers()]


def named(batch_size: int | None, learning_rate: float) -> str:
    """Return the name of a run's script."""
    return f"{'all' if batch_size is None else batch_size}-{learning_rate:g}"


def packed(player: Player) -> dict[str, Any]:
    """Return all that a player holds as plain values, bytes in base 64."""
    plain = {name: getattr(player, name) for name in FIELDS}
    return plain | {name: {"base64": base64.b64encode(getattr(player, name)).decode()} for name in BYTES}


def script() -> str:
    """Return the package's player as a plain script: pages in a folder may not import modules."""
    source = MODULE.read_text("utf-8")
    assert source.count(EXPORT) == 1, f"{MODULE.name} should end in {EXPORT}"
    return f"const entropicPlayer = (() => {{\n{source.replace(EXPORT, 'return { render };')}\n}})();\n"


def write(app: Sphinx, error: Exception | None) -> None:
    """Write the scripts: the player, and each recorded run."""
    if error is not None or app.builder.format != "html":
        return
    folder = Path(app.outdir) / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "player.js").write_text(script(), "utf-8")
    (folder / "player.css").write_text(STYLE, "utf-8")
    for size in common.BATCHES:
        for rate in common.RATES:
            values = json.dumps(packed(of_grid(size, rate)), ensure_ascii=False, separators=(",", ":"))
            code = f"entropicRun({json.dumps(named(size, rate))}, {values});\n"
            (folder / f"run-{named(size, rate)}.js").write_text(code, "utf-8")


def _visit(writer: Any, node: walkers) -> None:
    builder = writer.builder
    here = builder.get_target_uri(builder.current_docname)
    folder = relative_uri(here, FOLDER + "/").rstrip("/") or FOLDER
    sizes = [text("control.batch_size.none") if size is None else str(size) for size in common.BATCHES]
    rates = [f"{rate:g}" for rate in common.RATES]
    told = {
        "folder": folder,
        "names": [[named(size, rate) for rate in common.RATES] for size in common.BATCHES],
        "shown": [sizes, rates],
        "start": [common.BATCHES.index(START[0]), common.RATES.index(START[1])],
    }
    writer.body.append(
        f'<div class="ee-static" data-walkers="{html.escape(json.dumps(told))}">'
        '<p class="ee-static-none">The walker player needs JavaScript. Its pictures are in the lessons.</p></div>'
        f'<link rel="stylesheet" href="{folder}/player.css">'
        f'<script defer src="{folder}/player.js"></script>'
        f'<script defer src="{os.path.dirname(folder)}/static_player.js"></script>'
    )
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_node(walkers, html=(_visit, None))
    app.add_directive("walkers", Walkers)
    app.connect("build-finished", write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
