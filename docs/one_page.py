"""One page in a folder, with digits that walk or with a stage, for tests and benchmarks of it in a browser."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from entropic_edu.teaching import live
from entropic_edu.teaching.stage import STYLE, Scene

DOCS = Path(__file__).resolve().parent
CONF = """
import sys
sys.path[:0] = [{ext!r}, {root!r}]
project, extensions, html_theme = "page", ["myst_parser", "digits_live"], "furo"
html_static_path, html_css_files = [{static!r}], ["site.css"]
"""
PAGE = """<!doctype html><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<style>:root {{ color-scheme: light dark }} body {{ margin: 12px; color: {ink}; background: {paper} }} {style}</style>
<div id="place"></div><script src="stage.js"></script>
<script>window.shown = entropicLive.stage(document.getElementById("place"), {scene}); window.there = performance.now();
</script>"""
LIGHT, DARK = ("#222", "#fff"), ("#ddd", "#131416")


def digits(folder: Path) -> Path:
    """Build a site of one page with the digits, and return the page."""
    source, made = folder / "source", folder / "site"
    source.mkdir(parents=True)
    given = {"ext": str(DOCS / "_ext"), "root": str(DOCS.parent), "static": str(DOCS / "_static")}
    (source / "conf.py").write_text(CONF.format(**given), "utf-8")
    (source / "index.md").write_text("# Digits\n\nA sentence.\n\n```{digits-live}\n```\n\nAfter.\n", "utf-8")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "-b", "html", str(source), str(made)]
    subprocess.run(command, check=True, env=os.environ | {"PYTHONPATH": str(DOCS.parent)})
    return made / "index.html"


def stage(folder: Path, name: str, scene: Scene, *, dark: bool = False) -> Path:
    """Write a page with a scene and the script beside it, and return the page."""
    (folder / "stage.js").write_text(live.plain("stage", "stage"), "utf-8")
    page, (ink, paper) = folder / f"{name}.html", DARK if dark else LIGHT
    page.write_text(PAGE.format(ink=ink, paper=paper, style=STYLE, scene=json.dumps(scene.plain())), "utf-8")
    return page
