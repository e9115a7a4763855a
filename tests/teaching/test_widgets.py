"""The explorer: pure pictures, a cache, twins, predictions, long work, and errors that are seen."""

import base64
import gc
import io
import threading
import time
import weakref
from dataclasses import dataclass
from types import SimpleNamespace

import ipywidgets
import numpy as np
import pytest
from explorers import every_state
from matplotlib.figure import Figure
from PIL import Image

from entropic_edu.figures import pixels
from entropic_edu.physics.results import Result
from entropic_edu.physics.snapshot import Snapshot
from entropic_edu.teaching import explorer as widgets
from entropic_edu.teaching import job, page
from entropic_edu.teaching.explorer import Control, Explorer, Work, captioned, png, slider, switch

BATCH = slider("batch_size", (1, 4, 16, None), 4)
NOISE = switch("noise", ("on", "off"))


class Scene:
    """A figure with one animated line; counts how often it was asked."""

    def __init__(self):
        self.figure = Figure(figsize=(3, 2))
        self.ax = self.figure.subplots()
        self.ax.set(xlim=(0, 1), ylim=(0, 20))
        (self.line,) = self.ax.plot([], [], animated=True, lw=4)
        self.asked = []

    def render(self, *, batch_size, noise, ghost=None, pinned=None):
        self.asked.append((batch_size, noise))
        height = 0 if batch_size is None or noise == "off" else batch_size
        self.line.set_data([0, 1], [height, height])
        other = "" if pinned is None else f", pinned {pinned['batch_size']}"
        return self.figure, f"height {height}{other}" + ("" if ghost is None else f", ghost {ghost}")


@pytest.fixture
def scene():
    return Scene()


@pytest.fixture
def explorer(scene):
    return Explorer(scene.render, [BATCH, NOISE], title="A line", code=lambda **c: f"line({c['batch_size']})")


class FakeBet:
    """A prediction that can be opened."""

    def __init__(self):
        self.open, self.ghost, self.callbacks = False, None, []

    def on_open(self, callback):
        self.callbacks.append(callback)
        if self.open:
            callback()

    def lock(self, ghost):
        self.open, self.ghost = True, ghost
        for callback in self.callbacks:
            callback()


# --- pictures ------------------------------------------------------------------------------------------------------


def test_a_state_looks_the_same_whatever_was_drawn_before(scene, explorer):
    first = explorer.draw(batch_size=16).png
    again = Explorer(scene.render, [BATCH, NOISE])  # of the same figure, and with nothing remembered
    again.draw(batch_size=1)
    assert again.draw(batch_size=16).png == first
    fresh = Explorer(Scene().render, [BATCH, NOISE])
    assert fresh.draw(batch_size=16).png == first
    assert explorer.draw(batch_size=1).png != first


def test_what_is_not_animated_is_drawn_once_until_it_changes(scene, explorer):
    draws = []
    scene.figure.canvas.mpl_connect("draw_event", draws.append)
    for batch_size in (1, 4, 16):
        explorer.draw(batch_size=batch_size)
    assert len(draws) == 1
    scene.ax.set_title("new")
    before = explorer.draw(batch_size=None)
    assert len(draws) == 2
    assert Explorer(scene.render, [BATCH, NOISE]).draw(batch_size=None) == before


def test_a_picture_holds_what_is_animated(scene):
    scene.line.set_data([0, 1], [10, 10])
    with_line = np.asarray(Image.open(io.BytesIO(png(scene.figure))))
    scene.line.set_data([], [])
    without = np.asarray(Image.open(io.BytesIO(png(scene.figure))))
    assert (with_line != without).any(-1).sum() > 100


def test_the_caption_holds_settings_picture_and_sentence(explorer):
    drawn = explorer.draw()
    plain = np.asarray(Image.open(io.BytesIO(drawn.png)))
    whole = np.asarray(Image.open(io.BytesIO(captioned(drawn.png, "B 4", "height 4 " * 30))).convert("RGB"))
    assert whole.shape[1] == plain.shape[1]
    extra = whole.shape[0] - plain.shape[0]
    assert extra > 60  # a strip above, and three lines beneath
    top, bottom = whole[:20], whole[-40:]
    assert (top < 128).any()
    assert (bottom < 128).any()


