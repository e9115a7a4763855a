"""Sheets, whose frames are kept and whose strokes last for one state; and explorers declared on them."""

import re
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from explorers import Bet, drive, figure, same_from_anywhere
from pictures import panel

import entropic_edu as ee
from entropic_edu.figures.pixels import png
from entropic_edu.physics.results import Result
from entropic_edu.physics.snapshot import Snapshot
from entropic_edu.teaching.declared import one_by_one
from entropic_edu.teaching.explorer import Explorer, Work, slider
from entropic_edu.teaching.sheet import CONTROL, GHOST, RUN, THEORY, TWIN, Panel, Sheet

X = torch.linspace(0, 1, 11)
DOCS = Path(__file__).parents[2] / "docs"


@dataclass(frozen=True, eq=False, kw_only=True)
class Slope(Result):
    """A state, and what its work counts."""

    slope: float
    most: float = 4.0
    complete: bool = True


def draw(sheet, state, pinned, ghost):
    sheet["a"].reframe(ylim=(0, state.most))
    sheet["a"].line(X, state.slope * X, RUN)
    if pinned is not None:
        sheet["a"].line(X, pinned.slope * X, TWIN)
    if ghost is not None:
        sheet["a"].level(ghost, GHOST, "say.prediction")


def words(state, pinned):
    return f"{state.slope:g} of {state.most:g}" + ("" if pinned is None else f", {pinned.slope:g}")


def made(**more):
    controls = [slider("slope", (0.5, 1.0, 2.0), 1.0), slider("most", (4.0, 8.0), 4.0)]
    return Explorer(draw, controls, {"a": Panel(title="Height", x="Way")}, words, state=Slope, **more)


# --- sheets --------------------------------------------------------------------------------------------------------


def test_strokes_last_for_one_state_and_the_frame_is_drawn_once():
    sheet, drawn = Sheet({"a": Panel(title="Height", once=lambda ax: ax.axvline(0.5, color="#009E73"))}), []
    for height in (0.2, 0.8):
        with sheet:
            sheet["a"].line([0, 1], [height, height])
        seen = panel(sheet.figure, "Height")
        assert seen.follows(RUN.colour, [0, 1], [height, height]) > 0.95
        assert seen.follows(RUN.colour, [0, 1], [1 - height, 1 - height]) < 0.05
        assert seen.shows("#009E73", [0.5], [0.5]).all()
        sheet.figure.canvas.mpl_connect("draw_event", drawn.append)
    assert drawn == []


def test_a_frame_is_drawn_anew_where_it_changes_though_nobody_looked_between():
    sheet = Sheet({"a": Panel(title="Height")})
    png(sheet.figure)
    with sheet:
        sheet["a"].reframe(ylim=(0, 10), yticks={5.0: "half", 7.0: "say.theory"})
    with sheet:
        sheet["a"].line([0, 1], [5, 5])
    fresh = Sheet({"a": Panel(title="Height", ylim=(0, 10), yticks={5.0: "half", 7.0: "say.theory"})})
    with fresh:
        fresh["a"].line([0, 1], [5, 5])
    assert png(sheet.figure) == png(fresh.figure)
    assert [tick.get_text() for tick in sheet["a"].ax.get_yticklabels()] == ["half", "theory"]


def test_a_mean_has_a_band_of_one_standard_error_and_points_have_bars():
    sheet = Sheet({"a": Panel(title="Height")})
    with sheet:
        sheet["a"].line([0, 1], ee.Mean(torch.tensor([0.5, 0.5]), torch.tensor([0.2, 0.2])), RUN, "")
    assert panel(sheet.figure, "Height").ink()[tuple(rows_of(sheet, [0.5], [0.65]))].all()
    assert not panel(sheet.figure, "Height").ink()[tuple(rows_of(sheet, [0.5], [0.75]))].any()
    with sheet:
        sheet["a"].points([0.3, 0.7], ee.Mean(torch.tensor([0.5, torch.nan]), torch.tensor([0.2, 0.2])))
    seen = panel(sheet.figure, "Height")
    assert seen.shows(RUN.colour, [0.3, 0.3, 0.7], [0.5, 0.65, 0.5]).tolist() == [True, True, False]


def test_a_mean_across_has_its_bar_and_stands_at_the_end_of_the_axis_where_it_is_off_it():
    sheet = Sheet({"a": Panel(title="Height")})
    with sheet:
        sheet["a"].across(ee.Mean(torch.tensor(0.4), torch.tensor(0.2)), 0.7, ms=4)
        sheet["a"].across(ee.Mean(torch.tensor(3.0), torch.tensor(0.1)), 0.2)
        sheet["a"].across(ee.Mean(torch.tensor(torch.nan), torch.tensor(torch.nan)), 0.5)
    places = [0.25, 0.4, 0.55, 0.1, 0.7, 0.99, 0.9, 0.5], [0.7] * 5 + [0.2] * 2 + [0.5]
    seen = panel(sheet.figure, "Height").shows(RUN.colour, *places)
    assert seen.tolist() == [True, True, True, False, False, True, False, False]


