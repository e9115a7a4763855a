"""How many eigenvalues of the Hessian are large along the recorded roads, and which parts of the trace they make."""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor

from .common import COUNT, kept, profile

LEVELS = torch.logspace(-2.1, 1.1, 65, dtype=torch.float64)  # eigenvalues at which the curve is drawn
BLUR = 0.05  # decades; each Gauss quadrature is a comb
TOP = 10


def above(nodes: Tensor, weights: Tensor, levels: Tensor, dim: int) -> Tensor:
    """Return how many eigenvalues lie above each level, per probe, (..., V, m) -> (..., V, L).

    The ten largest nodes of a probe are eigenvalues, which Lanczos finds first: each counts as one, whatever its
    weight, which hangs on the probe. The rest of the weights stands for all other eigenvalues.
    """
    nodes, order = nodes.sort(-1)
    weights = weights.gather(-1, order)
    low = weights[..., :-TOP]
    low = low * (1 - TOP / dim) / low.sum(-1, keepdim=True)
    share = torch.cat([low, torch.full_like(weights[..., -TOP:], 1 / dim)], -1)
    size = nodes.clamp(min=1e-12).log10()[..., None, :]
    step = 0.5 * torch.erfc((levels.log10()[:, None] - size) / (BLUR * math.sqrt(2)))
    return dim * (step * share[..., None, :]).sum(-1)


@cache
def counts(pair: int) -> Tensor:
    """Return the number of eigenvalues above ``LEVELS`` along a road, (n, V, L)."""
    measured = profile(pair)
    return above(measured.nodes.double(), measured.weights.double(), LEVELS, measured.dim)


@cache
def parts(pair: int) -> dict[str, Tensor]:
    """Return λmax, the sum of the ten largest eigenvalues, and the rest of the trace along a road, (n,) each.

    The ten largest are the mean over the probes of the ten largest nodes, which Lanczos finds first.
    """
    measured = profile(pair)
    ten = measured.nodes.double().sort(-1).values[..., -TOP:].sum(-1).mean(-1)
    return {"top": measured.top_eigenvalue.double(), "ten": ten, "rest": measured.trace.double() - ten}


def number_above(threshold: float) -> Tensor:
    """Return how many eigenvalues lie above a threshold, per probe, (pairs, n, V)."""
    level = torch.tensor([threshold], dtype=torch.float64)
    profiles = [profile(pair) for pair in range(COUNT)]
    return torch.stack([above(one.nodes.double(), one.weights.double(), level, one.dim)[..., 0] for one in profiles])


def rank_ratio(rank: int) -> Tensor:
    """Return the converged eigenvalue of a rank in the middle over its mean at the two ends, (pairs,)."""
    values = kept("eigenvalues")[..., rank - 1]
    return values[:, 1] / values[:, [0, 2]].mean(1)
