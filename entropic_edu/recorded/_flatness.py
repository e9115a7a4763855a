"""Measures of flatness, and the rescaling of a ReLU network that changes some of them and never the function.

References:
    Dinh et al. (2017), arXiv:1703.04933, for the rescaling; Kwon et al. (2021), arXiv:2102.11600, for Σθᵢ²Hᵢᵢ.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from entropic_edu.networks.network import Network
from entropic_edu.networks.per_sample import exact_trace
from entropic_edu.physics.curvature import extreme_eigenvalues
from entropic_edu.physics.path import Path

from ._common import seeded

COLUMNS = ("loss", "train", "test", "norm", "trace", "top", "adaptive")


def rescaled(land: Network, theta: Tensor, alpha: float | Tensor) -> Tensor:
    """Return weights of the same function: those into the first hidden layer times α, those out of it over α.

    Of (D,) or (P, D), in a chain of linear layers and ReLU; α > 0 is one for all or one for each, (P,).
    """
    factor = torch.as_tensor(alpha, dtype=theta.dtype)[..., None]
    flat = [part.reshape(*theta.shape[:-1], -1) for part in land.unflatten(theta).values()]
    flat[0], flat[1], flat[2] = flat[0] * factor, flat[1] * factor, flat[2] / factor
    return torch.cat(flat, -1)


def factor_for(land: Network, theta: Tensor, norm: float) -> float:
    """Return the α ≥ 1 at which the rescaled weights have this norm, or the one of least norm if that is larger."""
    parts = [float(part.square().sum()) for part in land.unflatten(theta).values()]
    into, out, rest = parts[0] + parts[1], parts[2], sum(parts[3:])
    wanted = max(norm**2 - rest, 2 * math.sqrt(into * out))
    return math.sqrt((wanted + math.sqrt(max(0.0, wanted**2 - 4 * into * out))) / (2 * into))


def matched(land: Network, road: Path) -> Path:
    """Return the road with the same functions on it, rescaled so that both ends have one norm.

    At position s of the old road α is A^(1-s): the good end is rescaled by A, the bad end stays, and no loss changes.
    """
    whole = factor_for(land, road.pivots[0], float(road.pivots[-1].norm()))
    return road.through(rescaled(land, road.pivots, whole ** (1 - road.marks)))


def measures(land: Network, theta: Tensor, lanczos_steps: int = 30) -> Tensor:
    """Return the ``COLUMNS`` at (P, D): data loss, both accuracies, ‖θ‖, tr H, λmax and Σθᵢ²Hᵢᵢ; (P, 7)."""
    with torch.no_grad():
        loss = land.data_loss(theta)
    top = extreme_eigenvalues(land, theta, steps=lanczos_steps, generator=seeded(9), weight_decay=False)
    columns = [
        loss,
        land.accuracy(theta),
        land.accuracy(theta, "test"),
        theta.norm(dim=-1),
        exact_trace(land, theta, weight_decay=False),
        top.largest,
        exact_trace(land, theta, weight_decay=False, scale=theta),
    ]
    return torch.stack([column.detach().float() for column in columns], -1)