# --- states --------------------------------------------------------------------------------------------------------


def test_a_state_that_was_drawn_is_remembered(scene, explorer):
    explorer.draw(batch_size=1)
    explorer.draw(batch_size=1)
    assert scene.asked == [(1, "on")]


def test_only_the_last_states_are_remembered(scene):
    most = range(widgets.KEPT + 1)
    explorer = Explorer(scene.render, [slider("batch_size", tuple(most), 0), NOISE])
    for batch_size in most:
        explorer.draw(batch_size=batch_size)
    scene.asked.clear()
    explorer.draw(batch_size=most[-1])
    assert scene.asked == []
    explorer.draw(batch_size=0)
    assert scene.asked == [(0, "on")]


def test_states_hold_every_option_of_every_control(explorer):
    states = list(every_state(explorer))
    assert {state["batch_size"] for state in states} == {1, 4, 16, None}
    assert {state["noise"] for state in states} == {"on", "off"}
    assert len(states) == 1 + 3 + 1


def test_set_returns_the_sentence_and_refuses_what_no_control_offers(explorer):
    assert explorer.set(batch_size=16) == "height 16"
    assert explorer.values == {"batch_size": 16, "noise": "on"}
    with pytest.raises(ValueError, match="batch_size can be 1, 4, 16, None; got 5"):
        explorer.set(batch_size=5)
    with pytest.raises(ValueError, match="no control 'walkers' here; there are batch_size, noise"):
        explorer.set(walkers=3)
    assert explorer.sentence == "height 16"


def test_a_default_that_is_no_option_is_refused():
    with pytest.raises(ValueError, match="must be one of"):
        Control("batch_size", (1, 2), 3, "slider")


# --- on the page ---------------------------------------------------------------------------------------------------


def children(box):
    """All widgets in a box."""
    for child in getattr(box, "children", ()):
        yield child
        yield from children(child)


def one(explorer, kind, name=None):
    """The only widget of a class, or with a CSS class, on the explorer's page."""
    found = [
        child
        for child in children(explorer.widget)
        if isinstance(child, kind) and (name is None or name in getattr(child, "_dom_classes", ()))
    ]
    assert len(found) == 1
    return found[0]


def test_turning_a_slider_changes_picture_sentence_and_code(explorer):
    turn = one(explorer, ipywidgets.SelectionSlider)
    picture, sentence, code = (
        one(explorer, ipywidgets.Image),
        one(explorer, ipywidgets.HTML, "ee-sentence"),
        one(explorer, ipywidgets.HTML, "ee-code"),
    )
    before = picture.value
    turn.value = 2  # the third option
    assert picture.value != before
    assert "height 16" in sentence.value
    assert "line(16)" in code.value
    assert 'aria-live="polite"' in sentence.value


def test_the_picture_has_a_fixed_size(explorer):
    picture = one(explorer, ipywidgets.Image)
    assert (picture.width, picture.height) == ("288", "192")  # 3 by 2 inches of 96 CSS pixels


def test_set_moves_the_controls_and_draws_once(scene, explorer):
    explorer.widget  # noqa: B018  (makes the page)
    scene.asked.clear()
    explorer.set(batch_size=16, noise="off")
    assert one(explorer, ipywidgets.SelectionSlider).label == "16"
    assert one(explorer, ipywidgets.ToggleButtons).label == "off"
    assert scene.asked == [(16, "off")]


def test_an_option_that_is_none_is_an_option(explorer):
    turn = one(explorer, ipywidgets.SelectionSlider)
    explorer.set(batch_size=None)
    assert turn.label == "all"
    explorer.set(batch_size=1)
    turn.value = 3
    assert explorer.values["batch_size"] is None
    assert "height 0" in one(explorer, ipywidgets.HTML, "ee-sentence").value


def test_only_core_widgets_are_used_and_one_that_names_them(explorer):
    allowed = {"HBox", "VBox", "SelectionSlider", "ToggleButtons", "Button", "HTML", "Image", "Names"}
    assert {type(child).__name__ for child in children(explorer.widget)} <= allowed


