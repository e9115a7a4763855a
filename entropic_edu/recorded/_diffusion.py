"""Walkers on a straight floor without walkers: the diffusion equation of their shares, for lessons 02, 03 and 10."""

from __future__ import annotations

import torch
from torch import Tensor

from entropic_edu.physics.valleys import Valley


def occupation(
    land: Valley,
    edges: Tensor,
    *,
    start: float | Tensor,
    steps: Tensor,
    batch_size: int,
    learning_rate: float,
    momentum: float = 0.0,
) -> Tensor:
    """Return the share of walkers in each cell of a straight valley's floor as time goes by, in isotropic noise.

    Once a walker has settled across the floor, its motion along it is diffusion at T in the free energy F, the
    Smoluchowski equation ∂P/∂t = ∂/∂y (P ∂F/∂y + T ∂P/∂y), with t = η/(1-m) for each step. F holds what finite steps
    add to the spread: F = f + (T/2)(ln h - ln(1 - ηh/2)), which is f + (T/2) ln h for small steps (and the correction
    is exact for m = 0 only). The ends of ``edges`` reflect. The cells exchange walkers at the rates of Scharfetter and
    Gummel, which keep exp(-F/T) stationary on any grid.

    Args:
        land: A straight valley with isotropic noise.
        edges: Of the cells, evenly spaced, (n + 1,).
        start: Coordinate y of release, or the share of walkers in each cell, (n,).
        steps: Steps at which to tell, evenly spaced from 0, (R,).
        batch_size: B.
        learning_rate: η.
        momentum: m.

    Returns:
        Shares, (R, n), float64; each row adds up to 1.

    Raises:
        ValueError: If the noise is not isotropic, or a step is too large for the steepest wall on the grid.

    References:
        Scharfetter & Gummel (1969), IEEE Transactions on Electron Devices 16, 64: the rates.
    """
    if land.noise != "isotropic":
        raise ValueError(f'Only noise="isotropic" has a free energy; this valley\'s noise is {land.noise!r}.')
    edges = edges.double()
    y, cell = 0.5 * (edges[1:] + edges[:-1]), float(edges[1] - edges[0])
    h, temperature = land.curvature_across(y), land.temperature(batch_size, learning_rate, momentum)
    if not float(learning_rate * h.max()) < 2:
        raise ValueError(f"η·h = {float(learning_rate * h.max()):.3g} at the steepest wall; it must stay below 2.")
    finite = (1 - 0.5 * learning_rate * h).log() if momentum == 0 else torch.zeros_like(h)
    energy = land.floor_loss(y) / temperature + 0.5 * (h.log() - finite)  # F/T
    rise = energy.diff()
    up, down = _bernoulli(rise), _bernoulli(-rise)
    hop = torch.diag(up, -1) + torch.diag(down, 1)
    hop = (hop - torch.diag(hop.sum(0))) * (temperature / cell**2)  # columns add up to 0: no walker is lost
    if isinstance(start, Tensor):
        shares = start.double()
    else:
        shares = torch.zeros_like(y)
        shares[(y - start).abs().argmin()] = 1.0
    between = float(steps[1] - steps[0]) * learning_rate / (1 - momentum) if len(steps) > 1 else 0.0
    forward = torch.matrix_exp(hop * between)
    rows = [shares]
    for _ in steps[1:]:
        rows.append(forward @ rows[-1])
    return torch.stack(rows)


def _bernoulli(x: Tensor) -> Tensor:
    """X / (eˣ - 1), which is 1 at 0."""
    small = x.abs() < 1e-6
    safe = torch.where(small, torch.ones_like(x), x).clamp(max=500)
    return torch.where(small, 1 - 0.5 * x, safe / safe.expm1())
