"""Lessons in Notebook 7 and Voila as in JupyterLab: what a learner does there, and the same numbers everywhere."""

import ast
import os
import re
import statistics

import harness
import nbformat
import pytest

import entropic_edu as ee

LESSONS = {f.name[:2]: f.name for f in sorted((harness.ROOT / "lessons").glob("[0-9][0-9]_*.ipynb"))}
SERVERS = {"JupyterLab": "lab", "Notebook 7": "notebook7", "Voila": "voila"}
LONG = [("JupyterLab", "02")]  # whose lessons are all driven in test_lessons_in_lab
LONG += [(front, number) for front in ("Notebook 7", "Voila") for number in ("00", "02", "06", "09")]
taken_in = {}  # seconds of the steps in each front end, on the lesson that is measured everywhere


def made(number, kind):
    """What a lesson's cells give to lesson.explore or lesson.predict, in the order of the page: a name and keywords.

    A function that a learner is to write is the one that a cell has them begin with.
    """
    scope, calls = {}, []
    notebook = nbformat.read(harness.ROOT / "lessons" / LESSONS[number], as_version=4)
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    tree = ast.parse(re.sub("^( *)%.*", r"\1pass", code, flags=re.MULTILINE))
    for node in tree.body:
        if isinstance(node, (ast.Import, ast.ImportFrom, ast.FunctionDef)):
            exec(compile(ast.Module([node], []), "cell", "exec"), scope)
        elif ast.unparse(node).startswith(f"lesson.{kind}("):
            given = {each.arg: eval(ast.unparse(each.value), scope) for each in node.value.keywords}
            calls.append((ast.literal_eval(node.value.args[0]), given))
    return calls


class Visit:
    """A lesson on a page of a front end, and the same lesson in this process: its twin."""

    def __init__(self, front, number, server):
        self.front, self.number, self.server = front, number, server
        self.page = server.open(LESSONS[number])
        if front != "Voila":
            harness.run_all(self.page)
        self.twin = ee.Lesson(number)
        self.bets()
        shown = self.page.locator(".ee-explorer").all()
        twins = [self.twin.explore(name, **given) for name, given in made(number, "explore")]
        assert len(shown) == len(twins)
        self.explorers = list(zip(shown, twins, strict=True))

    def bets(self):
        """Lock the first prediction that covers an explorer, on the page and in the twin; skip the others."""
        covers = self.page.locator("p.ee-covered").count()
        assert covers, "every lesson that is visited covers an explorer"
        bets = [name for name, _ in made(self.number, "predict")]
        first = next(given["after"] for _, given in made(self.number, "explore") if "after" in given)
        bet = self.page.locator(".ee-bet").nth(bets.index(first))
        bet.scroll_into_view_if_needed()
        bet.locator(".widget-radio-box label").nth(1).click()
        bet.get_by_role("button", name="Lock in").click()
        bet.locator(".ee-bet-status", has_text="Locked: ").wait_for(timeout=120_000)
        question = self.twin.predict(first)
        question.lock(list(question.question.options)[1])
        assert question.status == bet.locator(".ee-bet-status").text_content().strip()
        harness.waited(lambda: self.page.locator("p.ee-covered").count() < covers, 120, "explorer that opens")
        harness.uncover(self.page)

    def agrees(self, shown, twin):
        """The sentence on the page becomes that of the twin at the same controls, which are read from the page."""
        sliders = [c for c in twin.controls if c.form == "slider"]
        switches = [c for c in twin.controls if c.form == "switch"]
        said = shown.locator(".widget-readout").all_text_contents()
        said += shown.locator(".widget-toggle-buttons .mod-active").all_text_contents()
        assert len(said) == len(sliders + switches)
        values = {
            control.name: next(option for option in control.options if control.shown(option) == words.strip())
            for control, words in zip(sliders + switches, said, strict=True)
        }
        expected = twin.draw(**values).sentence
        sentence = shown.locator(".ee-sentence")
        harness.waited(lambda: sentence.text_content().strip() == expected, 120, f"{expected!r} at {values}")
        return values


