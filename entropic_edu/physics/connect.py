"""Second verb: build the road between two minima. The ways to build it are in ``methods``."""

from __future__ import annotations

import math
from collections.abc import Generator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from .landscape import Landscape
from .methods import Band, Linear, Method, Relaxing, named, refine, tangents
from .path import Path, measured, scallops
from .results import finite
from .settings import is_number, require_counts
from .snapshot import Progress, Snapshot, Stream, verb, warn

__all__ = ["UnconvergedWarning", "connect", "measured", "tangents"]

_SMALL = 0.03  # residual below which a band is at rest: the barrier is then some per cent of the line's
_LOW = 0.05  # barrier, as a share of the ends' data loss, below which there is none to speak of
_HILL = 1e-3  # and as a share of the hill on the straight line
_FIRST = 125  # sweeps until one looks for the first time, or a sixteenth of all


@dataclass(frozen=True)
class Sweeps:
    """How long a band is relaxed, for ``connect(sweeps=...)``.

    Relaxation goes on in rounds, each as long as all before it, so that each tells what twice as many sweeps change.
    The barrier settles first. The curvature need not: on the floor the middle is trained on, with weight decay λ for
    some (1 - m)/(ηλ) sweeps, without it for as long as one likes. There η/(1 - m) times the sweeps is what counts; so
    once the barrier is low, "neb" and "autoneb" lengthen their steps, up to four times, to half of what the batches of
    the sharpest pivot bear.

    Between one pair of CNNs with 1,234 parameters, on 256 digits of 12 x 12 pixels with λ = 5e-4, (1 - m)/(ηλ) is
    4,000 sweeps. The ends are at rest at norm 7.7, and the middle sinks below them: with η as given it is at norm 6.9
    and trace 3.8 after 1,000 sweeps, and at 6.3 and 4.5 after 3,000; with longer steps at 6.2 and 5.2 after 2,000, at
    6.0 and 5.5 after 3,000. Nothing bends much there, since λ_max is 1.1 to 1.3: 250 sweeps with 2η, or with m = 0.95,
    lead where 500 lead, to traces of 3.6, 3.5 and 3.7. With 4η they diverge; m = 0.975 leads astray from the line on.
    With λ = 0, between another pair, the trace is 1.30, 0.75 and 0.41 after 500, 1,000 and 2,000 sweeps.

    Attributes:
        most: Gradient steps of the whole band, at most.
        change: Share of the middle's trace by which the last round of a settled band may change it, and three times the
            share of its objective. 0 takes all sweeps in one round, with steps as given.
        scallop: Where the loss between relaxed pivots rises by more than this share of the mean data loss at the ends,
            another pivot is relaxed between them, at most twice; math.inf leaves them as they are.

    Example:
        >>> ee.Sweeps(most=500)
        Sweeps(most=500, change=0.15, scallop=0.05)
    """

    most: int = 2000
    change: float = 0.15
    scallop: float = 0.05

    def __post_init__(self) -> None:
        require_counts(sweeps=self.most)
        if not (is_number(self.change) and self.change >= 0):  # so that NaN is refused too
            raise ValueError(f"change is a share of the trace, 0 to take all sweeps in one; got {self.change!r}.")
        if not (is_number(self.scallop) and self.scallop >= 0):
            raise ValueError(f"scallop is a share of the ends' loss, math.inf for any; got {self.scallop!r}.")


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
    batch_size: int | None = 64,
    learning_rate: float = 0.05,
    momentum: float = 0.9,
    points: int | None = None,
    match_norms: bool = False,
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
        sweeps: Gradient steps of the whole band, at most, or ``Sweeps``. It stops once twice as many changed the trace
            in the middle by at most 15 % and the objective there by 5 %, and the barrier is below a thousandth of the
            straight line's and 5 % of the ends' data loss (or stays, with no force left across); a curve takes all. For
            more, give it as ``guess``.
        batch_size: Samples in a sweep, capped at the data; all pivots see the same, and no label noise, which would
            push the road to flat places. None takes all data.
        learning_rate, momentum: η, which falls to 0 by a cosine over the second half of each round; m. On the floor η
            grows, see ``Sweeps``. A band whose mean objective rises above the highest on the straight line (and at
            ``guess``) goes back to where its round or cycle began, and on with half of η, at most four times. Curves
            have no such rules.
        points: Points of the returned path, on the spline through the pivots; None takes 4 for each pivot, those that
            were added too, and of "chain" and "bezier" 16.
        match_norms: Whether, at last, each layer whose scale changes no output gets the ends' norm all along the road,
            see ``Path.match_norms``; without such layers nothing changes.
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
    wanted = sweeps if isinstance(sweeps, Sweeps) else Sweeps(sweeps)
    _check(land, a, b, pivots, wanted.most)
    for name, value, least in (("batch_size", batch_size, 1), ("points", points, 2)):
        if value is not None:
            require_counts(least, **{name: value})
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
        yield _snapshot(_finished(land, straight, match_norms), 1, 1)
        return
    size = batch_size if batch_size is None or land.num_samples is None else min(batch_size, land.num_samples)
    band = Band(land.without_label_noise(), generator, size, learning_rate, momentum, wanted.most)
    few = band.few = _few(band.land, size)
    line = Path(torch.stack([a, b])).resample(pivots).pivots
    with torch.no_grad():  # the weight-decay term is left out: no road can lower it much
        band.highest = max(float(few.loss(each).max()) for each in (first, line))
        level = float(land.data_loss(torch.stack([a, b])).mean())
    enough = max(min(_LOW * level, _HILL * _barrier(few, line)), torch.finfo(a.dtype).eps * level)
    yield _snapshot(road, 0, wanted.most)
    road, swept, change = yield from _relaxed(way, band, road, pivots, wanted, enough)
    rises = _scallops_of(land, road)
    for _ in range(2):
        bulging = rises > max(wanted.scallop * level, torch.finfo(a.dtype).eps)  # ends may lie at zero loss
        if isinstance(way, Relaxing) and bool(bulging.any()):
            rate, more = min(learning_rate, band.learning_rate), max(50, swept // 8)
            for latest in refine(replace(band, learning_rate=rate, sweeps=more, swept=0), road, bulging):
                road = latest
                yield _snapshot(road, swept, swept + 1, "refining")
            rises = _scallops_of(land, road)
    if isinstance(way, Relaxing):
        band.settle(road.pivots)
    smooth = road.smooth(points or 4 * max(pivots, len(road.pivots)))
    final = replace(_finished(land, smooth, match_norms), pivot_scallop=float(rises.max().clamp(min=0)))
    if band.residual is not None:  # a method of one's own need not say it
        rest = band.residual <= _SMALL or final.barrier <= _LOW * level
        final = replace(final, residual=band.residual, converged=rest)
    final = replace(final, sweeps=swept, change=change)
    if final.converged is False:
        warn(
            f"The road has not converged: the force across it is {band.residual:.2g} of the slope on the straight line "
            f"(at rest {_SMALL} or less). Take more sweeps than {swept}, or a larger learning_rate.",
            UnconvergedWarning,
        )
    yield _snapshot(final, swept, swept, final.summary())


def _relaxed(
    way: Method, band: Band, road: Path, pivots: int, wanted: Sweeps, enough: float
) -> Generator[Snapshot[Path], None, tuple[Path, int, float | None]]:
    """Relax in rounds, each as long as all before it, until one changes little and no barrier above ``enough`` is left.

    Each ends with small steps, so that what two of them left can be compared. Returned are the road, how many sweeps it
    took, and by what share the last round changed the trace in the middle.
    """
    sweeps, swept, change = wanted.most, 0, math.nan
    if not isinstance(way, Relaxing) or not wanted.change:
        for latest in way.build(band, road, pivots):
            road = latest
            yield _snapshot(road, band.swept, sweeps)
        return road, band.swept, None
    few, curvature, barrier, height = band.few, math.nan, math.nan, math.nan
    while swept < sweeps:
        length = swept or max(sweeps // 16, _FIRST)
        band.sweeps, band.swept = length if swept + 2 * length <= sweeps else sweeps - swept, 0
        for latest in way.relax(band, road, band.sweeps) if swept else way.build(band, road, pivots):
            road = latest
            yield _snapshot(road, swept + band.swept, sweeps)
        swept += band.sweeps
        if swept == sweeps and math.isnan(curvature):
            break  # it was the only round
        before, some = (curvature, barrier, height), _middle(road.pivots)
        curvature, barrier, height = _curvature(few, some), _barrier(few, road.pivots), _height(few, some)
        change = abs(curvature - before[0]) / max(abs(curvature), 1e-30)
        stays = abs(barrier - before[1]) <= _LOW * barrier  # over a pass it does, and then no force may be left
        low = barrier <= enough or (stays and band.settle(road.pivots) <= _SMALL)
        rests = abs(height - before[2]) <= wanted.change / 3 * abs(height) + enough
        if change <= wanted.change and low and rests:
            break
        if low:
            way.hasten(band, road.pivots)
    return road, swept, None if math.isnan(change) else change


def _finished(land: Landscape, road: Path, match_norms: bool) -> Path:
    return replace(measured(land, road.match_norms(land) if match_norms else road), complete=True)


def _few(land: Landscape, batch_size: int | None) -> Landscape:
    """Return the landscape on as much data as four batches, so that a look at a band costs little."""
    number = land.num_samples or 0
    few = 4 * batch_size if batch_size else number
    with suppress(ValueError):  # not every landscape has parts
        return land.subset(torch.linspace(0, number - 1, few).long()) if number > few else land
    return land


def _middle(pivots: Tensor) -> Tensor:
    third = len(pivots) // 3
    return pivots[[third, len(pivots) // 2, len(pivots) - 1 - third]]


def _curvature(land: Landscape, some: Tensor) -> float:
    """Return how curved it is there, by the same few probes each time; the data loss without a Hessian."""
    try:
        found = land.trace(some, generator=torch.Generator().manual_seed(0), num_probes=4, weight_decay=False).value
    except RuntimeError:  # torch has no second derivative of it, or no memory for it
        found = land.data_loss(some)
    return float(found.mean())


@torch.no_grad()
def _height(land: Landscape, some: Tensor) -> float:
    return float(land.loss(some).mean())


@torch.no_grad()
def _barrier(land: Landscape, pivots: Tensor) -> float:
    losses = torch.cat([land.loss(some) for some in pivots.split(32)])
    return float(losses.max() - losses[[0, -1]].max())


@torch.no_grad()
def _scallops_of(land: Landscape, road: Path) -> Tensor:
    """Return how much the loss rises in each segment between pivots, which the closer points of the path hide."""
    losses = torch.cat([land.loss(some) for some in road.bends(3)])
    return scallops(losses[::4], losses[:-1].view(-1, 4)[:, 1:])


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
    require_counts(4, pivots=pivots, sweeps=sweeps)


def _snapshot(path: Path, done: int, total: int, note: str = "") -> Snapshot[Path]:
    return Snapshot(done, total, note or f"{len(path.pivots)} pivots, length {path.length:.3g}", lambda: path)
