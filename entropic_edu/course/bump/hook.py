"""Before round 1: the hill on the straight line, and the road round it, side by side."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor

from entropic_edu import recorded
from entropic_edu.course.runs import at
from entropic_edu.figures.plots import BLUE, RED
from entropic_edu.teaching.explorer import Explorer, slider, switch
from entropic_edu.teaching.sheet import FAINT, GREY, Panel, Role, Sheet

from .common import COUNT, HERE, PAIRS, PLACES, along, positions

WAYS = {"line": Role(RED, "--"), "road": Role(BLUE)}
TOP = 1.75
PANELS = {
    "line": Panel((0.065, 0.125, 0.425, 0.79), "05.panel.line", "05.axis.either", ylim=(0, TOP)),
    "road": Panel((0.545, 0.125, 0.425, 0.79), "05.panel.road", "05.axis.either", ylim=(0, TOP)),
}


@cache
def hill() -> Tensor:
    """Return the objective along the straight lines between the ends of all pairs, (pairs, 25)."""
    return torch.stack([recorded.load("valley")[f"pair{pair}/line_loss"] for pair in range(COUNT)]).double()


def state_of(at_position: float, one_pair: str) -> dict[str, Any]:
    """Return the objective along both ways between the minima of a pair, and how high both are at the place."""
    pair = int(one_pair)
    curves = {"line": hill()[pair - 1], "road": along("objective")[pair - 1]}
    low, high = curves["road"].aminmax()
    known = {"pair": pair, "row": pair - 1, "place": at_position, "low": low, "high": high, "curves": curves}
    return known | {name: at(values, at_position) for name, values in curves.items()}


def draw(sheet: Sheet, ways: Any) -> None:
    """Draw the objective along both ways, with the place."""
    for name, role in WAYS.items():
        values, height = ways.curves[name], getattr(ways, name)
        sheet[name].line(positions(len(values)), values, role)
        sheet[name].line([ways.place] * 2, [0, height], HERE)
        sheet[name].line([ways.place], [height], FAINT, color=GREY, marker="o", ms=9)


CODE = """
from entropic_edu.recorded import valley
land, road = valley.landscape(), valley.road({row})
here = {place}
print(land.loss(road.at(here)), land.loss(torch.lerp(road.at(0), road.at(1), here)))
"""


def flat(seed: int) -> Explorer:
    """The objective along the road is flat; nothing else is shown yet."""
    controls = [slider("at_position", PLACES, 0.5), switch("one_pair", PAIRS[1:])]
    return Explorer(draw, controls, PANELS, "05.hook.sentence", state=state_of, title="05.hook.title", code=CODE)
