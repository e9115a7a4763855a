"""The opening: five valleys that look alike, before the first step."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace

import torch

from entropic_edu.figures.plots import RED
from entropic_edu.recorded.look_alikes import cases
from entropic_edu.recorded.look_alikes.cases import LETTERS
from entropic_edu.teaching.explorer import Explorer, switch
from entropic_edu.teaching.sheet import GREY, RUN, Panel, Role, Sheet
from entropic_edu.teaching.strings import text

from .kept import ACROSS, ALONG, WALLS, Y, plan

PANELS = {
    letter: Panel((0.075 + 0.186 * number, 0.58, 0.165, 0.33), letter, " ", ALONG, ACROSS, (1, 2, 3),
                  () if number else (-0.5, 0, 0.5), once=partial(plan, letter))
    for number, letter in enumerate(LETTERS)
}  # fmt: skip
PANELS["walls"] = Panel((0.075, 0.125, 0.875, 0.3), "panel.curvature", "axis.along", ALONG, (0.4, 80), **WALLS)


def draw(sheet: Sheet, state: SimpleNamespace) -> None:
    """Draw the walkers before the first step, and the walls of all cases, the chosen one boldly."""
    for letter in LETTERS:
        land, mine = cases.land(letter), letter == state.case
        x, y = land.floor(25).T
        walkers = Role(RUN.colour if mine else "0.35", "")
        sheet[letter].line(y, x, walkers, "", marker="o", ms=4 if mine else 2.5)
        role = Role(RED if mine else GREY, width=2.6 if mine else 1.2)
        sheet["walls"].line(Y, land.curvature_across(Y), role, letter, zorder=3 if mine else 2)


def words(state: SimpleNamespace) -> str:
    """Say how curved the valley is at its ends."""
    left, right = cases.land(state.case).curvature_across(torch.tensor([cases.START, cases.END])).tolist()
    return text("10.opening.sentence", case=state.case, left=left, right=right)


CODE = """
from entropic_edu.recorded.look_alikes import cases
h = cases.land("{state.case}").curvature_across(torch.tensor([1.0, 3.0]))
"""


def opening(seed: int) -> Explorer:
    """Return the explorer of the five valleys before the first step: what one can see without measuring."""
    return Explorer(draw, [switch("case", tuple(LETTERS))], PANELS, words, title="10.opening.title", code=CODE)
