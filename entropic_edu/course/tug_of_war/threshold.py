"""Round 1, what is computed: how far the crowd goes by theory, and a sweep that finds where it turns round."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

from entropic_edu.course import floor
from entropic_edu.course.crowd import Crowd
from entropic_edu.course.floor import along, over_crowds
from entropic_edu.physics.mean import Mean
from entropic_edu.physics.results import Result
from entropic_edu.physics.snapshot import Snapshot
from entropic_edu.recorded._diffusion import occupation
from entropic_edu.teaching.strings import text

from .common import SLOPE, WALLS

RATES = (0.015, 0.02, 0.03)
TIME = 4.8  # η times the steps: walkers of one temperature then go equally far
EACH = 2048  # walkers: the displacement must be told from the random walk along the floor
CELLS = torch.linspace(-4, 4, 162, dtype=torch.float64)
CENTRES = 0.5 * (CELLS[1:] + CELLS[:-1])
HEATS = torch.logspace(math.log10(4e-5), math.log10(6e-3), 11, dtype=torch.float64)  # η/B of the theory line


@cache
def tilted(learning_rate: float, walkers: int = EACH) -> Crowd:
    """Return the crowds of round 1, released at y = 0 in isotropic noise."""
    steps = round(TIME / learning_rate)
    return Crowd("Tilted", WALLS, start=0.5, steps=steps, walkers=walkers, records=8)


def displacement(learning_rate: float, ratio: float, noise: str = "on") -> float:
    """Return the mean displacement along y that theory expects at the end of a run.

    Walkers that have settled across the floor diffuse along it in the free energy (``occupation``); what is missing
    while the cloud first widens, η·½h'Σ(⟨x²⟩ - ⟨x²⟩ₜ) = ½h'⟨x²⟩ / (h(2 - ηh)), is added at y = 0.

    Args:
        learning_rate: η.
        ratio: η/B, 0 for none.
        noise: "on", "off" or "late".
    """
    crowd = tilted(learning_rate)
    noisy = {"on": crowd.steps, "late": crowd.steps - crowd.steps // 2, "off": 0}[noise] if ratio > 0 else 0
    begin = -SLOPE * learning_rate * (crowd.steps - noisy)
    if noisy == 0:
        return begin
    # a batch of one, and noise as much weaker as the batch is larger: B need then be no whole number
    scale = WALLS["noise_scale"] * math.sqrt(ratio / learning_rate)
    land = Crowd("Tilted", WALLS | {"noise_scale": scale}).land
    upper = int(torch.searchsorted(CENTRES, begin))
    share = float((begin - CENTRES[upper - 1]) / (CENTRES[upper] - CENTRES[upper - 1]))
    start = torch.zeros_like(CENTRES)
    start[upper - 1], start[upper] = 1 - share, share
    ends = occupation(
        land, CELLS, start=start, steps=torch.tensor([0, noisy]), batch_size=1, learning_rate=learning_rate
    )
    y = torch.tensor([begin], dtype=torch.float64)
    h = land.curvature_across(y)
    missed = 0.5 * land.curvature_across(y, 1) * land.stationary_variance(y, 1, learning_rate)
    return float(ends[-1] @ CENTRES + missed / (h * (2 - learning_rate * h)))


@cache
def expected(learning_rate: float, noise: str) -> Tensor:
    """Return ``displacement`` at each of ``HEATS``, (11,)."""
    return torch.tensor([displacement(learning_rate, float(ratio), noise) for ratio in HEATS], dtype=torch.float64)


def threshold(learning_rate: float) -> float:
    """Return the η/B at which the mean force at y = 0 vanishes, for steps of this size."""
    land: Any = tilted(learning_rate).land
    zero = torch.zeros(1, dtype=torch.float64)
    finite = 1 - 0.5 * learning_rate * land.curvature_across(zero)  # larger steps spread more, so less T will do
    return float(land.break_even_temperature(zero) * finite) * 2 / land.noise_scale**2


def crossing(heat: Tensor, moved: Tensor) -> float:
    """Return the heat at which the displacement passes 0, on straight lines between the points; NaN if it does not."""
    sides = (moved > 0).int().diff().nonzero()
    if len(sides) == 0:
        return math.nan
    i = int(sides[0])
    return float(heat[i] - moved[i] * (heat[i + 1] - heat[i]) / (moved[i + 1] - moved[i]))


@dataclass(frozen=True, eq=False)
class Sweep(Result):
    """The displacement at several batch sizes.

    Attributes:
        ratio: η/B, ascending, (n,).
        each: Mean displacement of each of the eight crowds, (n, 8).
    """

    ratio: Tensor
    each: Tensor

    @property
    def mean(self) -> Mean:
        """Mean over the crowds and its error, (n,)."""
        return over_crowds(self.each) if len(self.ratio) else Mean(self.ratio, self.ratio)

    @property
    def threshold(self) -> Mean:
        """Where the mean crosses 0, with the jackknife's error over the crowds; NaN where it does not."""
        count = floor.CROWDS
        others = [crossing(self.ratio, (self.each.sum(1) - one) / (count - 1)) for one in self.each.T]
        spread = torch.tensor(others, dtype=torch.float64)
        error = ((count - 1) / count * (spread - spread.mean()).square().sum()).sqrt()
        return Mean(torch.tensor(crossing(self.ratio, self.mean.value), dtype=torch.float64), error)


SWEPT = (0.25, 0.4, 0.63, 1.0, 1.6, 2.5)  # times the threshold, about: whole batch sizes are taken
REPEATS = 5  # runs at each


def sweep(seed: int, learning_rate: float) -> Iterator[Snapshot[Sweep]]:
    """Yield the sweep over batch sizes as it grows: all batch sizes once, then again with other draws."""
    sizes = [round(learning_rate / (factor * threshold(learning_rate))) for factor in SWEPT]
    ratio = torch.tensor([learning_rate / size for size in sizes], dtype=torch.float64)
    sums = torch.zeros(len(sizes), floor.CROWDS, dtype=torch.float64)
    counts = torch.zeros(len(sizes), 1)
    total = len(sizes) * REPEATS

    def snapshot(done: int, note: str) -> Snapshot[Sweep]:
        seen = counts[:, 0] > 0
        means, complete = (sums / counts)[seen], done == total
        return Snapshot(done, total, note, lambda: Sweep(ratio[seen], means, complete=complete))

    yield snapshot(0, "")
    for run in range(total):
        place = run % len(sizes)
        release = tilted(learning_rate).run(seed + run, batch_size=sizes[place], learning_rate=learning_rate)
        sums[place] += along(release)[-1].unflatten(0, (floor.CROWDS, -1)).mean(1)
        counts[place] += 1
        yield snapshot(run + 1, text("03.dial.note", batch_size=sizes[place]))
