"""Many small networks at once: a plain chain of layers, forward and backward by batched matrix products.

For P parameter vectors a Python loop pays the overhead of every call P times, and vmap with autograd still builds a
graph. A chain of linear layers and elementwise activations needs neither: its backward pass is written below.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_aten = torch.ops.aten
# activation -> (forward of the pre-activation z, backward of (delta, z, h) with h the activation's output)
_ACTIVATIONS: dict[type[nn.Module], tuple[Callable[[Tensor], Tensor], Callable[[Tensor, Tensor, Tensor], Tensor]]] = {
    nn.ReLU: (torch.relu, lambda delta, z, h: _aten.threshold_backward(delta, h, 0)),
    nn.Tanh: (torch.tanh, lambda delta, z, h: delta * (1 - h * h)),
    nn.Sigmoid: (torch.sigmoid, lambda delta, z, h: delta * h * (1 - h)),
    nn.GELU: (F.gelu, lambda delta, z, h: _aten.gelu_backward(delta, z)),
}
# activation -> its second derivative, of (z, h); that of a ReLU is zero
_SECOND: dict[type[nn.Module], Callable[[Tensor, Tensor], Tensor]] = {
    nn.Tanh: lambda z, h: -2 * h * (1 - h * h),
    nn.Sigmoid: lambda z, h: h * (1 - h) * (1 - 2 * h),
    nn.GELU: lambda z, h: (2 - z * z) * torch.exp(-0.5 * z * z) / math.sqrt(2 * math.pi),
}


@dataclass(frozen=True)
class _Layer:
    start: int  # where its weights begin in theta
    inputs: int
    outputs: int
    bias: bool
    activation: type[nn.Module] | None

    @property
    def stop(self) -> int:
        return self.start + self.outputs * (self.inputs + self.bias)

    def weight(self, theta: Tensor) -> Tensor:
        size = self.outputs * self.inputs
        return theta[:, self.start : self.start + size].view(-1, self.outputs, self.inputs)  # (P, out, in)

    def affine(self, theta: Tensor, h: Tensor) -> Tensor:
        weight = self.weight(theta).mT
        if not self.bias:
            return torch.bmm(h, weight)
        return torch.baddbmm(theta[:, self.stop - self.outputs : self.stop].unsqueeze(1), h, weight)  # (P, N, out)


class Stack:
    """Linear layers with elementwise activations between them, for P parameter vectors at once."""

    def __init__(self, layers: list[_Layer]) -> None:
        self.layers = layers

    @classmethod
    def of(cls, model: nn.Module) -> Stack | None:
        """Return the stack that computes what ``model`` does, or None where it is not such a chain."""
        modules = _flat(model)
        if modules is None or len({id(m) for m in modules}) < len(modules):  # a module used twice shares its weights
            return None
        layers: list[_Layer] = []
        start, open_layer = 0, False
        for number, module in enumerate(modules):
            if type(module) is nn.Flatten and (module.start_dim, module.end_dim) == (1, -1) and number == 0:
                continue
            if type(module) is nn.Identity:
                continue
            if type(module) is nn.Linear:
                layer = _Layer(start, module.in_features, module.out_features, module.bias is not None, None)
                layers.append(layer)
                start, open_layer = layer.stop, True
            elif type(module) in _ACTIVATIONS and open_layer and getattr(module, "approximate", "none") == "none":
                last = layers[-1]
                layers[-1] = _Layer(last.start, last.inputs, last.outputs, last.bias, type(module))
                open_layer = False
            else:
                return None
        every = list(model.parameters())
        return cls(layers) if layers and all(p.requires_grad for p in every) else None

    def outputs(self, theta: Tensor, x: Tensor, own: bool = False) -> Tensor:
        """Return the outputs (P, N, C) of P networks on shared inputs (N, ...), or each one's ``own`` (P, N, ...)."""
        h = self._inputs(theta, x, own)
        for layer in self.layers:
            h = layer.affine(theta, h)
            if layer.activation is not None:
                h = _ACTIVATIONS[layer.activation][0](h)
        return h

    def gradient(
        self, theta: Tensor, x: Tensor, output_gradient: Callable[[Tensor], Tensor], own: bool = False
    ) -> Tensor:
        """Return the gradient (P, D) by one forward and one backward pass.

        Args:
            theta: Parameter vectors (P, D).
            x: Inputs, shared (N, ...) or per network (P, N, ...).
            output_gradient: Maps outputs (P, N, C) to the derivative of the loss by them, the same shape.
            own: Whether ``x`` is per network.
        """
        h = self._inputs(theta, x, own)
        before, after = [], [h]
        for layer in self.layers:
            z = layer.affine(theta, h)
            h = z if layer.activation is None else _ACTIVATIONS[layer.activation][0](z)
            before.append(z)
            after.append(h)
        delta = output_gradient(h)
        parts: list[Tensor] = []
        for number in reversed(range(len(self.layers))):
            layer = self.layers[number]
            if layer.activation is not None:
                delta = _ACTIVATIONS[layer.activation][1](delta, before[number], after[number + 1])
            if layer.bias:
                parts.append(delta.sum(1))
            parts.append(torch.bmm(delta.mT, after[number]).flatten(1))
            if number:
                delta = torch.bmm(delta, layer.weight(theta))
        return torch.cat(parts[::-1], 1)

    def hessian_vector_product(
        self,
        theta: Tensor,
        vector: Tensor,
        x: Tensor,
        output_gradient: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]],
    ) -> Tensor:
        """Return H(θ)v, shape (V, D), by Pearlmutter's R-operator.

        Beside each quantity q of the two passes of ``gradient`` runs its derivative along v, q̇ = d/dε q(θ + εv); the
        product rule on each line gives the line for q̇, and the q̇ of the gradient is Hv, exactly.

        Args:
            theta: Parameter vectors (V, D), one for each vector, or (1, D) for all, whose two passes are then shared.
            vector: Vectors v, shape (V, D).
            x: Inputs (N, ...), shared.
            output_gradient: Maps outputs and their derivative along v to the derivative δ of the loss by the outputs
                and δ̇, each (V, N, C), or (1, N, C) where it is shared.

        References:
            Pearlmutter (1994), Neural Computation 6, 147.
        """
        before, after = self._with_tangents(theta, vector, self._inputs(theta, x, False))
        h, h_dot = after[-1]
        assert h_dot is not None
        delta, delta_dot = output_gradient(h, h_dot)
        parts: list[Tensor] = []
        for number in reversed(range(len(self.layers))):
            layer, (h, h_dot) = self.layers[number], after[number]
            if layer.activation is not None:
                backward, (z, z_dot), out = _ACTIVATIONS[layer.activation][1], before[number], after[number + 1][0]
                delta_dot = backward(delta_dot, z, out)
                if layer.activation in _SECOND:
                    delta_dot = torch.addcmul(delta_dot, _SECOND[layer.activation](z, out) * delta, z_dot)
                delta = backward(delta, z, out)
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
        self, theta: Tensor, vector: Tensor, h: Tensor
    ) -> tuple[list[tuple[Tensor, Tensor]], list[tuple[Tensor, Tensor | None]]]:
        """Return (z, ż) of each layer and (h, ḣ) around them; ḣ of the inputs is None, as they do not depend on θ."""
        before: list[tuple[Tensor, Tensor]] = []
        after: list[tuple[Tensor, Tensor | None]] = [(h, None)]
        for layer in self.layers:
            h, h_dot = after[-1]
            z, z_dot = layer.affine(theta, h), layer.affine(vector, _for_each(h, vector))
            if h_dot is not None:
                z_dot.baddbmm_(h_dot, _for_each(layer.weight(theta), vector).mT)
            before.append((z, z_dot))
            if layer.activation is None:
                after.append((z, z_dot))
            else:
                forward, backward = _ACTIVATIONS[layer.activation]
                h = forward(z)
                after.append((h, backward(z_dot, z, h)))
        return before, after

    def _inputs(self, theta: Tensor, x: Tensor, own: bool) -> Tensor:
        return x.flatten(2) if own else x.flatten(1).expand(len(theta), -1, -1)


def _for_each(shared: Tensor, vector: Tensor) -> Tensor:
    """View what is one for all (1, ...), or one for each (V, ...), as (V, ...)."""
    return shared.expand(len(vector), -1, -1)


def _flat(model: nn.Module) -> list[nn.Module] | None:
    if type(model) is not nn.Sequential:
        return [model] if type(model) is nn.Linear else None
    modules: list[nn.Module] = []
    for child in model:
        inner = _flat(child) if type(child) is nn.Sequential else [child]
        if inner is None:
            return None
        modules += inner
    return modules
