"""What lesson 05 measures at the points of a road, and the changes of weights that its sceptic asks for."""

from __future__ import annotations

import itertools
from functools import partial

import torch
from torch import Tensor

from entropic_edu.networks.network import Network
from entropic_edu.networks.per_sample import exact_trace, gradient_covariance
from entropic_edu.physics.curvature import extreme_eigenvalues

from ._common import Values, columns, seeded


def measured(kind: str, land: Network, points: Tensor) -> Values:
    """Return the quantities of a kind of road at ``points`` (pairs, n, D), each (pairs, n).

    ``jacobian`` is the trace for a squared loss at the same weights, which does not know the loss; ``matched`` is the
    trace where the last layer is turned up or down until the data loss is that of the ends; ``alone`` is the trace of
    the ends where theirs is turned until the data loss is that of the point. Curvature is without weight decay.
    """
    return {f"{kind}/{name}": value for name, value in columns([_along(land, theta) for theta in points]).items()}


@torch.no_grad()
def _along(land: Network, theta: Tensor) -> dict[str, Tensor]:
    trace = partial(exact_trace, land, weight_decay=False)
    results = {
        "loss": land.loss(theta),
        "data_loss": land.data_loss(theta),
        "trace": trace(theta),
        "top": top(land, theta),
        "adaptive": trace(theta, scale=theta),
        "balanced": trace(balanced(land, theta)),
        "noise": gradient_covariance(land, theta).trace,
        "norm": theta.norm(dim=-1),
        "accuracy": land.accuracy(theta),
        "test_accuracy": land.accuracy(theta, "test"),
    }
    if land.loss_name != "mse":  # logits that grow without end have no squared loss to match
        squared = Network(land.model, land.x, land.y, loss="mse")
        data_loss = results["data_loss"]
        same = heated(land, theta, data_loss[[0, -1]].mean().expand(len(theta)))
        ends = [trace(heated(land, end.expand(len(theta), -1), data_loss)) for end in theta[[0, -1]]]
        results |= {
            "jacobian": exact_trace(squared, theta),
            "matched": trace(same),
            "matched_top": top(land, same),
            "matched_adaptive": trace(same, scale=same),
            "alone": torch.stack(ends).mean(0),
        }
    return results


def heated(land: Network, theta: Tensor, wanted: Tensor) -> Tensor:
    """Return points (n, D) with the last layer multiplied until their data loss is as wanted (n,), by bisection.

    Where the accuracy is 1 larger logits have a smaller loss; a factor stays between 1/16 and 16.
    """
    last = slice(list(land.layout.slices.values())[-2].start, land.dim)  # its weights and biases

    def turned(factor: Tensor) -> Tensor:
        theta_new = theta.clone()
        theta_new[:, last] *= factor[:, None]
        return theta_new

    low, high = (torch.full_like(wanted, each) for each in (1 / 16, 16.0))
    for _ in range(30):
        middle = (low * high).sqrt()
        higher = land.data_loss(turned(middle)) > wanted
        low, high = torch.where(higher, middle, low), torch.where(higher, high, middle)
    return turned((low * high).sqrt())


def rescaled(land: Network, theta: Tensor, layer: int, alpha: float | Tensor) -> Tensor:
    """Return points (..., D) with hidden layer 1 or 2 turned up by α and the next layer's weights down by α.

    A ReLU passes a positive factor on, so that the function stays as it was.
    """
    up = theta.new_zeros(land.dim)
    for name, sign in ((f"{2 * layer - 2}.weight", 1), (f"{2 * layer - 2}.bias", 1), (f"{2 * layer}.weight", -1)):
        up[land.layout.slices[name]] = sign
    return theta * torch.as_tensor(alpha, dtype=theta.dtype)[..., None] ** up


def balanced(land: Network, theta: Tensor, sweeps: int = 60) -> Tensor:
    """Return the points (n, D) of least norm with the same function.

    Each hidden unit is scaled so that the weights into it have as much norm as those out of it, sweep after sweep.
    """
    parts = {name: part.double().clone() for name, part in land.unflatten(theta).items()}
    layers = [name.removesuffix(".weight") for name in parts if name.endswith(".weight")]
    for _ in range(sweeps):
        for here, there in itertools.pairwise(layers):
            weight, bias, following = parts[f"{here}.weight"], parts[f"{here}.bias"], parts[f"{there}.weight"]
            into, out = weight.square().sum(2) + bias.square(), following.square().sum(1)  # (n, units)
            alive = (into > 1e-12) & (out > 1e-12)  # the others are at rest at zero
            factor = torch.where(alive, (out / into).clamp(1e-12, 1e12) ** 0.25, 1.0)
            weight *= factor[..., None]
            bias *= factor
            following /= factor[:, None]
    return land.layout.join(parts, lead=1).to(theta)


def top(land: Network, points: Tensor) -> Tensor:
    """Return λmax at points (..., D) by at most 40 steps of Lanczos, (...)."""
    flat = points.flatten(0, -2)
    largest = extreme_eigenvalues(land, flat, steps=40, generator=seeded(1), weight_decay=False).largest
    return largest.view(points.shape[:-1])


@torch.no_grad()
def rise(land: Network, theta: Tensor, steps: Tensor, sizes: list[float], scale: Tensor | None = None) -> Tensor:
    """Return how much the data loss rises on the mean over ``steps`` (V, D) and their opposites, (n, sizes).

    A step is size · u, or with ``scale`` (n, D) size · scale · u. The rise tends to size² tr H / 2D for unit steps, and
    to half size² times the adaptive trace for normal steps scaled by θ.
    """
    factor = torch.ones_like(theta) if scale is None else scale
    rows = []
    for t, s in zip(theta, factor, strict=True):
        moved = torch.stack([size * s * steps for size in sizes])  # (sizes, V, D)
        both = torch.cat([t + moved, t - moved], 1)
        losses = torch.stack([land.data_loss(each) for each in both])
        rows.append(losses.mean(1) - land.data_loss(t))
    return torch.stack(rows)


def blocks(land: Network, theta: Tensor) -> Tensor:
    """Return the trace of the weights that ``rescaled`` turns up and of those it turns down, (n, 2 layers, 2)."""
    rows = []
    for layer in (1, 2):
        sign = rescaled(land, torch.ones(land.dim), layer, 2.0)
        rows += [exact_trace(land, theta, weight_decay=False, scale=(sign == each).to(theta)) for each in (2.0, 0.5)]
    return torch.stack(rows, -1).unflatten(-1, (2, 2))
