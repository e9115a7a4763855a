"""Before round 1: the hill on the straight line, and the road round it, side by side."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from torch import Tensor

from entropic_edu import recorded
from entropic_edu.figures.plots import BLUE, RED
from entropic_edu.teaching.explorer import Explorer, slider, switch
from entropic_edu.teaching.sheet import FAINT, GREY, Panel, Role, Sheet
from entropic_edu.teaching.strings import text

from .common import COUNT, HERE, PAIRS, PLACES, along, positions

TOP = 1.75
PANELS = {
    "line": Panel((0.065, 0.125, 0.425, 0.79), "05.panel.line", "05.axis.either", ylim=(0, TOP)),
    "road": Panel((0.545, 0.125, 0.425, 0.79), "05.panel.road", "05.axis.either", ylim=(0, TOP)),
}


@cache
def hill() -> Tensor:
    """Return the objective along the straight lines between the ends of all pairs, (pairs, 25)."""
    return torch.stack([recorded.load("valley")[f"pair{pair}/line_loss"] for pair in range(COUNT)]).double()


def at(values: Tensor, place: float) -> float:
    """Return a value at a position, on straight lines between even positions, (n,) -> number."""
    return float(np.interp(place, positions(len(values)), values))


@dataclass(frozen=True)
class Ways:
    """Both ways between the minima of a pair, and a place on them."""

    at_position: float
    one_pair: str

    @property
    def pair(self) -> int:
        """Counted from 0."""
        return int(self.one_pair) - 1

    @property
    def line(self) -> Tensor:
        return hill()[self.pair]

    @property
    def road(self) -> Tensor:
        return along("objective")[self.pair]


def draw(sheet: Sheet, ways: Ways) -> None:
    """Draw the objective along both ways, with the place."""
    for name, values, role in (("line", ways.line, Role(RED, "--")), ("road", ways.road, Role(BLUE))):
        height = at(values, ways.at_position)
        sheet[name].line(positions(len(values)), values, role)
        sheet[name].line([ways.at_position] * 2, [0, height], HERE)
        sheet[name].line([ways.at_position], [height], FAINT, color=GREY, marker="o", ms=9)


def words(ways: Ways) -> str:
    """Say how high both ways are at the place."""
    known = {"line": at(ways.line, ways.at_position), "road": at(ways.road, ways.at_position)}
    known |= {"low": float(ways.road.min()), "high": float(ways.road.max()), "place": ways.at_position}
    return text("05.hook.sentence", pair=ways.one_pair, **known)


CODE = """
from entropic_edu.recorded import valley
land, road = valley.landscape(), valley.road({state.pair})
here = {state.at_position}
print(land.loss(road.at(here)), land.loss(torch.lerp(road.at(0), road.at(1), here)))
"""


def flat(seed: int) -> Explorer:
    """The objective along the road is flat; nothing else is shown yet."""
    controls = [slider("at_position", PLACES, 0.5), switch("one_pair", PAIRS[1:])]
    return Explorer(draw, controls, PANELS, words, state=Ways, title="05.hook.title", code=CODE)
