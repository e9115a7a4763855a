"""Pages that are left, opened twice, saved and reopened, and kernels that restart under them."""

import harness
import nbformat
import pytest
from conftest import started

START, BUMP = "00_start.ipynb", "05_bump.ipynb"


def locked(page, option):
    """Lock an option of the first prediction in, and return what the page then says."""
    bet = page.locator(".ee-bet").first
    bet.locator(".widget-radio-box label").nth(option).click()
    bet.get_by_role("button", name="Lock in").click()
    status = bet.locator(".ee-bet-status", has_text="Locked")
    status.wait_for(timeout=120_000)
    return status.inner_text()


@pytest.fixture
def brief_voila(browser, tmp_path_factory):
    yield from started(
        harness.Voila, browser, tmp_path_factory, cull=30
    )  # seconds, in which a page must connect once its cells have run


@pytest.mark.soak
def test_two_pages_have_kernels_of_their_own_share_the_answers_and_leave_nothing_behind(brief_voila):
    first, second = brief_voila.open(START), brief_voila.open(START)
    assert len(brief_voila.kernels()) == 2
    assert "first bet counts" not in locked(first, 0)
    assert "first bet counts" in locked(second, 1)  # one learner, one file: the bet of the first page stays
    for page in (first, second):
        harness.uncover(page)
    one, other = (page.locator(".ee-explorer").first for page in (first, second))
    before = other.locator(".ee-sentence").inner_text()
    assert one.locator(".ee-sentence").inner_text() == before
    harness.step(first, one)
    assert one.locator(".ee-sentence").inner_text() != before
    assert other.locator(".ee-sentence").inner_text() == before
    third = brief_voila.open(START)
    third.locator(".ee-bet-status", has_text="Locked in an earlier session").first.wait_for(timeout=120_000)
    first.wait_for_timeout(45_000)  # longer than a kernel without a page may stay
    assert len(brief_voila.kernels()) == 3  # a page that is looked at keeps its kernel, however long
    for page in (first, second, third):
        brief_voila.close_page(page)
    harness.waited(lambda: not brief_voila.kernels(), 60, "end of the kernels whose pages were left")


@pytest.mark.soak
def test_a_saved_lesson_holds_pictures_and_words_and_is_gone_on_with(lab):
    """Without its kernel JupyterLab shows no widget, saved or not; the file reads well elsewhere, and runs again."""
    page = lab.open(START)
    try:
        harness.run_all(page)
        locked(page, 0)
        page.evaluate("() => jupyterapp.commands.execute('docmanager:save')")
        saved = harness.waited(lambda: shown(lab.notebooks / START), 120, "saved pictures")
    finally:
        lab.close_page(page)
    assert len(saved) >= 3
    assert any(words.startswith("Run 1: one walker") for words in saved)
    page = lab.open(START)
    try:
        harness.run_all(page)
        page.locator(".ee-bet-status", has_text="Locked in an earlier session").first.wait_for(timeout=120_000)
        explorer = page.locator(".ee-explorer", has=page.locator(".noUi-handle")).first
        explorer.scroll_into_view_if_needed()
        harness.step(page, explorer)
        assert harness.errors(page) == []
    finally:
        lab.close_page(page)


def shown(notebook):
    """Return the words of all pictures that a saved notebook holds, each the last of its lines."""
    outputs = [out for cell in nbformat.read(notebook, 4).cells for out in cell.get("outputs", [])]
    data = [out.data for out in outputs if "data" in out and "image/png" in out.data]
    return [each["text/plain"].strip().splitlines()[-1] for each in data]


@pytest.mark.soak
def test_a_lesson_is_entered_again_after_a_restart(lab):
    page = lab.open(BUMP)
    try:
        harness.run_all(page)
        page.evaluate("() => jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
        page.wait_for_function(harness.CONNECTED, timeout=120_000)
        assert page.evaluate(RUN_SOME, ["ee.Lesson(", 'lesson.explore("flat"']) == [True, True]
        explorer = page.locator(".ee-explorer").first
        explorer.scroll_into_view_if_needed()
        harness.step(page, explorer)
        assert harness.errors(page) == []
    finally:
        lab.close_page(page)


# runs the first cell that has the first words, then the last that has the second, and says whether each went well
RUN_SOME = """async ([setup, play]) => {
  const notebook = jupyterapp.shell.currentWidget.content, cells = [...notebook.widgets];
  const has = words => cell => cell.model.type === 'code' && cell.model.sharedModel.source.includes(words);
  const done = [];
  for (const cell of [cells.find(has(setup)), cells.findLast(has(play))]) {
    notebook.activeCellIndex = cells.indexOf(cell);
    done.push(await jupyterapp.commands.execute('notebook:run-cell'));
  }
  return done;
}"""
