"""The triptych of a road, which explorer and film share, and the film of the opening: noise beside no noise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from entropic_edu.course.floor import RIGHT
from entropic_edu.course.runs import Run
from entropic_edu.figures.pixels import png
from entropic_edu.teaching import player, sheet
from entropic_edu.teaching.sheet import CONTROL, LIMIT, LOSS, THEORY, TRACE, Panel, Sheet
from entropic_edu.teaching.strings import text

from .common import data_of, run_of

ROAD = {  # objective, curvature, and which way walkers drift
    "loss": Panel((0.655, RIGHT[0], 0.325, 0.185), "06.panel.loss", ylim=(0.54, 0.6)),
    "trace": Panel((0.655, RIGHT[1], 0.325, 0.185), "06.panel.trace", ylim=(0, 250)),
    "drift": Panel((0.655, RIGHT[2], 0.325, 0.185), "06.panel.drift", "06.axis.position", ylim=(-0.16, 0.16),
                   yticks=(-0.1, 0, 0.1), zero=True),
}  # fmt: skip
TALL, LANE = 2.2, -0.55  # of the plan: the largest distance from the road, and where the lane without noise begins
LOW = LANE - 0.62  # its lower edge, beneath five lanes
PLAN = Panel(
    (0.085, 0.125, 0.45, 0.8), "06.film.plan", "06.axis.position", ylim=(LOW, TALL), yticks=(0, 0.5, 1, 1.5, 2),
    once=lambda ax: (ax.axhline(0, color="black", lw=2), ax.axhspan(LOW, LANE + 0.2, color="#eeeeee", lw=0)),
)  # fmt: skip


def draw_road(sheet: Sheet, run: Run) -> None:
    """Draw the triptych of a run's road: what it was on, and the drift that theory says, with noise and without."""
    sheet["loss"].line(run.road.position, run.road.along("loss"), LOSS)
    sheet["trace"].line(run.road.position, run.road.along("trace"), TRACE)
    sheet["drift"].line(run.road.position, run.speed_by_law, THEORY, "", lw=2)
    sheet["drift"].line(run.road.position, run.control.speed_by_law, CONTROL, "", lw=1.5)


def film(seed: int) -> player.Player:
    """Return a player of recorded walkers with noise and without: distance from the road, and the triptych."""
    return _player(Run("let_go", "hot", 0.3), text("06.film.title"))


def of_grid(batch_size: int | None, learning_rate: float) -> player.Player:
    """Return the same of walkers of the grid, at one of ``common.BATCHES`` and of ``common.RATES``."""
    title = text("06.film.grid", data=data_of(batch_size), learning_rate=learning_rate)
    return _player(run_of(batch_size, learning_rate), title)


def _player(run: Run, title: str) -> player.Player:
    """Return a player of a recorded run and of its control, of those walkers that were let go at 0.3 and at 0.7."""
    parts, groups, noisy, still = [], [], [], []
    for start in (0.3, 0.7):
        here = replace(run, start=start)
        noisy.append(here.each("position"))  # (P, R, W)
        still.append(_at(run.step, here.control.step, here.control.each("position")[..., 0]))  # (R, P)
        if run.batch_size is not None:
            along, away = (each.movedim(1, 0).flatten(1) for each in (noisy[-1], here.each("distance").clamp(max=TALL)))
            parts.append(torch.stack([along, away], -1))
            groups.append((along.shape[1], True))
        lanes = (LANE - 0.1 * torch.arange(still[-1].shape[1], dtype=torch.float64)).expand(len(run.step), -1)
        parts.append(torch.stack([still[-1], lanes], -1))
        groups.append((lanes.shape[1], False))
    crowd = torch.cat(parts, 1)  # (R, N, 2)
    background, panels = _scene(run)
    return player.Player(
        crowd,
        along=crowd[..., 0],
        step=[int(each) for each in run.step],
        background=background,
        width=sheet.WIDTH,
        height=sheet.HEIGHT,
        panels=panels,
        groups=groups,
        sentences=[_sentence(run, row, noisy, still) for row in range(len(run.step))],
        seconds=12.0,
        title=title,
    )


def _sentence(run: Run, row: int, noisy: list[Tensor], still: list[Tensor]) -> str:
    """Say where both groups stand at a record; positions (P, R, W) and (R, P) from either start."""
    low, high = (float(each[:, row].mean()) for each in noisy)
    low_still, high_still = (float(each[row].mean()) for each in still)
    known = {"data": data_of(run.batch_size), "learning_rate": run.learning_rate, "step": int(run.step[row])}
    known |= {"walkers": noisy[0][:, row].numel(), "low": low, "high": high}
    key = "06.film.still" if run.batch_size is None else "06.film.sentence"
    return text(key, low_still=low_still, high_still=high_still, **known)


def _at(step: Tensor, known: Tensor, values: Tensor) -> Tensor:
    """Return values (P, R) at other steps, (R', P), on straight lines between the records ``known`` (R,)."""
    return torch.from_numpy(np.stack([np.interp(step.numpy(), known.numpy(), row.numpy()) for row in values], 1))


def _scene(run: Run) -> tuple[bytes, list[player.Panel]]:
    """Return the background of the film, and where the player draws on it."""
    drawn, road = Sheet(ROAD | {"plan": PLAN}), run.road
    drawn["drift"].reframe(title="06.film.drift")
    curves = {"loss": road.along("loss"), "trace": road.along("trace"), "drift": run.speed_by_law}
    with drawn:
        for (name, values), role in zip(curves.items(), (LOSS, TRACE, THEORY), strict=True):
            drawn[name].line(road.position, values, role, "", lw=2)
        drawn["plan"].note(0.5, LANE + 0.03, "say.noise.off", LIMIT, ha="center")
        if run.batch_size is not None:
            drawn["plan"].note(0.5, TALL - 0.25, data_of(run.batch_size), LIMIT, ha="center")
    panels = [player.Panel("plan", PLAN.place, PLAN.xlim, PLAN.ylim, None)]
    for name, values in curves.items():
        frame, curve = drawn[name].panel, torch.stack([road.position, values], 1)
        panels.append(player.Panel("curve", frame.place, frame.xlim, frame.ylim, curve))
    return png(drawn.figure), panels
