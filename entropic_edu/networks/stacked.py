"""Many small networks at once: a plain chain of layers, its loss differentiated once and twice by batched products."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .modules import does_more

Slopes = tuple[Tensor, Tensor]  # δ of each sample's outputs, and its derivative δ̇ along a direction
_TOGETHER = 32  # vectors that a Hessian is applied to at once
_CACHED = 2**17  # numbers in one block of deltas: 512 kB of float32 stay in a core's cache


@dataclass(frozen=True)
class Activation:
    """An elementwise function h = φ(z)."""

    forward: Callable[[Tensor], Tensor]  # φ
    backward: Callable[[Tensor, Tensor, Tensor], Tensor]  # of (δ, z, h), δ φ'(z); by h where that is cheaper
    second: Callable[[Tensor, Tensor], Tensor] | None  # of (z, h), φ''(z), or None where it is zero


def _relu_backward(delta: Tensor, z: Tensor, h: Tensor) -> Tensor:
    """Return δ sign(h), as h >= 0: a comparison, or where(), takes three to ten times as long."""
    slope = h.sign()
    return slope.mul_(delta) if slope.shape == delta.shape else delta * slope  # memory anew costs more than the product


ACTIVATIONS: dict[type[nn.Module], Activation] = {
    nn.Identity: Activation(lambda z: z, lambda delta, z, h: delta, None),
    nn.ReLU: Activation(torch.relu, _relu_backward, None),
    nn.Tanh: Activation(torch.tanh, lambda delta, z, h: delta * (1 - h * h), lambda z, h: -2 * h * (1 - h * h)),
    nn.Sigmoid: Activation(
        torch.sigmoid, lambda delta, z, h: delta * h * (1 - h), lambda z, h: h * (1 - h) * (1 - 2 * h)
    ),
    # The one kernel of torch taken by its internal name: written in public functions it is two to six times slower.
    # tests/networks/test_stacked.py notices where it no longer is the derivative of F.gelu.
    nn.GELU: Activation(
        F.gelu,
        lambda delta, z, h: torch.ops.aten.gelu_backward(*torch.broadcast_tensors(delta, z)),  # equal shapes it takes
        lambda z, h: (2 - z * z) * torch.exp(-0.5 * z * z) / math.sqrt(2 * math.pi),
    ),
}


@dataclass(frozen=True)
class Layer:
    """One linear layer, with the activation after it, as a part of θ."""

    start: int  # where its weights begin in theta
    inputs: int
    outputs: int
    has_bias: bool
    kind: type[nn.Module] = nn.Identity  # of its activation

    @property
    def activation(self) -> Activation:
        """The activation after it."""
        return ACTIVATIONS[self.kind]

    @property
    def stop(self) -> int:
        return self.start + self.outputs * (self.inputs + self.has_bias)

    def weight(self, theta: Tensor) -> Tensor:
        size = self.outputs * self.inputs
        return theta[:, self.start : self.start + size].view(-1, self.outputs, self.inputs)  # (P, out, in)

    def bias(self, theta: Tensor) -> Tensor:
        return theta[:, self.stop - self.outputs : self.stop]  # (P, out)

    def affine(self, theta: Tensor, h: Tensor) -> Tensor:
        weight = self.weight(theta).mT
        return torch.baddbmm(self.bias(theta).unsqueeze(1), h, weight) if self.has_bias else torch.bmm(h, weight)


@dataclass(frozen=True)
class Stack:
    """Linear layers with elementwise activations between them, for P parameter vectors at once."""

    layers: list[Layer]

    @classmethod
    def of(cls, model: nn.Module) -> Stack | None:
        """Return the stack that computes what ``model`` does, or None where it is not such a chain."""
        every = [module for _, module in model.named_modules(remove_duplicate=False)]
        modules = [module for module in every if type(module) is not nn.Sequential]
        if any(map(does_more, every)):
            return None
        layers: list[Layer] = []
        for number, module in enumerate(modules):
            flattens = type(module) is nn.Flatten and (module.start_dim, module.end_dim) == (1, -1)
            if type(module) is nn.Identity or (flattens and number == 0):
                continue
            kind, start = (layers[-1].kind, layers[-1].stop) if layers else (None, 0)
            exact = getattr(module, "approximate", "none") == "none"  # GELU has an approximate form too
            if type(module) is nn.Linear:
                layers.append(Layer(start, module.in_features, module.out_features, module.bias is not None))
            elif type(module) in ACTIVATIONS and exact and kind is nn.Identity:
                layers[-1] = replace(layers[-1], kind=type(module))
            else:
                return None
        once = len(set(modules)) == len(modules)  # a module used twice shares its weights
        return cls(layers) if layers and once and all(p.requires_grad for p in model.parameters()) else None

    def outputs(self, theta: Tensor, x: Tensor, own: bool = False) -> Tensor:
        """Return the outputs (P, N, C) of P networks on shared inputs (N, ...), or each one's ``own`` (P, N, ...)."""
        h = self.inputs(theta, x, own)
        for layer in self.layers:
            h = layer.activation.forward(layer.affine(theta, h))
        return h

    def passes(self, theta: Tensor, x: Tensor, own: bool = False) -> tuple[list[Tensor], list[Tensor]]:
        """Return z of each layer (P, N, out), and the h before, between and after them."""
        before, after = [], [self.inputs(theta, x, own)]
        for layer in self.layers:
            before.append(layer.affine(theta, after[-1]))
            after.append(layer.activation.forward(before[-1]))
        return before, after

    def gradient(
        self, theta: Tensor, x: Tensor, output_gradient: Callable[[Tensor], Tensor], own: bool = False
    ) -> Tensor:
        """Return the gradient (P, D) by one forward and one backward pass, on inputs as in ``outputs``.

        ``output_gradient`` maps outputs (P, N, C) to the derivative of the loss by them.
        """
        before, after = self.passes(theta, x, own)
        delta = output_gradient(after[-1])
        parts: list[Tensor] = []
        for number in reversed(range(len(self.layers))):
            layer = self.layers[number]
            delta = layer.activation.backward(delta, before[number], after[number + 1])
            if layer.has_bias:
                parts.append(delta.sum(1))
            parts.append(torch.bmm(delta.mT, after[number]).flatten(1))
            if number:
                delta = torch.bmm(delta, layer.weight(theta))
        return torch.cat(parts[::-1], 1)

    def squares(self, theta: Tensor, x: Tensor, y: Tensor, rows: Callable[..., Tensor], scale: Tensor | None) -> Tensor:
        """Return what ``Engine.squares`` asks for, (P,), with a scale of (P, D) or (1, D).

        The weight gradient of a linear layer with input a and back-propagated δ is the outer product δaᵀ, of squared
        norm |δ|²|a|²: only δs are propagated, and no sample's gradient is formed (Goodfellow 2015, arXiv:1510.01799).
        """
        width = max(layer.outputs for layer in self.layers) * self.layers[-1].outputs * len(theta)
        total = theta.new_zeros(len(theta))
        weights = None if scale is None else scale.square()
        size = max(16, _CACHED // width)
        for some, targets in zip(x.split(size), y.split(size), strict=True):
            before, after = self.passes(theta, some)
            delta = rows(after[-1], targets)  # (P, K, n, out)
            for number in reversed(range(len(self.layers))):
                layer, z = self.layers[number], before[number]
                delta = delta * layer.activation.backward(torch.ones_like(z), z, after[number + 1]).unsqueeze(1)
                total += _outer_squares(layer, after[number], delta.square().sum(1), weights)
                if number:
                    delta = torch.bmm(delta.flatten(1, 2), layer.weight(theta)).view(*delta.shape[:3], -1)
        return total / len(x)

    def hessian_vector_product(
        self, slopes: Callable[..., Slopes], theta: Tensor, vector: Tensor, x: Tensor, y: Tensor, decay: float
    ) -> Tensor:
        """Return (H + λI)v, with λ = ``decay``, of the mean loss over all samples (N, ...), in parts that fit in cache.

        θ and v are (D,) or (V, D), as in ``Landscape.hessian_vector_product``; ``slopes`` is a loss's ``slopes_along``.
        """
        products = []
        for k, v in enumerate(torch.split(vector.reshape(-1, theta.shape[-1]), _TOGETHER)):
            t = theta[k * _TOGETHER : (k + 1) * _TOGETHER] if theta.ndim == 2 else theta[None]
            product = decay * v if decay else torch.zeros_like(v)
            size = max(64, 4096 // len(v))  # samples at once: what keeps both passes and their derivatives in cache
            for some, targets in zip(x.split(size), y.split(size), strict=True):
                product += len(some) / len(x) * self._along(t, v, some, partial(slopes, y=targets))
            products.append(product)
        return torch.cat(products).view(vector.shape)

    def _along(self, theta: Tensor, vector: Tensor, x: Tensor, slopes: Callable[[Tensor, Tensor], Slopes]) -> Tensor:
        """Return H(θ)v, shape (V, D), by Pearlmutter's R-operator (1994, Neural Computation 6, 147).

        Beside each quantity q of the two passes of ``gradient`` runs its derivative along v, q̇ = d/dε q(θ + εv); the
        product rule on each line gives the line for q̇, and the q̇ of the gradient is Hv, exactly. θ is (V, D), or
        (1, D) for all v, whose two passes are then shared; ``slopes`` maps z and ż of the outputs to δ and δ̇.
        """
        before, after = self.passes(theta, x)
        before_dot: list[Tensor] = []
        after_dot: list[Tensor] = []
        for layer, z, inputs, out in zip(self.layers, before, after, after[1:], strict=False):
            z_dot = layer.affine(vector, _for_each(inputs, vector))
            if after_dot:  # the inputs of the first layer do not depend on θ
                z_dot.baddbmm_(after_dot[-1], _for_each(layer.weight(theta), vector).mT)
            before_dot.append(z_dot)
            after_dot.append(layer.activation.backward(z_dot, z, out))
        delta, delta_dot = slopes(after[-1], after_dot[-1])
        parts: list[Tensor] = []
        for number in reversed(range(len(self.layers))):
            layer, z, out = self.layers[number], before[number], after[number + 1]
            delta_dot = layer.activation.backward(delta_dot, z, out)
            if layer.activation.second is not None:
                delta_dot = torch.addcmul(delta_dot, layer.activation.second(z, out) * delta, before_dot[number])
            delta = layer.activation.backward(delta, z, out)
            if layer.has_bias:
                parts.append(delta_dot.sum(1))
            weight_dot, shared = torch.bmm(delta_dot.mT, _for_each(after[number], vector)), _for_each(delta, vector)
            if number:
                weight_dot.baddbmm_(shared.mT, after_dot[number - 1])
                delta_dot = torch.bmm(delta_dot, _for_each(layer.weight(theta), vector))
                delta_dot.baddbmm_(shared, layer.weight(vector))
                delta = torch.bmm(delta, layer.weight(theta))
            parts.append(weight_dot.flatten(1))
        return torch.cat(parts[::-1], 1)

    def inputs(self, theta: Tensor, x: Tensor, own: bool = False) -> Tensor:
        """Return flat inputs (P, N, in), of one set for all or each one's ``own``."""
        return x.flatten(2) if own else x.flatten(1).expand(len(theta), -1, -1)


def _outer_squares(layer: Layer, a: Tensor, squares: Tensor, weights: Tensor | None) -> Tensor:
    """Return Σ S²_ij δ_i² a_j² over samples (P,), with ``squares`` = δ² summed over directions (P, n, out)."""
    if weights is None:
        return ((a.square().sum(-1) + layer.has_bias) * squares.sum(-1)).sum(-1)
    total = (torch.matmul(squares, layer.weight(weights)) * a.square()).sum((-2, -1))
    if layer.has_bias:
        total = total + (squares.sum(1) * layer.bias(weights)).sum(-1)
    return total


def _for_each(shared: Tensor, vector: Tensor) -> Tensor:
    """View what is one for all (1, ...), or one for each (V, ...), as (V, ...)."""
    return shared.expand(len(vector), -1, -1)
