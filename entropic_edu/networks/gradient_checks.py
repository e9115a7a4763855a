"""Whether autograd's gradient is how a loss changes."""

from __future__ import annotations

import torch

from entropic_edu.physics.results import first_line

from . import memory
from .engine import Engine, anywhere
from .losses import normal


def refuse_other_gradients(engine: Engine) -> None:
    """Raise a ValueError unless autograd's gradient is how the loss changes, along a random direction near any θ.

    A forward pass may stop the gradient, or give another one; torch then says nothing, or takes it for 0.
    """
    fault = None if engine.stacks else ""
    for seed in range(4):  # a kink may lie in one's way, but not in all
        fault = fault if fault is None else _other_gradient(engine, torch.Generator().manual_seed(seed))
    if fault is not None:
        raise ValueError(
            f"There is no gradient of the loss by the parameters, or it is not how the loss changes{fault}. Take out "
            "what stops or replaces it: torch.no_grad, .detach(), checkpoint(use_reentrant=True), rounding with a "
            "straight-through gradient, a backward of your own."
        )


def _other_gradient(engine: Engine, generator: torch.Generator) -> str | None:
    """Return None where the loss changes as the gradient says, else what torch says of it, which may be nothing."""
    precise, theta = anywhere(engine, generator)
    two = precise.few.ends
    way = normal(theta, generator)
    way *= (1 + theta.norm()) / way.norm()
    # deep networks with batch norm are steep and full of kinks, and there only the shortest step shows the slope
    steps, near = ((1e-7, 1e-9, 1e-10), 1e-2) if theta.dtype == torch.float64 else ((1e-2,), 0.3)
    try:
        gradient = precise.gradient(theta, two)
        for step in steps:
            with torch.no_grad():
                ahead, behind = (precise.losses(theta + side * step * way, two) for side in (1, -1))
            changed = (ahead - behind) / (2 * step)
            scale = torch.maximum(changed.abs(), gradient.norm() * way.norm() / len(way) ** 0.5)
            right = (changed - gradient @ way).abs() <= near * scale
            if bool((right | ~changed.isfinite()).all()):  # numbers may be too large far from where it is
                return None
    except RuntimeError as error:
        if memory.ran_out(error):
            raise
        return f" ({first_line(error)})"
    return ""
