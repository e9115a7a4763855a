"""Pictures of lesson 02 in each front end, for ``front_ends.md`` and the site: ``python docs/screens.py``.

It starts each server over a copy of the lessons, as the tests do, runs the lesson, and looks at it with Chromium: the
extra ``dev`` is needed.
"""

import io
import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

COLOURS = 128
HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "tests" / "browser"))

import harness  # noqa: E402

LESSON = "02_flat_floor.ipynb"
STAGE, EXPLORER = ".ee-stage >> nth=1", ".ee-explorer >> nth=0"  # that of round 1; the histogram of round 2


def shown(server, what: str, **settings):
    """Open the lesson, run it, skip its predictions, and put a part of it at the top of the window."""
    page = server.open(LESSON, **settings)
    page.set_default_timeout(120_000)
    if server.name != "voila":
        harness.run_all(page)
    harness.uncover(page)
    page.locator(".ee-stage[data-step='480']").first.wait_for()
    to_top(page, what)
    return page


def to_top(page, what: str) -> None:
    """Put a part of a page at the top of the window, with a little of what stands above it."""
    page.locator(what).evaluate("part => { part.style.scrollMarginTop = '40px'; part.scrollIntoView(true); }")
    page.mouse.move(0, 0)
    page.wait_for_timeout(1500)  # the page scrolls, and pictures are drawn


def save(part, file: Path) -> None:
    """Save a picture of a page, or of a part of one, in few colours: a third of the bytes."""
    with Image.open(io.BytesIO(part.screenshot())) as picture:
        picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(file, optimize=True)


def main(folder: Path = HERE) -> None:
    """Make all pictures anew."""
    screens = folder / "screens"
    with tempfile.TemporaryDirectory() as place, sync_playwright() as playwright:
        found = next(path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name)))
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        for kind in (harness.Lab, harness.Notebook, harness.Voila):
            home = Path(place) / kind.name
            leave = shutil.ignore_patterns("src", "*.py", ".*", "ruff.toml")
            lessons = shutil.copytree(HERE.parent / "lessons", home / "lessons", ignore=leave)
            server = kind(lessons, home / "rest", browser)
            try:
                if kind is harness.Voila:
                    save(shown(server, STAGE, width=420), screens / "voila_narrow.png")
                elif kind is harness.Notebook:
                    save(shown(server, EXPLORER), screens / "notebook.png")
                else:
                    page = shown(server, STAGE)
                    save(page, screens / "lab.png")
                    page.evaluate("jupyterapp.commands.execute('apputils:change-theme', { theme: 'JupyterLab Dark' })")
                    to_top(page, STAGE)
                    save(page, screens / "lab_dark.png")
                    page.evaluate("jupyterapp.commands.execute('apputils:change-theme', { theme: 'JupyterLab Light' })")
                    to_top(page, EXPLORER)
                    save(page.locator(".jp-Cell:has(.ee-explorer) >> nth=0"), folder / "lesson.png")
            finally:
                server.close()
        browser.close()


if __name__ == "__main__":
    main()
