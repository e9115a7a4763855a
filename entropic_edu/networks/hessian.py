"""Hessian-vector products of a stack of layers, exact and by hand, for many vectors at once."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .losses import WrittenOut
from .stacked import Stack

_TOGETHER = 32  # vectors taken at once
OutputGradient = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def stacked_product(
    stack: Stack, criterion: WrittenOut, theta: Tensor, vector: Tensor, x: Tensor, y: Tensor, decay: float
) -> Tensor:
    """Return (H + λI)v of the mean loss over all samples, the shape of ``vector``, in parts that stay in cache.

    Args:
        stack: The layers.
        criterion: The loss.
        theta: Where, (D,), or (P, D) with one vector for each row.
        vector: (D,) or (V, D); (P, D) where ``theta`` is.
        x: Inputs (N, ...).
        y: Targets (N, ...).
        decay: λ.
    """
    products = []
    for k, v in enumerate(torch.split(vector.reshape(-1, theta.shape[-1]), _TOGETHER)):
        t = theta[k * _TOGETHER : (k + 1) * _TOGETHER] if theta.ndim == 2 else theta[None]
        product = decay * v if decay else torch.zeros_like(v)
        size = max(64, 4096 // len(v))  # samples at once: what keeps both passes and their derivatives in cache
        for some, targets in zip(x.split(size), y.split(size), strict=True):

            def slopes(z: Tensor, z_dot: Tensor, targets: Tensor = targets) -> tuple[Tensor, Tensor]:
                return criterion.slopes_along(z, z_dot, targets)

            product += len(some) / len(x) * along(stack, t, v, some, slopes)
        products.append(product)
    return torch.cat(products).view(vector.shape)


def along(stack: Stack, theta: Tensor, vector: Tensor, x: Tensor, output_gradient: OutputGradient) -> Tensor:
    """Return H(θ)v, shape (V, D), by Pearlmutter's R-operator.

    Beside each quantity q of the two passes of ``Stack.gradient`` runs its derivative along v, q̇ = d/dε q(θ + εv); the
    product rule on each line gives the line for q̇, and the q̇ of the gradient is Hv, exactly.

    Args:
        stack: The layers.
        theta: Parameter vectors (V, D), one for each vector, or (1, D) for all, whose two passes are then shared.
        vector: Vectors v, shape (V, D).
        x: Inputs (N, ...), shared.
        output_gradient: Maps outputs and their derivative along v to the derivative δ of the loss by the outputs
            and δ̇, each (V, N, C), or (1, N, C) where it is shared.

    References:
        Pearlmutter (1994), Neural Computation 6, 147.
    """
    before, after = _with_tangents(stack, theta, vector, stack.inputs(theta, x))
    h, h_dot = after[-1]
    assert h_dot is not None
    delta, delta_dot = output_gradient(h, h_dot)
    parts: list[Tensor] = []
    for number in reversed(range(len(stack.layers))):
        layer, (h, h_dot) = stack.layers[number], after[number]
        if layer.activation is not None:
            (z, z_dot), out = before[number], after[number + 1][0]
            delta_dot = layer.activation.backward(delta_dot, z, out)
            if layer.activation.second is not None:
                delta_dot = torch.addcmul(delta_dot, layer.activation.second(z, out) * delta, z_dot)
            delta = layer.activation.backward(delta, z, out)
        if layer.bias:
            parts.append(delta_dot.sum(1))
        weight_dot, shared = torch.bmm(delta_dot.mT, _for_each(h, vector)), _for_each(delta, vector)
        if h_dot is not None:
            weight_dot.baddbmm_(shared.mT, h_dot)
        parts.append(weight_dot.flatten(1))
        if number:
            delta_dot = torch.bmm(delta_dot, _for_each(layer.weight(theta), vector))
            delta_dot.baddbmm_(shared, layer.weight(vector))
            delta = torch.bmm(delta, layer.weight(theta))
    return torch.cat(parts[::-1], 1)


def _with_tangents(
    stack: Stack, theta: Tensor, vector: Tensor, h: Tensor
) -> tuple[list[tuple[Tensor, Tensor]], list[tuple[Tensor, Tensor | None]]]:
    """Return (z, ż) of each layer and (h, ḣ) around them; ḣ of the inputs is None, as they do not depend on θ."""
    before: list[tuple[Tensor, Tensor]] = []
    after: list[tuple[Tensor, Tensor | None]] = [(h, None)]
    for layer in stack.layers:
        inputs, inputs_dot = after[-1]
        z, h = layer.forward(theta, inputs)
        z_dot = layer.affine(vector, _for_each(inputs, vector))
        if inputs_dot is not None:
            z_dot.baddbmm_(inputs_dot, _for_each(layer.weight(theta), vector).mT)
        before.append((z, z_dot))
        after.append((h, z_dot if layer.activation is None else layer.activation.backward(z_dot, z, h)))
    return before, after


def _for_each(shared: Tensor, vector: Tensor) -> Tensor:
    """View what is one for all (1, ...), or one for each (V, ...), as (V, ...)."""
    return shared.expand(len(vector), -1, -1)
