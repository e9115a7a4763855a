"""Five valleys that look alike: one in which the story holds, and four in which it fails, each for a reason of its own.

All have their floor on the y axis from y = 1 to y = 3, at zero loss, θ = (x, y). ``land(letter)`` gives them by letter.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from entropic_edu.physics.drift import Records, drift
from entropic_edu.physics.path import Path
from entropic_edu.physics.release import Release
from entropic_edu.physics.snapshot import Stream
from entropic_edu.physics.valleys import Kind, Valley
from entropic_edu.recorded._common import CROWDS, seeded
from entropic_edu.recorded._diffusion import occupation
from entropic_edu.stream import drift as streamed

START, END = 1.0, 3.0  # of every floor
MIDDLE = 0.5 * (START + END)
SCALE = 6.0  # s, standard deviation of one sample's gradient noise
STEPS, EACH, RECORDS = 600, 96, 24
FINER = 64  # how much smaller the steps of the story are
BATCHES = (4, 16, 64, 256, None)
RATES = (0.01, 0.02, 0.04)


@dataclass(eq=False, kw_only=True)
class _Shifted(Valley):
    """A valley whose floor runs from START to END."""

    noise_scale: float = SCALE
    half_length: float = 0.5 * (END - START)

    def position(self, y: Tensor) -> Tensor:
        return super().position(y - MIDDLE)

    def coordinate(self, position: Tensor) -> Tensor:
        return super().coordinate(position) + MIDDLE


@dataclass(eq=False, kw_only=True)
class Floor(_Shifted):
    """A flat floor from y = 1 to y = 3 between walls ½h(y)x² that widen to the right; walls close its ends.

    ln h(y) goes from ln g_narrow to ln g_wide as ½(1 + tanh((y - 2) / w)): both are reached beyond the ends only.

    Args:
        g_narrow: Curvature far to the left.
        g_wide: Curvature far to the right.
        along: Ratio c of the noise's variance along the floor to that across, where h = ``g_narrow``; elsewhere it is
            c · g_narrow / h. None is a heat bath: 1 everywhere.
        width: Length w over which the walls widen.
        tilt: Slope of the floor's loss.
    """

    end_curvature: float = 20.0
    g_narrow: float = 6.0
    g_wide: float = 0.6
    along: float | None = None
    width: float = 0.7
    tilt: float = 0.0

    def floor_loss(self, y: Tensor, order: int = 0) -> Tensor:
        tilt = self.tilt * (y - END) if order == 0 else torch.full_like(y, self.tilt if order == 1 else 0.0)
        return tilt + super().floor_loss(y - MIDDLE, order)

    def curvature_across(self, y: Tensor, order: int = 0) -> Tensor:
        h, slope = self._across(y)
        if order < 2:
            return (h, slope)[order]
        t = ((y - MIDDLE) / self.width).tanh()
        return slope.square() / h - 2 * t * slope / self.width

    def _across(self, y: Tensor) -> tuple[Tensor, Tensor]:
        half = 0.5 * math.log(self.g_narrow / self.g_wide)
        t = ((y - MIDDLE) / self.width).tanh()
        h = math.sqrt(self.g_narrow * self.g_wide) * (-half * t).exp()
        return h, h * (1 - t.square()) * (-half / self.width)

    def noise_ratio(self, y: Tensor) -> Tensor:
        """Return the variance of the noise along the floor over that across it, the shape of ``y``."""
        return torch.ones_like(y) if self.along is None else self.along * self.g_narrow / self.curvature_across(y)

    def gradient_on(self, theta: Tensor, batch: Tensor | None) -> Tensor:
        if batch is None or self.along is None:
            return super().gradient_on(theta, batch)
        ratio = self.noise_ratio(theta[..., 1]).sqrt()
        kick = self.noise_scale * batch.to(theta) * torch.stack([torch.ones_like(ratio), ratio], -1)
        return super().gradient_on(theta, None) + kick


@dataclass(eq=False, kw_only=True)
class Direction(_Shifted):
    """A loss of the direction of θ alone, L(θ) = ½ g φ², φ being the angle to the y axis: what batch norm makes.

    The loss of cθ is the loss of θ for every c > 0, so the gradient is at right angles to θ and falls as 1/‖θ‖, and
    the curvature, g at ‖θ‖ = 1, falls as 1/‖θ‖². Each sample's loss is of this kind too: its noise, s/‖θ‖ strong, is at
    right angles as well. A step at right angles makes ‖θ‖ longer: ‖θ'‖² = ‖θ‖² + (step length)², always.
    """

    noise: Kind = "curvature"
    g: float = 6.0

    def loss(self, theta: Tensor) -> Tensor:
        self.check(theta)
        return 0.5 * self.g * torch.atan2(theta[..., 0], theta[..., 1]).square()

    def gradient_on(self, theta: Tensor, batch: Tensor | None) -> Tensor:
        x, y = theta.unbind(-1)
        slope = self.g * torch.atan2(x, y)  # by the angle
        if batch is not None:
            slope = slope + self.noise_scale * batch.to(theta)[..., 0]
        return slope[..., None] * torch.stack([y, -x], -1) / theta.square().sum(-1, keepdim=True)

    def hessian(self, theta: Tensor) -> Tensor:
        rows = [torch.func.hessian(self.loss)(row) for row in theta.view(-1, 2)]
        return torch.stack(rows).view(*theta.shape, 2)

    def curvature_across(self, y: Tensor, order: int = 0) -> Tensor:
        return (1.0, -2.0, 6.0)[order] * self.g * y ** (-2.0 - order)


def story(land: Case, edges: Tensor, *, batch_size: int, learning_rate: float, steps: int) -> Tensor:
    """Return the share of walkers in each of the cells (n,) at the end, as the story has it, released evenly.

    The story takes a case for a bath: the same floor and walls, and noise of the same strength in every direction.
    Steps are 64 times as small and as many, so that nothing depends on their size. T and the time stay as they are.
    """
    bath = replace(land, noise="isotropic", noise_scale=land.noise_scale * FINER**0.5)
    centres = 0.5 * (edges[1:] + edges[:-1])
    even = ((centres > START) & (centres < END)).double()
    start, told = even / even.sum(), torch.tensor([0, steps * FINER])
    rate = learning_rate / FINER
    return occupation(bath, edges, start=start, steps=told, batch_size=batch_size, learning_rate=rate)[-1]


Case = Floor | Direction
CASES: Mapping[str, Case] = {
    "scale": Direction(),
    "along": Floor(along=1.0),
    "healthy": Floor(),
    "steps": Floor(g_narrow=48.0, g_wide=4.8),
    "constant": Floor(g_narrow=2.0, g_wide=2.0),
    "slope": Floor(tilt=-0.02),
}
NAMES = tuple(CASES)
LETTERS: Mapping[str, str] = {"A": "scale", "B": "along", "C": "healthy", "D": "steps", "E": "constant"}
EVENLY = ((torch.arange(CROWDS * EACH) % EACH + 0.5) / EACH).tolist()  # positions of release


def named(name: str) -> Case:
    """Return the valley in which the story fails for this reason, "healthy" for the one in which it holds."""
    return CASES[name]


def land(letter: str) -> Case:
    """Return case A, B, C, D or E."""
    return named(LETTERS[letter])


def settings(batch_size: int | None, learning_rate: float, steps: int = STEPS) -> dict[str, Any]:
    """Return the arguments of ``drift`` for every case: 8 crowds, released evenly along the floor, never put back."""
    return {
        "start": EVENLY,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "momentum": 0.0,
        "walkers": 1,
        "steps": steps,
        "project_every": None,
        "record_every": Records(steps // RECORDS, theta=True),
    }


def release(case: Case, seed: int, batch_size: int | None, learning_rate: float, steps: int = STEPS) -> Release:
    """Return the crowds on one case."""
    return drift(case, Path(case.floor(2)), generator=seeded(seed), **settings(batch_size, learning_rate, steps))


def stream(case: Case, seed: int, batch_size: int | None, learning_rate: float) -> Stream[Release]:
    """Yield snapshots of the same release."""
    return streamed(case, Path(case.floor(2)), generator=seeded(seed), **settings(batch_size, learning_rate))
