"""Second verb: build the road between two minima. The ways to build it are in ``methods``."""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import replace
from time import perf_counter
from typing import Any

import torch
from torch import Tensor

from .band import SMALL, Band, Sweeps, tangents
from .landscape import Landscape
from .methods import Linear, Method, Relaxing, named, refine
from .path import Path, measured, scallops
from .results import finite
from .snapshot import Progress, Snapshot, Stream, verb, warn

__all__ = ["UnconvergedWarning", "connect", "measured", "tangents"]

_LOW = 0.05  # barrier, as a share of the ends' data loss, below which there is none to speak of


class UnconvergedWarning(UserWarning):
    """Forces across a band are not small yet: its barrier is too high, and its curvature not that of the valley."""


@verb
def connect(
    land: Landscape,
    a: Any,
    b: Any,
    *,
    generator: torch.Generator,
    method: str | Method = "autoneb",
    pivots: int = 20,
    sweeps: int | Sweeps = 2000,
    batch_size: int | None = 256,
    learning_rate: float = 0.05,
    momentum: float = 0.9,
    points: int | None = None,
    tolerance: float = 0.05,
    guess: Path | None = None,
    progress: Progress = None,
) -> Stream[Path]:
    """Join two minima by a road of low objective.

    Args:
        land: The landscape; the objective (with weight decay) is the one that training saw.
        a, b: Ends of the path, (D,): vectors or Runs, and on a ``Network`` modules and state_dicts too. Two networks
            may be one function with hidden units permuted: see ``ee.align``.
        generator: Source of the batches. The same seed gives the same path.
        method: "linear" (the straight line), "chain", "bezier", "string", "neb", "autoneb", or a method with settings
            of its own, such as ``ee.methods.AutoNEB(threshold=0.05)``; ``ee.methods`` has the sources.
        pivots: Points that are moved, ends included. AutoNEB begins with 5 and inserts up to this many.
        sweeps: Gradient steps of the whole band, at most: it comes to rest once its middle has stopped changing.
            ``Sweeps(most, change=0)`` takes them all.
        batch_size: Samples in a sweep, capped at the data; all pivots see the same. None takes all data.
        learning_rate, momentum: η, which halves where a band swings, and at the end falls to 0 by a cosine (of all
            sweeps, over the second half); m.
        points: Points of the returned path; None takes 4 for each pivot. They lie on the spline through the pivots.
        tolerance: New pivots are relaxed where the scallops between the relaxed ones are above this share of the mean
            data loss at the ends, at most twice. (With all sweeps: twice the pivots everywhere, and half the sweeps.)
        guess: Where the band lies at first, a path from ``a`` to ``b``; None takes the straight line.
        progress: True for a bar with the time left, or a callable given each snapshot.

    Returns:
        The Path with the objective measured on all data at its points and between them. While it is built, a few times
        as many numbers as ``pivots`` or ``points`` times D are held.

    Raises:
        ValueError: If the ends have another dimension, coincide, or hold NaN; or a setting is out of range.
        DivergenceError: If a pivot becomes infinite or NaN.

    Warns:
        UnconvergedWarning: If the forces across the band are above 3 % of the slope on the straight line, and the
            barrier is above 5 % of the mean data loss at the ends; or if the middle still changed by a
            quarter in 50 sweeps when they ran out.

    Example:
        >>> land, g = ee.valleys.Hyperbola(), torch.Generator().manual_seed(0)
        >>> a, b = land.floor(2)
        >>> line = ee.connect(land, a, b, method="linear", generator=g)
        >>> road = ee.connect(land, a, b, method="string", sweeps=100, batch_size=None, generator=g)
        >>> line.barrier > 0.1, road.barrier < 1e-3  # over a hill, and round it
        (True, True)
    """
    way = named(method)
    a, b = land.vector(a).detach(), land.vector(b).detach()
    rule = sweeps if isinstance(sweeps, Sweeps) else Sweeps(sweeps)
    _check(land, a, b, pivots, rule.most)
    if guess is not None and isinstance(way, Linear):
        raise ValueError('A first guess has no meaning with method="linear"; leave one of the two out.')
    if guess is not None and not (torch.equal(guess.pivots[0], a) and torch.equal(guess.pivots[-1], b)):
        raise ValueError(
            "The first guess must begin at the end point a and end at b, bit for bit; give Path([a, ..., b])."
        )
    number = points or 4 * pivots
    first = torch.stack([a, b]) if guess is None else guess.pivots
    road = Path(first, method=way.name, landscape=land.signature, complete=False)
    if isinstance(way, Linear):
        straight = road.resample(number)
        yield _snapshot(straight, 0, 1)
        yield _snapshot(replace(measured(land, straight), complete=True), 1, 1)
        return
    size = batch_size if batch_size is None or land.num_samples is None else min(batch_size, land.num_samples)
    with torch.no_grad():  # the weight-decay term is left out: no road can lower it much
        level = float(land.data_loss(torch.stack([a, b])).mean())
    band = Band(land, generator, size, learning_rate, momentum, rule.most, rule.change, _LOW * level)
    yield _snapshot(road, 0, rule.most)
    road = yield from _built(way, band, road, pivots)
    taken = band.swept
    refines = isinstance(way, Relaxing) and not math.isinf(tolerance)
    wanted = max(tolerance * level, torch.finfo(a.dtype).eps) if refines else math.inf  # ends may lie at zero loss
    few, (road, rise) = len(road.pivots), (yield from _refined(way, band, road, wanted))
    if isinstance(way, Relaxing):
        band.settle(road.pivots)
    final = measured(land, road.smooth(round(number * len(road.pivots) / few)))
    final = replace(final, pivot_scallop=rise, sweeps=taken, complete=True)
    if band.residual is not None:  # a method of one's own need not say it
        rest = band.residual <= SMALL or final.barrier <= _LOW * level
        final = replace(final, residual=band.residual, converged=rest and band.settled)
        if not final.converged:
            force = f"the force across it is {band.residual:.2g} of the slope on the straight line (at rest {SMALL})"
            warn(
                f"The road has not converged: {'its middle still changes' if rest else force}. "
                f"Take more sweeps than {rule.most}, or a larger learning_rate.",
                UnconvergedWarning,
            )
    yield _snapshot(final, rule.most, rule.most, final.summary())


