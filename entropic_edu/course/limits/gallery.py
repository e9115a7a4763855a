"""Round 1: five valleys that look alike, and what can be measured on them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from numpy.typing import NDArray
from torch import Tensor

from entropic_edu.course import floor
from entropic_edu.figures.plots import BLACK, RED
from entropic_edu.physics.release import Release
from entropic_edu.physics.snapshot import Snapshot
from entropic_edu.recorded.look_alikes import cases
from entropic_edu.recorded.look_alikes.cases import BATCHES, LETTERS, RATES
from entropic_edu.recorded.look_alikes.measure import BINS, CELLS, Measured, measured
from entropic_edu.teaching.explorer import Explorer, Work, slider, switch
from entropic_edu.teaching.sheet import GHOST, RUN, THEORY, TRACE, TWIN, Panel, Pen, Role, Sheet
from entropic_edu.teaching.strings import text

from .kept import MAKES, crowds, data_of, story, story_narrow, story_push, story_push_ends, with_error

ALONG, ACROSS = (0.6, 3.6), (-0.8, 0.8)
MIDDLES = 0.5 * (BINS[1:] + BINS[:-1])
Y = torch.linspace(*ALONG, 121, dtype=torch.float64)
STORY = Role(THEORY.colour, THEORY.dash, label="10.label.story")
BELOW: dict[str, dict[str, Any]] = {  # the panel below the plan, by what it shows
    "walkers": {"title": "10.panel.walkers", "ylim": (0, 1.3), "yscale": "linear", "yticks": (0, 0.5, 1)},
    "kicks": {"title": "10.panel.kicks", "ylim": (0, 3.6), "yscale": "linear", "yticks": (0, 1, 2, 3)},
    "double": {"title": "10.panel.double", "ylim": (0.3, 3e4), "yscale": "log", "yticks": (1, 100, 10000)},
}


@cache
def levels(letter: str) -> NDArray[np.float64]:
    """Return twelve steps of the root of the loss of a case on the plan, from 0 to 1, (161, 321)."""
    grid = torch.stack(torch.meshgrid(torch.linspace(*ACROSS, 161), torch.linspace(*ALONG, 321), indexing="ij"), -1)
    loss = cases.land(letter).loss(grid.reshape(-1, 2))
    root = (loss - loss.min()).sqrt()
    steps = (12 * root / root.quantile(0.97)).floor().clamp(max=11) / 11
    return np.asarray(steps.reshape(161, 321).double())


def plan(letter: str, ax: Axes) -> tuple[Artist, ...]:
    """Draw the loss of a case and its floor; return the artists."""
    image = ax.imshow(
        levels(letter), extent=(*ALONG, *ACROSS), origin="lower", aspect="auto", cmap="cividis_r", vmin=0, vmax=1
    )
    image.set_zorder(0)
    return image, *ax.plot([1, 3], [0, 0], color=BLACK, lw=1, ls=(0, (4, 4)), zorder=1)


def place(pen: Pen, walkers: Tensor, role: Role, **style: Any) -> None:
    """Draw walkers (n, 2) on the plan."""
    x, y = walkers.unbind(-1)
    pen.line(y, x, Role(role.colour, ""), "", marker="o", **style)


WALLS: dict[str, Any] = {"yscale": "log", "yticks": (1, 10)}
PANELS = {
    "plan": Panel((0.095, 0.56, 0.45, 0.39), "", "axis.along", ALONG, ACROSS),
    "below": Panel((0.095, 0.125, 0.375, 0.215), x="axis.along", xlim=ALONG, **BELOW["walkers"]),
    "walls": Panel((0.645, floor.RIGHT[0], 0.275, 0.185), "panel.curvature", "", ALONG, (0.4, 80), **WALLS),
    "spread": Panel((0.645, floor.RIGHT[1], 0.275, 0.185), "10.panel.spread", "", ALONG, (0.07, 12), None,
                    (0.1, 1, 10), yscale="log"),
    "push": Panel((0.645, floor.RIGHT[2], 0.275, 0.185), "10.panel.push", "axis.along", ALONG, (-0.3, 1.6), zero=True),
}  # fmt: skip


def state_of(case: str, batch_size: int | None, learning_rate: float, measure: str) -> SimpleNamespace:
    """Return a case, with what was measured on its recorded crowds."""
    known: dict[str, Any] = {"case": case, "name": LETTERS[case], "land": cases.land(case), "measure": measure}
    known |= {"batch_size": batch_size, "learning_rate": learning_rate, "data": data_of(batch_size)}
    return SimpleNamespace(found=crowds(LETTERS[case], batch_size, learning_rate), **known)


def drawn(sheet: Sheet, state: SimpleNamespace, found: Measured, twin: Measured | None = None) -> None:
    """Draw a case, what was measured on it, what the story says, and a pinned run."""
    sheet["plan"].keep(*plan(state.case, sheet["plan"].ax))
    if twin is not None:
        place(sheet["plan"], twin.walkers, TWIN, ms=4, mfc="none", zorder=3)
    place(sheet["plan"], found.walkers, RUN, ms=5, mec="white", mew=0.6, zorder=4)
    sheet["walls"].line(Y, state.land.curvature_across(Y), TRACE, "")
    inside = Y[(Y >= 1) & (Y <= 3)]
    sheet["push"].line(inside, story_push(state.land, inside), STORY)
    sheet["spread"].line(ALONG, torch.ones(2), STORY)
    for name in ("spread", "push"):
        sheet[name].points(MIDDLES, getattr(found, name), ms=5)
        if twin is not None:
            beside = getattr(twin, name).value
            sheet[name].line(MIDDLES, beside, Role(TWIN.colour, ""), "", marker="o", ms=7, mfc="none")
    below = sheet["below"]
    below.reframe(**BELOW[state.measure])
    at = 0.5 * (CELLS[1:] + CELLS[:-1]) if state.measure == "walkers" else MIDDLES
    below.points(at, {"walkers": found.density, "kicks": found.along, "double": found.twice}[state.measure])
    if state.measure == "kicks":
        below.points(at, found.across, Role(RED, marker="s"), mfc="none", ms=8)
        for role, height, label in ((RUN, 3.2, "10.label.along"), (Role(RED), 2.6, "10.label.across")):
            below.note(0.7, height, label, role, va="center")
    elif state.measure == "walkers" and state.batch_size is not None:
        below.line(at, story(state.name, state.batch_size, state.learning_rate), STORY)


def draw(sheet: Sheet, state: Any, pinned: Any = None, ghost: float | None = None) -> None:
    """Draw a recorded case, and the bet: the share of the walkers in the left half, as two levels."""
    drawn(sheet, state, state.found, None if pinned is None else pinned.found)
    if ghost is not None and state.measure == "walkers":
        sheet["below"].line([1, 2, 2, 3], [ghost, ghost, 1 - ghost, 1 - ghost], GHOST, "", lw=4)
        sheet["below"].note(0.63, 1.16, GHOST.label, GHOST, va="center")


def told(state: SimpleNamespace, found: Measured, made: str) -> str:
    """Say what was measured on a case, and what the story says of it."""
    known = {"case": state.case, "data": state.data, "learning_rate": state.learning_rate, "made": made}
    share = 100 * found.narrow
    if state.batch_size is None:
        return text("10.cases.still", moved=float(found.moved.value), narrow=share, **known)
    law = 100 * story_narrow(state.name, state.batch_size, state.learning_rate)
    said = text("10.cases.noisy", narrow=share, law=law, left=with_error(found.spread_ends.at(0)), **known)
    if state.measure == "walkers":
        left, right = (with_error(found.push_ends.at(place)) for place in (0, 1))
        a, b = story_push_ends(state.land)
        return f"{said} {text('10.cases.walkers', left=left, right=right, a=a, b=b)}"
    if state.measure == "kicks":
        left, right = (with_error(found.along_ends.at(place)) for place in (0, 1))
        return f"{said} {text('10.cases.kicks', left=left, right=right)}"
    return f"{said} {text('10.cases.double', ratio=with_error(found.doubled))}"


def words(state: SimpleNamespace, pinned: SimpleNamespace | None = None) -> str:
    """Say what was recorded on a case, and on a pinned one."""
    said = told(state, state.found, text("10.cases.recorded"))
    if pinned is None:
        return said
    known = {"case": pinned.case, "learning_rate": pinned.learning_rate, "data": pinned.data}
    return f"{said} {text('10.cases.twin', left=with_error(pinned.found.spread_ends.at(0)), **known)}"


CODE = MAKES.format(
    land='cases.land("{state.case}")', settings="batch_size={state.batch_size}, learning_rate={state.learning_rate}"
)


def gallery(seed: int) -> Explorer:
    """Return the explorer of five valleys that look alike: which of them fails, and how."""

    def live(sheet: Sheet, release: Release, state: SimpleNamespace) -> str:
        found = measured(state.land, release)
        drawn(sheet, state, found)
        return told(state, found, text("10.cases.computed", seed=seed + 1, step=int(release.step[-1])))

    def going(state: SimpleNamespace) -> Iterator[Snapshot[Release]]:
        return cases.stream(state.land, seed + 1, state.batch_size, state.learning_rate)

    work = Work(going, live, lambda state: cases.STEPS, live)
    controls = [switch("case", tuple(LETTERS)), slider("batch_size", BATCHES, 16), slider("learning_rate", RATES, 0.04)]
    controls.append(switch("measure", tuple(BELOW)))
    return Explorer(draw, controls, PANELS, words, state=state_of, title="10.cases.title", code=CODE, work=work)
