"""What a reader of a page waits for, in Chromium: the stage's first picture, a slider's answer, a frame, and digits.

Without Chromium and Playwright there are no rows. Times are of the wall, for that is what a reader waits for; the
processor's seconds of all of Chromium stand in the note of the digits, for a machine that had other work too.

    python -m benchmarks browser
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from entropic_edu.course import stages

from .run import Row

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "docs"))
import one_page

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
PLACE = "document.querySelector('.ee-digits').dataset"
ANSWERS = """async () => {
  const root = document.querySelector('.ee-stage'), input = root.querySelector('[data-name=batch_size]');
  const taken = [];
  for (let i = 0; i < 15; i++) {
    await new Promise(done => setTimeout(done, 40 + 3 * i));
    const before = root.dataset.step, begun = performance.now();
    input.value = i % 7;
    input.dispatchEvent(new Event('input'));
    while (root.dataset.step === before) await new Promise(requestAnimationFrame);
    taken.push((performance.now() - begun) / 1000);
  }
  return taken;
}"""
FRAMES = """async (seconds) => {
  const rates = [];
  for (let second = 0; second < seconds; second++) {
    const begun = performance.now();
    let frames = 0;
    while (performance.now() - begun < 1000) { await new Promise(requestAnimationFrame); frames += 1; }
    rates.push((performance.now() - begun) / 1000 / frames);
  }
  return rates;
}"""


def rows(small: bool = False) -> Iterator[Row]:
    """Yield the rows; ``small`` takes few frames, and few steps of the digits."""
    chromium = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if chromium is None or importlib.util.find_spec("playwright") is None:
        print("no Chromium with Playwright here: nothing of the page is measured")
        return
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        running = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        yield from _stage(running, Path(folder), small)
        yield from _digits(running, Path(folder), small)
        running.close()


def _stage(browser: Any, folder: Path, small: bool) -> Iterator[Row]:
    """Yield the rows of a stage with twice 250 walkers."""
    page = browser.new_page()
    page.goto(one_page.stage(folder, "waist", stages.waist(0, even=True)).as_uri())
    there = page.evaluate("there / 1000")
    yield Row("page: the stage's first picture", there, {"allowed": 2.0}, note=WALL)
    yield Row("page: from a slider to motion", statistics.median(page.evaluate(ANSWERS)), {"allowed": 0.05}, note=WALL)
    page.wait_for_timeout(200 if small else 1500)
    frames = page.evaluate(FRAMES, 1 if small else 8)
    yield Row("page: a frame of 500 walkers", statistics.median(frames), {"allowed": 1 / 55}, note=WALL)
    yield Row("page: a frame in the worst second", max(frames), {"allowed": 1 / 30}, note=WALL)
    page.close()


def _digits(browser: Any, folder: Path, small: bool) -> Iterator[Row]:
    """Yield the row of the network that walks."""
    steps = 15 if small else 2000
    page = browser.new_page(viewport={"width": 1000, "height": 1000})
    page.goto(one_page.digits(folder / "digits").as_uri())
    page.locator(".ee-digits canvas").first.wait_for()
    page.locator(".ee-digits button").first.press("Enter")
    began, worked = time.perf_counter(), _seconds()
    page.wait_for_function(f"Number({PLACE}.step) >= {steps}", timeout=600_000)
    wall, worked = time.perf_counter() - began, _seconds() - worked
    cores = page.evaluate("navigator.hardwareConcurrency")
    spent = (
        f"{WALL} The digits took {worked:.1f} s of {cores} cores; the load of the machine was {os.getloadavg()[0]:.1f}."
    )
    yield Row(f"page: 16 walkers x {steps:,} steps", wall, {"allowed": 15 * steps / 2000}, note=spent)
    page.close()


def _seconds() -> float:
    """Return the processor's time that all Chromium processes have had, where the system tells."""
    total = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, fields = stat.read_text().rsplit(")", 1)
        except OSError:  # it has ended
            continue
        if "chrom" in name:
            total += sum(map(int, fields.split()[11:13]))
    return total / os.sysconf("SC_CLK_TCK")


WALL = "Seconds of the wall in Chromium without a graphics card, loaded from disk."
