"""The triptych of a road, which explorer and film share, and the film of the opening: noise beside no noise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from entropic_edu.course import floor
from entropic_edu.course.runs import Run
from entropic_edu.figures.pixels import png
from entropic_edu.figures.plots import BLACK, BLUE, DASHES, PURPLE, RED, labelled
from entropic_edu.teaching import sheet
from entropic_edu.teaching.sheet import CONTROL, GREY, LOSS, THEORY, TRACE, Panel, Sheet, moving
from entropic_edu.teaching.strings import text

from .common import STARTS, along_road, data_of, kept, name_of, pick, profile, speed, speed_by_law, steps_of

if TYPE_CHECKING:
    from entropic_edu.teaching.player import Player

TALL, LANE = 2.2, -0.55  # of the plan: the largest distance from the road, and where the lane without noise begins
ROAD = {  # objective, curvature, and which way walkers drift
    "loss": Panel((0.655, floor.RIGHT[0], 0.325, 0.185), "06.panel.loss", ylim=(0.54, 0.6)),
    "trace": Panel((0.655, floor.RIGHT[1], 0.325, 0.185), "06.panel.trace", ylim=(0, 250)),
    "drift": Panel(
        (0.655, floor.RIGHT[2], 0.325, 0.185), "06.panel.drift", "06.axis.position",
        ylim=(-0.16, 0.16), yticks=(-0.1, 0, 0.1), zero=True,
    ),
}  # fmt: skip


def draw_road(sheet: Sheet, run: Run) -> None:
    """Draw the triptych of a run's road: what it was on, and the drift that theory says, with noise and without."""
    sheet["loss"].line(run.road.position, run.road.along("loss"), LOSS)
    sheet["trace"].line(run.road.position, run.road.along("trace"), TRACE)
    sheet["drift"].line(run.road.position, run.speed_by_law, THEORY, "", lw=2)
    sheet["drift"].line(run.road.position, run.control.speed_by_law, CONTROL, "", lw=1.5)


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
        top.set_ylim(0.54, 0.6)
        middle.set_ylim(0, 250)
        bottom.axhline(0, color=GREY, lw=1)
        bottom.set_ylim(-0.16, 0.16)
        bottom.set_yticks([-0.1, 0, 0.1], ["−0.1", "0", "0.1"])
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
    """Return a player of recorded walkers with noise and without: distance from the road, and the triptych."""
    return _player("hot", 16, 0.02, text("06.film.title"))


def of_grid(batch_size: int | None, learning_rate: float) -> Player:
    """Return the same of walkers of the grid that were let go at 0.3 and 0.7.

    Args:
        batch_size: One of ``common.BATCHES``; None is no noise.
        learning_rate: One of ``common.RATES``.
    """
    title = text("06.film.grid", data=data_of(batch_size), learning_rate=learning_rate)
    return _player(name_of(batch_size, learning_rate), batch_size, learning_rate, title)


def _player(name: str, batch_size: int | None, learning_rate: float, title: str) -> Player:
    """Return a player of a recorded run and of the control, of those walkers that were let go at 0.3 and at 0.7."""
    from entropic_edu.teaching.player import Panel as Part
    from entropic_edu.teaching.player import Player

    step = steps_of(name, learning_rate)
    position, distance = (_two_starts(kept(f"{name}/{key}")) for key in ("position", "distance"))
    still = _at(step, steps_of("control", learning_rate), _two_starts(kept("control/position")))
    parts, groups = [], []
    for side in range(2):
        pairs, walkers = len(still), position.shape[-1]
        lane = (LANE - 0.1 * torch.arange(pairs, dtype=torch.float64)).expand(len(step), -1)
        if batch_size is not None:
            along, away = (each[:, :, side].permute(1, 0, 2).flatten(1) for each in (position, distance))
            parts.append(torch.stack([along, away.clamp(max=TALL)], -1))
            groups.append((pairs * walkers, True))
        parts.append(torch.stack([still[:, :, side, 0].T, lane], -1))
        groups.append((pairs, False))
    crowd = torch.cat(parts, 1)  # (R, N, 2)
    figure, panels = _film_scene(Part, batch_size, learning_rate)
    return Player(
        crowd,
        along=crowd[..., 0],
        step=[int(each) for each in step],
        background=png(figure),
        width=sheet.WIDTH,
        height=sheet.HEIGHT,
        panels=panels,
        groups=groups,
        sentences=[_sentence(name, batch_size, learning_rate, row, int(step[row]), still) for row in range(len(step))],
        seconds=12.0,
        title=title,
    )


