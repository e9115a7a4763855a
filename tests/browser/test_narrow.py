"""Panels side by side that stand one beneath another where the page is narrow: the script in a real browser."""

import base64
import json
from types import SimpleNamespace

import pytest

from entropic_edu.teaching import named
from entropic_edu.teaching.explorer import Explorer, slider
from entropic_edu.teaching.sheet import WIDTH, Panel

SCRIPT = named.Names._esm.replace("export default { render };", "")
PAGE = """<div id="box" style="width: {room}px"><img class="widget-image" width="{width}" height="340"
  style="max-width: 100%; height: auto" src="data:image/png;base64,{picture}"><div id="el"></div></div><script>{script}
const known = {known};
render({{ model: {{ get: (name) => known[name] }}, el: document.querySelector("#el") }});</script>"""
LEFT, RIGHT = Panel((0.1, 0.15, 0.3, 0.75), "left"), Panel((0.6, 0.15, 0.3, 0.75), "right")
ROW = """(source, [x, y, wide]) => {
  const pen = new OffscreenCanvas(source.naturalWidth || source.width, y + 1).getContext("2d");
  pen.drawImage(source, 0, 0);
  return Array.from(pen.getImageData(x, y, wide, 1).data);
}"""  # the pixels of part of a row


def draw(sheet, state):
    for name in state.drawn:
        sheet[name].line([0, 1], [0, state.height])
    if state.across:
        sheet["left"].ax.figure.text(0.5, 0.5, "one word over both", ha="center")


@pytest.fixture
def shown(browser):
    """A function that opens the picture of an explorer in a box of so many pixels."""
    pages = []

    def go(room, panels, height=1.0, across=False):
        state = SimpleNamespace(drawn=list(panels), across=across)
        explorer = Explorer(
            draw, [slider("height", (0.5, 1.0), height)], panels, lambda state: "",
            state=lambda height: SimpleNamespace(height=height, **vars(state)),
        )  # fmt: skip
        known = json.dumps({"picture": "two slopes", "zones": explorer._zones})
        picture = base64.b64encode(explorer.draw().png).decode()
        page = browser.new_page()
        page.on("pageerror", lambda error: pages.append(error))
        page.set_content(PAGE.format(room=room, width=WIDTH, picture=picture, script=SCRIPT, known=known))
        page.wait_for_function("document.querySelector('img').complete")
        page.wait_for_timeout(100)  # for what is to stay as it is
        return page

    yield go
    assert pages == []


def test_on_a_narrow_page_panels_stand_one_beneath_another_and_no_pixel_is_lost(shown):
    page = shown(420, {"left": LEFT, "right": RIGHT})
    canvas, image = page.locator("canvas"), page.locator("img")
    canvas.wait_for()
    assert not image.is_visible()
    assert canvas.get_attribute("aria-label") == "two slopes"
    assert canvas.bounding_box()["width"] <= 420
    wide, high = canvas.evaluate("it => [it.width, it.height / 2]")
    whole = image.evaluate("it => it.naturalWidth")
    assert wide < 0.6 * whole
    some = int(0.35 * whole)  # less than either part has
    at = high // 2
    assert canvas.evaluate(ROW, [0, at, some]) == image.evaluate(ROW, [0, at, some])
    rows = [canvas.evaluate(ROW, [whole - some - edge, high + at, some]) for edge in (wide, whole - wide)]
    assert image.evaluate(ROW, [whole - some, at, some]) in rows


def test_on_a_wide_page_it_is_one_picture_also_after_the_page_was_narrow(shown):
    page = shown(420, {"left": LEFT, "right": RIGHT})
    page.locator("canvas").wait_for()
    page.evaluate("document.querySelector('#box').style.width = '800px'")
    page.locator("img").wait_for()
    assert page.locator("canvas").count() == 0
    assert shown(700, {"left": LEFT, "right": RIGHT}).locator("canvas").count() == 0


def test_a_new_picture_is_stacked_as_well(shown):
    page = shown(420, {"left": LEFT, "right": RIGHT})
    page.locator("canvas").wait_for()
    other = shown(420, {"left": LEFT, "right": RIGHT}, height=0.5)
    other.locator("canvas").wait_for()
    wanted = other.locator("canvas").evaluate("it => it.toDataURL()")
    assert page.locator("canvas").evaluate("it => it.toDataURL()") != wanted
    source = other.locator("img").get_attribute("src")
    page.locator("img").evaluate("(it, source) => { it.src = source; }", source)
    page.wait_for_function("wanted => document.querySelector('canvas').toDataURL() === wanted", arg=wanted)


@pytest.mark.parametrize(
    ("panels", "across"),
    [
        ({"left": LEFT}, False),
        ({"left": LEFT, "right": RIGHT}, True),
        ({"left": LEFT, "right": Panel(RIGHT.place, x="rows as at the left")}, False),
    ],
)
def test_what_cannot_be_parted_stays_whole(panels, across, shown):
    page = shown(420, panels, across=across)
    assert page.locator("canvas").count() == 0
    assert page.locator("img").is_visible()
