"""What the explorers share: how methods look, the plane through three points of the road, numbers over the pairs."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from torch import Tensor

from entropic_edu import recorded
from entropic_edu.course import digits
from entropic_edu.figures.plots import BLACK, BLUE, DASHES, GREEN, PURPLE, RED, Plane
from entropic_edu.physics.path import Path
from entropic_edu.recorded import one_road
from entropic_edu.teaching.sheet import GREY, SMALL, Panel, Pen, Role
from entropic_edu.teaching.strings import text

METHODS: tuple[str, ...] = tuple(one_road.RECIPE["methods"])
GUESSES: tuple[str, ...] = tuple(one_road.RECIPE["guesses"])
LOOKS = {
    name: Role(colour, dash, 2.2)
    for name, colour, dash in zip(METHODS, (BLUE, RED, GREEN, PURPLE), DASHES, strict=False)
}
LINE, ROAD, YOURS = Role(RED, "--", label="04.label.line"), Role(BLUE, label="04.label.road"), Role(BLACK, "-", 2.2)
LEVELS = np.geomspace(0.028, 2.5, 13)  # of the objective on the plane
BOX = {"facecolor": "white", "alpha": 0.85, "lw": 0, "pad": 1}


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


def outlined(pen: Pen, points: Tensor, role: Role, **style: Any) -> None:
    """Draw a line through points (n, 2) of a field on a wide white one, so that it is seen on light and dark."""
    x, y = points.T
    pen.line(x, y, Role("white", width=4.5), "", zorder=3, solid_capstyle="round")
    pen.line(x, y, role, "", zorder=4, **style)


def level(height: float, key: str, x: float, y: float, dash: Any = ":") -> Callable[[Axes], None]:
    """Return what draws a grey line at a height, once, and what it is at (x, y)."""

    def draw(ax: Axes) -> None:
        ax.axhline(height, color=GREY, lw=1, ls=dash)
        ax.text(x, y, text(key), color=GREY, fontsize=SMALL, va="center")

    return draw


def draw_field(ax: Axes, bar: bool) -> None:
    """Draw the objective on the plane of pair 0, both minima and the network of zero weights; ``bar`` adds the key."""
    field = one_road.RECIPE["field"]
    u, v = (torch.linspace(field[name][0], field[name][1], field["side"]) for name in ("u", "v"))
    shown = ax.contourf(u, v, kept("field").numpy(), levels=LEVELS, norm="log", cmap="cividis_r", extend="both")
    ax.set(ylabel=text("04.axis.across"), aspect="equal")
    if bar:
        left, bottom, width, _ = ax.get_position().bounds
        beneath = ax.figure.add_axes((left + 0.03, bottom - 0.19, width - 0.06, 0.026))
        key = ax.figure.colorbar(shown, cax=beneath, orientation="horizontal", ticks=[0.03, 0.1, 0.3, 1], format="%g")
        key.minorticks_off()
        key.set_label(text("04.axis.objective"), fontsize=11)
        beneath.tick_params(labelsize=10.5)
    named = zip(
        ("A", "B", text("04.label.zero")), plane().coordinates(torch.stack([*ends(0), 0 * ends(0)[0]])), strict=True
    )
    for (name, point), (mark, below) in zip(named, (("o", 1.15), ("o", 1.15), ("x", 2.2)), strict=True):
        ax.plot(*point.tolist(), mark, color="white", mec=BLACK if mark == "o" else "white", ms=9, mew=1.5, zorder=5)
        ax.text(float(point[0]), float(point[1]) - below, name, ha="center", va="center", fontsize=SMALL, bbox=BOX)


def field_panel(place: tuple[float, float, float, float], title: str = "", bar: bool = True) -> Panel:
    """Return the panel of the plane of pair 0."""
    field = one_road.RECIPE["field"]
    once = partial(draw_field, bar=bar)
    return Panel(place, title, "04.axis.along", tuple(field["u"]), tuple(field["v"]), once=once)
