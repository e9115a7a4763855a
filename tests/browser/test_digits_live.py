"""A network on digits that walks in the page: a real browser, from a folder, as ``make site`` writes it."""

import re
import shutil
import sys
from pathlib import Path

import pytest

pytest.importorskip("furo", reason='the site needs pip install "entropic-edu[site]"')
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "docs"))
import one_page

PLACE = "document.querySelector('.ee-digits').dataset"


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """A site of one page, in a folder."""
    return one_page.digits(tmp_path_factory.mktemp("digits"))


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
        page.locator(".ee-digits canvas").first.wait_for(timeout=120_000)
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
    page.wait_for_function(f"{PLACE}.state === 'running'", timeout=120_000)
    page.wait_for_function(f"Number({PLACE}.step) > 0", timeout=120_000)  # of the walker that is last
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
def test_two_thousand_steps_are_taken_and_the_page_tells_how_fast(opened):
    page = opened()
    page.locator(".ee-digits button").first.press("Enter")
    page.wait_for_function(f"{PLACE}.seconds2000 !== undefined", timeout=300_000)
    assert page.evaluate(f"Number({PLACE}.step)") >= 2000
    page.locator(".ee-digits button").first.press("Enter")
    said = page.locator(".ee-digits-status").first.inner_text()
    told = re.match(r"([\d,]+) walker steps a second", said)
    assert told, said
    assert int(told[1].replace(",", "")) > 0
    step = re.match(r"Step ([\d,]+) of the live walkers", page.locator(".ee-digits .ee-sentence").first.inner_text())
    assert int(step[1].replace(",", "")) >= 2000


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
