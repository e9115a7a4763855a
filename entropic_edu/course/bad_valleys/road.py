"""Round 1: the road from a good minimum to a bad one, and the straight line between them as its control."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor

from entropic_edu.figures.plots import BLACK, BLUE, DASHES, GREEN, RED
from entropic_edu.recorded.bad_minima import COLUMNS
from entropic_edu.teaching.explorer import Explorer, slider, switch
from entropic_edu.teaching.sheet import GHOST, GREY, LIMIT, Panel, Role, Sheet
from entropic_edu.teaching.strings import text
from entropic_edu.teaching.yours import Written, Yours

from .common import SHOWN, WHERE, WIDE, along, column, over, pairs, shown_as

POSITIONS = tuple(round(float(place), 2) for place in WHERE)
FLOOR = 0.5003  # entropy of the smoothed label 0.91, 9 × 0.01: no network has a lower loss
LINE = Role(GREY, DASHES[1], 1.6, "08.label.line")
LOOKS = {
    "loss": ("top", Role(RED, label="08.label.loss")),
    "train": ("bottom", Role(BLUE, DASHES[2], label="08.label.train")),
    "test": ("bottom", Role(GREEN, label="08.label.test")),
}
PANELS = {
    "top": Panel((0.075, 0.6, 0.76, 0.33), "08.panel.loss", ylim=(0.45, 1.6), xticks=dict.fromkeys((0, 0.5, 1), ""),
                 once=lambda ax: ax.axhline(FLOOR, color=GREY, lw=1, ls=":"), **WIDE),
    "bottom": Panel((0.075, 0.12, 0.76, 0.36), "08.panel.accuracy", "08.axis.position", ylim=(0.3, 1.04), **WIDE),
}  # fmt: skip


def border(position: Tensor, accuracy: Tensor) -> Tensor:
    """Return the first position from which on an accuracy (pairs, P) is surely below that of the first position, ().

    Surely is by more than 2.8 standard errors of the fall on each pair; 1 if there is no such position.
    """
    fall = over(accuracy[:, :1] - accuracy)
    sure = fall.value > 2.8 * fall.error.nan_to_num()
    last = (~sure).nonzero().max()
    return position[min(int(last) + 1, len(position) - 1)]


def draw(sheet: Sheet, state: Any, ghost: list[float] | None = None) -> None:
    """Draw the roads and lines of the pairs, one position, the learner's border, and the bet on the accuracy."""
    place = POSITIONS.index(state.bad_position)
    for name, (panel, role) in LOOKS.items():
        if name != "train":
            mean = along("line", state.bad_shown, name)
            sheet[panel].line(WHERE, mean, LINE, "")
            beside = 9 if name == "loss" else 6
            sheet[panel].note(float(WHERE[beside]) + 0.03, float(mean.value[beside]), LINE.label, LINE, boxed=True)
        sheet[panel].line(WHERE, along("matched", state.bad_shown, name), role)
    for panel, name in (("top", "loss"), ("bottom", "test")):
        sheet[panel].line([state.bad_position] * 2, sheet[panel].panel.ylim, LIMIT, "")
        value = along("matched", state.bad_shown, name).value[place]
        sheet[panel].line([state.bad_position], value[None], Role(BLACK, ""), "", marker="o", ms=7)
    if state.border is not None:
        sheet["bottom"].line([state.border] * 2, (0.3, 1.0), Role(BLUE, "--", 1.5), "")
        sheet["bottom"].note(state.border - 0.01, 0.36, "08.label.border", Role(BLUE), ha="right", boxed=True)
    if ghost is not None:
        sheet["bottom"].line(torch.linspace(0, 1, len(ghost)), ghost, GHOST, "", lw=4)
        sheet["bottom"].note(0.3, ghost[len(ghost) // 3] - 0.06, GHOST.label, GHOST, ha="center", boxed=True)


def words(state: Any) -> str:
    """Say what is read at a position, and where the learner's border is."""
    place = POSITIONS.index(state.bad_position)
    known: dict[str, Any] = {name: along("matched", state.bad_shown, name).at(place) for name in LOOKS}
    known["loss"], known["train"] = (float(known[name].value) for name in ("loss", "train"))
    known["line"] = float(along("line", state.bad_shown, "loss").value[place])
    said = text("08.road.sentence", shown=shown_as(state.bad_shown), position=float(WHERE[place]), **known)
    if state.border is None:
        return said
    return f"{said} {text('08.road.border', border=state.border)} {state.rule.note}"


CODE = f"""
from entropic_edu import recorded
along = recorded.load("bad_minima")["matched/along"]
loss, train, test = along[{{rows.start}}:{{rows.stop}}, :, :3].unbind(-1)  # pairs, positions
# the columns are {", ".join(COLUMNS[:7])}
"""


def state_of(rule: Yours, bad_position: float, bad_shown: str) -> dict[str, Any]:
    """Return the border, where the learner wrote a function for it and there are several pairs."""
    asked = rule.note and bad_shown != "one"
    found = float(rule(WHERE, column(pairs("matched/along", bad_shown), "test"))) if asked else None
    return {"border": found, "rule": rule, "rows": SHOWN[bad_shown]}


def road(seed: int, yours: Written = None) -> Explorer:
    """From a good minimum to a bad one: the loss stays low, the held-out accuracy does not."""
    controls = [slider("bad_position", POSITIONS, POSITIONS[11]), switch("bad_shown", tuple(SHOWN))]
    state = partial(state_of, Yours(yours, border))
    return Explorer(draw, controls, PANELS, words, state=state, title="08.road.title", code=CODE)
