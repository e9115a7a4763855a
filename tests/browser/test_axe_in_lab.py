"""axe-core over each lesson in JupyterLab, in both themes: our text, and all that our cells show.

What surrounds them is JupyterLab's own, and so are pictures that plain code shows, which it gives no words: first_road
has some, and prints their numbers beside them. Everything is as a learner leaves it: predictions answered or skipped,
and what opens after them.
"""

import axe
import harness
import pytest

LESSONS = [file.name for file in sorted((harness.ROOT / "lessons").glob("*.ipynb"))]
OURS = (".jp-MarkdownOutput", ".jp-OutputArea-output:not(.jp-RenderedImage)")
THEMES = ("JupyterLab Light", "JupyterLab Dark")
QUICK = "02_flat_floor.ipynb"  # with stages, predictions, explorers, exercises
NAMES = [name if name == QUICK else pytest.param(name, marks=pytest.mark.soak) for name in LESSONS]


def in_sight(page):
    """Let the window grow until all of the notebook is laid out."""
    outer = page.locator(".jp-WindowedPanel-outer").first
    for _ in range(3):  # cells that come in sight may grow
        needed = outer.evaluate("panel => panel.scrollHeight - panel.clientHeight")
        page.set_viewport_size(page.viewport_size | {"height": page.viewport_size["height"] + max(0, needed)})
        page.wait_for_timeout(200)


def answered(page):
    """Lock the first prediction and look at its reply; skip the others."""
    bet = page.locator(".ee-bet").first
    if bet.get_by_role("button", name="Lock in").count():
        bet.get_by_role("radio").first.check()
        bet.get_by_role("button", name="Lock in").click()
        bet.get_by_role("button", name="Show the result").click()
        bet.locator(".ee-bet-reply p").wait_for(timeout=120_000)
    harness.uncover(page)


UNTOLD = """() => [...document.querySelectorAll(".widget-toggle-buttons")]
  .filter(group => !(group.role === "group" && group.ariaLabel))
  .concat([...document.querySelectorAll(".widget-toggle-button")]
    .filter(button => button.ariaPressed !== String(button.classList.contains("mod-active"))))
  .map(group => group.textContent)"""


@pytest.mark.parametrize("name", NAMES)
def test_a_keyboard_and_a_screen_reader_can_use_a_lesson(name, lab):
    page = lab.open(name)
    try:
        harness.run_all(page)
        answered(page)
        in_sight(page)
        found = {}
        for theme in THEMES:
            page.evaluate("theme => jupyterapp.commands.execute('apputils:change-theme', { theme })", theme)
            light = str(theme.endswith("Light")).lower()
            page.wait_for_function(f"document.body.dataset.jpThemeLight === '{light}'")
            found[theme] = axe.violations(page, *OURS, options={})
        assert page.evaluate(UNTOLD) == []
        print(f"axe: {name} at {len(THEMES)} themes, {sum(map(len, found.values()))} violations")
        assert found == {theme: [] for theme in THEMES}
    finally:
        lab.close_page(page)
        lab.forget()


def test_a_slider_says_its_name_and_its_option_and_a_picture_its_title(opened):
    page = opened("sample.ipynb")
    harness.uncover(page)
    slider = page.get_by_role("slider", name="batch size")
    assert slider.get_attribute("aria-valuetext") == "16"
    slider.focus()
    page.keyboard.press("ArrowRight")
    harness.waited(lambda: slider.get_attribute("aria-valuetext") == "64", 120, "option that is said")
    assert page.get_by_role("img", name="Sample").count() == 1
