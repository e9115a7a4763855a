"""What is measured on every case, in the same way, whatever may be wrong with it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from entropic_edu.physics.mean import Mean
from entropic_edu.physics.release import Release
from entropic_edu.recorded._common import CROWDS, over_crowds, seeded

from .cases import END, MIDDLE, SCALE, START, Case

BINS = torch.linspace(START, END, 9, dtype=torch.float64)
WINDOWS = torch.tensor([[1.0, 1.4], [2.6, 3.0]], dtype=torch.float64)  # narrow, wide
CELLS = torch.linspace(0.6, 3.6, 21, dtype=torch.float64)
SHOWN = 96  # walkers on a plan
FAR = 3.0  # standard deviations of the heat bath past which a walker counts as far from the floor
RECENT = 12  # records that measure the kicks
SIZES = {
    **dict.fromkeys(("narrow", "moved", "far", "doubled"), 1),
    "density": len(CELLS) - 1,
    **dict.fromkeys(("spread", "push", "along", "across", "twice"), len(BINS) - 1),
    **dict.fromkeys(("spread_ends", "push_ends", "along_ends"), len(WINDOWS)),
}


@dataclass(frozen=True, eq=False)
class Measured:
    """Means over eight crowds with their standard errors; NaN where too few walkers came, or without noise."""

    narrow: Mean  # share of the walkers with y < 2 at the end, ()
    moved: Mean  # mean displacement along y, ()
    far: Mean  # share of walkers further from the floor than three standard deviations √(T/h) of a heat bath, ()
    doubled: Mean  # mean loss of the walkers at 2θ over that at θ, ()
    density: Mean  # walkers per length at the end, in ``CELLS``
    spread: Mean  # ⟨x²⟩ over T/h in ``BINS``; a heat bath has 1
    push: Mean  # mean push along the floor over T, 1/length, in ``BINS``; a heat bath has -½h'/h
    along: Mean  # root mean square of the kicks along the floor, over s/√B, in ``BINS``
    across: Mean  # the same across the floor
    twice: Mean  # ``doubled`` in ``BINS``
    spread_ends: Mean  # ``spread`` in ``WINDOWS``, (2,)
    push_ends: Mean  # ``push`` in ``WINDOWS``, (2,)
    along_ends: Mean  # ``along`` in ``WINDOWS``, (2,)
    walkers: Tensor  # where some of them stand at the end, (SHOWN, 2)

    def packed(self) -> Tensor:
        """Return all means and errors in one row, (n,), for a recording."""
        return torch.cat([part.reshape(-1) for name in SIZES for part in getattr(self, name)]).float()

    @classmethod
    def unpacked(cls, row: Tensor, walkers: Tensor) -> Measured:
        """Return what ``packed`` packed."""
        sizes = [size for size in SIZES.values() for _ in range(2)]
        parts = iter(row.double().split(sizes))
        means = {name: Mean(next(parts), next(parts)) for name in SIZES}
        flat = {name: Mean(mean.value[0], mean.error[0]) for name, mean in means.items() if SIZES[name] == 1}
        return cls(**means | flat, walkers=walkers)


def measured(land: Case, release: Release) -> Measured:
    """Return what the crowds of a release did.

    Spread, push and distance are read in the second half of the run, the rest at its end. The push is the mean slope of
    the loss where the walkers stand, without the walls at the floor's ends: their mean step, as noise has mean zero.
    """
    assert release.theta is not None
    theta = release.theta.double()
    late, last = theta[len(theta) // 2 :], theta[-1:]
    size, rate = release.recipe["batch_size"], release.recipe["learning_rate"]
    heat = 0.0 if size is None else land.temperature(size, rate)  # T = ηs²/2B
    x, y = late.unbind(-1)
    h = land.curvature_across(y)
    far = x.square() * h > (FAR**2 * heat if heat > 0 else math.inf)
    spread, push = x.square() * h / heat, _push(land, late) / heat
    kicks, at = _kicks(land, theta[-RECENT:], heat > 0)
    end = last[..., 1]
    before, after = (land.loss(factor * last[0]).double()[None] for factor in (1, 2))
    return Measured(
        narrow=over_crowds((end < MIDDLE).double().mean(0)),
        moved=over_crowds((end - theta[:1, :, 1]).mean(0)),
        far=over_crowds(far.double().mean(0)),
        doubled=_ratio(after, before),
        density=_mean_of(_sums(torch.ones_like(end), end, CELLS) / (end.shape[-1] / CROWDS) / (CELLS[1] - CELLS[0])),
        spread=in_bins(spread, y, BINS),
        push=in_bins(push, y, BINS),
        along=_root(in_bins(kicks[..., 1].square(), at, BINS)),
        across=_root(in_bins(kicks[..., 0].square(), at, BINS)),
        twice=_mean_of(_sums(after, end, BINS) / _sums(before, end, BINS)),
        spread_ends=_windows(spread, y),
        push_ends=_windows(push, y),
        along_ends=_root(_windows(kicks[..., 1].square(), at)),
        walkers=last[0, :: last.shape[1] // SHOWN].float(),
    )


def in_bins(values: Tensor, where: Tensor, edges: Tensor) -> Mean:
    """Return the means of values (R, W) by bins of ``where``, (n,) each; NaN in a bin that a crowd never saw."""
    total, seen = _sums(values, where, edges), _sums(torch.ones_like(values), where, edges)
    return _mean_of(total / seen)


def _sums(values: Tensor, where: Tensor, edges: Tensor) -> Tensor:
    """Sum values (R, W) by crowd and bin, (CROWDS, n)."""
    place = torch.bucketize(where.contiguous(), edges) - 1
    bins = len(edges) - 1
    crowd = torch.arange(CROWDS).repeat_interleave(values.shape[-1] // CROWDS).expand_as(place)
    inside = (place >= 0) & (place < bins)
    cell = (crowd * bins + place)[inside]
    return torch.zeros(CROWDS * bins, dtype=torch.float64).index_add_(0, cell, values[inside]).unflatten(0, (-1, bins))


def _mean_of(each: Tensor) -> Mean:
    """Mean over crowds (CROWDS, ...); a bin with a NaN stays NaN."""
    each = each.masked_fill(each.isinf(), torch.nan)
    return Mean(each.mean(0), each.std(0) / CROWDS**0.5)


def _windows(values: Tensor, where: Tensor) -> Mean:
    return Mean(*(part[::2] for part in in_bins(values, where, WINDOWS.flatten())))


def _ratio(over: Tensor, under: Tensor) -> Mean:
    above, below = (part.unflatten(-1, (CROWDS, -1)).mean((0, -1)) for part in (over, under))
    return _mean_of(above / below)


def _root(mean: Mean) -> Mean:
    root = mean.value.sqrt()
    return Mean(root, torch.where(root > 0, 0.5 * mean.error / root, torch.zeros_like(root)))


def _push(land: Case, theta: Tensor) -> Tensor:
    """Minus the slope of the loss along y without that of the floor, (R, W)."""
    return land.floor_loss(theta[..., 1], 1) - land.gradient_on(theta, None)[..., 1]


def _kicks(land: Case, theta: Tensor, noisy: bool) -> tuple[Tensor, Tensor]:
    """What a batch of one sample adds to the gradient at each walker, over s, and its y: (..., 2) and (...)."""
    if not noisy:
        return torch.full_like(theta, torch.nan), theta[..., 1]
    flat = theta.reshape(-1, 2)
    kicks = land.gradient_on(flat, land.draw(1, seeded(0), len(flat))) - land.gradient_on(flat, None)
    return kicks.reshape(theta.shape) / SCALE, theta[..., 1]
