"""Hessian-vector products of a stack of layers, exact and by hand, for many vectors at once."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from .losses import WrittenOut
from .stacked import Stack

_TOGETHER = 32  # vectors taken at once


def stacked_product(
    stack: Stack, criterion: WrittenOut, theta: Tensor, vector: Tensor, x: Tensor, y: Tensor, decay: float
) -> Tensor:
    """Return (H + λI)v, with λ = ``decay``, of the mean loss over all samples (N, ...), in parts that stay in cache.

    θ and v are (D,) or (V, D), as in ``Landscape.hessian_vector_product``.
    """
    products = []
    for k, v in enumerate(torch.split(vector.reshape(-1, theta.shape[-1]), _TOGETHER)):
        t = theta[k * _TOGETHER : (k + 1) * _TOGETHER] if theta.ndim == 2 else theta[None]
        product = decay * v if decay else torch.zeros_like(v)
        size = max(64, 4096 // len(v))  # samples at once: what keeps both passes and their derivatives in cache
        for some, targets in zip(x.split(size), y.split(size), strict=True):
            product += len(some) / len(x) * along(stack, t, v, some, partial(criterion.slopes_along, y=targets))
        products.append(product)
    return torch.cat(products).view(vector.shape)


def along(
    stack: Stack, theta: Tensor, vector: Tensor, x: Tensor, slopes: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
) -> Tensor:
    """Return H(θ)v, shape (V, D), by Pearlmutter's R-operator (1994, Neural Computation 6, 147).

    Beside each quantity q of the two passes of ``Stack.gradient`` runs its derivative along v, q̇ = d/dε q(θ + εv); the
    product rule on each line gives the line for q̇, and the q̇ of the gradient is Hv, exactly.

    Args:
        stack: The layers.
        theta: (V, D), one for each vector, or (1, D) for all, whose two passes are then shared.
        vector: v, (V, D).
        x: Inputs (N, ...), shared.
        slopes: Maps z and ż of the outputs to the derivative δ of the loss by them and δ̇, (V, N, C) or (1, N, C).
    """
    before, after = stack.passes(theta, x)
    before_dot: list[Tensor] = []
    after_dot: list[Tensor] = []
    for layer, z, inputs, out in zip(stack.layers, before, after, after[1:], strict=False):
        z_dot = layer.affine(vector, _for_each(inputs, vector))
        if after_dot:  # the inputs of the first layer do not depend on θ
            z_dot.baddbmm_(after_dot[-1], _for_each(layer.weight(theta), vector).mT)
        before_dot.append(z_dot)
        after_dot.append(layer.activation.backward(z_dot, z, out))
    delta, delta_dot = slopes(after[-1], after_dot[-1])
    parts: list[Tensor] = []
    for number in reversed(range(len(stack.layers))):
        layer, z, out = stack.layers[number], before[number], after[number + 1]
        delta_dot = layer.activation.backward(delta_dot, z, out)
        if layer.activation.second is not None:
            delta_dot = torch.addcmul(delta_dot, layer.activation.second(z, out) * delta, before_dot[number])
        delta = layer.activation.backward(delta, z, out)
        if layer.has_bias:
            parts.append(delta_dot.sum(1))
        weight_dot, shared = torch.bmm(delta_dot.mT, _for_each(after[number], vector)), _for_each(delta, vector)
        if number:
            weight_dot.baddbmm_(shared.mT, after_dot[number - 1])
        parts.append(weight_dot.flatten(1))
        if number:
            delta_dot = torch.bmm(delta_dot, _for_each(layer.weight(theta), vector))
            delta_dot.baddbmm_(shared, layer.weight(vector))
            delta = torch.bmm(delta, layer.weight(theta))
    return torch.cat(parts[::-1], 1)


def _for_each(shared: Tensor, vector: Tensor) -> Tensor:
    """View what is one for all (1, ...), or one for each (V, ...), as (V, ...)."""
    return shared.expand(len(vector), -1, -1)