def _built(way: Method, band: Band, road: Path, pivots: int) -> Generator[Snapshot[Path], None, Path]:
    """Yield the road while it is built, with the most that it may still take, and return it."""
    begun, work, swept = perf_counter(), 0, 0
    for latest in way.build(band, road, pivots):
        road, work, swept = latest, work + len(latest.pivots) * (band.swept - swept), band.swept
        left = max(pivots, len(road.pivots)) * (band.sweeps - swept) * (perf_counter() - begun) / max(1, work)
        more = f"{_note(road)}, at most {left:.2g} s of sweeps more" if band.change else ""
        yield _snapshot(road, swept, band.sweeps, more)
    return road


def _refined(way: Method, band: Band, road: Path, wanted: float) -> Generator[Snapshot[Path], None, tuple[Path, float]]:
    """Insert pivots and relax until the scallops between them are as ``wanted``, at most twice; return both."""
    most = band.sweeps
    for number in (1, 2, 3):
        # the closer points of the final path hide how much the loss rises between the pivots
        fine = road.bent(3) if band.change else road.smooth(4 * (len(road.pivots) - 1) + 1).pivots
        rise = _scallops_of(band.land, fine)
        if number == 3 or math.isinf(wanted) or rise.max() <= wanted:
            break
        if band.change:
            finer = refine(band, road, fine[2::4], rise > wanted)
        else:
            assert isinstance(way, Relaxing)
            band = replace(band, sweeps=most // 2, swept=0)
            finer = way.relax(band, road.smooth(2 * len(road.pivots)), 1, late=True)
        for latest in finer:
            road = latest
            yield _snapshot(road, most, most + 1, "refining")
    return road, float(rise.max().clamp(min=0))


def _scallops_of(land: Landscape, fine: Tensor) -> Tensor:
    """Return how much the loss rises between pivots, (P-1,), of which ``fine`` has three points between each two."""
    with torch.no_grad():
        losses = torch.cat([land.loss(some) for some in torch.split(fine, 32)])
    return scallops(losses[::4], losses.unfold(0, 5, 4)[:, 1:4])


def _check(land: Landscape, a: Tensor, b: Tensor, pivots: int, sweeps: int) -> None:
    for name, end in (("a", a), ("b", b)):
        if end.ndim != 1 or len(end) != land.dim:
            raise ValueError(
                f"The end point {name} must have shape ({land.dim},), the landscape's parameters, got "
                f"{tuple(end.shape)}; was it trained on another model?"
            )
        finite(end, f"The end point {name}", "train it again with a smaller learning_rate")
    if torch.equal(a, b):
        raise ValueError("The two end points are equal; a path needs two minima, say from two seeds.")
    if pivots < 4 or sweeps < 4:
        raise ValueError(f"connect needs pivots >= 4 and sweeps >= 4; got {pivots} and {sweeps}.")


def _note(path: Path) -> str:
    return f"{len(path.pivots)} pivots, length {path.length:.3g}"


def _snapshot(path: Path, done: int, total: int, note: str = "") -> Snapshot[Path]:
    return Snapshot(done, total, note or _note(path), lambda: path)
