"""A network on digits that is let go on a road and trained in the reader's browser, without a kernel.

The modules of ``teaching/live`` become one plain script that a worker is made of, so that pages run from a folder too.
What the page draws first (profile, theory, PyTorch's walkers) is in ``docs/live_digits.json``, which
``docs/live_digits.py`` makes; the road's pivots and the digits come from the recording ``valley`` and are loaded later.
"""

from __future__ import annotations

import base64
import html
import json
import math
import os
import re
from pathlib import Path
from typing import Any

import torch
from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx
from sphinx.util.osutil import relative_uri

from entropic_edu import recorded, teaching
from entropic_edu.recorded import valley
from entropic_edu.recorded._common import whole

PAIR = 0
FOLDER = "_static/digits_live"
MEASURED = Path(__file__).parents[1] / "live_digits.json"
MODULES = [Path(teaching.__file__).parent / "live" / f"{name}.js" for name in ("draws", "digits", "digits_walk")]


class digits_live(nodes.General, nodes.Element):  # noqa: N801  (nodes are named so)
    """Where the walkers stand."""


class DigitsLive(Directive):
    """Puts them on the page."""

    def run(self) -> list[nodes.Node]:
        """Return the node."""
        return [digits_live()]


def measured() -> dict[str, Any]:
    """Return what is drawn first; it belongs to the road of the recording, which may have been made again since."""
    values = json.loads(MEASURED.read_text("utf-8"))
    assert values["recording"] == recorded.load("valley").digest, "run python docs/live_digits.py: the road is new"
    return values | {"samples": valley.RECIPE["images"], "floor": round(floor(valley.RECIPE["label_noise"]), 4)}


def floor(noise: float, classes: int = 10) -> float:
    """Return the entropy of a label that is drawn anew with a probability: no network's loss is below it."""
    rest = noise / classes
    own = 1 - noise + rest
    return -own * math.log(own) - (classes - 1) * rest * math.log(rest)


def packed() -> dict[str, Any]:
    """Return network, digits and road as plain values, and bytes."""
    recipe, land = valley.RECIPE, valley.landscape()
    pivots = recorded.load("valley")[f"pair{PAIR}/road"].pivots.float()
    smooth = whole(recorded.load("valley")[f"pair{PAIR}/road"]).pivots
    mixture = torch.linalg.lstsq(pivots.T.double(), smooth.T.double()).solution.T
    return {
        "widths": recipe["widths"],
        "labelNoise": recipe["label_noise"],
        "weightDecay": recipe["weight_decay"],
        "pixels": (16 * land.x).round().byte().numpy().tobytes(),
        "labels": land.y.byte().numpy().tobytes(),
        "pivots": pivots.half().numpy().tobytes(),
        "mixture": [round(float(value), 7) for value in mixture.flatten()],
    }


def plain(values: dict[str, Any]) -> str:
    """Return packed values as JSON, bytes in base 64."""
    shown = {
        name: {"base64": base64.b64encode(value).decode()} if isinstance(value, bytes) else value
        for name, value in values.items()
    }
    return json.dumps(shown, separators=(",", ":"))


def script() -> str:
    """Return the modules as one plain script: a worker that is made from a string may not import any."""
    sources = [re.sub(r"^import .*\n", "", file.read_text("utf-8"), flags=re.MULTILINE) for file in MODULES]
    return re.sub(r"^export (?=const|function)", "", "\n".join(sources), flags=re.MULTILINE) + "\nserve(self);\n"


def write(app: Sphinx, error: Exception | None) -> None:
    """Write what the page loads at once, and what it loads later."""
    if error is not None or app.builder.format != "html":
        return
    folder = Path(app.outdir) / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    first = json.dumps({"measured": measured(), "worker": script()}, ensure_ascii=False, separators=(",", ":"))
    (folder / "first.js").write_text(f"entropicDigits({first});\n", "utf-8")
    (folder / "data.js").write_text(f'entropicDigits({{"packed":{plain(packed())}}});\n', "utf-8")


# --- the picture for those without JavaScript -----------------------------------------------------------------------


def sentence(setting: dict[str, Any]) -> str:
    """Return what PyTorch's walkers did, in words."""
    last, alone, theory = (setting[name]["position"][-1] for name in ("drift", "control", "theory"))
    half = len(last) // 2
    left, right = sum(last[:half]) / half, sum(last[half:]) / half
    return (
        f"Recorded with PyTorch: from 0.3 and 0.7 walkers come to {left:.2f} and {right:.2f} in {setting['steps']:,} "
        f"steps with batches of {setting['batchSize']}, where linear theory says {theory[0]:.2f} and {theory[1]:.2f}; "
        f"without noise they are at {alone[0]:.2f} and {alone[1]:.2f}. To see a network do it here, allow JavaScript."
    )


def picture(values: dict[str, Any]) -> str:
    """Return PyTorch's walkers at the first setting, and the one without noise beside them, as SVG."""
    setting = values["settings"][0]
    wide, high, top, left = 150, 190, 26, 8

    def line(run: dict[str, Any], walker: int, at: int, style: str) -> str:
        last = run["step"][-1]
        points = (
            f"{at + wide * row[walker]:.1f},{top + high * step / last:.1f}"
            for step, row in zip(run["step"], run["position"], strict=True)
        )
        return f'<polyline points="{" ".join(points)}" fill="none" stroke="currentColor" {style}/>'

    parts = []
    for column, (title, run) in enumerate([("With noise", setting["drift"]), ("Without", setting["control"])]):
        at = left + column * (wide + 24)
        parts.append(f'<text x="{at}" y="16" font-size="13" font-weight="600" fill="currentColor">{title}</text>')
        box = f'x="{at}" y="{top}" width="{wide}" height="{high}"'
        parts.append(f'<rect {box} fill="none" stroke="currentColor" stroke-opacity=".4"/>')
        parts += [line(run, w, at, 'stroke-width="1.2"') for w in range(len(run["position"][0]))]
        parts.append(f'<text x="{at}" y="{top + high + 16}" font-size="12" fill="currentColor">0</text>')
        parts.append(
            f'<text x="{at + wide}" y="{top + high + 16}" font-size="12" text-anchor="end" fill="currentColor">1</text>'
        )
    words = html.escape(sentence(setting))
    return (
        f'<svg viewBox="0 0 340 240" role="img" aria-label="{words}" class="ee-digits-still">{"".join(parts)}</svg>'
        f"<p>{words}</p>"
    )


def _visit(writer: Any, node: digits_live) -> None:
    here = writer.builder.get_target_uri(writer.builder.current_docname)
    folder = relative_uri(here, FOLDER + "/").rstrip("/") or FOLDER
    static = os.path.dirname(folder)
    still = f"<noscript>{picture(measured())}</noscript>"
    scripts = [f"{static}/digits_draw.js", f"{static}/digits_live.js", f"{folder}/first.js"]  # in this order
    writer.body.append(
        f'<link rel="stylesheet" href="{static}/digits_live.css">'
        f'<div class="ee-digits" id="digits-live" data-folder="{folder}">{still}</div>'
        + "".join(f'<script defer src="{script}"></script>' for script in scripts)
    )
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_node(digits_live, html=(_visit, None))
    app.add_directive("digits-live", DigitsLive)
    app.connect("build-finished", write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