def test_the_mimebundle_holds_widget_picture_and_sentence(explorer):
    explorer.set(batch_size=16)
    bundle = explorer._repr_mimebundle_()
    assert bundle["text/plain"] == "A line\nbatch size B 16 · noise on\nheight 16"
    assert base64.b64decode(bundle["image/png"]).startswith(b"\x89PNG")
    assert bundle["application/vnd.jupyter.widget-view+json"]["model_id"] == explorer.widget.model_id
    assert explorer._repr_mimebundle_()["image/png"] == bundle["image/png"]


def test_an_option_whose_callback_raises_is_seen_and_raised():
    def render(*, batch_size):
        if batch_size == 16:
            raise ZeroDivisionError("sixteen")
        return Figure(), "fine"

    explorer = Explorer(render, [BATCH])
    turn = one(explorer, ipywidgets.SelectionSlider)
    with pytest.raises(ZeroDivisionError, match="sixteen"):
        turn.value = 2
    assert "This did not work. ZeroDivisionError: sixteen" in one(explorer, ipywidgets.HTML, "ee-sentence").value
    with pytest.raises(ZeroDivisionError):  # and the test that drives every option meets it too
        [explorer.draw(**state) for state in every_state(explorer)]


def test_callbacks_on_two_threads_spoil_no_picture(scene):
    explorer = Explorer(scene.render, [BATCH, NOISE])
    right = {b: explorer.draw(batch_size=b).png for b in (1, 4, 16)}
    wrong = []

    def drag(order):
        for batch_size in order * 10:
            forgetful = Explorer(scene.render, [BATCH, NOISE])
            if forgetful.draw(batch_size=batch_size).png != right[batch_size]:
                wrong.append(batch_size)

    threads = [threading.Thread(target=drag, args=(order,)) for order in ([1, 4, 16], [16, 1, 4])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_no_figure_is_left_open(explorer):
    import matplotlib.pyplot as plt

    for state in every_state(explorer):
        explorer.draw(**state)
    assert plt.get_fignums() == []


def test_pictures_of_figures_that_are_gone_are_gone():
    figure = Figure(figsize=(1, 1))
    png(figure)
    gone = weakref.ref(figure), weakref.ref(figure.canvas)
    del figure
    gc.collect()
    assert [each() for each in gone] == [None, None]


def test_pixels_are_kept_of_the_last_figures_only_and_an_older_one_looks_the_same_when_it_comes_back():
    scenes = [Scene() for _ in range(pixels.FIGURES + 3)]
    first = [png(scene.figure) for scene in scenes]
    held = [isinstance(scene.figure.canvas, pixels.FigureCanvasAgg) for scene in scenes]
    assert held == [False] * 3 + [True] * pixels.FIGURES
    assert [png(scene.figure) for scene in scenes] == first
    png(scenes[3].figure)  # the oldest of those kept, used again
    png(scenes[0].figure)
    assert isinstance(scenes[3].figure.canvas, pixels.FigureCanvasAgg)
    assert not isinstance(scenes[4].figure.canvas, pixels.FigureCanvasAgg)


# --- twins and predictions -------------------------------------------------------------------------------------------


def test_a_pinned_run_stays_in_the_picture_until_it_is_unpinned(explorer):
    explorer.set(batch_size=16)
    explorer.pin()
    assert explorer.set(batch_size=1) == "height 1, pinned 16"
    assert explorer.unpin() == "height 1"


def test_the_pin_button_says_what_it_would_do_whoever_pinned(explorer):
    button = one(explorer, ipywidgets.Button, "ee-pin")
    explorer.pin()
    assert button.description == "Unpin"
    button.click()
    assert button.description == "Pin this run"
    assert explorer.sentence == "height 4"


def test_an_explorer_of_one_run_has_nothing_to_pin():
    explorer = Explorer(lambda *, batch_size: (Figure(), ""), [BATCH])
    with pytest.raises(ValueError, match="nothing to pin"):
        explorer.pin()


def test_a_covered_explorer_opens_with_the_bet_and_shows_it_as_a_ghost(explorer):
    bet = FakeBet()
    explorer.cover(bet)
    assert explorer.covered
    assert not [child for child in children(explorer.widget) if isinstance(child, ipywidgets.Image)]
    assert "Make your prediction first" in one(explorer, ipywidgets.HTML).value
    bet.lock(0.5)
    assert not explorer.covered
    assert "ghost 0.5" in one(explorer, ipywidgets.HTML, "ee-sentence").value


def test_the_saved_notebook_shows_a_covered_explorer_open(explorer):
    bundle = explorer.cover(FakeBet())._repr_mimebundle_()
    assert bundle["text/plain"].endswith("height 4")


# --- long work -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Count(Result):
    """A number reached."""

    number: int = 0


def counting(total, pause):
    def stream(**controls):
        for number in range(total + 1):
            yield Snapshot(number, total, f"at {number}", lambda n=number: Count(n, complete=n == total))
            time.sleep(pause)

    return stream


def worker(total=20, pause=0.001, show=None):
    """An explorer with live work that counts."""
    figure = Figure(figsize=(1, 1))
    show = show or (lambda result, **controls: (figure, f"counted {result.number}"))
    return Explorer(
        lambda *, batch_size: (figure, "at once"),
        [BATCH],
        work=Work(counting(total, pause), show, lambda **controls: total),
    )


def test_the_live_result_takes_the_place_of_the_picture_until_a_control_turns():
    explorer = worker()
    assert explorer.run() == "Live: counted 20"
    assert explorer.sentence == "Live: counted 20"
    assert explorer.set(batch_size=1) == "at once"


def test_the_button_says_how_long_it_takes_before_it_starts():
    explorer = worker(total=400, pause=0.01)
    assert explorer.seconds() >= 400 * 0.01  # a sleep takes at least its time
    expected = f"Run it live ({page.duration(explorer.seconds())})"
    assert one(explorer, ipywidgets.Button, "ee-run").description == expected


@pytest.mark.parametrize(("seconds", "words"), [(0.3, "under a second"), (4.2, "about 4 s"), (200, "about 3 min")])
def test_a_time_is_said_as_one_says_it(seconds, words):
    assert page.duration(seconds) == words


def test_stop_ends_the_work_and_says_so():
    explorer = worker(total=20_000)
    run, stop = one(explorer, ipywidgets.Button, "ee-run"), one(explorer, ipywidgets.Button, "ee-cancel")
    assert stop.disabled
    run.click()
    assert run.disabled
    assert one(explorer, ipywidgets.SelectionSlider).disabled
    until = time.monotonic() + 60
    while "of 20,000" not in one(explorer, ipywidgets.HTML, "ee-progress").value:
        assert time.monotonic() < until, "no progress is shown"
        time.sleep(0.01)
    stop.click()
    explorer.job.wait()
    assert "Stopped by you: counted" in one(explorer, ipywidgets.HTML, "ee-sentence").value
    assert not run.disabled
    assert stop.disabled


def test_an_error_in_the_work_is_shown_and_raised_by_wait():
    def broken(result, **controls):
        raise ValueError("no such picture")

    explorer = worker(show=broken)
    sentence = one(explorer, ipywidgets.HTML, "ee-sentence")
    with pytest.raises(ValueError, match="no such picture"):
        explorer.run()
    assert "ValueError: no such picture" in sentence.value
    assert not one(explorer, ipywidgets.Button, "ee-run").disabled


def test_work_that_runs_is_not_started_twice():
    explorer = worker(total=20_000)
    explorer.start()
    with pytest.raises(RuntimeError, match="running"):
        explorer.start()
    explorer.cancel()
    explorer.job.wait()


def test_an_explorer_without_work_says_so(explorer):
    for act in (explorer.run, explorer.seconds):
        with pytest.raises(ValueError, match="answers at once"):
            act()


@pytest.mark.parametrize("step", [1 / 64, 1 / 2])
@pytest.mark.parametrize("begins", [0, 40])
@pytest.mark.parametrize("picture", [0.0, 0.15])
def test_the_time_that_work_takes_is_told_from_a_trial_of_its_steps_and_pictures(step, begins, picture, monkeypatch):
    """A picture, of which there is one every 0.3 s, takes ``picture``: half to make the figure, half to draw it."""
    now, drawn = [1000.0], []

    class Slow(Figure):
        def draw(self, renderer):
            now[0] += picture / 2
            super().draw(renderer)

    def ticking(batch_size):
        for number in range(begins, begins + 1000):
            yield Snapshot(number, 1000, "", lambda: Count(7))
            now[0] += step

    def frame(result, batch_size):
        now[0] += picture / 2
        drawn.append(result.number)
        return Slow(figsize=(1, 1)), ""

    monkeypatch.setattr(widgets, "time", SimpleNamespace(monotonic=lambda: now[0]))
    work = Work(ticking, frame, lambda batch_size: 100 * batch_size, frame=frame if picture else None)
    explorer = Explorer(lambda batch_size: (Figure(figsize=(1, 1)), "at once"), [BATCH], work=work)
    one = step * (1 + picture / 0.3)
    for size in (4, 16, 1):
        explorer.set(batch_size=size)
        assert explorer.seconds() == pytest.approx(100 * size * one)
    assert 0.15 < now[0] - 1000 < 0.15 + step + picture  # one trial for all settings
    assert len(drawn) == bool(picture)


def test_the_time_of_work_that_fails_at_once_is_told_all_the_same():
    def failing(batch_size):
        yield Snapshot(0, 9, "", Count)
        raise ValueError("not today")

    work = Work(failing, lambda result, batch_size: None, lambda batch_size: 9)
    explorer = Explorer(lambda batch_size: (Figure(figsize=(1, 1)), "at once"), [BATCH], work=work)
    assert 0 <= explorer.seconds() < 60


def test_of_states_that_were_drawn_the_latest_are_kept(monkeypatch):
    drawn = []

    def draw(number):
        drawn.append(number)
        return Figure(figsize=(1, 1)), f"{number}"

    monkeypatch.setattr(widgets, "KEPT", 3)
    explorer = Explorer(draw, [slider("number", tuple(range(6)), 0)])
    for number in (0, 1, 2, 3, 3, 2, 1, 4, 1, 2):  # 0 goes when 3 comes, 3 when 4 comes
        explorer.draw(number=number)
    assert drawn == [0, 1, 2, 3, 4]
    explorer.draw(number=3)
    explorer.draw(number=0)
    assert drawn == [0, 1, 2, 3, 4, 3, 0]


def test_work_under_way_is_shown_as_it_goes_and_its_end_by_the_last_picture(monkeypatch):
    figure, seen, now = Figure(figsize=(1, 1)), [], [0.0]

    def ticking(**controls):
        for snapshot in counting(100, 0)():
            yield snapshot
            now[0] += 1 / 128

    def frame(result, **controls):
        seen.append(result.number)
        return figure, f"so far {result.number}"

    explorer = Explorer(
        lambda *, batch_size: (figure, "at once"),
        [BATCH],
        work=Work(
            ticking,
            lambda result, **controls: (figure, f"counted {result.number}"),
            lambda **controls: 100,
            frame=frame,
        ),
    )
    for each in (widgets, job):
        monkeypatch.setattr(each, "time", SimpleNamespace(monotonic=lambda: now[0]))
    for _ in range(2):  # whatever was shown before
        seen.clear()
        explorer.run()
        assert explorer.sentence == "Live: counted 100"
        assert seen == [0, 39, 78]  # told every 0.1 s, which are 13 snapshots, and drawn at once and then every 0.3 s


def test_an_error_in_a_picture_of_work_under_way_stops_the_work_and_is_seen():
    def broken(result, **controls):
        raise ValueError("no such frame")

    explorer = worker(total=20_000)
    explorer.work = Work(explorer.work.stream, explorer.work.show, explorer.work.units, frame=broken)
    sentence = one(explorer, ipywidgets.HTML, "ee-sentence")
    with pytest.raises(ValueError, match="no such frame"):
        explorer.run()
    assert "ValueError: no such frame" in sentence.value
