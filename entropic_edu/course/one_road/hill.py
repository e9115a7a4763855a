"""Round 1: the loss on the straight line between two trained networks, and on the road."""

from __future__ import annotations

import itertools
from typing import Any

from matplotlib.axes import Axes
from torch import Tensor

from entropic_edu.course import digits
from entropic_edu.figures.plots import BLACK, DASHES, GREEN
from entropic_edu.teaching.explorer import Explorer, Work, slider
from entropic_edu.teaching.sheet import GHOST, Panel, Role, Sheet
from entropic_edu.teaching.strings import text

from .common import LINE, ROAD, least_and_most, level
from .lines import EVEN, NUMBERS, QUICK, Two, along_roads, lines, rows_of, times, two

TOP = 4.0  # of the objective's axis; a higher bet is drawn at it
READ = {"train": Role(GREEN, label="04.label.train"), "test": Role(BLACK, DASHES[1], label="04.label.test")}


def _hills(ax: Axes) -> None:
    ax.plot(NUMBERS, times(lines()[0]), "o", color=LINE.colour, mfc="none", ms=7)


OBJECTIVE: dict[str, Any] = {"yscale": "log", "yticks": (0.03, 0.1, 0.3, 1, 3)}
PANELS = {
    "line": Panel((0.095, 0.13, 0.44, 0.78), "04.panel.objective", "04.axis.position", ylim=(0.02, TOP),
                  once=level(2.3026, "04.hill.blind", 0.01, 2.7), **OBJECTIVE),
    "read": Panel((0.645, 0.6, 0.23, 0.31), "04.panel.accuracy", "04.axis.position", ylim=(50, 108)),
    "hills": Panel((0.645, 0.13, 0.335, 0.26), "04.panel.times", "04.axis.pair", (0.5, 6.7), (0, 42),
                   xticks={float(number): str(number) for number in NUMBERS} | {6.0: "04.label.live"}, once=_hills),
}  # fmt: skip


def draw_lines(sheet: Sheet, objective: Tensor, accuracy: Tensor) -> None:
    """Draw the objective on lines (n, 25), and what is read on them on average, (n, 2, 25)."""
    for row in objective:
        sheet["line"].line(EVEN, row, LINE, "")
    sheet["line"].note(0.5, 1.3 * float(objective.max()), LINE.label, LINE, ha="center")
    for role, row in zip(READ.values(), 100 * accuracy.mean(0), strict=True):
        sheet["read"].line(EVEN, row, role)


def state_of(minima: int | None) -> dict[str, Any]:
    """Return what was measured of one pair or of all, (n, ...) each, and its range over the pairs in words."""
    rows = rows_of(minima)
    objective, accuracy, road = (each[rows] for each in (*lines(), along_roads()))
    return {"rows": rows, "objective": objective, "accuracy": accuracy, "roads": road, "pair": minima} | {
        "top": least_and_most(objective.max(1).values),
        "ends": least_and_most(objective[:, [0, -1]].mean(1)),
        "times": least_and_most(times(objective), 2),
        "road": least_and_most(road.max(1).values),
        "train": least_and_most(100 * accuracy[:, 0].min(1).values),
        "test": least_and_most(100 * accuracy[:, 1].min(1).values),
    }


def draw(sheet: Sheet, state: Any, ghost: float | None = None) -> None:
    """Draw the lines and roads of some pairs, and the bet: so many times the ends, halfway."""
    objective = state.objective
    draw_lines(sheet, objective, state.accuracy)
    for row in state.roads:
        sheet["line"].line(EVEN, row, ROAD, "")
    sheet["line"].note(0.5, 0.0235, ROAD.label, ROAD, ha="center")
    sheet["hills"].line([row + 1 for row in state.rows], times(objective), Role(LINE.colour, ""), "", marker="o", ms=9)
    if ghost is not None:
        height = min(ghost * float(objective[:, [0, -1]].mean()), 0.9 * TOP)
        sheet["line"].line([0.32, 0.68], [height, height], GHOST, "", lw=4)
        sheet["line"].note(0.5, 0.78 * height, GHOST.label, GHOST, ha="center", va="center")


def words(state: Any) -> str:
    """Say how high the hill is, and what is read on it."""
    return text("04.hill.all" if state.minima is None else "04.hill.one", **vars(state))


def show(sheet: Sheet, two: Two, state: Any) -> str:
    """Draw two networks that learn now, and say how high the hill between them is."""
    draw_lines(sheet, two.objective[None], two.accuracy[None])
    sheet["hills"].line([6], times(two.objective)[None], Role(LINE.colour, ""), "", marker="D", ms=9)
    found = {"ends": float(two.objective[[0, -1]].mean()), "top": float(two.objective.max())}
    found |= {"times": float(times(two.objective)), "test": 100 * float(two.accuracy[1].min())}
    return text("04.hill.live", seed=two.seed, step=two.step, **found)


CODE = """
from entropic_edu.recorded import roads
land, road = roads.landscape(), roads.road({rows[0]})
a, b = road.pivots[[0, -1]]
t = torch.linspace(0, 1, 25)
land.loss(torch.lerp(a, b, t[:, None])), land.loss(road.at(t))
"""


def hill(seed: int) -> Explorer:
    """The line and the road of five pairs; the button trains two new networks."""
    seeds = itertools.count(1000 * seed + 501)  # each press other networks than those recorded
    steps = digits.land().steps_per_epoch(QUICK["batch_size"]) * QUICK["epochs"]
    work = Work(lambda state: two(next(seeds)), show, lambda state: steps, show)
    controls = [slider("minima", (*NUMBERS, None), 1)]
    return Explorer(draw, controls, PANELS, words, state=state_of, title="04.hill.title", code=CODE, work=work)
