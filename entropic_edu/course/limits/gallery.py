"""Round 1: five valleys that look alike, and what can be measured on them."""

from __future__ import annotations

from typing import Any

import torch

from entropic_edu.course import floor
from entropic_edu.figures.plots import RED
from entropic_edu.physics.release import Release
from entropic_edu.physics.snapshot import Stream
from entropic_edu.recorded.look_alikes import cases
from entropic_edu.recorded.look_alikes.cases import BATCHES, LETTERS, RATES
from entropic_edu.recorded.look_alikes.measure import BINS, CELLS, measured
from entropic_edu.teaching.explorer import Explorer, Work, slider, switch
from entropic_edu.teaching.sheet import GHOST, RUN, TRACE, TWIN, Panel, Role, Sheet
from entropic_edu.teaching.strings import text

from . import kept as K
from .kept import ALONG, STORY, Y, with_error

MIDDLES = 0.5 * (BINS[1:] + BINS[:-1])
BELOW: dict[str, dict[str, Any]] = {  # the panel below the plan, by what it shows
    "walkers": {"title": "10.panel.walkers", "ylim": (0, 1.3), "yscale": "linear", "yticks": (0, 0.5, 1)},
    "kicks": {"title": "10.panel.kicks", "ylim": (0, 3.6), "yscale": "linear", "yticks": (0, 1, 2, 3)},
    "double": {"title": "10.panel.double", "ylim": (0.3, 3e4), "yscale": "log", "yticks": (1, 100, 10000)},
}
PANELS = {
    "plan": Panel((0.095, 0.56, 0.45, 0.39), "", "axis.along", ALONG, K.ACROSS),
    "below": Panel((0.095, 0.125, 0.375, 0.215), x="axis.along", xlim=ALONG, **BELOW["walkers"]),
    "walls": Panel((0.645, floor.RIGHT[0], 0.275, 0.185), "panel.curvature", "", ALONG, (0.4, 80), **K.WALLS),
    "spread": Panel((0.645, floor.RIGHT[1], 0.275, 0.185), "10.panel.spread", "", ALONG, (0.07, 12), None,
                    (0.1, 1, 10), yscale="log"),
    "push": Panel((0.645, floor.RIGHT[2], 0.275, 0.185), "10.panel.push", "axis.along", ALONG, (-0.3, 1.6), zero=True),
}  # fmt: skip


def state_of(case: str, batch_size: int | None, learning_rate: float, measure: str) -> dict[str, Any]:
    """Return a case, what was measured on its recorded crowds, and words for where these come from."""
    known = {"name": LETTERS[case], "land": cases.land(case), "data": K.data_of(batch_size)}
    found = K.crowds(LETTERS[case], batch_size, learning_rate)
    return known | {"found": found, "made": text("10.cases.recorded")}


def draw(sheet: Sheet, state: Any, pinned: Any = None, ghost: float | None = None) -> None:
    """Draw a case, what was measured on it, what the story says, a pinned run, and the bet on the left half."""
    sheet["plan"].keep(*K.plan(state.case, sheet["plan"].ax))
    floor.stand(sheet["plan"], state.found.walkers, None if pinned is None else pinned.found.walkers)
    sheet["walls"].line(Y, state.land.curvature_across(Y), TRACE, "")
    inside = Y[(Y >= 1) & (Y <= 3)]
    sheet["push"].line(inside, K.story_push(state.land, inside), STORY)
    sheet["spread"].line(ALONG, torch.ones(2), STORY)
    for name in ("spread", "push"):
        sheet[name].points(MIDDLES, getattr(state.found, name), ms=5)
        if pinned is not None:
            beside = getattr(pinned.found, name).value
            sheet[name].line(MIDDLES, beside, Role(TWIN.colour, ""), "", marker="o", ms=7, mfc="none")
    below, found = sheet["below"], state.found
    below.reframe(**BELOW[state.measure])
    at = 0.5 * (CELLS[1:] + CELLS[:-1]) if state.measure == "walkers" else MIDDLES
    below.points(at, {"walkers": found.density, "kicks": found.along, "double": found.twice}[state.measure])
    if state.measure == "kicks":
        below.points(at, found.across, Role(RED, marker="s"), mfc="none", ms=8)
        for role, height, label in ((RUN, 3.2, "10.label.along"), (Role(RED), 2.6, "10.label.across")):
            below.note(0.7, height, label, role, va="center")
    elif state.measure == "walkers" and state.batch_size is not None:
        below.line(at, K.story(state.name, state.batch_size, state.learning_rate), STORY)
    if ghost is not None and state.measure == "walkers":
        below.line([1, 2, 2, 3], [ghost, ghost, 1 - ghost, 1 - ghost], GHOST, "", lw=4)
        below.note(0.63, 1.16, GHOST.label, GHOST, va="center")


def words(state: Any, pinned: Any = None) -> str:
    """Say what was measured on a case, what the story says of it, and what was measured on a pinned one."""
    found, share = state.found, 100 * state.found.narrow
    if state.batch_size is None:
        said = text("10.cases.still", moved=float(found.moved.value), narrow=share, **vars(state))
    else:
        law = 100 * K.story_narrow(state.name, state.batch_size, state.learning_rate)
        left = with_error(found.spread_ends.at(0))
        said = f"{text('10.cases.noisy', narrow=share, law=law, left=left, **vars(state))} {beneath(state)}"
    if pinned is None:
        return said
    return f"{said} {text('10.cases.twin', left=with_error(pinned.found.spread_ends.at(0)), **vars(pinned))}"


def beneath(state: Any) -> str:
    """Say what the panel below the plan shows."""
    if state.measure == "double":
        return text("10.cases.double", ratio=with_error(state.found.doubled))
    ends = state.found.push_ends if state.measure == "walkers" else state.found.along_ends
    left, right = (with_error(ends.at(place)) for place in (0, 1))
    if state.measure == "kicks":
        return text("10.cases.kicks", left=left, right=right)
    a, b = K.story_push_ends(state.land)
    return text("10.cases.walkers", left=left, right=right, a=a, b=b)


CODE = K.MAKES.format(
    land='cases.land("{state.case}")', settings="batch_size={state.batch_size}, learning_rate={state.learning_rate}"
)


def gallery(seed: int) -> Explorer:
    """Return the explorer of five valleys that look alike: which of them fails, and how."""

    def show(sheet: Sheet, release: Release, state: Any) -> str:
        state.found = measured(state.land, release)
        state.made = text("10.cases.computed", seed=seed + 1, step=int(release.step[-1]))
        draw(sheet, state)
        return words(state)

    def going(state: Any) -> Stream[Release]:
        return cases.stream(state.land, seed + 1, state.batch_size, state.learning_rate)

    work = Work(going, show, lambda state: cases.STEPS, show)
    controls = [switch("case", tuple(LETTERS)), slider("batch_size", BATCHES, 16), slider("learning_rate", RATES, 0.04)]
    controls.append(switch("measure", tuple(BELOW)))
    return Explorer(draw, controls, PANELS, words, state=state_of, title="10.cases.title", code=CODE, work=work)
