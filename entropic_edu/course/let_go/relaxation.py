"""How far home walkers get, and how long half of the way takes, with errors over the pairs of minima."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

from entropic_edu.physics.mean import Mean
from entropic_edu.physics.noise import effective_temperature
from entropic_edu.recorded import let_go

from .common import STARTS, kept

FOLDED = tuple(start for start in STARTS if start < 0.5)
NEAR = 1e-9


@dataclass(frozen=True)
class Point:
    """One setting of the collapse.

    Attributes:
        name: Of the run.
        batch_size: B.
        learning_rate: η.
        momentum: m.
    """

    name: str
    batch_size: int | None
    learning_rate: float
    momentum: float

    @property
    def temperature(self) -> float:
        """T = η/((1-m)B)."""
        return effective_temperature(self.batch_size, self.learning_rate, self.momentum)

    @property
    def clock(self) -> float:
        """Time for each step, η/(1-m)."""
        return self.learning_rate / (1 - self.momentum)


def points(start: float) -> list[Point]:
    """Return all recorded settings of heavy ball whose walkers began this far from an end of the road."""
    names = let_go.settings()
    wanted = [name for name in names if name.startswith(("eta ", "m "))]
    found = [_point(name, names[name]) for name in wanted if _has(names[name], start)]
    return [*found, _point("control", names["control"])]


def _has(setting: dict[str, Any], start: float) -> bool:
    return any(abs(one - start) < NEAR for one in setting["start"])


def _point(name: str, setting: dict[str, Any]) -> Point:
    return Point(name, setting["batch_size"], setting["learning_rate"], setting["momentum"])


@cache
def remaining(name: str, start: float) -> Tensor:
    """Return the distance from the own end at each record, by pair, both sides of the road together, (P, R, 2W)."""
    starts = let_go.settings()[name]["start"]
    position = kept(f"{name}/position")
    low = next(i for i, one in enumerate(starts) if abs(one - start) < NEAR)
    high = next(i for i, one in enumerate(starts) if abs(one - (1 - start)) < NEAR)
    return torch.cat([position[:, :, low], 1 - position[:, :, high]], -1)


@cache
def gone(name: str, start: float) -> Mean:
    """Return the share of the way home that walkers have gone at the end, in per cent, with its error over pairs."""
    each = remaining(name, start).mean(-1)
    share = 100 * (1 - each[:, -1] / each[:, 0])
    return Mean(share.mean(), share.std() / len(share) ** 0.5)


@cache
def half(name: str, start: float) -> Mean:
    """Return the steps after which the mean distance from the own end has halved, with its error; infinite if never.

    The mean is over the pairs, and the jackknife over the pairs gives the error: infinite where leaving out one pair
    decides whether the half is reached.
    """
    each = remaining(name, start).mean(-1)  # (P, R)
    step, count = kept(f"{name}/step"), len(each)
    time = halved(step, each.mean(0))
    others = torch.tensor([halved(step, (each.sum(0) - one) / (count - 1)) for one in each], dtype=torch.float64)
    known = bool(others.isfinite().all())
    spread = (others - others.mean()).square().sum() * (count - 1) / count if known else torch.tensor(math.inf)
    return Mean(torch.tensor(time, dtype=torch.float64), spread.double().sqrt())


def halved(step: Tensor, distance: Tensor) -> float:
    """Return the step at which a mean distance (R,) has fallen to half its first value, on straight lines."""
    level = 0.5 * float(distance[0])
    below = (distance <= level).nonzero()
    if len(below) == 0:
        return math.inf
    row = int(below[0])
    a, b = float(distance[row - 1]), float(distance[row])
    return float(step[row - 1]) + (a - level) / (a - b) * float(step[row] - step[row - 1])
