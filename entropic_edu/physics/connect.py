"""Second verb: build the road between two minima.

All methods move a few points at once by gradients of the same objective, on one batch that all points share in a
sweep. They differ in what keeps the points apart: springs (NEB), redistribution (string), or a curve with few control
points (Bezier, chain).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from entropic_edu.networks.align import align as align_weights
from entropic_edu.networks.network import Network

from .landscape import Landscape
from .path import Path, scallops
from .results import detached, finite
from .snapshot import Progress, Snapshot, Stream, verb
from .steps import Stepper, check_finite

Method = Literal["linear", "chain", "bezier", "string", "neb", "autoneb"]
Tangent = Literal["upwind", "central"]


@verb
def connect(
    land: Landscape,
    a: Tensor,
    b: Tensor,
    *,
    generator: torch.Generator,
    method: Method = "autoneb",
    pivots: int = 20,
    sweeps: int = 2000,
    batch_size: int | None = 256,
    learning_rate: float = 0.05,
    momentum: float = 0.9,
    spring_constant: float = 1.0,
    threshold: float = 0.1,
    bends: int = 3,
    points: int | None = None,
    tolerance: float = 0.05,
    align: bool = False,
    guess: Path | None = None,
    tangent: Tangent = "upwind",
    projection: bool = True,
    progress: Progress = None,
) -> Stream[Path]:
    """Join two minima by a road of low objective.

    Args:
        land: The landscape; the objective (with weight decay) is the one that training saw.
        a: Start of the path, (D,).
        b: End of the path, (D,).
        generator: Source of the batches. The same seed gives the same path.
        method: "linear" (the straight line), "chain" or "bezier" (Garipov et al. 2018), "string" (E, Ren &
            Vanden-Eijnden 2007), "neb" (Henkelman & Jónsson 2000) or "autoneb" (Draxler et al. 2018).
        pivots: Points that are moved, ends included. AutoNEB begins with 5 and inserts up to this many.
        sweeps: Gradient steps of the whole band.
        batch_size: Samples in a sweep, capped at the data; all pivots see the same. None takes all data.
        learning_rate: η of the first sweeps; it falls to 0 by a cosine over the second half.
        momentum: m of heavy ball.
        spring_constant: Pull along the band per unit of unequal spacing ("neb", "autoneb").
        threshold: AutoNEB inserts a pivot where the loss between two rises above the line through them by more than
            this share of the band's range of losses.
        bends: Inner control points of "chain" and "bezier".
        points: Points of the returned path; None takes 4 for each pivot. They lie on the spline through the pivots.
        tolerance: Refinement goes on (twice the pivots, half the sweeps) until the scallops between the relaxed pivots
            are below this share of the mean data loss at the ends, at most twice.
        align: First permute the hidden units of ``b`` to lie close to ``a`` (weight matching); the path then ends at
            that permuted copy, which is the same function.
        guess: Where the band lies at first, a path from ``a`` to ``b``; None takes the straight line. A curve takes its
            control points from it.
        tangent: "upwind" (the secant to the higher neighbour) or, to see what it is for, "central": the secant of both
            neighbours, as the first NEB codes had it. With that the loss along the band bends it into kinks where it
            is steep ("neb", "autoneb").
        projection: Whether the loss acts only across the band and the springs only along it. Without it, to see what it
            is for, both act in full: the band cuts corners and its pivots slide down to the ends ("neb", "autoneb").
        progress: True for a bar with the time left, or a callable given each snapshot.

    Returns:
        The Path with the objective measured on all data at its points and between them.

    Raises:
        ValueError: If the ends have another dimension, coincide, or hold NaN; or a setting is out of range.
        DivergenceError: If a pivot becomes infinite or NaN.

    References:
        Henkelman & Jónsson (2000), J. Chem. Phys. 113, 9978, for both tangents and for why the central one fails.
    """
    _check(land, a, b, method, pivots, sweeps, bends)
    _check_switches(method, guess, tangent, projection, align)
    a, b = a.detach(), b.detach()
    if align:
        if not isinstance(land, Network):
            raise ValueError(f"align=True permutes hidden units and needs a Network, got a {type(land).__name__}.")
        b = align_weights(land, a, b, generator=generator).theta
        if torch.equal(a, b):
            raise ValueError("The two end points are one network with its hidden units permuted; no path is needed.")
    number = points or 4 * pivots
    first = torch.stack([a, b]) if guess is None else _between(guess, a, b)
    road = Path(first, method=method, landscape=land.signature, complete=False)
    if method == "linear":
        straight = road.resample(number)
        yield _snapshot(straight, 0, 1)
        yield _snapshot(replace(measured(land, straight), complete=True), 1, 1)
        return
    samples = getattr(land, "x", None)
    size = batch_size if batch_size is None or samples is None else min(batch_size, len(samples))
    band = _Band(land, generator, size, learning_rate, momentum, sweeps)
    yield _snapshot(road, 0, sweeps)
    rule = _string if method == "string" else _springs(spring_constant, tangent, projection)
    for latest in _built(band, road, method, pivots, rule, threshold, bends):
        road = latest
        yield _snapshot(road, band.swept, sweeps)
    rise = _scallops_of(land, road)
    for _ in range(2):
        allowed = max(tolerance * _end_loss(land, road), torch.finfo(a.dtype).eps)  # ends may lie at zero loss
        if method in ("chain", "bezier") or math.isinf(tolerance) or rise <= allowed:
            break
        pivots, number = 2 * len(road.pivots), 2 * number
        band = replace(band, sweeps=sweeps // 2, swept=0)
        for latest in _relaxed(band, road.smooth(pivots), rule, sweeps // 2, late=True):
            road = latest
            yield _snapshot(road, sweeps, sweeps + 1, "refining")
        rise = _scallops_of(land, road)
    final = replace(measured(land, road.smooth(number)), pivot_scallop=rise, complete=True)
    yield _snapshot(final, sweeps, sweeps, final.summary())


def _scallops_of(land: Landscape, road: Path) -> float:
    """Return how much the loss rises between the relaxed pivots, along the spline through them.

    The points of the returned path lie closer than the pivots, so its own scallops would hide this rise.
    """
    between = road.smooth(4 * (len(road.pivots) - 1) + 1)  # three points between two pivots
    with torch.no_grad():
        losses = torch.cat([land.loss(some) for some in torch.split(between.pivots, 32)])
    return float(scallops(losses[::4], losses.unfold(0, 5, 4)[:, 1:4]).max().clamp(min=0))


@torch.no_grad()
def _end_loss(land: Landscape, path: Path) -> float:
    """Return the mean loss of both ends without the weight-decay term, which no road can lower much."""
    ends = path.pivots[[0, -1]]
    return float((land.loss(ends) - 0.5 * land.weight_decay * ends.square().sum(1)).mean())


def measured(land: Landscape, path: Path, inner: int = 3) -> Path:
    """Return the path with the objective on all data at its points and at ``inner`` points of each segment."""
    path.check(land)
    along = torch.arange(1, inner + 1, dtype=path.pivots.dtype, device=path.pivots.device) / (inner + 1)
    between = torch.lerp(path.pivots[:-1, None], path.pivots[1:, None], along[:, None])  # (P-1, M, D)
    with torch.no_grad():
        losses = torch.cat([land.loss(chunk) for chunk in path.pivots.split(32)])
        inside = torch.cat([land.loss(chunk) for chunk in between.flatten(0, 1).split(32)])
    for values in (losses, inside):
        finite(values, "The loss on the path", "lower the learning_rate of connect")
    return replace(path, losses=detached(losses), losses_between=detached(inside).view(len(losses) - 1, inner))


def tangents(pivots: Tensor, losses: Tensor) -> Tensor:
    """Return the unit tangent at each interior pivot, pointing along the band.

    On a slope the tangent is the secant towards the higher neighbour. At an extremum of the loss it mixes both secants,
    weighted by the rises, so that it turns smoothly as the band relaxes; where all three losses agree it is the
    bisector.

    Args:
        pivots: Band of parameter vectors, shape (P, D), with P >= 3.
        losses: Loss at each pivot, shape (P,).

    Returns:
        Tangents of pivots 1 .. P-2, shape (P-2, D).

    Raises:
        ValueError: If the band has no interior pivot.

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
    bisector = _unit(forward) + _unit(backward)
    flat = larger <= 0
    return _unit(torch.where(flat[:, None], torch.where(bisector.any(1, keepdim=True), bisector, forward), mixed))


