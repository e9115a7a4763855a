"""The triptych of a road, which explorer and film share, and the film of the opening."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from entropic_edu.course import floor
from entropic_edu.figures.pixels import png
from entropic_edu.figures.plots import BLACK, BLUE, DASHES, PURPLE, RED, labelled
from entropic_edu.teaching import sheet
from entropic_edu.teaching.sheet import GREY, moving
from entropic_edu.teaching.strings import text

from .common import STARTS, along_road, data_of, kept, name_of, pick, profile, speed, speed_by_law, steps_of

if TYPE_CHECKING:
    from entropic_edu.teaching.player import Player

TALL = 2.6  # of the plan, a distance from the road


class Road:
    """The triptych of a road: objective, curvature, and which way walkers drift."""

    def __init__(self, figure: Figure) -> None:
        self.axes = [figure.add_axes((0.655, bottom, 0.325, 0.185)) for bottom in floor.RIGHT]
        top, middle, bottom = self.axes
        labelled(top, "", "", text("06.panel.loss"))
        labelled(middle, "", "", text("06.panel.trace"))
        labelled(bottom, text("06.axis.position"), "", text("06.panel.drift"))
        for ax in self.axes:
            ax.set_xlim(0, 1)
            ax.title.set_fontsize(11)
        for ax in (top, middle):
            ax.tick_params(labelbottom=False)
        top.set_ylim(0.026, 0.032)
        middle.set_ylim(0, 9)
        bottom.axhline(0, color=GREY, lw=1)
        bottom.set_yscale("symlog", linthresh=0.01)
        bottom.set_ylim(-2, 2)
        bottom.set_yticks([-0.1, 0, 0.1], ["−0.1", "0", "0.1"])
        bottom.minorticks_off()
        self.loss, self.trace = moving(top, colour=BLUE), moving(middle, colour=RED)
        self.theory = moving(bottom, colour=PURPLE, dash=DASHES[2])
        self.control = moving(bottom, colour=BLACK, dash=":", width=1.5)
        self.points = sheet.Points(bottom, size=4)

    def show(self, pair: int | None, batch_size: int | None, learning_rate: float, measured: bool = True) -> None:
        """Draw the road of a pair, or the mean of all, and the drift on it."""
        where = profile(0).position.double()
        self.loss.set_data(where.numpy(), along_road(pair, "loss").numpy())
        self.trace.set_data(where.numpy(), along_road(pair, "trace").numpy())
        self.theory.set_data(where.numpy(), speed_by_law(pair, batch_size, learning_rate).numpy())
        self.control.set_data(where.numpy(), speed_by_law(pair, None, learning_rate).numpy())
        if not measured:
            self.points.show(torch.empty(0), None)
            return
        name = name_of(batch_size, learning_rate)
        self.points.show(*speed(steps_of(name, learning_rate), pick(kept(f"{name}/position"), pair)))


def film(seed: int) -> Player:
    """Return a player of recorded walkers: position against distance from the road, a histogram, and the triptych."""
    records = range(0, len(kept("hot/step")) - 1, 2)  # the last record is not at a projection
    return _player("hot", records, 16, 0.2, kept("hot/step"), text("06.film.title"))


def of_grid(batch_size: int | None, learning_rate: float) -> Player:
    """Return the same of walkers of the grid that were let go at 0.3 and 0.7; steps of the control as η would take.

    Args:
        batch_size: One of ``common.BATCHES``; None is no noise.
        learning_rate: One of ``common.RATES``.
    """
    name = name_of(batch_size, learning_rate)
    steps = steps_of(name, learning_rate)
    title = text("06.film.grid", data=data_of(batch_size), learning_rate=learning_rate)
    return _player(name, range(len(steps) - 1), batch_size, learning_rate, steps, title)


def _player(
    name: str, records: range, batch_size: int | None, learning_rate: float, step: Tensor, title: str
) -> Player:
    """Return a player of a recorded run, of those walkers that were let go at 0.3 and at 0.7."""
    from entropic_edu.teaching.player import Panel, Player

    position, distance = (_two_starts(kept(f"{name}/{key}")) for key in ("position", "distance"))
    along, away = (each.permute(1, 0, 2, 3).flatten(1)[records] for each in (position, distance))  # (R, N)
    figure, panels = _film_scene(Panel, batch_size, learning_rate)
    low = along[0] < 0.5  # let go at 0.3, the others at 0.7
    sentences = [
        text(
            "06.film.sentence",
            data=data_of(batch_size),
            learning_rate=learning_rate,
            step=int(step[row]),
            low=float(along[i, low].mean()),
            high=float(along[i, ~low].mean()),
            walkers=int(low.sum()),
            outside=100 * float((away[i] > TALL).double().mean()),
            tall=TALL,
        )
        for i, row in enumerate(records)
    ]
    return Player(
        torch.stack([along, away.masked_fill(away > TALL, math.nan)], -1),
        along=along,
        step=[int(step[row]) for row in records],
        background=png(figure),
        width=sheet.WIDTH,
        height=sheet.HEIGHT,
        panels=panels,
        sentences=sentences,
        seconds=12.0,
        title=title,
    )


def _two_starts(values: Tensor) -> Tensor:
    """Return what belongs to 0.3 and 0.7, where a run has more starts, (P, R, S, W) -> (P, R, 2, W)."""
    return values if values.shape[2] == 2 else values[:, :, [STARTS.index(start) for start in (0.3, 0.7)]]


def _film_scene(make: Any, batch_size: int | None, learning_rate: float) -> tuple[Figure, list[Any]]:
    """Return the background of the film, and where the player draws on it."""
    figure = sheet.figure()
    plan = figure.add_axes((0.085, 0.5, 0.45, 0.43))
    labelled(plan, text("06.axis.position"), "", text("06.film.plan")).set(xlim=(0, 1), ylim=(-0.1, TALL))
    radius = float(kept("radius").mean())
    plan.axhline(0, color=BLACK, lw=2)
    plan.axhline(radius, color=BLACK, lw=1.5, ls=":")
    plan.text(0.5, radius + 0.05, text("06.label.radius"), ha="center", fontsize=sheet.SMALL)
    density = figure.add_axes((0.085, 0.125, 0.45, 0.2))
    labelled(density, text("06.axis.position"), "", text("06.film.density")).set(xlim=(0, 1), ylim=(0, 8))
    for ax in (plan, density):
        ax.title.set_fontsize(11)
    road = Road(figure)
    where = profile(0).position.double()
    curves: list[Tensor] = []
    quantities = (along_road(None, "loss"), along_road(None, "trace"), speed_by_law(None, batch_size, learning_rate))
    for ax, values, line in zip(road.axes, quantities, (road.loss, road.trace, road.theory), strict=True):
        ax.plot(where, values, color=line.get_color(), ls=line.get_linestyle(), lw=2)
        curves.append(torch.stack([where, values], 1))
    labelled(road.axes[2], text("06.axis.position"), "", text("06.film.drift")).title.set_fontsize(11)
    panels = [make("plan", plan.get_position().bounds, plan.get_xlim(), plan.get_ylim(), None)]
    panels.append(make("histogram", density.get_position().bounds, density.get_xlim(), density.get_ylim(), None))
    panels += [
        make("curve", ax.get_position().bounds, ax.get_xlim(), ax.get_ylim(), curve)
        for ax, curve in zip(road.axes, curves, strict=True)
    ]
    return figure, panels
