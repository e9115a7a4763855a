"""Before round 1: the hill on the straight line, and the road round it, as lesson 04 left them."""

from __future__ import annotations

from functools import cache

import torch
from matplotlib.figure import Figure
from torch import Tensor

from entropic_edu.course import digits
from entropic_edu.figures.plots import BLUE, RED, labelled
from entropic_edu.physics.mean import exact
from entropic_edu.teaching import sheet
from entropic_edu.teaching.explorer import Explorer, slider, switch
from entropic_edu.teaching.sheet import GREY, Band, moving
from entropic_edu.teaching.strings import text

from .common import PAIRS, along, positions
from .road import PLACES, POINTS


@cache
def hill() -> Tensor:
    """Return the objective along the straight lines between the ends of all pairs, (pairs, 25)."""
    return torch.stack([digits.line_loss(pair) for pair in digits.PAIRS]).double()


def at(values: Tensor, place: float) -> float:
    """Return a value at a position, on straight lines between even positions, (n,) -> number."""
    exactly = place * (len(values) - 1)
    low = min(int(exactly), len(values) - 2)
    return float(torch.lerp(values[low], values[low + 1], exactly - low))


class Flat:
    """The objective on the line and on the road, with a place on both; beside it the road alone."""

    def __init__(self) -> None:
        self.figure = sheet.figure()
        left = labelled(
            self.figure.add_axes((0.085, 0.125, 0.35, 0.79)), text("05.axis.either"), "", text("05.panel.either")
        )
        right = labelled(
            self.figure.add_axes((0.64, 0.125, 0.32, 0.79)), text("05.axis.position"), "", text("05.panel.road_alone")
        )
        left.set(xlim=(0, 1), yscale="log", ylim=(0.01, 3))
        left.set_yticks([0.01, 0.1, 1], ["0.01", "0.1", "1"])
        left.minorticks_off()
        right.set(xlim=(0, 1), ylim=(0, 0.036))
        for ax in (left, right):
            ax.title.set_fontsize(11)
        self.line = Band(left, colour=RED, dash="--", label=text("05.label.line"))
        self.road, self.alone = Band(left, colour=BLUE, label=text("05.label.road")), Band(right, colour=BLUE)
        self.marks = [(ax, moving(ax, colour=GREY, dash=":", width=1.5)) for ax in (left, right)]

    def show(self, pair: int, place: float) -> None:
        """Draw both ways between the ends of a pair, counted from 0."""
        line, road = hill()[pair], along("objective")[pair]
        self.line.show(positions(len(line)), exact(line))
        self.line.name.set_position((0.6, 1.25 * float(line.max())))
        self.road.show(positions(POINTS), exact(road))
        self.alone.show(positions(POINTS), exact(road))
        for ax, mark in self.marks:
            mark.set_data([place, place], ax.get_ylim())


def flat(seed: int) -> Explorer:
    """The objective along the road is flat; nothing else is shown yet."""
    picture = Flat()

    def render(*, at_position: float, one_pair: str) -> tuple[Figure, str]:
        pair = int(one_pair) - 1
        picture.show(pair, at_position)
        road = along("objective")[pair]
        words = text(
            "05.hook.sentence",
            pair=one_pair,
            place=at_position,
            line=at(hill()[pair], at_position),
            road=at(road, at_position),
            low=float(road.min()),
            high=float(road.max()),
        )
        return picture.figure, words

    return Explorer(
        render,
        [slider("at_position", PLACES, 0.5), switch("one_pair", PAIRS[1:])],
        title=text("05.hook.title"),
        code=code,
    )


def code(*, at_position: float, one_pair: str) -> str:
    """Return lines that compute the objective at this place of the road and of the line."""
    return (
        "from entropic_edu.recorded import roads\n"
        f"land, road = roads.landscape(), roads.road({int(one_pair) - 1})\n"
        f"print(land.loss(road.at({at_position})), land.loss(torch.lerp(road.at(0), road.at(1), {at_position})))"
    )