def test_walkers_are_thin_lines_with_their_mean_which_is_told_at_the_end():
    sheet, position = Sheet({"a": Panel(title="Height")}), torch.tensor([[0.2, 0.4], [0.6, 0.8]])
    with sheet:
        end = sheet["a"].walkers([0, 1], position, "", alpha=1, lw=2)
    assert f"{end:.1f}" == "0.7 ± 0.1"
    seen = panel(sheet.figure, "Height")
    assert all(seen.follows(RUN.colour, [0, 1], each) > 0.9 for each in (position.mean(1), *position.T))


def rows_of(sheet, x, y):
    columns, rows = panel(sheet.figure, "Height").place(x, y)
    return rows.round().astype(int), columns.round().astype(int)


@pytest.mark.parametrize("scale", ["linear", "log"])
@pytest.mark.parametrize("heights", [(0.5, 0.5, 0.5), (0.99, 0.98, 0.97), (0.011, 0.0105, 0.01), (0.2, 0.6, 0.9)])
def test_names_at_the_ends_of_lines_stand_apart_and_within_the_panel_in_the_order_of_the_lines(scale, heights):
    sheet = Sheet({"a": Panel(ylim=(0.01, 1), yscale=scale)})
    with sheet:
        for height, role in zip(heights, (CONTROL, THEORY, RUN), strict=True):
            sheet["a"].line([0, 1], [height, height], role)
    png(sheet.figure)
    boxes = [name.get_window_extent() for name in sheet["a"].ends]
    middles = [0.5 * (box.y0 + box.y1) for box in boxes]
    assert all(below.y1 <= above.y0 + 1 for below, above in pairwise(boxes))
    frame = sheet["a"].ax.get_window_extent()
    assert frame.y0 - 1 <= min(middles)
    assert max(middles) <= frame.y1 + 1
    if heights[-1] == 0.9 and scale == "linear":  # far apart: each at its line
        assert np.allclose(middles, sheet["a"].ax.transData.transform([(1, y) for y in heights])[:, 1], atol=1.5)


# --- explorers -----------------------------------------------------------------------------------------------------


def test_a_declared_explorer_draws_and_says_its_state_whatever_was_drawn_before():
    drive(made())
    same_from_anywhere(made(), made)
    seen = panel(figure(made(), slope=2.0), "Height")
    assert seen.follows(RUN.colour, X, 2 * X) > 0.95


def test_it_shows_a_pinned_state_and_a_bet():
    explorer = made().cover(Bet(3.0))
    explorer.pin()
    assert explorer.set(slope=2.0) == "2 of 4, 1"
    seen = panel(figure(explorer, ghost=3.0, pinned={"slope": 0.5, "most": 4.0}), "Height")
    assert seen.follows(TWIN.colour, X, 0.5 * X) > 0.25
    assert seen.follows(GHOST.colour, [0, 0.7], [3, 3]) > 0.4


def test_code_and_work_get_the_state_and_work_draws_on_the_sheet():
    def stream(state):
        for done in range(3):
            yield Snapshot(done, 2, "", lambda done=done: Slope(slope=state.slope + done, complete=done == 2))

    def show(sheet, found, state):
        sheet["a"].line(X, found.slope * X)
        return f"from {state.slope:g} to {found.slope:g}"

    explorer = made(code=lambda state: f"slope = {state.slope}", work=Work(stream, show, lambda state: 2))
    assert explorer.code(**explorer.values) == "slope = 1.0"
    template = made(code="\nslope = {state.slope:.2f}\nknown = {{1: slope}}\n")
    assert template.code(slope=2.0, most=4.0) == "slope = 2.00\nknown = {1: slope}"
    assert explorer.run() == "Live: from 1 to 3"
    assert explorer.set(slope=2.0) == "2 of 4"


def test_what_is_asked_one_by_one_is_there_one_by_one_and_complete_at_the_end():
    asked = []
    stream = one_by_one(lambda x: asked.append(x) or x**2, (3, 4), "squares")
    first = next(stream)
    assert (first.done, first.total, first.note, first.result.each, asked) == (0, 2, "squares", [], [])
    found = [(each.done, each.result.each, each.result.complete) for each in stream]
    assert found == [(1, [9], False), (2, [9, 16], True)]
    assert first.result.each == []


def test_panels_without_words_are_refused():
    with pytest.raises(ValueError, match=r"needs words\(state\)"):
        Explorer(draw, [], {"a": Panel()})


def test_an_explorer_of_ones_own_is_what_the_page_about_it_says():
    (example,) = re.findall(r"```py\n(.*?)```", (DOCS / "site" / "explorers.md").read_text("utf-8"), re.DOTALL)
    assert len([line for line in example.splitlines() if line.strip()]) <= 10
    known = {}
    exec(example, known)
    spread = known["spread"]
    drive(spread)
    said = spread.set(T=0.4, h=4)
    assert said == "Curvature 4 at T = 0.4: the walkers spread over 0.32."
    density = torch.exp(-4 * known["x"] ** 2 / (2 * 0.4))
    assert panel(figure(spread), "probability").follows(RUN.colour, known["x"], density) > 0.9
    assert [turn.description for turn in spread.widget.children[0].children] == ["T", "h"]
