"""The numbered lessons, and a sample, in a real JupyterLab: run them, step them by keyboard, stop what is long."""

import harness
import pytest

NUMBERED = [f.name for f in sorted((harness.ROOT / "lessons").glob("[0-9][0-9]_*.ipynb"))]
NOTEBOOKS = ["sample.ipynb", *NUMBERED]
MEASURED = next((name for name in NUMBERED if name.startswith("03_")), "sample.ipynb")  # of most states


def explorers(page):
    """The explorers of a page that a slider turns, uncovered."""
    harness.uncover(page)
    page.wait_for_selector(".ee-explorer img", timeout=120_000)
    return page.locator(".ee-explorer", has=page.locator(".noUi-handle")).all()


@pytest.mark.soak
def test_many_steps_take_no_memory(opened, lab):
    page = opened(MEASURED)
    explorer = explorers(page)[0]
    explorer.scroll_into_view_if_needed()
    for _ in range(60):
        harness.step(page, explorer)
    before = lab.memory()
    for _ in range(100):
        harness.step(page, explorer)
    grown = lab.memory() - before
    print(f"{MEASURED}: the kernel holds {before:.0f} MiB, and {grown:+.1f} MiB after 100 more steps")
    assert grown < 20
    assert page.complaints == []


def test_the_whole_notebook_fits_in_one_picture(opened, tmp_path):
    from PIL import Image

    page = opened("sample.ipynb", width=900, height=400)
    explorers(page)
    harness.screenshot_full(page, tmp_path / "whole.png")
    with Image.open(tmp_path / "whole.png") as picture:
        assert picture.width > 500
        assert picture.height > page.locator(".ee-explorer").bounding_box()["height"] > 300
    assert page.viewport_size == {"width": 900, "height": 400}


def test_the_same_in_code_is_folded_until_it_is_asked_for_and_then_follows_the_sliders(opened):
    page = opened("sample.ipynb")
    (explorer,) = explorers(page)
    code = explorer.locator(".ee-code")
    assert not code.is_visible()
    explorer.locator("summary").press("Enter")
    before = code.inner_text()
    harness.step(page, explorer)
    harness.waited(lambda: page.wait_for_timeout(50) or code.inner_text() != before, 20, "code of the next step")
    assert "batch_size=" in before
    assert code.is_visible()
    explorer.locator("summary").press("Enter")
    assert not code.is_visible()


def test_a_dark_page_turns_the_white_of_pictures_to_black(opened):
    page = opened("sample.ipynb")
    (explorer,) = explorers(page)
    looks = "image => getComputedStyle(image).filter"
    assert explorer.locator("img").evaluate(looks) == "none"
    page.evaluate("document.body.dataset.jpThemeLight = 'false'")
    assert "invert" in explorer.locator("img").evaluate(looks)


def test_what_is_red_and_what_the_console_says_is_seen(opened, lab):
    page = lab.open("sample.ipynb")
    try:
        page.evaluate("console.error('a planted complaint'); setTimeout(() => { throw new Error('planted too'); })")
        harness.waited(lambda: page.wait_for_timeout(50) or len(page.complaints) > 1, 120, "second complaint")
        assert [words.split(" (")[0] for words in page.complaints] == ["a planted complaint", "pageerror: planted too"]
        page.locator(".jp-CodeCell .cm-content").first.fill("1 / 0")
        with pytest.raises(AssertionError, match="ZeroDivisionError"):
            harness.run_all(page)
    finally:
        lab.close_page(page)


# --- each notebook, opened once: last in this file, since the last of them stays open to its end ----------------------


SOAK = ("01", "03", "04", "07")  # lessons whose kinds of explorer the others have too


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=pytest.mark.soak) if name[:2] in SOAK else name for name in NOTEBOOKS],
)
def notebook(lab, request):
    """The name of a notebook and its page with all cells run, opened once for the tests of it."""
    page = lab.open(request.param)
    harness.run_all(page)
    yield request.param, page
    lab.close_page(page)


def test_a_lesson_runs_and_each_step_of_a_slider_changes_picture_and_sentence(notebook):
    notebook, page = notebook
    found = explorers(page)
    assert found
    for explorer in found:
        explorer.scroll_into_view_if_needed()
        picture, words = explorer.locator("img"), explorer.locator(".ee-sentence")
        for slider in range(explorer.locator(".noUi-handle").count()):
            taken = []
            for _ in range(harness.way(page, explorer, slider)):  # to one end, and from there to the other
                before = picture.get_attribute("src"), words.inner_text()
                taken.append(harness.step(page, explorer, slider))
                assert picture.get_attribute("src") != before[0]
                assert words.inner_text() not in ("", before[1])
            print(f"{notebook}: {max(taken) * 1000:.0f} ms at most for a step of slider {slider}: {words.inner_text()}")
    assert harness.errors(page) == []
    assert page.complaints == []


def test_long_work_shows_how_far_it_is_and_stops_when_told_to(notebook):
    notebook, page = notebook
    explorers(page)
    long = page.locator(".ee-explorer", has=page.locator("button.ee-run")).all()
    if not long:
        pytest.skip(f"{notebook} has no explorer with long work")
    for explorer in long:
        words, taken = harness.stop_work(explorer)
        print(f"{notebook}: {words.split()[0]} after {taken:.2f} s")
    assert [each for each in harness.errors(page) if "Not written yet" not in each] == []  # by the learner
    assert page.complaints == []
