"""Lesson 02 by keyboard and words alone: what somebody does who sees nothing, and what they can then answer.

Everything is found by its role and name in the accessibility tree, turned by keys, and read from the tree's text; no
picture, no place on the page and no class is looked at. The stages are the lesson's own: once on plain pages, and once
in JupyterLab, where predictions come first.
"""

import re
import sys

import harness
import pytest

from entropic_edu import course

sys.path.insert(0, str(harness.ROOT / "docs"))
import one_page

NUMBER = r"([−\d.]+)"
SHARES = rf"{NUMBER} ± {NUMBER} % of the left crowd \(theory {NUMBER} %\), {NUMBER} ± {NUMBER} % of the right one"


class Reader:
    """A learner at a stage: its words, and its controls by name."""

    def __init__(self, page, title):
        self.page, self.stage = page, page.get_by_role("group", name=title, exact=True)
        self.stage.last.wait_for(timeout=120_000)
        self.stage = self.stage.last  # the one that was asked for last

    def press(self, name):
        """Press a button by keyboard."""
        self.stage.get_by_role("button", name=name, exact=True).focus()
        self.page.keyboard.press("Enter")

    def turn(self, name, key):
        """Turn a slider by a key, and return what it then says of itself."""
        slider = self.stage.get_by_role("slider", name=re.compile(f"^{re.escape(name)}"))
        slider.focus()
        self.page.keyboard.press(key)
        return slider.get_attribute("aria-valuetext")

    def choose(self, name, letters):
        """Choose in a list by the first letters of an option."""
        self.stage.get_by_role("combobox", name=name).focus()
        self.page.keyboard.type(letters)

    def read(self, step):
        """Return the words of the tree when it stands still at a step."""
        self.stage.get_by_text(re.compile(f"^Step {step},")).wait_for(timeout=120_000)
        self.stage.get_by_role("button", name="Play", exact=True).wait_for(timeout=120_000)
        return self.stage.aria_snapshot()


def numbers(words, pattern):
    """Return the numbers of a pattern, which words must hold."""
    found = re.search(pattern, words)
    assert found, words
    return [float(part.replace("−", "-")) for part in found.groups()]


def flat_floors(opening):
    """Without noise nobody moves on a flat floor, and what differs between the two is said."""
    words = opening.read(240)
    assert "Walls that tighten in the middle" in words
    assert "Straight walls" in words
    assert opening.turn("batch size", "End") == "all"
    opening.press("Pause")
    opening.press("Start again")
    for _ in range(3):
        opening.press("One step")
    assert numbers(opening.read(3), rf"is {NUMBER} on the left .* and {NUMBER} on the right") == [0, 0]


def a_push(narrow):
    """With noise the narrow third drains where walls tighten, and only there; without noise it does not."""
    left, error, law, right, other = numbers(narrow.read(480), SHARES)
    assert left + 4 * error < 100 / 3 - 10
    assert abs(left - law) < 4 * error + 1
    assert abs(right - 100 / 3) < 4 * other + 3
    narrow.stage.get_by_text("The picture in words").focus()
    narrow.page.keyboard.press("Enter")
    parts = re.search(r"Walls that tighten in the middle: .*?: ([\d, ]+) % of the walkers", narrow.read(480))[1]
    assert min(parts.split(", "), key=int) == parts.split(", ")[2]  # fewest are in the middle
    narrow.choose("beside it", "no n")
    narrow.press("Play")
    words = narrow.read(480)
    assert "No noise (all data)" in words
    assert numbers(words, SHARES)[3] == pytest.approx(100 / 3, abs=1)  # as many as at first, to a walker


def a_pinch_is_no_hill(barriers):
    """Cooling closes the hill and not the pinch."""
    pattern = rf"at the pinch, {NUMBER} ± {NUMBER} % are past the middle .* at the hill, {NUMBER} ± {NUMBER} % \("
    hot = numbers(barriers.read(150), pattern)
    assert barriers.turn("temperature", "End") == "0.045"
    barriers.stage.get_by_text(re.compile("^Step 150, T = 0.045")).wait_for(timeout=120_000)
    cold = numbers(barriers.read(150), pattern)
    assert abs(hot[0] - cold[0]) < 3 * (hot[1] + cold[1])
    assert hot[2] - cold[2] > 2 * (hot[3] + cold[3])


def test_the_stages_of_lesson_02_are_played_by_keyboard_and_read_in_words(browser, tmp_path):
    page = browser.new_page()
    for name, does in (("waist", flat_floors), ("narrow", a_push), ("barriers", a_pinch_is_no_hill)):
        scene = course.chapter("02").players[name](0).scene
        page.goto(one_page.stage(tmp_path, name, scene).as_uri())
        does(Reader(page, scene.title))
    page.close()


def predict(page, place, option):
    """Choose an option of a prediction, say how sure, and lock it, all by keys."""
    form = page.locator(".ee-bet").nth(place)
    form.get_by_role("radio", name=option).focus()
    page.keyboard.press("Space")
    form.get_by_role("slider").focus()
    page.keyboard.press(page.keys[0])
    form.get_by_role("button", name="Lock in").focus()
    page.keyboard.press("Enter")
    form.get_by_text(re.compile("^Locked")).wait_for(timeout=120_000)


@pytest.mark.soak
def test_lesson_02_is_done_in_jupyterlab_by_keyboard_and_words(lab):
    lab.forget()  # what other tests have answered
    page = lab.open("02_flat_floor.ipynb")
    try:
        harness.run_all(page)
        flat_floors(Reader(page, "Two crowds on a flat floor"))
        predict(page, 0, re.compile("^Fewer"))
        narrow = Reader(page, "Two crowds on a flat floor")
        assert "Your bet for the left crowd: 17 %." in narrow.read(480)
        a_push(narrow)
        predict(page, 1, re.compile("^A quarter"))
        explorer = page.get_by_text(re.compile("the middle holds 1/"))
        explorer.first.wait_for(timeout=120_000)
        rarer, error = numbers(explorer.first.inner_text(), rf"holds 1/{NUMBER} \(± {NUMBER}\)")
        assert abs(rarer - 4) < 4 * error
        predict(page, 2, re.compile("^Only the hill"))
        a_pinch_is_no_hill(Reader(page, "A pinch and a hill"))
        assert page.complaints == []
    finally:
        lab.close_page(page)
        lab.forget()
