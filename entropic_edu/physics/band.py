"""A band of pivots on its way down: what a sweep of it needs, and when it has settled."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from .landscape import Landscape

SMALL = 0.03  # residual below which a band is at rest: the barrier is then some per cent of the line's
_LOOK, _REST = 25, 50  # sweeps from look to look, and the least that a settled band takes to come to rest
_COARSE = 4  # a coarse band may still change by so many times as much: those that come after it go on
_SWING = 0.25  # a rise from look to look, as a share, that only too long steps make; a change that one is warned of


@dataclass(frozen=True)
class Sweeps:
    """How long a road is relaxed, for ``connect(sweeps=...)``.

    Attributes:
        most: Gradient steps of the whole band, at most.
        change: The band comes to rest once the data loss of its middle changes by no more than this share in 50 sweeps;
            0 takes all of them. The barrier is low long before, and the middle still too narrow.

    Example:
        >>> ee.Sweeps(most=500)
        Sweeps(most=500, change=0.02)
    """

    most: int = 2000
    change: float = 0.02

    def __post_init__(self) -> None:
        if not self.change >= 0:  # so that NaN is refused too
            raise ValueError(f"change is a share of the data loss, 0 to take all sweeps; got {self.change!r}.")


@dataclass
class Band:
    """What a sweep of the whole band needs, how many were made, and whether more would change it."""

    land: Landscape
    generator: torch.Generator
    batch_size: int | None
    learning_rate: float
    momentum: float
    sweeps: int  # at most
    change: float = 0.0  # see ``Sweeps``
    low: float = 0.0  # a barrier up to here is none to speak of
    swept: int = 0
    pace: float = 1.0  # factor on the learning rate, which halves where steps are too long for a band to come to rest
    residual: float | None = None  # see ``Path``
    moved: float = math.nan  # by what share the middle changed last in 50 sweeps; NaN: there were too few looks to tell
    looks: list[float] = field(default_factory=list)  # data loss of the middle
    kept: Tensor | None = None  # the band at the last of them
    back: Tensor | None = None  # where it has to go back to

    def paces(
        self, points: Callable[[], Tensor], settle: Callable[[], float], stages: int, last: bool, late: bool = False
    ) -> Iterator[float]:
        """Yield the factor on the learning rate for each sweep of one of the ``stages``, as long as it has a job.

        Where all sweeps are taken it is 1 in the first half of all, then a cosine to 0; ``late`` has only the cosine.
        Else a stage goes on until the barrier of the band ``points()`` (P, D) is low or its middle has about settled,
        and the ``last`` one until both, or to three quarters of all; this one then comes to rest by a cosine.
        """
        if not self.change:
            for _ in range(self.sweeps // stages):
                done = self.swept / self.sweeps
                done = 0.5 + 0.5 * done if late else done
                self.swept += 1
                yield cosine(max(0.0, 2 * done - 1))
            return
        if not self.looks:
            self._look(points().detach())  # how high the floor may lie
        first, total, self.moved, self.back = len(self.looks), torch.zeros(()), math.nan, None
        full, share, calm = 3 * self.sweeps // 4 - self.swept, self.change if last else _COARSE * self.change, False
        for number in range(1, 1 + (full if last else min(full, self.sweeps // stages))):
            self.swept += 1
            yield self.pace
            total = total + points() if number % 5 == 0 else total
            if number % _LOOK == 0:
                low, total = self._see(5 * total / _LOOK, first), torch.zeros(())  # a mean: it has less noise
                calm = self.moved <= share
                if (calm and (low or settle() <= SMALL)) if last else (low or calm):
                    break
        rest = min(self.rest if calm else self.sweeps, self.sweeps - self.swept)
        for number in range(rest if last else 0):
            self.swept += 1
            yield self.pace * cosine(number / rest)

    @property
    def settled(self) -> bool:
        """Whether the middle no longer changed much, as far as one saw."""
        return not self.moved > _SWING

    @property
    def rest(self) -> int:
        """Sweeps in which what has settled comes to rest."""
        return max(_REST, self.swept // 8)

    @cached_property
    def _part(self) -> Landscape:
        """Where one looks: on as much data as three batches, so that a look costs as much as a sweep."""
        number, most = self.land.num_samples or 0, 3 * (self.batch_size or math.inf)
        with suppress(ValueError):  # not every landscape has a part
            return self.land.subset(torch.linspace(0, number - 1, int(most)).long()) if number > most else self.land
        return self.land

    def _look(self, points: Tensor) -> tuple[Tensor, float]:
        data, third = torch.cat([self._part.data_loss(some) for some in points.split(32)]), len(points) // 3
        self.looks.append(float(data[third:-third].mean()))
        return data, float(data[[0, -1]].mean())

    @torch.no_grad()
    def _see(self, points: Tensor, first: int) -> bool:
        """Note by how much the middle of a band (P, D) changes, and return whether its barrier is low.

        ``first`` is the first look of this stage. Where the middle rises, steps are too long: they are halved, and
        the band goes back.
        """
        data, level = self._look(points)
        losses = data + 0.5 * self.land.weight_decay * points.square().sum(1)
        scale = max(self.looks[-1], level, 1e-4 * max(self.looks)) or 1.0  # a valley's floor lies at 0
        older, old, new = [math.nan, math.nan, *self.looks[first:]][-3:]
        self.moved = abs(new - older) / scale
        if new - old > _SWING * scale:
            self.pace, self.back, self.moved = self.pace / 2, self.kept, math.inf
            self.looks.pop()
            return False
        self.kept = points
        return float(losses.max() - losses[[0, -1]].max()) <= self.low

    def look(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """Loss and gradient of all points on one shared batch."""
        batch = None if self.batch_size is None else self.land.draw(self.batch_size, self.generator)
        return self.land.loss_and_gradient_on(theta, batch)

    def slope(self, theta: Tensor) -> Tensor:
        return self.land.gradient(theta, self.batch_size, self.generator, shared=True)

    def settle(self, pivots: Tensor, share: Callable[[Tensor], Tensor] = lambda force: force) -> float:
        """Return, and note, the largest force across a band (P, D) on all data, over the largest on it or the line.

        ``share`` gives the forces at the inner pivots (P-2, D) to what can move.
        """
        line = torch.lerp(pivots[0], pivots[-1], torch.linspace(0, 1, len(pivots)).to(pivots)[:, None])
        losses, slope = self.land.loss_and_gradient_on(pivots, None)
        along = tangents(pivots, losses)
        across = slope[1:-1] - (slope[1:-1] * along).sum(1, keepdim=True) * along
        scale = torch.cat([slope, self.land.gradient_on(line, None)]).norm(dim=1).max()
        self.residual = float(share(across).norm(dim=1).max() / scale) if scale > 0 else 0.0
        return self.residual


def cosine(done: float) -> float:
    return 0.5 * (1 + math.cos(math.pi * done))


def tangents(pivots: Tensor, losses: Tensor) -> Tensor:
    """Return the unit tangent at each interior pivot, pointing along the band, (P, D) and (P,) -> (P-2, D).

    On a slope the tangent is the secant towards the higher neighbour. At an extremum of the loss it mixes both secants,
    weighted by the rises, so that it turns smoothly as the band relaxes; where all three losses agree it is the
    bisector.

    References:
        Henkelman & Jónsson (2000), J. Chem. Phys. 113, 9978, equations 8 to 11.
    """
    if len(pivots) < 3:
        raise ValueError(f"A tangent needs at least 3 pivots, got {len(pivots)}.")
    forward, backward = pivots[2:] - pivots[1:-1], pivots[1:-1] - pivots[:-2]  # τ⁺ and τ⁻, (P-2, D)
    rise_forward, rise_backward = losses[2:] - losses[1:-1], losses[:-2] - losses[1:-1]  # (P-2,)
    larger = torch.maximum(rise_forward.abs(), rise_backward.abs())
    smaller = torch.minimum(rise_forward.abs(), rise_backward.abs())
    ahead_higher = losses[2:] > losses[:-2]
    weight_forward = torch.where(ahead_higher, larger, smaller)  # eq. 10
    weight_backward = torch.where(ahead_higher, smaller, larger)
    slope = rise_forward * rise_backward < 0  # one neighbour higher, one lower: eq. 8
    weight_forward = torch.where(slope, (rise_forward > 0).to(losses.dtype), weight_forward)
    weight_backward = torch.where(slope, (rise_backward > 0).to(losses.dtype), weight_backward)
    mixed = weight_forward[:, None] * forward + weight_backward[:, None] * backward
    bisector = unit(forward) + unit(backward)
    flat = larger <= 0
    return unit(torch.where(flat[:, None], torch.where(bisector.any(1, keepdim=True), bisector, forward), mixed))


def unit(vectors: Tensor) -> Tensor:
    return vectors / vectors.norm(dim=-1, keepdim=True).clamp(min=torch.finfo(vectors.dtype).tiny)
