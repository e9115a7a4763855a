"""The opening: the loss on the straight line between two siblings, beside that between two strangers."""

from __future__ import annotations

from types import SimpleNamespace

from entropic_edu.figures.plots import BLACK
from entropic_edu.physics.mean import Mean
from entropic_edu.teaching.explorer import Explorer, slider
from entropic_edu.teaching.sheet import FAINT, RUN, Panel, Role, Sheet
from entropic_edu.teaching.strings import text

from .axes import POSITION, logarithmic
from .measures import STEPS, family, line, opening, over_trunks, with_error

TASK = "forty"
STRANGERS = Role(BLACK, ":", 1.8, "07.label.strangers_line")
PANELS = {"hill": Panel((0.1, 0.135, 0.68, 0.79), "07.panel.hill", **POSITION, **logarithmic(0.01, 5, (0.01, 0.1, 1)))}


def highest(k: int) -> tuple[Mean, Mean]:
    """Return the loss at the ends and at the highest point of the line, at this k."""
    curve = line(TASK, "siblings")[0][:, STEPS.index(k)]
    return over_trunks(0.5 * (curve[:, 0] + curve[:, -1])), over_trunks(curve.amax(-1))


def draw(sheet: Sheet, state: SimpleNamespace) -> None:
    """Draw the hill of this k among those of all others, and the control: two networks that share nothing."""
    pen, where = sheet["hill"], family(TASK).positions
    curves = over_trunks(line(TASK, "siblings")[0])
    for row in curves.value:
        pen.line(where, row, FAINT, lw=0.8)
    mine, other = curves.at(STEPS.index(state.parted)), over_trunks(line(TASK, "strangers")[0][:, 0])
    for mean, role in ((other, STRANGERS), (mine, RUN)):
        label = text("07.label.children", parted=state.parted) if role is RUN else role.label
        pen.line(where, mean, role, "")
        pen.note(0.5, 1.2 * float(mean.value.max()), label, role, boxed=True, ha="center", va="bottom")


def words(state: SimpleNamespace) -> str:
    """Say how high the hill is between siblings and between strangers."""
    (ends, top), strangers = highest(state.parted), over_trunks(line(TASK, "strangers")[0][:, 0].amax(-1))
    told = {"ends": with_error(ends), "top": with_error(top), "strangers": with_error(strangers)}
    return text("07.hill.sentence", parted=state.parted, steps=family(TASK).steps, **told)


CODE = f"""{opening(TASK)}
loss = family.data_loss[:, family.at.tolist().index({{state.parted}}), 0].mean(0)
top = loss.max()
"""


def hill(seed: int) -> Explorer:
    """The hill between siblings goes down as they part later."""
    return Explorer(draw, [slider("parted", STEPS, 0)], PANELS, words, title="07.hill.title", code=CODE)
