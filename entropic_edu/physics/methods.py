"""Ways to build a road: what moves its points, and what keeps them apart.

All move a few points at once by gradients of the same objective, on one batch that all points share in a sweep. They
differ in what keeps the points apart: springs (NEB), redistribution (string), or a curve with few control points
(Bezier, chain). A method of your own is a class with ``build``; docs/design.md walks through one.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from .band import Band, cosine, tangents, unit
from .path import Path, evenly, measured, scallops
from .steps import Stepper, check_finite

Tangent = Literal["upwind", "central"]


class Method(ABC):
    """A way to build a road, and its short name."""

    name: ClassVar[str]

    @abstractmethod
    def build(self, band: Band, road: Path, pivots: int) -> Iterator[Path]:
        """Yield the road while it is built, from a first guess with the same ends to the end of the band's sweeps."""


class Linear(Method):
    """The straight line; nothing moves."""

    name = "linear"

    def build(self, band: Band, road: Path, pivots: int) -> Iterator[Path]:
        yield road


class Relaxing(Method):
    """A chain of pivots that gradients push and something keeps apart; where it is coarse, more are relaxed again."""

    redistributes: ClassVar[bool] = False  # along the spline, every fifth sweep

    @abstractmethod
    def force(self, band: Band, pivots: Tensor) -> Tensor:
        """Return the force on the inner pivots, (P, D) -> (P-2, D)."""

    def relax(self, band: Band, road: Path, stages: int, last: bool = True, late: bool = False) -> Iterator[Path]:
        """Relax a chain with fixed ends for one of the ``stages`` of ``Band.paces``, and yield it now and then."""
        ends = road.pivots[[0, -1]]
        stepper = Stepper(road.pivots[1:-1], "sgd", band.learning_rate, band.momentum)
        begun = stepper.position.clone()

        def whole() -> Tensor:
            return torch.cat([ends[:1], stepper.position, ends[1:]])

        def shown() -> Path:
            check_finite(band.land, stepper.position, begun, band.swept, band.learning_rate)
            return road.through(whole())

        number, end = 0, band.sweeps // stages
        paces = band.paces(whole, lambda: band.settle(whole()), stages, last, late)
        for number, pace in enumerate(paces, 1):
            if band.back is not None:
                stepper.place(band.back[1:-1])
                stepper.keep_momentum_along(torch.zeros_like(stepper.position))
                band.back = None
            stepper.step(-self.force(band, whole()), pace)
            # what comes to rest slides no more, and each spline would lift it off the floor a little
            if self.redistributes and (number % 5 == 0 or number == end) and (pace >= band.pace or not band.change):
                stepper.place(shown().smooth(len(road.pivots)).pivots[1:-1])
            if number % 25 == 0 or number == end:
                yield shown()
        if number % 25 and number != end:
            yield shown()

    def build(self, band: Band, road: Path, pivots: int) -> Iterator[Path]:
        for stage in (1, 2, 3):  # coarse first: it costs less
            for latest in self.relax(band, road.smooth(max(4, stage * pivots // 3)), 3, stage == 3):
                road = latest
                yield road


class String(Relaxing):
    """Pivots slide down, and are redistributed evenly (E, Ren & Vanden-Eijnden 2007)."""

    name = "string"
    redistributes = True

    def force(self, band: Band, pivots: Tensor) -> Tensor:
        return -band.slope(pivots[1:-1])


@dataclass(eq=False, kw_only=True)
class Springs(Relaxing):
    """Springs between pivots: the nudged elastic band, "neb" (Henkelman & Jónsson 2000).

    Args:
        spring_constant: Pull along the band per unit of unequal spacing.
        tangent: "upwind" (to the higher neighbour) or, to see what it is for, "central", with kinks where it is steep.
        projection: Whether the loss acts only across the band and the springs only along it. Without it, to see what it
            is for, the band cuts corners and its pivots slide down to the ends.
    """

    name = "neb"

    spring_constant: float = 1.0
    tangent: Tangent = "upwind"
    projection: bool = True

    def __post_init__(self) -> None:
        if self.tangent not in ("upwind", "central"):
            raise ValueError(f'tangent must be "upwind" or "central", got {self.tangent!r}.')

    def force(self, band: Band, pivots: Tensor) -> Tensor:
        """The loss acts across the band, the springs along it (Henkelman & Jónsson 2000, eqs. 4, 5 and 12)."""
        if not self.projection:  # springs of no rest length: a plain elastic band
            return self.spring_constant * (pivots[2:] - 2 * pivots[1:-1] + pivots[:-2]) - band.slope(pivots[1:-1])
        losses, gradient = band.look(pivots)
        along = tangents(pivots, losses) if self.tangent == "upwind" else unit(pivots[2:] - pivots[:-2])
        across = gradient[1:-1] - (gradient[1:-1] * along).sum(1, keepdim=True) * along
        gaps = (pivots[1:] - pivots[:-1]).norm(dim=1)
        return self.spring_constant * (gaps[1:] - gaps[:-1])[:, None] * along - across


@dataclass(eq=False, kw_only=True)
class AutoNEB(Springs):
    """Relax, insert pivots where the band cuts a corner, and again: four cycles (Draxler et al. 2018, section 3).

    A pivot is inserted where the loss between two rises above the line through them by more than ``threshold``, a share
    of the band's range of losses.
    """

    name = "autoneb"

    threshold: float = 0.1

    def build(self, band: Band, road: Path, pivots: int) -> Iterator[Path]:
        road, grown = road.resample(min(5, pivots)), True
        for cycle in range(4):
            last = cycle == 3 or not (grown or band.change == 0)  # without new pivots no cycle has more to do
            for latest in self.relax(band, road, 4, last):
                road = latest
                yield road
            if last:
                return
            before = len(road.pivots)
            halfway = road.bent(1)[1::2] if band.change else None
            road = inserted(measured(band.land, road), pivots, self.threshold, halfway)
            grown = len(road.pivots) > before


@dataclass(eq=False, kw_only=True)
class Curve(Method):
    """A curve that is linear in its control points, ``bends`` of them inside (Garipov et al. 2018).

    Each takes the average of the gradients at random places, weighted by its share in each place.
    """

    basis: ClassVar[Callable[[Tensor, int], Tensor]]

    bends: int = 3

    def __post_init__(self) -> None:
        if self.bends < 1:
            raise ValueError(f"A curve needs bends >= 1, got {self.bends}.")

    def build(self, band: Band, road: Path, pivots: int) -> Iterator[Path]:
        number, basis = self.bends + 2, type(self).basis
        controls = road.resample(number).pivots
        ends = controls[[0, -1]]
        stepper = Stepper(controls[1:-1], "sgd", band.learning_rate, band.momentum)
        begun = stepper.position.clone()

        def whole() -> Tensor:
            return torch.cat([ends[:1], stepper.position, ends[1:]])

        weights = basis((torch.arange(pivots, dtype=controls.dtype) + 0.5) / pivots, number).to(controls)

        def settle() -> float:
            return band.settle(weights @ whole(), lambda across: _shared(weights[1:-1], across))

        even = basis(torch.linspace(0, 1, pivots, dtype=controls.dtype), number).to(controls)
        fine = basis(torch.linspace(0, 1, 8 * pivots, dtype=controls.dtype), number).to(controls)

        def shown() -> Path:
            check_finite(band.land, stepper.position, begun, band.swept, band.learning_rate)
            return road.through(evenly(fine, whole(), 4 * pivots))

        paces = band.paces(lambda: even @ whole(), settle, 1, last=True)
        for sweep, pace in enumerate(paces, 1):
            jitter = torch.rand(pivots, generator=band.generator, device=band.generator.device, dtype=controls.dtype)
            where = (torch.arange(pivots, dtype=controls.dtype) + jitter.cpu()) / pivots  # one place in each stratum
            drawn = basis(where, number).to(controls)
            stepper.step(_shared(drawn, band.slope(drawn @ whole())), pace)
            if sweep % 25 == 0 or sweep == band.sweeps:
                yield shown()
        if band.swept % 25 and band.swept != band.sweeps:
            yield shown()
        settle()


def _shared(weights: Tensor, slopes: Tensor) -> Tensor:
    """Share slopes at places (n, D) out to the inner control points, by their weights (n, P) there: (P-2, D)."""
    inner = weights[:, 1:-1]
    return inner.T @ slopes / inner.sum(0)[:, None].clamp(min=1e-3)


def bernstein(where: Tensor, number: int) -> Tensor:
    """Weights of a Bezier curve's control points, (n,) -> (n, number)."""
    degree = number - 1
    binomial = torch.tensor([math.comb(degree, k) for k in range(number)], dtype=where.dtype)
    power = torch.arange(number, dtype=where.dtype)
    return binomial * where[:, None] ** power * (1 - where[:, None]) ** (degree - power)


def hats(where: Tensor, number: int) -> Tensor:
    """Weights of a polygonal chain's corners, (n,) -> (n, number)."""
    return (1 - (where[:, None] * (number - 1) - torch.arange(number, dtype=where.dtype)).abs()).clamp(min=0)


class Bezier(Curve):
    """A Bezier curve."""

    name = "bezier"
    basis = bernstein


class Chain(Curve):
    """A polygonal chain."""

    name = "chain"
    basis = hats


METHODS: dict[str, type[Method]] = {each.name: each for each in (Linear, Chain, Bezier, String, Springs, AutoNEB)}


def named(method: str | Method) -> Method:
    """Return the method of a short name, with its defaults, or the method that is given."""
    if isinstance(method, Method):
        return method
    if method not in METHODS:
        raise ValueError(f"method must be one of {', '.join(METHODS)}, or a method of ee.methods; got {method!r}.")
    return METHODS[method]()


def inserted(path: Path, most: int, threshold: float, halfway: Tensor | None = None) -> Path:
    """Insert a pivot in the middle of each segment whose loss bulges, the worst first, up to ``most`` pivots.

    Or take it from ``halfway`` (P-1, D): on the spline it lies far lower than on the chord.
    """
    assert path.losses is not None
    assert path.losses_between is not None
    rise = scallops(path.losses, path.losses_between)
    every = torch.cat([path.losses, path.losses_between.flatten()])
    worst = rise.argsort(descending=True)[: max(0, most - len(path.pivots))]
    chosen = set(worst[rise[worst] > threshold * (every.max() - every.min())].tolist())
    rows = [path.pivots[:1]]
    for segment in range(len(path.pivots) - 1):
        here, there = path.pivots[segment], path.pivots[segment + 1]
        middle = (here + there) / 2 if halfway is None else halfway[segment]
        rows.append(torch.stack([middle, there]) if segment in chosen else there[None])
    return path.through(torch.cat(rows))


def refine(band: Band, road: Path, halfway: Tensor, bulging: Tensor) -> Iterator[Path]:
    """Let a new pivot sink across the band in each ``bulging`` segment (P-1,), from ``halfway`` (P-1, D).

    The others stay, as they have settled; so this is cheap, and whatever spaces a band cannot undo it.
    """
    places = torch.arange(len(bulging) + 1, device=bulging.device)
    order = torch.cat([places, places[:-1][bulging] + 0.5]).argsort()
    along = unit(road.pivots[1:] - road.pivots[:-1])[bulging]
    stepper, sweeps = Stepper(halfway[bulging], "sgd", band.learning_rate, band.momentum), band.rest
    for number in range(sweeps):
        slope = band.slope(stepper.position)
        stepper.step(slope - (slope * along).sum(1, keepdim=True) * along, band.pace * cosine(number / sweeps))
        if number % 25 == 0 or number == sweeps - 1:
            check_finite(band.land, stepper.position, halfway[bulging], number + 1, band.learning_rate)
            yield road.through(torch.cat([road.pivots, stepper.position])[order])
