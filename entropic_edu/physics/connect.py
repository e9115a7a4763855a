"""Second verb: build the road between two minima. The ways to build it are in ``methods``."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from .landscape import Landscape
from .methods import Band, Linear, Method, Relaxing, named, tangents
from .path import Path, measured, scallops
from .results import finite
from .snapshot import Progress, Snapshot, Stream, verb, warn

__all__ = ["UnconvergedWarning", "connect", "measured", "tangents"]

_SMALL = 0.03  # residual below which a band is at rest: the barrier is then some per cent of the line's
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
    sweeps: int = 2000,
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
        sweeps: Gradient steps of the whole band.
        batch_size: Samples in a sweep, capped at the data; all pivots see the same, and no label noise, which would
            push the road to flat places. None takes all data.
        learning_rate, momentum: η of the first sweeps, which falls to 0 by a cosine over the second half; m.
        points: Points of the returned path; None takes 4 for each pivot. They lie on the spline through the pivots.
        tolerance: Refinement goes on (twice the pivots, half the sweeps) until the scallops between the relaxed pivots
            are below this share of the mean data loss at the ends, at most twice.
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
            barrier is above 5 % of the mean data loss at the ends.

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
    _check(land, a, b, pivots, sweeps)
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
    band = Band(land.without_label_noise(), generator, size, learning_rate, momentum, sweeps)
    yield _snapshot(road, 0, sweeps)
    for latest in way.build(band, road, pivots):
        road = latest
        yield _snapshot(road, band.swept, sweeps)
    rise = _scallops_of(land, road)
    with torch.no_grad():  # the weight-decay term is left out: no road can lower it much
        level = float(land.data_loss(torch.stack([a, b])).mean())
    for _ in range(2):
        allowed = max(tolerance * level, torch.finfo(a.dtype).eps)  # ends may lie at zero loss
        if not isinstance(way, Relaxing) or math.isinf(tolerance) or rise <= allowed:
            break
        pivots, number = 2 * len(road.pivots), 2 * number
        band = replace(band, sweeps=sweeps // 2, swept=0)
        for latest in way.relax(band, road.smooth(pivots), sweeps // 2, late=True):
            road = latest
            yield _snapshot(road, sweeps, sweeps + 1, "refining")
        rise = _scallops_of(land, road)
    if isinstance(way, Relaxing):
        band.settle(road.pivots)
    final = replace(measured(land, road.smooth(number)), pivot_scallop=rise, complete=True)
    if band.residual is not None:  # a method of one's own need not say it
        rest = band.residual <= _SMALL or final.barrier <= _LOW * level
        final = replace(final, residual=band.residual, converged=rest)
    if final.converged is False:
        warn(
            f"The road has not converged: the force across it is {band.residual:.2g} of the slope on the straight line "
            f"(at rest {_SMALL} or less). Take more sweeps than {sweeps}, or a larger learning_rate.",
            UnconvergedWarning,
        )
    yield _snapshot(final, sweeps, sweeps, final.summary())


def _scallops_of(land: Landscape, road: Path) -> float:
    """Return how much the loss rises between the relaxed pivots, which the closer points of the final path hide."""
    between = road.smooth(4 * (len(road.pivots) - 1) + 1)  # three points between two pivots
    with torch.no_grad():
        losses = torch.cat([land.loss(some) for some in torch.split(between.pivots, 32)])
    return float(scallops(losses[::4], losses.unfold(0, 5, 4)[:, 1:4]).max().clamp(min=0))


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


def _snapshot(path: Path, done: int, total: int, note: str = "") -> Snapshot[Path]:
    return Snapshot(done, total, note or f"{len(path.pivots)} pivots, length {path.length:.3g}", lambda: path)