def _unit(vectors: Tensor) -> Tensor:
    return vectors / vectors.norm(dim=-1, keepdim=True).clamp(min=torch.finfo(vectors.dtype).tiny)


@dataclass
class _Band:
    """What a sweep needs, and how many were made."""

    land: Landscape
    generator: torch.Generator
    batch_size: int | None
    learning_rate: float
    momentum: float
    sweeps: int
    swept: int = 0

    def scale(self, late: bool) -> float:
        """Factor on the learning rate: 1 in the first half of all sweeps, then a cosine to 0."""
        done = self.swept / self.sweeps
        done = 0.5 + 0.5 * done if late else done
        return 0.5 * (1 + math.cos(math.pi * max(0.0, 2 * done - 1)))

    def look(self, theta: Tensor) -> tuple[Tensor, Tensor]:
        """Loss and gradient of all points on one shared batch."""
        batch = None if self.batch_size is None else self.land.draw(self.batch_size, self.generator)
        return self.land.loss_and_gradient_on(theta, batch)

    def slope(self, theta: Tensor) -> Tensor:
        return self.land.gradient(theta, self.batch_size, self.generator, shared=True)


Rule = Callable[[_Band, Tensor], Tensor]  # band, pivots (P, D) -> force on the inner pivots (P-2, D)


