"""Many small networks at once: a plain chain of layers, its loss differentiated once and twice by batched products."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .modules import does_more

Slopes = tuple[Tensor, Tensor]  # δ of each sample's outputs, and its derivative δ̇ along a direction
Passes = tuple[list[Tensor], list[Tensor], list["Norm | None"]]
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


class Norm(NamedTuple):
    """A layer norm n = (u - ū)/σ of rows u (..., F), with σ² = var u + ε, and what its derivatives need."""

    given: Tensor  # u
    mean: Tensor  # ū, (..., 1)
    scale: Tensor  # 1/σ, (..., 1)
    rows: Tensor  # n

    @classmethod
    def of(cls, given: Tensor, eps: float) -> Norm:
        rows, mean, scale = torch.native_layer_norm(given, given.shape[-1:], None, None, eps)
        return cls(given, mean, scale, rows)

    def times(self, v: Tensor) -> Tensor:
        """Return Jv, J = (1 - 11ᵀ/F - nnᵀ/F)/σ, which is symmetric: the way there and back; v may have more rows.

        What autograd itself calls: written in public functions it takes up to six times as long. n is not looked at.
        """
        given, mean, scale = self[:3]
        if given.shape != v.shape:  # which this kernel wants equal
            given, mean, scale = (part.expand(*v.shape[:-1], -1).contiguous() for part in self[:3])
        back: Tensor = torch.ops.aten.native_layer_norm_backward(
            v, given, v.shape[-1:], mean, scale, None, None, [True, False, False]
        )[0]
        return back

    def for_rows(self) -> Norm:
        """Return the same for vectors (P, K, n, F) on the samples (P, n, F)."""
        return Norm(*(part.unsqueeze(1) for part in self))

    def times_dot(self, v: Tensor, u_dot: Tensor, n_dot: Tensor) -> Tensor:
        """Return the derivative of Jv at fixed v where u moves along u̇, and n along ṅ = Ju̇."""
        back = self.times(v) * (self.rows * u_dot).mean(-1, keepdim=True)  # (1/σ)˙ = -(n·u̇/F)/σ²
        turned = torch.addcmul(back, n_dot, (self.rows * v).mean(-1, keepdim=True))
        return turned.addcmul_(self.rows, (n_dot * v).mean(-1, keepdim=True)).mul_(-self.scale)


@dataclass(frozen=True)
class Layer:
    """One linear layer, with the layer norm and the activation after it, as a part of θ."""

    start: int  # where its weights begin in theta
    inputs: int
    outputs: int
    has_bias: bool
    kind: type[nn.Module] = nn.Identity  # of its activation
    eps: float | None = None  # ε of its layer norm, without scale and shift; None where there is none

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

    def turned(self, theta: Tensor, h: Tensor) -> Tensor:
        """Return the same with the samples last in memory: of few outputs three times as fast, other last bits."""
        weight, h = self.weight(theta), h.mT
        bias = self.bias(theta).unsqueeze(2) if self.has_bias else None
        return (torch.bmm(weight, h) if bias is None else torch.baddbmm(bias, weight, h)).mT

    def activate(self, z: Tensor) -> Tensor:
        """Return φ(z), of ReLU in the memory of z, which nothing asks for again: to ask for memory takes longer."""
        return z.relu_() if self.kind is nn.ReLU else self.activation.forward(z)


@dataclass(frozen=True)
class Stack:
    """Linear layers with elementwise activations, perhaps after a layer norm, for P parameter vectors at once."""

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
            elif layers and _normalizes(module, layers[-1]):
                layers[-1] = replace(layers[-1], eps=module.eps)
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
            z = layer.turned(theta, h) if layer is self.layers[-1] and layer.eps is None else layer.affine(theta, h)
            h = layer.activate(z if layer.eps is None else F.layer_norm(z, z.shape[-1:], eps=layer.eps))
        return h

    def passes(self, theta: Tensor, x: Tensor, own: bool = False) -> Passes:
        """Return z of each layer (P, N, out) as its activation takes it, the h before, between and after, and norms."""
        before, after, norms = [], [self.inputs(theta, x, own)], []
        for layer in self.layers:
            z = layer.affine(theta, after[-1])
            norms.append(None if layer.eps is None else Norm.of(z, layer.eps))
            before.append(z if norms[-1] is None else norms[-1].rows)
            after.append(layer.activate(z) if norms[-1] is None else layer.activation.forward(before[-1]))
        return before, after, norms

    def gradient(self, theta: Tensor, x: Tensor, output_gradient: Callable[[Tensor], Tensor], own: bool) -> Tensor:
        """Return the gradient (P, D) by one forward and one backward pass, on inputs as in ``outputs``.

        ``output_gradient`` maps outputs (P, N, C) to the derivative of the loss by them.
        """
        before, after, norms = self.passes(theta, x, own)
        delta = output_gradient(after[-1])
        parts: list[Tensor] = []
        for number in reversed(range(len(self.layers))):
            layer, norm = self.layers[number], norms[number]
            delta = layer.activation.backward(delta, before[number], after[number + 1])
            delta = delta if norm is None else norm.times(delta)
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
            before, after, norms = self.passes(theta, some)
            delta = rows(after[-1], targets)  # (P, K, n, out)
            for number in reversed(range(len(self.layers))):
                layer, z, norm = self.layers[number], before[number], norms[number]
                delta = delta * layer.activation.backward(torch.ones_like(z), z, after[number + 1]).unsqueeze(1)
                delta = delta if norm is None else norm.for_rows().times(delta)
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
            size = max(64, 2048 // len(v))  # samples at once: what keeps both passes and their derivatives in cache
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
        before, after, norms = self.passes(theta, x)
        rows_dot: list[Tensor] = []  # of what is normed
        before_dot: list[Tensor] = []
        after_dot: list[Tensor] = []
        for layer, z, inputs, out, norm in zip(self.layers, before, after, after[1:], norms, strict=False):
            z_dot = layer.affine(vector, _for_each(inputs, vector))
            if after_dot:  # the inputs of the first layer do not depend on θ
                z_dot.baddbmm_(after_dot[-1], _for_each(layer.weight(theta), vector).mT)
            rows_dot.append(z_dot)
            z_dot = z_dot if norm is None else norm.times(z_dot)
            before_dot.append(z_dot)
            after_dot.append(layer.activation.backward(z_dot, z, out))
        delta, delta_dot = slopes(after[-1], after_dot[-1])
        parts: list[Tensor] = []
        for number in reversed(range(len(self.layers))):
            layer, z, out, norm = self.layers[number], before[number], after[number + 1], norms[number]
            delta_dot = layer.activation.backward(delta_dot, z, out)
            if layer.activation.second is not None:
                delta_dot = torch.addcmul(delta_dot, layer.activation.second(z, out) * delta, before_dot[number])
            delta = layer.activation.backward(delta, z, out)
            if norm is not None:
                delta_dot = norm.times(delta_dot) + norm.times_dot(delta, rows_dot[number], before_dot[number])
                delta = norm.times(delta)
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

    def inputs(self, theta: Tensor, x: Tensor, own: bool) -> Tensor:
        """Return flat inputs (P, N, in), of one set for all or each one's ``own``."""
        return x.flatten(2) if own else x.flatten(1).expand(len(theta), -1, -1)


def _normalizes(module: nn.Module, layer: Layer) -> bool:
    """Return whether a module is a layer norm without scale and shift of what a layer gives, before its activation."""
    plain = type(module) is nn.LayerNorm and not module.elementwise_affine and layer.kind is nn.Identity
    return plain and layer.eps is None and module.normalized_shape == (layer.outputs,)


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
