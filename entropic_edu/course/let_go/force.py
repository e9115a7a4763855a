"""The force of the noise on recorded walkers, and the excess loss that they carried."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from entropic_edu.course.runs import Road, Run
from entropic_edu.physics.mean import Mean
from entropic_edu.recorded import let_go

from .common import PAIRS, pairs_of

LEFT = 0.05  # share of projections from outside past which walkers have left the valley
FOLLOWED = 0.5  # of the way home: a walker is followed until this much is gone


class Push(NamedTuple):
    """What noise did in one run on one road, both starts together, the means on the way."""

    force: Mean  # of the noise towards the own end, loss per length, with its error over the walkers
    excess: float  # the excess loss
    product: float  # Λ⟨ΔL⟩


def names(on: str) -> list[str]:
    """Return the runs of plain heavy ball in the "valley" or in the "runaway", or those "gone", by batch size."""
    if on == "gone":
        return [name for kind in ("valley", "runaway") for name in names(kind) if not stayed(name)]
    first = "eta " if on == "valley" else "runaway, B "
    return [name for name in let_go.settings() if name.startswith(first)]


def stayed(name: str) -> bool:
    """Whether fewer than a twentieth of the projections of a run were from outside the valley."""
    return float(Road("let_go").rows(f"{name}/outside").mean()) < LEFT


@cache
def push(name: str, pair: int) -> Push:
    """Return what noise did in a recorded run on the road of a pair, counted from 1.

    Walkers are followed until their mean has gone half of the way home. What the control without noise does where they
    are is taken off: force = Δs · length / flow time - the mean of ``pull``.
    """
    run = Run("let_go", name, 0.3, pair)
    (law,), time, found = run.laws, flow_time(run), []
    assert law.narrowing is not None
    for sign, start in ((1.0, 0.3), (-1.0, 0.7)):
        walkers = replace(run, start=start).each("position")[0]  # (R, W)
        mean = walkers.mean(-1)
        left = mean if sign > 0 else 1 - mean
        last = [*(left < (1 - FOLLOWED) * left[0]).nonzero(), len(mean) - 1][0]
        weight, between = time.diff()[:last] / time[last], (0.5 * (mean[1:] + mean[:-1]))[:last]
        narrow, pulled = (
            torch.from_numpy(np.interp(between, where, values))
            for where, values in ((law.position, law.narrowing.value), pull(run.setting["on"], pair))
        )
        excess = run.road.rows(f"{name}/excess")[0, 1 : last + 1, run.setting["start"].index(start)]
        moved = (walkers[last] - walkers[0]) * law.length / time[last]
        found.append((sign * ((weight * pulled).sum() - moved), weight @ excess, sign * weight @ (narrow * excess)))
    forces, excesses, products = (torch.stack(part) for part in zip(*found, strict=True))
    each = Mean.over(forces)
    error = each.error.nan_to_num().square().sum().sqrt() / 2
    return Push(Mean(each.value.mean(), error), float(excesses.mean()), float(products.mean()))


@cache
def pull(on: str, pair: int) -> tuple[Tensor, Tensor]:
    """Return positions, ascending, and the force along the road that the control met there, loss per length."""
    run = Run("let_go", "control" if on == "valley" else "runaway, control", 0.3, pair)
    position = run.road.rows(f"{run.name}/position")[0, ..., 0]  # (R, S)
    some = position[:: (len(position) - 1) // 4]  # half precision: records close by say nothing
    force = some.diff(dim=0) * run.road.length / (flow_time(run)[-1] / (len(some) - 1))
    where, order = (0.5 * (some[1:] + some[:-1])).flatten().sort()
    return where, force.flatten()[order]


def flow_time(run: Run) -> Tensor:
    """Return η/(1-m) times the steps at the records, (R,)."""
    return run.step * run.learning_rate / (1 - run.setting["momentum"])


def ratio(on: str, pair: int | None = None) -> Mean:
    """Return force over Λ⟨ΔL⟩, a fit to all runs whose walkers stayed, with its error over the roads; one has none."""
    runs = [[push(name, one) for name in names(on) if stayed(name)] for one in pairs_of(pair)]
    each = [sum(float(p.force.value) for p in row) / sum(p.product for p in row) for row in runs]
    return Mean.over(torch.tensor(each))


def excess(name: str) -> Mean:
    """Return the measured excess loss over that of linear theory at the same places, with its error over the roads."""
    ratios = []
    for pair in PAIRS:
        run, sides = Run("let_go", name, 0.3, pair), list(let_go.sides(name, 0.3))
        (law,) = run.laws
        assert law.excess_loss is not None
        where = run.road.rows(f"{name}/position")[0][:, sides].mean(-1)  # (R, 2)
        expected = np.interp(where[:-1], law.position, law.excess_loss.value)
        ratios.append(run.road.rows(f"{name}/excess")[0, 1:, sides].mean() / expected.mean())
    return Mean.over(torch.stack(ratios))