def _string(band: _Band, pivots: Tensor) -> Tensor:
    return -band.slope(pivots[1:-1])


def _springs(spring_constant: float, tangent: Tangent, projection: bool) -> Rule:
    def force(band: _Band, pivots: Tensor) -> Tensor:
        """The loss acts across the band, the springs along it (Henkelman & Jónsson 2000, eqs. 4, 5 and 12)."""
        losses, gradient = band.look(pivots)
        along = tangents(pivots, losses) if tangent == "upwind" else _unit(pivots[2:] - pivots[:-2])
        across = gradient[1:-1] - (gradient[1:-1] * along).sum(1, keepdim=True) * along
        gaps = (pivots[1:] - pivots[:-1]).norm(dim=1)
        return spring_constant * (gaps[1:] - gaps[:-1])[:, None] * along - across

    def unprojected(band: _Band, pivots: Tensor) -> Tensor:
        """Springs of no rest length and the loss, both in full: a plain elastic band."""
        return spring_constant * (pivots[2:] - 2 * pivots[1:-1] + pivots[:-2]) - band.slope(pivots[1:-1])

    return force if projection else unprojected


def _relaxed(band: _Band, path: Path, rule: Rule, sweeps: int, late: bool = False) -> Iterator[Path]:
    """Relax a band with fixed ends; the string is redistributed evenly along its spline every fifth sweep."""
    ends, even = path.pivots[[0, -1]], rule is _string
    stepper = Stepper(path.pivots[1:-1], "sgd", band.learning_rate, band.momentum)
    begun = stepper.position.clone()

    def whole() -> Tensor:
        return torch.cat([ends[:1], stepper.position, ends[1:]])

    for number in range(1, sweeps + 1):
        stepper.step(-rule(band, whole()), band.scale(late))
        band.swept += 1
        if even and (number % 5 == 0 or number == sweeps):
            check_finite(band.land, stepper.position, begun, band.swept, band.learning_rate)
            stepper.place(path.through(whole()).smooth(len(path.pivots)).pivots[1:-1])
        if number % 25 == 0 or number == sweeps:
            check_finite(band.land, stepper.position, begun, band.swept, band.learning_rate)
            yield path.through(whole())


