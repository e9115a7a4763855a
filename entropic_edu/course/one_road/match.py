"""Round 3: how much of the hill is there only because the two networks name their units differently."""

from __future__ import annotations

from typing import Any

import torch
from matplotlib.axes import Axes
from torch import Tensor

from entropic_edu.course import digits
from entropic_edu.figures.plots import BLUE, DASHES, GREEN, PURPLE, RED
from entropic_edu.teaching.explorer import Explorer, slider, switch
from entropic_edu.teaching.sheet import GHOST, GREY, Panel, Role, Sheet
from entropic_edu.teaching.strings import option_text, text

from .common import kept, least_and_most
from .lines import EVEN, NUMBERS, objective, rises, rows_of

GOALS = {
    "other": Role(RED, DASHES[1], 2.4, "04.match.other", "o"),
    "matched": Role(BLUE, DASHES[0], 2.4, "04.match.matched", "s"),
    "shuffled": Role(PURPLE, DASHES[3], 2.4, "04.match.shuffled", "^"),
}
TRACES = {
    "road": Role(RED, DASHES[1], label="04.trace.road"),
    "matched": Role(BLUE, label="04.trace.matched"),
    "line": Role(GREEN, DASHES[2], label="04.trace.line"),
}


def halfway(traces: Tensor) -> Tensor:
    """Return the curvature at the halfway point over the mean of the ends, (n, 9) -> (n,)."""
    return traces[:, traces.shape[1] // 2] / traces[:, [0, -1]].mean(1)


def _hills(ax: Axes) -> None:
    for goal, role in GOALS.items():
        ax.plot(NUMBERS, rises(objective(goal)), role.marker, color=role.colour, mfc="none", ms=7)


PANELS = {
    "line": Panel((0.095, 0.13, 0.42, 0.78), "04.panel.objective", "04.axis.position", ylim=(0.022, 2.5),
                  yscale="log", yticks=(0.03, 0.1, 0.3, 1)),
    "hills": Panel((0.6, 0.64, 0.38, 0.27), "04.panel.hills", "04.axis.pair", (0.5, 5.5), (0.004, 3), NUMBERS,
                   (0.01, 0.1, 1), yscale="log", once=_hills),
    "trace": Panel((0.6, 0.13, 0.245, 0.29), "04.panel.trace", "04.axis.position", ylim=(0, 18)),
}  # fmt: skip


def state_of(line_to: str, minima: int | None) -> dict[str, Any]:
    """Return which pairs are shown, and what is said of them: ranges over the pairs in words."""
    rows = rows_of(minima)
    rise = rises(objective(line_to)[rows])
    traces = {name: least_and_most(halfway(kept(f"trace/{name}")[rows]), 2) for name in TRACES}
    return {"rows": rows, "wide": traces["road"], "matched": traces["matched"], "line": traces["line"]} | {
        "which": text("04.match.all") if minima is None else text("04.match.one", pair=minima),
        "rise": least_and_most(rise, 2),
        "share": least_and_most(100 * rise / rises(objective("other")[rows]), 2),
        "distance": least_and_most(kept("matched/distance")[rows, int(line_to == "matched")]),
        "length": least_and_most(kept("matched/ending")[rows, 2]),
        "road": least_and_most(torch.tensor([digits.road(pair).length for pair in rows])),
    }


def draw(sheet: Sheet, state: Any, ghost: float | None = None) -> None:
    """Draw the three lines of some pairs, the chosen one boldly, and the bet: what share of the hill stays."""
    rows, pen = state.rows, sheet["line"]
    tops = {goal: float(objective(goal)[rows].max()) for goal in GOALS}
    high = max(tops["other"], tops["shuffled"])
    heights = {goal: (1.6 if top == high else 1.2) * high for goal, top in tops.items()}
    heights["matched"] = 1.25 * tops["matched"]
    for goal, role in GOALS.items():
        mine = goal == state.line_to
        for row in objective(goal)[rows]:
            pen.line(EVEN, row, role if mine else Role(GREY, role.dash, 1.0), "")
        style: dict[str, Any] = {"ha": "center", "va": "center", "fontweight": "bold" if mine else "normal"}
        pen.note(0.5, heights[goal], role.label, role, **style)
    chosen = GOALS[state.line_to]
    numbers = [row + 1 for row in rows]
    sheet["hills"].points(numbers, rises(objective(state.line_to)[rows]), chosen, ms=9)
    for name, role in TRACES.items():
        for values in kept(f"trace/{name}")[rows]:
            sheet["trace"].line(torch.linspace(0, 1, len(values)), values, role, "")
        sheet["trace"].note(1.03, {"line": 15.5, "road": 8.5, "matched": 3.0}[name], role.label, role, va="center")
    if ghost is not None:
        lines = objective("other")[rows].mean(0)
        height = float(lines[[0, -1]].mean() + ghost * (lines.max() - lines[[0, -1]].mean()))
        pen.line([0.41, 0.59], [height, height], GHOST, "", lw=4)
        pen.note(0.5, 0.8 * height, GHOST.label, GHOST, ha="center", va="center")


def words(state: Any) -> str:
    """Say how high the hill to this goal is, and how narrow the way is."""
    keys = ("04.match.say.other", "04.match.say.matched", "04.match.say.shuffled")
    return option_text(state.line_to, *keys, **vars(state))


def code(state: Any) -> str:
    """Return the lines that measure a line anew, that of the first pair where all are shown."""
    pair = state.rows[0]
    goal = {
        "other": "goal = b",
        "matched": f"goal = ee.align(land, a, b, generator=torch.Generator().manual_seed({1000 * pair + 10})).theta",
        "shuffled": f"goal = one_road.shuffled(land, a, {pair})",
    }[state.line_to]
    return f"""
from entropic_edu.recorded import one_road, roads
land, (a, b) = roads.landscape(), roads.road({pair}).pivots[[0, -1]]
{goal}
land.loss(torch.lerp(a, goal, torch.linspace(0, 1, 25)[:, None]))
"""


def match(seed: int) -> Explorer:
    """The straight line from A to B, to B relabelled, or to A itself with its units shuffled; nothing is drawn here."""
    controls = [switch("line_to", tuple(GOALS)), slider("minima", (*NUMBERS, None), 1)]
    return Explorer(draw, controls, PANELS, words, state=state_of, title="04.match.title", code=code)
