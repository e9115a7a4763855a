"""Before round 1: the hill on the straight line, and the road round it, on one axis."""

from __future__ import annotations

from functools import cache

import torch
from matplotlib.figure import Figure
from torch import Tensor

from entropic_edu import recorded
from entropic_edu.figures.plots import BLUE, RED, labelled
from entropic_edu.physics.mean import exact
from entropic_edu.teaching import sheet
from entropic_edu.teaching.explorer import Explorer, slider, switch
from entropic_edu.teaching.sheet import GREY, Band, moving
from entropic_edu.teaching.strings import text

from .common import COUNT, PAIRS, along, positions
from .road import PLACES


@cache
def hill() -> Tensor:
    """Return the objective along the straight lines between the ends of all pairs, (pairs, 25)."""
    return torch.stack([recorded.load("valley")[f"pair{pair}/line_loss"] for pair in range(COUNT)]).double()


def at(values: Tensor, place: float) -> float:
    """Return a value at a position, on straight lines between even positions, (n,) -> number."""
    exactly = place * (len(values) - 1)
    low = min(int(exactly), len(values) - 2)
    return float(torch.lerp(values[low], values[low + 1], exactly - low))


class Flat:
    """The objective on the line and, beside it, on the road, with a place on both."""

    def __init__(self) -> None:
        self.figure = sheet.figure()
        self.axes = [self.figure.add_axes((left, 0.125, 0.425, 0.79)) for left in (0.065, 0.545)]
        for ax, title in zip(self.axes, ("05.panel.line", "05.panel.road"), strict=True):
            labelled(ax, text("05.axis.either"), "", text(title)).title.set_fontsize(11)
            ax.set(xlim=(0, 1), ylim=(0, 1.1 * float(hill().max())))
        self.bands = [Band(self.axes[0], colour=RED, dash="--"), Band(self.axes[1], colour=BLUE)]
        self.points = [moving(ax, colour=GREY, dash="", marker="o", ms=9) for ax in self.axes]
        self.marks = [moving(ax, colour=GREY, dash=":", width=1.5) for ax in self.axes]

    def show(self, pair: int, place: float) -> None:
        """Draw both ways between the ends of a pair, counted from 0."""
        ways = hill()[pair], along("objective")[pair]
        for values, band, point, mark in zip(ways, self.bands, self.points, self.marks, strict=True):
            band.show(positions(len(values)), exact(values))
            point.set_data([place], [at(values, place)])
            mark.set_data([place, place], [0, at(values, place)])


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
        "from entropic_edu.recorded import valley\n"
        f"land, road = valley.landscape(), valley.road({int(one_pair) - 1})\n"
        f"print(land.loss(road.at({at_position})), land.loss(torch.lerp(road.at(0), road.at(1), {at_position})))"
    )
