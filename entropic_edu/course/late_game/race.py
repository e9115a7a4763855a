"""Round 1, over data sets: which barrier has gone first, with the error over trunks, by the learner's function."""

from __future__ import annotations

from functools import cache, partial
from types import SimpleNamespace

from torch import Tensor

from entropic_edu import recorded
from entropic_edu.figures.plots import BLUE, PURPLE
from entropic_edu.physics.mean import Mean
from entropic_edu.physics.spawn import Family
from entropic_edu.teaching.explorer import Explorer, slider
from entropic_edu.teaching.sheet import GREY, Panel, Role, Sheet
from entropic_edu.teaching.strings import option_text, text
from entropic_edu.teaching.yours import Written, Yours

from .measures import LEVELS, order

PLACES = {  # recording and key of the family of each row, and what it is called
    "forty": ("late_game", "forty/family", "07.race.forty"),
    "fifth": ("late_game", "fifth/family", "07.race.fifth"),
    "clean": ("late_game", "clean/family", "07.race.clean"),
    "decay": ("late_game", "decay/family", "07.race.decay"),
    "normalised": ("late_normalised", "family", "07.race.normalised"),
    "cifar_plain": ("late_cifar10", "plain/family", "07.race.cifar_plain"),
    "cifar_normed": ("late_cifar10", "normed/family", "07.race.cifar_normed"),
}
ROWS = {row: place for row, place in PLACES.items() if recorded.shipped(place[0])}


@cache
def barriers(row: str) -> tuple[Tensor, Tensor, Tensor, int]:
    """Return k (K,), both barriers as shares of their mean at k = 0 (T, K), and the steps of the training."""
    name, key, _ = ROWS[row]
    children: Family = recorded.load(name)[key]
    heights = (children.barrier(curve.double()) for curve in (children.data_loss, children.trace))
    loss, trace = map(children.relative_to_first, heights)
    return children.at, loss, trace, children.steps


def later(rule: Yours, row: str) -> Mean:
    """Return by how much of the training the curvature barrier goes later than the loss barrier, in per cent."""
    k, loss, trace, steps = barriers(row)
    value, error = rule(k, loss, trace).double()
    return Mean(value, error) * (100 / steps)


def draw(sheet: Sheet, state: SimpleNamespace) -> None:
    """Draw a row for each data set; the chosen one in blue."""
    pen, count = sheet["race"], len(ROWS)
    for place, row in enumerate(ROWS):
        role = Role(BLUE if row == state.row else GREY)
        pen.across(state.later[row], count - 1 - place, role)
    for at, key, side in ((0.02, "07.race.trace_first", "left"), (0.98, "07.race.loss_first", "right")):
        pen.note(at, 0.98, key, Role(PURPLE), transform=pen.ax.transAxes, ha=side, va="top")


def words(state: SimpleNamespace) -> str:
    """Say which barrier goes first on the chosen data, and where that is open, what is left of both."""
    mean, (k, loss, trace, steps) = state.later[state.row], barriers(state.row)
    last = int((loss.mean(0) >= LEVELS["share"]).nonzero()[-1])  # the last k with a barrier of loss
    left = {"k": int(k[last]), "loss": 100 * loss[:, last].mean(), "trace": 100 * trace[:, last].mean()}
    verdict = "open" if abs(float(mean.value)) <= 2 * float(mean.error) else "loss" if mean.value > 0 else "trace"
    known = {"row": text(ROWS[state.row][2]), "count": len(loss), "steps": steps}
    known["later"] = mean * (steps / 100)
    told = option_text(verdict, "07.race.verdict.open", "07.race.verdict.loss", "07.race.verdict.trace", **left)
    return f"{text('07.race.sentence', **known)} {told} {state.rule.note}".strip()


def code(state: SimpleNamespace) -> str:
    """Return lines that read the barriers of a row and judge them."""
    name, key, _ = ROWS[state.row]
    return f"""
from entropic_edu import recorded
family = recorded.load("{name}")["{key}"]
curves = family.data_loss.double(), family.trace.double()
loss, trace = (family.relative_to_first(family.barrier(curve)) for curve in curves)
order(family.at, loss, trace)  # steps by which the curvature barrier goes later, and the error
"""


def race(seed: int, yours: Written = None) -> Explorer:
    """Tell on all recorded data sets which barrier has gone first."""
    rule = Yours(yours, order)
    found = {row: later(rule, row) for row in ROWS}
    count = len(ROWS)
    names = {float(count - 1 - place): key for place, (_, _, key) in enumerate(ROWS.values())}
    panel = Panel((0.33, 0.14, 0.63, 0.8), "", "07.race.axis", (-30, 30), (-0.6, count - 0.1), yticks=names,
                  once=lambda ax: ax.axvline(0, color=GREY, lw=1))  # fmt: skip
    state = partial(SimpleNamespace, later=found, rule=rule)
    return Explorer(draw, [slider("row", tuple(ROWS), "forty")], {"race": panel}, words, state=state,
                    title="07.race.title", code=code, height=330)  # fmt: skip
