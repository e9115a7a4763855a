"""What the explorers share: names and dashes of the methods, the plane through three points, and numbers of pairs."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from torch import Tensor

from entropic_edu import recorded
from entropic_edu.course import digits
from entropic_edu.figures.plots import BLACK, BLUE, DASHES, GREEN, PURPLE, RED, Plane, labelled
from entropic_edu.physics.path import Path
from entropic_edu.recorded import one_road
from entropic_edu.teaching import sheet
from entropic_edu.teaching.sheet import moving
from entropic_edu.teaching.strings import text

METHODS: tuple[str, ...] = tuple(one_road.RECIPE["methods"])
GUESSES: tuple[str, ...] = tuple(one_road.RECIPE["guesses"])
COLOURS = dict(zip(METHODS, (BLUE, RED, GREEN, PURPLE), strict=True))
STROKES: dict[str, Any] = dict(zip(METHODS, DASHES, strict=False))
LEVELS = np.geomspace(0.028, 2.5, 13)  # of the objective on the plane


@cache
def plane() -> Plane:
    """Return the plane through both ends and the middle of the road of pair 0."""
    return Plane.through(digits.road(0))


def kept(name: str) -> Tensor:
    """Return a tensor of this lesson's recording."""
    values: Tensor = recorded.load("one_road")[name]
    return values


def ends(pair: int) -> Tensor:
    """Return the two minima of a pair, (2, D)."""
    return digits.road(pair).pivots[[0, -1]]


def off_plane(path: Path, flat: Plane) -> float:
    """Return how far the farthest point of a path lies from a plane."""
    where = flat.coordinates(path.pivots)
    return float((path.pivots - flat.points(where)).norm(dim=1).max())


def rounded(value: float, digits: int) -> str:
    """Return a number with so many digits, without an exponent."""
    if value == 0:
        return "0"
    near = float(f"{value:.{digits - 1}e}")
    return f"{near:.{max(0, digits - 1 - math.floor(math.log10(abs(near))))}f}"


def least_and_most(values: Tensor, digits: int = 3) -> str:
    """Return the range of a number over the pairs, as words."""
    low, high = rounded(float(values.min()), digits), rounded(float(values.max()), digits)
    return low if low == high else text("04.range", low=low, high=high)


class Outlined:
    """A line on a field: a wide white one beneath, so that it is seen on light and dark."""

    def __init__(self, ax: Axes, colour: str, dash: Any = "-", marker: str = "") -> None:
        style = {"solid_capstyle": "round", "clip_on": True}
        self.under = moving(ax, colour="white", width=4.5, zorder=3, **style)
        self.over: Line2D = moving(ax, colour=colour, dash=dash, width=2.2, zorder=4, marker=marker, ms=4.5, **style)

    def show(self, points: Tensor | None) -> None:
        """Draw it through points (n, 2); None takes it off."""
        for line in (self.under, self.over):
            line.set_data(([], []) if points is None else points.T.numpy())


def draw_plane(figure: Figure, place: tuple[float, float, float, float], bar: bool = True) -> Axes:
    """Draw the objective on the plane of pair 0, with both minima and the network of zero weights; ``bar`` tells it."""
    ax = figure.add_axes(place)
    field = one_road.RECIPE["field"]
    u, v = (torch.linspace(field[name][0], field[name][1], field["side"]) for name in ("u", "v"))
    shown = ax.contourf(u, v, kept("field").numpy(), levels=LEVELS, norm="log", cmap="cividis_r", extend="both")
    left, bottom, width, _ = place
    if bar:
        beneath = figure.add_axes((left + 0.03, bottom - 0.19, width - 0.06, 0.026))
        key = figure.colorbar(shown, cax=beneath, orientation="horizontal", ticks=[0.03, 0.1, 0.3, 1], format="%g")
        key.minorticks_off()
        key.set_label(text("04.axis.objective"), fontsize=11)
        beneath.tick_params(labelsize=10.5)
    labelled(ax, text("04.axis.along"), text("04.axis.across"))
    ax.set(xlim=field["u"], ylim=field["v"], aspect="equal")
    a, b = plane().coordinates(ends(0))
    zero = plane().coordinates(torch.zeros_like(ends(0)[:1]))[0]
    box = {"facecolor": "white", "alpha": 0.85, "lw": 0, "pad": 1}
    for name, point in (("A", a), ("B", b)):
        ax.plot(*point.tolist(), "o", color="white", mec=BLACK, ms=9, zorder=5)
        ax.text(float(point[0]), float(point[1]) - 1.15, name, ha="center", va="center", fontsize=12, bbox=box)
    ax.plot(*zero.tolist(), "x", color="white", ms=8, mew=2, zorder=5)
    ax.text(float(zero[0]), float(zero[1]) - 2.2, text("04.label.zero"), ha="center", fontsize=sheet.SMALL, bbox=box)
    return ax