def _sentence(name: str, batch_size: int | None, learning_rate: float, row: int, step: int, still: Tensor) -> str:
    """Say where both groups stand at a record, (P, R, 2, W)."""
    run = _two_starts(kept(f"{name}/position"))
    low, high = (float(run[:, row, side].mean()) for side in range(2))
    low_still, high_still = (float(still[:, row, side].mean()) for side in range(2))
    return text(
        "06.film.still" if batch_size is None else "06.film.sentence",
        data=data_of(batch_size),
        learning_rate=learning_rate,
        step=step,
        walkers=run[:, row, 0].numel(),
        low=low,
        high=high,
        low_still=low_still,
        high_still=high_still,
    )


def _two_starts(values: Tensor) -> Tensor:
    """Return what belongs to 0.3 and 0.7, where a run has more starts, (P, R, S, W) -> (P, R, 2, W)."""
    return values if values.shape[2] == 2 else values[:, :, [STARTS.index(start) for start in (0.3, 0.7)]]


def _at(step: Tensor, known: Tensor, values: Tensor) -> Tensor:
    """Return values (P, R, S, W) at other steps, on straight lines between the records ``known`` (R,)."""
    rows = values.movedim(1, -1)
    flat = [np.interp(step.numpy(), known.numpy(), row.numpy()) for row in rows.flatten(0, -2)]
    return torch.from_numpy(np.stack(flat)).unflatten(0, rows.shape[:-1]).movedim(-1, 1)


def _film_scene(make: Any, batch_size: int | None, learning_rate: float) -> tuple[Figure, list[Any]]:
    """Return the background of the film, and where the player draws on it."""
    figure = sheet.figure()
    plan = figure.add_axes((0.085, 0.125, 0.45, 0.8))
    low = LANE - 0.1 * len(kept("valley/length"))
    labelled(plan, text("06.axis.position"), "", text("06.film.plan")).set(xlim=(0, 1), ylim=(low - 0.12, TALL))
    plan.title.set_fontsize(11)
    plan.set_yticks([0, 0.5, 1, 1.5, 2])
    plan.axhline(0, color=BLACK, lw=2)
    plan.axhspan(low - 0.12, LANE + 0.2, color="#eeeeee", lw=0)
    lanes = [(text("06.label.control"), LANE + 0.03)]
    if batch_size is not None:
        lanes.append((data_of(batch_size), TALL - 0.25))
    for words, y in lanes:
        plan.text(0.5, y, words, ha="center", fontsize=sheet.SMALL)
    road = Road(figure)
    where = profile(0).position.double()
    curves: list[Tensor] = []
    quantities = (along_road(None, "loss"), along_road(None, "trace"), speed_by_law(None, batch_size, learning_rate))
    for ax, values, line in zip(road.axes, quantities, (road.loss, road.trace, road.theory), strict=True):
        ax.plot(where, values, color=line.get_color(), ls=line.get_linestyle(), lw=2)
        curves.append(torch.stack([where, values], 1))
    labelled(road.axes[2], text("06.axis.position"), "", text("06.film.drift")).title.set_fontsize(11)
    panels = [make("plan", plan.get_position().bounds, plan.get_xlim(), plan.get_ylim(), None)]
    panels += [
        make("curve", ax.get_position().bounds, ax.get_xlim(), ax.get_ylim(), curve)
        for ax, curve in zip(road.axes, curves, strict=True)
    ]
    return figure, panels
