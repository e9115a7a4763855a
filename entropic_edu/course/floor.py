"""A floor with a crowd on it, seen from above, and along it loss, curvature and drift.

Lengths and losses of the valleys have no unit of their own; time is counted in steps.
"""

from __future__ import annotations

import numpy as np
import torch
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from torch import Tensor

from entropic_edu.figures.plots import BLACK, BLUE, RED
from entropic_edu.physics.mean import Mean
from entropic_edu.physics.release import Release
from entropic_edu.physics.valleys import Valley
from entropic_edu.recorded._common import CROWDS as CROWDS
from entropic_edu.recorded._common import over_crowds as over_crowds
from entropic_edu.teaching.sheet import THEORY, Panel, Pen

RIGHT = (0.755, 0.44, 0.125)  # lower edges of the triptych


def crowds(values: Tensor) -> Tensor:
    """Return values of all walkers crowd by crowd, (R, CROWDS · W) -> (CROWDS, R, W)."""
    return values.unflatten(1, (CROWDS, -1)).transpose(0, 1).contiguous()


def velocity(along: Tensor, step: Tensor, edges: Tensor, fewest: int = 1) -> tuple[Tensor, Mean]:
    """Return where and how fast walkers moved, on the average over time: length for each step, in bins of the floor.

    Args:
        along: Coordinate of each walker at each record, (G, R, W), in groups whose scatter is the error.
        step: Steps at the records, (R,).
        edges: Of the bins, (n + 1,).
        fewest: Moves from which a group tells of a bin.

    Returns:
        Centres of the bins (n,), and mean velocity there with its standard error, 0 where one group alone came; NaN
        where none did, or one of several.
    """
    moved, here = along.diff(dim=1) / step.diff()[:, None], along[:, :-1].contiguous()
    bins, groups = len(edges) - 1, len(along)
    at = torch.bucketize(here, edges) - 1 + (here == edges[0]).long()  # the first bin has its lower edge
    inside = (at >= 0) & (at < bins)
    cell = (bins * torch.arange(groups)[:, None, None] + at)[inside]
    total = torch.zeros(groups * bins, dtype=torch.float64).index_add_(0, cell, moved[inside].double())
    count = cell.bincount(minlength=groups * bins)
    each = (total / count).masked_fill(count < fewest, torch.nan).unflatten(0, (groups, bins))
    seen = each.isfinite().sum(0)
    mean = each.nanmean(0)
    spread = (each - mean).square().nansum(0) / (seen - 1).clamp(min=1)
    error, rare = (spread / seen.clamp(min=1)).sqrt(), seen < min(2, groups)
    return 0.5 * (edges[1:] + edges[:-1]), Mean(*(part.masked_fill(rare, torch.nan) for part in (mean, error)))


def force(land: Valley, y: Tensor, batch_size: int | None, learning_rate: float) -> Tensor:
    """Return the mean force along y, -f' - ½h'⟨x²⟩, with the exact spread of finite steps, (n,)."""
    if batch_size is None:
        return -land.floor_loss(y, 1)
    spread = land.stationary_variance(y, batch_size, learning_rate)
    return -land.floor_loss(y, 1) - 0.5 * land.curvature_across(y, 1) * spread


# --- panels --------------------------------------------------------------------------------------------------------


def field(ax: Axes, land: Valley, ends: tuple[float, float] = (0.0, 1.0)) -> tuple[Artist, ...]:
    """Draw the loss within the limits of ``ax``, and the floor as a dashed line; along the floor is to the right.

    ``ends`` are where the floor ends, as shares of the axes. Return the artists.
    """
    y, x = torch.linspace(*ax.get_xlim(), 161), torch.linspace(*ax.get_ylim(), 81)
    grid = torch.stack(torch.meshgrid(x, y, indexing="ij"), -1).reshape(-1, 2)
    height = land.loss(grid).reshape(len(x), len(y))
    height = height - height.min()
    # levels of the square root: evenly spaced at equal distances from the floor of a parabola
    top = float(height.sqrt().quantile(0.97))
    levels = np.linspace(0, top, 13)
    loss = ax.contourf(y, x, height.sqrt().clamp(max=0.999 * top), levels=levels, cmap="cividis_r", zorder=0)
    return loss, ax.axhline(0, *ends, color=BLACK, lw=1, ls=(0, (4, 4)), zorder=1)


def stand(pen: Pen, theta: Tensor, twins: Tensor | None = None) -> None:
    """Draw walkers at ``theta`` (W, 2), and those of a pinned run as open circles."""
    x, y = theta.T
    pen.keep(pen.ax.scatter(y, x, s=18, c=BLUE, edgecolors="white", lw=0.6, zorder=4))
    if twins is not None:
        pen.keep(pen.ax.scatter(twins[:, 1], twins[:, 0], s=16, c="none", edgecolors=RED, lw=1.2, zorder=3))


def triptych(
    land: Valley, along: tuple[float, float], drift: float, loss: tuple[float, float] | None = None
) -> dict[str, Panel]:
    """Return the panels of loss, curvature and drift along a floor, one above the other at the right.

    Args:
        land: The valley.
        along: Limits of y.
        drift: Largest drift on its axis, length per 1,000 steps.
        loss: Limits of the first panel; measured where None.
    """
    y = torch.linspace(*along, 201, dtype=torch.float64)
    height, curvature = land.floor_loss(y), land.curvature_across(y)
    inside = height[(y - 0.5 * sum(along)).abs() <= land.half_length]
    low, high = loss or (float(inside.min()) - 0.02, float(inside.max()) + 0.1)
    places = [(0.64, bottom, 0.345, 0.185) for bottom in RIGHT]
    steep = 1.15 * float(curvature.max())
    return {
        "loss": Panel(places[0], "panel.loss", "", along, (low, high), once=lambda ax: ax.plot(y, height, color=BLUE)),
        "curvature": Panel(
            places[1], "panel.curvature", "", along, (0, steep), once=lambda ax: ax.plot(y, curvature, color=RED)
        ),
        "drift": Panel(places[2], "panel.drift", "axis.along", along, (-drift, drift), zero=True),
    }


def draw_drift(
    pen: Pen, land: Valley, batch_size: int | None, learning_rate: float, where: Tensor, measured: Mean
) -> None:
    """Draw measured drift, length per 1,000 steps, beside that of the mean force."""
    y = torch.linspace(*pen.panel.xlim, 201, dtype=torch.float64)
    pen.line(y, 1000 * learning_rate * force(land, y, batch_size, learning_rate), THEORY, "")
    pen.points(where, measured, ms=4)


def places(release: Release) -> Tensor:
    """Return x across and y along a straight floor of all walkers at the records, (R, W, 2), float64."""
    assert release.theta is not None  # Crowd asks for it
    return release.theta.double()
