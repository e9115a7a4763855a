"""Ways to build a road: what moves its points, and what keeps them apart.

All move a few points at once by gradients of the same objective, on one batch that all points share in a sweep. They
differ in what keeps the points apart: springs (NEB), redistribution (string), or a curve with few control points
(Bezier, chain). A method of your own is a class with ``build``; docs/design.md walks through one.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from torch import Tensor

from .crowd import Crowd
from .landscape import Landscape
from .path import Path, evenly, measured, scallops
from .steps import DivergenceError, Stepper, batch_sharpness

Tangent = Literal["upwind", "central"]


@dataclass
class Band:
    """What a sweep of the whole band needs, and how many were made."""

    land: Landscape
    generator: torch.Generator
    batch_size: int | None
    learning_rate: float
    momentum: float
    sweeps: int
    swept: int = 0
    residual: float | None = None  # see ``Path``
    highest: float = math.inf  # objective there before anything moved, and on the straight line
    halvings: int = 4  # of the learning rate that are left
    few: Landscape = field(init=False)  # perhaps on a part of the data, so that a look at the whole band costs little
    given: float = field(init=False)  # the learning rate at first

    def __post_init__(self) -> None:
        self.few, self.given = self.land, self.learning_rate

    def scale(self) -> float:
        """Factor on the learning rate: 1 in the first half of all sweeps, then a cosine to 0."""
        return 0.5 * (1 + math.cos(math.pi * max(0.0, 2 * self.swept / self.sweeps - 1)))

    def look(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """Loss and gradient of all points on one shared batch."""
        batch = None if self.batch_size is None else self.land.draw(self.batch_size, self.generator)
        return self.land.loss_and_gradient_on(theta, batch)

    def slope(self, theta: Tensor) -> Tensor:
        return self.land.gradient(theta, self.batch_size, self.generator, shared=True)

    @torch.no_grad()
    def backs_off(self, stepper: Stepper, pivots: Tensor, *, look: bool) -> bool:
        """Return whether a band has gone astray, and halve the learning rate if so; without halvings left go on.

        That is where steps diverged, or at a ``look`` if the mean objective is above all that was there at first.

        Raises:
            DivergenceError: If steps diverged and there is no halving left.
        """
        try:
            stepper.check(self.land, self.swept)
        except DivergenceError:
            if not self.halvings:
                raise
        else:
            if not (look and self.halvings) or float(self.few.loss(pivots).mean()) <= self.highest:
                return False
        self.learning_rate, self.halvings = self.learning_rate / 2, self.halvings - 1
        return True

    def hasten(self, pivots: Tensor, stiffness: float) -> None:
        """Lengthen the steps to come of a band (P, D) at rest, to half of what its sharpest pivot bears, or fourfold.

        On the floor η/(1 - m) times the number of sweeps counts, and weight decay is slow there. Batches of sharpness s
        bear η = 2(1 - m)/s, and springs of the ``stiffness`` k bear 2(1 + m)/k. Nothing changes where sweeps take all
        data, or the band has gone astray.
        """
        if self.batch_size is None or self.halvings < Band.halvings:
            return
        generator = torch.Generator(self.generator.device).manual_seed(0)
        batches = [self.land.draw(self.batch_size, generator) for _ in range(4)]
        sharpest = stiffness * (1 - self.momentum) / (1 + self.momentum)
        for some in pivots[1:-1].split(max(1, 1_048_576 // pivots.shape[1])):
            looks = [batch_sharpness(self.land, some, batch) for batch in batches]
            each, gradient = (torch.stack(t) for t in zip(*looks, strict=True))
            weight = gradient.square().sum(-1)
            sharpest = max(sharpest, float(((each * weight).sum(0) / weight.sum(0)).max()))
        if sharpest > 0:  # which NaN is not
            self.learning_rate = max(self.given, min(4 * self.given, (1 - self.momentum) / sharpest))

    def settle(self, pivots: Tensor, share: Callable[[Tensor], Tensor] = lambda force: force) -> float:
        """Return and note the largest force across a band (P, D) on all data, over the largest slope on it or the line.

        ``share`` gives the forces at the inner pivots (P-2, D) to what can move.
        """
        line = torch.lerp(pivots[0], pivots[-1], torch.linspace(0, 1, len(pivots)).to(pivots)[:, None])
        steepest = self.land.gradient_on(line, None).norm(dim=1).max()
        del line
        losses, slope = self.land.loss_and_gradient_on(pivots, None)
        scale = torch.maximum(steepest, slope.norm(dim=1).max())
        force = share(across(slope, tangents(pivots, losses)))
        self.residual = float(force.norm(dim=1).max() / scale) if scale > 0 else 0.0
        return self.residual


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
        """Return the force on the inner pivots, (P, D) -> (P-2, D), in memory that may be written to."""

    def hasten(self, band: Band, pivots: Tensor) -> None:
        """Lengthen the steps of the rounds to come, once the pivots (P, D) lie on the floor; as it is, leave them."""

    def relax(self, band: Band, road: Path, sweeps: int) -> Iterator[Path]:
        """Relax a chain with fixed ends, and yield it now and then; where it goes astray it begins again."""
        whole, every = road.pivots.clone(), 5 if self.redistributes else 25

        def begun() -> Stepper:  # whose steps move the band itself
            return Stepper(Crowd(whole[1:-1], copied=False), "sgd", band.learning_rate, band.momentum)

        stepper = begun()
        for number in range(1, sweeps + 1):
            stepper.step(self.force(band, whole).neg_(), band.scale())
            band.swept += 1
            look = number % 25 == 0 or number == sweeps
            if not look and number % every:
                continue
            if band.backs_off(stepper, whole, look=look):
                whole.copy_(road.pivots)
                stepper = begun()
            elif self.redistributes:
                stepper.place(road.through(whole).smooth(len(whole)).pivots[1:-1])
            if look:
                yield road.through(whole.clone())

    def build(self, band: Band, road: Path, pivots: int) -> Iterator[Path]:
        for number in (max(4, pivots // 3), max(4, 2 * pivots // 3), pivots):  # coarse first: it costs less
            for latest in self.relax(band, road.smooth(number), band.sweeps // 3):
                road = latest
                yield road


class String(Relaxing):
    """Pivots slide down, and are redistributed evenly (E, Ren & Vanden-Eijnden 2007)."""

    name = "string"
    redistributes = True

    def force(self, band: Band, pivots: Tensor) -> Tensor:
        return band.slope(pivots[1:-1]).neg_()


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
        along = tangents(pivots, losses) if self.tangent == "upwind" else _unit(pivots[2:] - pivots[:-2])
        gaps = (pivots[1:] - pivots[:-1]).norm(dim=1)
        return (self.spring_constant * (gaps[1:] - gaps[:-1])[:, None] * along).sub_(across(gradient, along))

    def hasten(self, band: Band, pivots: Tensor) -> None:
        band.hasten(pivots, 4 * self.spring_constant)


@dataclass(eq=False, kw_only=True)
class AutoNEB(Springs):
    """Relax, insert pivots where the band cuts a corner, and again: four cycles (Draxler et al. 2018, section 3).

    A pivot is inserted where the loss between two rises above the line through them by more than ``threshold``, a share
    of the band's range of losses.
    """

    name = "autoneb"

    threshold: float = 0.1

    def build(self, band: Band, road: Path, pivots: int) -> Iterator[Path]:
        road = road.resample(min(5, pivots))
        for cycle in range(4):
            if cycle:
                road = inserted(measured(band.land, road), pivots, self.threshold)
            for latest in self.relax(band, road, band.sweeps // 4):
                road = latest
                yield road


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
        for sweep in range(1, band.sweeps + 1):
            jitter = torch.rand(pivots, generator=band.generator, device=band.generator.device, dtype=controls.dtype)
            where = (torch.arange(pivots, dtype=controls.dtype) + jitter.cpu()) / pivots  # one place in each stratum
            weights = basis(where, number).to(controls)
            slope = band.slope(weights @ torch.cat([ends[:1], stepper.position, ends[1:]]))
            stepper.step(_shared(weights, slope), band.scale())
            band.swept += 1
            if sweep % 25 == 0 or sweep == band.sweeps:
                stepper.check(band.land, sweep)
                fine = basis(torch.linspace(0, 1, 8 * pivots, dtype=controls.dtype), number).to(controls)
                yield road.through(evenly(fine, torch.cat([ends[:1], stepper.position, ends[1:]]), 4 * pivots))
        weights = basis((torch.arange(pivots, dtype=controls.dtype) + 0.5) / pivots, number).to(controls)
        places = weights @ torch.cat([ends[:1], stepper.position, ends[1:]])
        band.settle(places, lambda across: _shared(weights[1:-1], across))


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
    steps = pivots.diff(dim=0)
    forward, backward = steps[1:], steps[:-1]  # τ⁺ and τ⁻, (P-2, D)
    rise_forward, rise_backward = losses[2:] - losses[1:-1], losses[:-2] - losses[1:-1]  # (P-2,)
    larger = torch.maximum(rise_forward.abs(), rise_backward.abs())
    smaller = torch.minimum(rise_forward.abs(), rise_backward.abs())
    ahead_higher = losses[2:] > losses[:-2]
    weight_forward = torch.where(ahead_higher, larger, smaller)  # eq. 10
    weight_backward = torch.where(ahead_higher, smaller, larger)
    slope = rise_forward * rise_backward < 0  # one neighbour higher, one lower: eq. 8
    weight_forward = torch.where(slope, ahead_higher.to(losses.dtype), weight_forward)
    weight_backward = torch.where(slope, (~ahead_higher).to(losses.dtype), weight_backward)
    mixed = weight_forward[:, None] * forward
    mixed += weight_backward[:, None] * backward
    flat = (larger <= 0).nonzero().flatten()
    if len(flat):
        bisector = _unit(forward[flat]) + _unit(backward[flat])
        mixed[flat] = torch.where(bisector.any(1, keepdim=True), bisector, forward[flat])
    return mixed.div_(_norm(mixed))


def across(slope: Tensor, along: Tensor) -> Tensor:
    """Return slopes at the inner pivots without their part along unit tangents, (P, D) and (P-2, D) -> (P-2, D)."""
    part = (slope[1:-1] * along).sum(1, keepdim=True) * along
    return torch.sub(slope[1:-1], part, out=part)


def _unit(vectors: Tensor) -> Tensor:
    return vectors / _norm(vectors)


def _norm(vectors: Tensor) -> Tensor:
    return vectors.norm(dim=1, keepdim=True).clamp(min=torch.finfo(vectors.dtype).tiny)


def inserted(path: Path, most: int, threshold: float) -> Path:
    """Insert a pivot in the middle of each segment whose loss bulges, the worst first, up to ``most`` pivots."""
    assert path.losses is not None
    assert path.losses_between is not None
    rise = scallops(path.losses, path.losses_between)
    every = torch.cat([path.losses, path.losses_between.flatten()])
    worst = rise.argsort(descending=True)[: max(0, most - len(path.pivots))]
    chosen = set(worst[rise[worst] > threshold * (every.max() - every.min())].tolist())
    rows = [path.pivots[:1]]
    for segment in range(len(path.pivots) - 1):
        here, there = path.pivots[segment], path.pivots[segment + 1]
        rows.append(torch.stack([(here + there) / 2, there]) if segment in chosen else there[None])
    return path.through(torch.cat(rows))


def refine(band: Band, road: Path, bulging: Tensor) -> Iterator[Path]:
    """Let a new pivot sink across the band in each ``bulging`` segment (P-1,), from the spline.

    The others stay, as they have settled; so this is cheap, and whatever spaces a band cannot undo it.
    """
    places, bulging = torch.arange(len(bulging) + 1), bulging.cpu()
    order = torch.cat([places, places[:-1][bulging] + 0.5]).argsort()
    along = _unit(road.pivots[1:] - road.pivots[:-1])[bulging]
    stepper = Stepper(road.bent(1)[1::2][bulging], "sgd", band.learning_rate, band.momentum)
    for number in range(1, band.sweeps + 1):
        slope = band.slope(stepper.position)
        stepper.step(slope - (slope * along).sum(1, keepdim=True) * along, band.scale())
        band.swept += 1
        if number % 25 == 0 or number == band.sweeps:
            stepper.check(band.land, number)
            yield road.through(torch.cat([road.pivots, stepper.position])[order])
