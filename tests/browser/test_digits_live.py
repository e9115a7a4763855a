"""A network on digits that walks in the page: a real browser, from a folder, as ``make site`` writes it."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("furo", reason='the site needs pip install "entropic-edu[site]"')
ROOT = Path(__file__).resolve().parents[2]
CONF = """
import sys
sys.path[:0] = [{ext!r}, {root!r}]
project, extensions, html_theme = "page", ["myst_parser", "digits_live"], "furo"
html_static_path, html_css_files = [{static!r}], ["site.css"]
"""
PLACE = "document.querySelector('.ee-digits').dataset"


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """A site of one page, in a folder."""
    source, made = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("made")
    docs = ROOT / "docs"
    given = {"ext": str(docs / "_ext"), "root": str(ROOT), "static": str(docs / "_static")}
    (source / "conf.py").write_text(CONF.format(**given))
    (source / "index.md").write_text("# Digits\n\nA sentence.\n\n```{digits-live}\n```\n\nAfter.\n")
    told = [sys.executable, "-m", "sphinx", "-q", "-W", "-b", "html", str(source), str(made)]
    subprocess.run(told, check=True, env=os.environ | {"PYTHONPATH": str(ROOT)})
    return made / "index.html"


@pytest.fixture
def opened(address, browser):
    """A function that opens the page; what it asks for and complains of is in ``asked`` and ``said``."""
    contexts = []

    def open_page(wide=1000, **settings):
        contexts.append(browser.new_context(viewport={"width": wide, "height": 1000}, **settings))
        page = contexts[-1].new_page()
        page.asked, page.said = [], []
        page.on("request", lambda request: page.asked.append(request.url))
        page.on("pageerror", lambda error: page.said.append(str(error)))
        page.goto(address.as_uri())
        page.locator(".ee-digits canvas").first.wait_for(timeout=20_000)
        return page

    yield open_page
    for context in contexts:
        context.close()


DRAWN = "c => c.getContext('2d').getImageData(0, 0, c.width, c.height).data.filter((v, i) => i % 4 === 3 && v).length"


def ink(page, number):
    """Return how many pixels of a canvas are drawn."""
    return page.locator(".ee-digits canvas").nth(number).evaluate(DRAWN)


def test_walkers_are_let_go_and_stopped_by_keyboard(opened, address):
    page = opened()
    first, words = ink(page, 0), page.locator(".ee-digits .ee-sentence").first
    assert first > 2000
    assert words.inner_text().startswith("Recorded with PyTorch, step 6,000")
    assert not [url for url in page.asked if "data.js" in url]  # only when somebody wants them to walk
    button = page.locator(".ee-digits button").first
    button.press("Enter")
    page.wait_for_function(f"{PLACE}.state === 'running'", timeout=20_000)
    page.wait_for_function("/^[1-9][\\d,]* walker steps/.test(document.querySelector('.ee-digits-status').textContent)")
    button.press("Enter")
    page.wait_for_function(f"{PLACE}.state === 'stopped'")
    assert words.inner_text().startswith("Step ")
    assert ink(page, 0) < first  # the recorded lines have gone
    page.locator(".ee-digits select").press("ArrowDown")
    page.wait_for_function(f"{PLACE}.state === 'recorded'")
    assert "η = 0.01" in page.locator(".ee-digits figcaption").first.inner_text()
    folder = address.parent.as_uri()
    assert page.said == []
    assert [url for url in page.asked if not url.startswith((folder, "data:", "blob:"))] == []


@pytest.mark.soak
def test_sixteen_walkers_take_two_thousand_steps_in_fifteen_seconds(opened):
    page = opened()
    page.locator(".ee-digits button").first.press("Enter")
    began, worked = time.monotonic(), chromium_seconds()
    page.wait_for_function(f"{PLACE}.seconds2000 !== undefined", timeout=120_000)
    wall, worked = time.monotonic() - began, chromium_seconds() - worked
    cores = page.evaluate("Math.min(8, navigator.hardwareConcurrency)")
    print(f"2,000 steps of 16 walkers: {wall:.1f} s, {worked:.1f} s of {cores} cores")
    assert min(wall, worked / cores) < 15  # where other work has the cores, what this took of them counts


def chromium_seconds():
    """Return the processor's time that all Chromium processes have had."""
    total = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, fields = stat.read_text().rsplit(")", 1)
        except OSError:  # it has ended
            continue
        if "chrom" in name:
            total += sum(map(int, fields.split()[11:13]))
    return total / os.sysconf("SC_CLK_TCK")


@pytest.mark.soak
def test_two_networks_are_trained(opened):
    page = opened()
    button = page.locator(".ee-digits-training button")
    button.press("Enter")
    page.wait_for_function(f"{PLACE}.trained === '1-2'", timeout=120_000)
    words = page.locator(".ee-digits-training .ee-sentence").inner_text()
    assert words.startswith("Seeds 1 and 2 end at a loss of 0.5")
    assert "They know 100 % of their labels" in words
    assert ink(page, 2) > 1000
    assert ink(page, 3) > 1000
    assert button.is_enabled()
    assert page.said == []


@pytest.mark.soak
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("wide", [360, 900, 1600])
def test_the_page_fits(wide, scheme, opened):
    page = opened(wide, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= wide
    before = page.evaluate("document.querySelector('.ee-digits').getBoundingClientRect().top")
    page.wait_for_timeout(300)
    assert page.evaluate("document.querySelector('.ee-digits').getBoundingClientRect().top") == before


@pytest.mark.soak
def test_nothing_moves_for_those_who_asked_for_it(opened):
    page = opened(reduced_motion="reduce")
    page.locator(".ee-digits button").first.press("Enter")
    page.wait_for_function(f"{PLACE}.state === 'running'")
    page.locator(".ee-digits-status", has_text="less motion").first.wait_for()
    before = ink(page, 0)
    page.wait_for_timeout(2000)
    assert ink(page, 0) == before


@pytest.mark.soak
@pytest.mark.parametrize("lacks", ["data", "workers"])
def test_where_nothing_can_run_the_recorded_picture_stays(lacks, address, browser, tmp_path):
    copy = shutil.copytree(address.parent, tmp_path / "copy")
    page = browser.new_page()
    if lacks == "data":
        (copy / "_static" / "digits_live" / "data.js").unlink()
    else:
        page.add_init_script("window.Worker = class { constructor() { throw new Error('no workers here'); } };")
    page.goto((copy / "index.html").as_uri())
    button = page.locator(".ee-digits button").first
    button.wait_for()
    first = ink(page, 0)
    button.press("Enter")
    page.locator(".ee-digits-status", has_text="The picture is recorded").first.wait_for()
    assert ink(page, 0) == first
    assert page.locator(".ee-digits .ee-sentence").first.inner_text().startswith("Recorded with PyTorch")
    page.close()


@pytest.mark.soak
def test_without_javascript_there_is_a_picture_with_words(address, browser):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(address.as_uri())
    still = page.locator(".ee-digits-still")
    assert still.bounding_box()["height"] > 150
    assert "Recorded with PyTorch" in page.locator(".ee-digits p").inner_text()
    context.close()