@pytest.fixture(
    scope="module",
    params=[pytest.param(each, marks=pytest.mark.soak) for each in LONG],
    ids=" ".join,
)
def visit(request):
    front, number = request.param
    server = request.getfixturevalue(SERVERS[front])
    before = os.environ.get("ENTROPIC_EDU_ANSWERS")
    os.environ["ENTROPIC_EDU_ANSWERS"] = "off"  # of the twin; the page keeps its answers in the server's own home
    made = Visit(front, number, server)
    yield made
    os.environ.pop("ENTROPIC_EDU_ANSWERS") if before is None else os.environ.update(ENTROPIC_EDU_ANSWERS=before)
    server.close_page(made.page)


def test_the_same_controls_give_the_same_sentence_as_everywhere(visit):
    page = visit.page
    for shown, twin in visit.explorers:
        shown.scroll_into_view_if_needed()
        states = [visit.agrees(shown, twin)]
        for slider in range(shown.locator(".noUi-handle").count()):
            taken = [harness.step(page, shown, slider) for _ in range(2)]
            if visit.number == "02":
                taken_in.setdefault(visit.front, []).extend(taken)
            states.append(visit.agrees(shown, twin))
            if None in states[-1].values():  # without noise another slider may change nothing
                harness.step(page, shown, slider)
                states.append(visit.agrees(shown, twin))
        for slider in range(shown.locator(".noUi-handle").count()):  # later, for the same reason
            track, handle = shown.locator(".noUi-base").nth(slider), shown.locator(".noUi-handle").nth(slider)
            at_end = handle.get_attribute("aria-valuenow") == handle.get_attribute("aria-valuemax")
            wide = track.bounding_box()
            track.click(position={"x": 2 if at_end else wide["width"] - 2, "y": wide["height"] / 2})
            states.append(visit.agrees(shown, twin))
        switch = shown.locator(".widget-toggle-buttons button:not(.mod-active)")
        if switch.count():
            switch.first.click()
            states.append(visit.agrees(shown, twin))
        assert len({tuple(values.items()) for values in states}) > 1
    if visit.front in taken_in and visit.number == "02":
        median = {front: statistics.median(taken) for front, taken in taken_in.items()}
        ratio = median[visit.front] / median.get("JupyterLab", median[visit.front])
        print(f"{visit.front}: a step took {1000 * median[visit.front]:.0f} ms (median), {ratio:.2f} of JupyterLab's")


def test_the_player_plays_pauses_and_steps(visit):
    player = visit.page.locator(".ee-player")
    if not player.count():
        pytest.skip(f"lesson {visit.number} has no player")
    player = player.first
    player.scroll_into_view_if_needed()
    canvas, sentence = player.locator("canvas"), player.locator(".ee-sentence")
    first = sentence.inner_text()
    player.get_by_role("button", name="Play").click()
    harness.waited(lambda: int(canvas.get_attribute("data-frame")) > 1, 120, "frame that is shown while it plays")
    player.get_by_role("button", name="Pause").click()
    player.get_by_role("button", name=re.compile("^Play")).wait_for(timeout=120_000)
    assert sentence.inner_text() != first
    there = int(canvas.get_attribute("data-frame"))
    back = {"ArrowLeft": 1, "PageDown": there}  # records, at most; Notebook 7 keeps the arrow keys for itself
    visit.page.keyboard.press(visit.page.keys[1])  # the button that was clicked has the focus
    assert there - back[visit.page.keys[1]] <= int(canvas.get_attribute("data-frame")) < there


def test_long_work_is_stopped(visit):
    works = [shown for shown, twin in visit.explorers if twin.work is not None]
    long = [shown for shown in works if not shown.locator(".ee-absent").count()]  # photographs that the server has not
    if not long:
        pytest.skip(f"lesson {visit.number} has no explorer with long work, or has not what it needs")
    words, taken = harness.stop_work(long[0])
    print(f"{visit.front}, lesson {visit.number}: {words.split()[0]} after {taken:.2f} s")


def test_nobody_complains(visit):  # last: of all that was done above
    assert harness.errors(visit.page) == []
    assert visit.page.complaints == []
    assert visit.server.complaints() == []