def _built(
    band: _Band, road: Path, method: Method, pivots: int, rule: Rule, threshold: float, bends: int
) -> Iterator[Path]:
    if method in ("chain", "bezier"):
        yield from _curve(band, road, method, pivots, bends)
    elif method == "autoneb":
        yield from _autoneb(band, road, pivots, rule, threshold)
    else:
        for number in (max(4, pivots // 3), max(4, 2 * pivots // 3), pivots):  # coarse first: it costs less
            for latest in _relaxed(band, road.smooth(number), rule, band.sweeps // 3):
                road = latest
                yield road


def _autoneb(band: _Band, road: Path, pivots: int, rule: Rule, threshold: float) -> Iterator[Path]:
    """Relax, insert pivots where the band cuts a corner, and again: four cycles (Draxler et al. 2018, section 3)."""
    road = road.resample(min(5, pivots))
    for cycle in range(4):
        for latest in _relaxed(band, road, rule, band.sweeps // 4):
            road = latest
            yield road
        if cycle < 3:
            road = _inserted(measured(band.land, road), pivots, threshold)


def _inserted(path: Path, most: int, threshold: float) -> Path:
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


def _curve(band: _Band, road: Path, method: Method, pivots: int, bends: int) -> Iterator[Path]:
    """Move the control points of a curve that is linear in them, by gradients at random places (Garipov et al. 2018).

    Each control point takes the average of the gradients, weighted by its share in each place.
    """
    controls = road.resample(bends + 2).pivots
    ends = controls[[0, -1]]
    stepper = Stepper(controls[1:-1], "sgd", band.learning_rate, band.momentum)
    begun = stepper.position.clone()
    basis = _bernstein if method == "bezier" else _hats
    for number in range(1, band.sweeps + 1):
        jitter = torch.rand(pivots, generator=band.generator, device=band.generator.device, dtype=controls.dtype)
        where = (torch.arange(pivots, dtype=controls.dtype) + jitter.cpu()) / pivots  # one place in each stratum
        weights = basis(where, bends + 2).to(controls)
        slope = band.slope(weights @ torch.cat([ends[:1], stepper.position, ends[1:]]))
        inner = weights[:, 1:-1]
        stepper.step(inner.T @ slope / inner.sum(0)[:, None].clamp(min=1e-3), band.scale(late=False))
        band.swept += 1
        if number % 25 == 0 or number == band.sweeps:
            check_finite(band.land, stepper.position, begun, number, band.learning_rate)
            fine = basis(torch.linspace(0, 1, 8 * pivots, dtype=controls.dtype), bends + 2).to(controls)
            drawn = fine @ torch.cat([ends[:1], stepper.position, ends[1:]])
            drawn[0], drawn[-1] = ends[0], ends[1]
            yield road.through(Path(drawn).resample(4 * pivots).pivots)


def _bernstein(where: Tensor, number: int) -> Tensor:
    """Weights of a Bezier curve's control points, (n,) -> (n, number)."""
    degree = number - 1
    binomial = torch.tensor([math.comb(degree, k) for k in range(number)], dtype=where.dtype)
    power = torch.arange(number, dtype=where.dtype)
    return binomial * where[:, None] ** power * (1 - where[:, None]) ** (degree - power)


def _hats(where: Tensor, number: int) -> Tensor:
    """Weights of a polygonal chain's corners, (n,) -> (n, number)."""
    return (1 - (where[:, None] * (number - 1) - torch.arange(number, dtype=where.dtype)).abs()).clamp(min=0)


def _check(land: Landscape, a: Tensor, b: Tensor, method: str, pivots: int, sweeps: int, bends: int) -> None:
    known = ("linear", "chain", "bezier", "string", "neb", "autoneb")
    if method not in known:
        raise ValueError(f"method must be one of {', '.join(known)}, got {method!r}.")
    for name, end in (("a", a), ("b", b)):
        if end.ndim != 1 or len(end) != land.dim:
            raise ValueError(
                f"The end point {name} must have shape ({land.dim},), the landscape's parameters, got "
                f"{tuple(end.shape)}; was it trained on another model?"
            )
        finite(end, f"The end point {name}", "train it again with a smaller learning_rate")
    if torch.equal(a, b):
        raise ValueError("The two end points are equal; a path needs two minima, say from two seeds.")
    if pivots < 4 or sweeps < 4 or bends < 1:
        raise ValueError(f"connect needs pivots >= 4, sweeps >= 4, bends >= 1; got {pivots}, {sweeps}, {bends}.")


def _check_switches(method: str, guess: Path | None, tangent: str, projection: bool, align: bool) -> None:
    if tangent not in ("upwind", "central"):
        raise ValueError(f'tangent must be "upwind" or "central", got {tangent!r}.')
    if method not in ("neb", "autoneb") and (tangent != "upwind" or not projection):
        raise ValueError(
            f'tangent and projection belong to the methods "neb" and "autoneb"; the method {method!r} has no springs. '
            'Leave them out, or choose method="neb".'
        )
    if guess is not None and (method == "linear" or align):
        other = 'method="linear"' if method == "linear" else "align=True, which moves the end b"
        raise ValueError(f"A first guess has no meaning with {other}; leave one of the two out.")


def _between(guess: Path, a: Tensor, b: Tensor) -> Tensor:
    """Return the points of a first guess, or say that it joins other ends."""
    if not (torch.equal(guess.pivots[0], a) and torch.equal(guess.pivots[-1], b)):
        raise ValueError(
            "The first guess must begin at the end point a and end at b, bit for bit; give Path([a, ..., b])."
        )
    return guess.pivots


def _snapshot(path: Path, done: int, total: int, note: str = "") -> Snapshot[Path]:
    return Snapshot(done, total, note or f"{len(path.pivots)} pivots, length {path.length:.3g}", lambda: path)
