"""Chains of convolutions without autograd: many small networks as groups of one, and products with the Hessian.

Pictures are (N, P·C, H, W), the channels of P networks side by side, and rows (P, N, F). A new kind of layer is one
class, with how it goes there and back, and the derivatives of both along a direction v, q̇ = d/dε q(θ + εv).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from .modules import does_more
from .stacked import ACTIVATIONS, Activation, Slopes

Kept = tuple[Any, ...]  # what a layer needs on the way back
Maybe = Any  # a tensor; or None, where it is not asked for, or zero
Back = tuple[Maybe, list[Tensor]]  # δ of a layer's inputs, and its gradients (P, ...)

aten = torch.ops.aten  # what autograd itself calls; public functions have one derivative at a time, or none
LAST = torch.channels_last  # in which convolutions on a CPU are faster


class Layer(ABC):
    """A layer h ↦ f(θ, h) of P networks; the derivatives along v are those of one."""

    needs_delta = False  # whether ``backward_dot`` asks for δ

    @abstractmethod
    def forward(self, theta: Tensor, h: Tensor) -> tuple[Tensor, Kept]:
        """Return the outputs, and what the others need."""

    @abstractmethod
    def backward(self, theta: Tensor, kept: Kept, delta: Tensor, inner: bool, weights: bool) -> Back:
        """Return δ of the inputs (of ``inner`` ones) and gradients (where ``weights`` is set) from δ of the outputs."""

    @abstractmethod
    def forward_dot(self, theta: Tensor, v: Tensor, kept: Kept, h_dot: Maybe) -> Tensor:
        """Return the derivative of the outputs, from that of the inputs; None is that of the data."""

    @abstractmethod
    def backward_dot(self, theta: Tensor, v: Tensor, kept: Kept, delta: Maybe, h_dot: Maybe, delta_dot: Tensor) -> Back:
        """Return the derivative of what ``backward`` gives."""


@dataclass(frozen=True)
class Weighted(Layer):
    """Weights (out, in, ...) and perhaps a bias, which are a part of θ."""

    start: int
    shape: torch.Size
    has_bias: bool
    needs_delta = True

    @property
    def stop(self) -> int:
        return self.start + self.shape.numel() + self.has_bias * self.shape[0]

    def weight(self, theta: Tensor) -> Tensor:
        return theta[:, self.start : self.start + self.shape.numel()].view(-1, *self.shape)

    def bias(self, theta: Tensor) -> Maybe:
        return theta[:, self.stop - self.shape[0] : self.stop] if self.has_bias else None


class Dense(Weighted):
    """A linear layer on rows (P, N, F)."""

    def forward(self, theta: Tensor, h: Tensor) -> tuple[Tensor, Kept]:
        weight, bias = self.weight(theta).mT, self.bias(theta)
        return torch.bmm(h, weight) if bias is None else torch.baddbmm(bias.unsqueeze(1), h, weight), (h,)

    def backward(self, theta: Tensor, kept: Kept, delta: Tensor, inner: bool, weights: bool) -> Back:
        found = [torch.bmm(delta.mT, *kept), *([delta.sum(1)] if self.has_bias else [])] if weights else []
        return torch.bmm(delta, self.weight(theta)), found

    def forward_dot(self, theta: Tensor, v: Tensor, kept: Kept, h_dot: Maybe) -> Tensor:
        return self.forward(v, *kept)[0].baddbmm_(h_dot, self.weight(theta).mT)

    def backward_dot(self, theta: Tensor, v: Tensor, kept: Kept, delta: Maybe, h_dot: Maybe, delta_dot: Tensor) -> Back:
        down, found = self.backward(theta, kept, delta_dot, True, True)
        found[0].baddbmm_(delta.mT, h_dot)
        return down.baddbmm_(delta, self.weight(v)), found


@dataclass(frozen=True)
class Convolution(Weighted):
    """A convolution of pictures; its P networks are groups, but on pictures that all share."""

    how: tuple[Any, ...]  # stride, padding, dilation, transposed, and padding of the outputs

    def forward(self, theta: Tensor, h: Tensor) -> tuple[Tensor, Kept]:
        return self._convolved(h, self._kernels(theta), theta), (h,)

    def backward(self, theta: Tensor, kept: Kept, delta: Tensor, inner: bool, weights: bool) -> Back:
        kernels, asked = self._kernels(theta), [inner, weights, weights and self.has_bias]
        how = *self.how, kept[0].shape[1] // kernels.shape[1]
        down, *found = aten.convolution_backward(delta, *kept, kernels, [len(kernels)], *how, asked)
        return down, [each.reshape(len(theta), -1) for each in found if each is not None]

    def forward_dot(self, theta: Tensor, v: Tensor, kept: Kept, h_dot: Maybe) -> Tensor:
        if h_dot is None:
            return self.forward(v, *kept)[0]
        both = torch.cat([self._kernels(v), self._kernels(theta)], 1)  # one convolution instead of two, and their sum
        return self._convolved(torch.cat([*kept, h_dot], 1), both, v)

    def backward_dot(self, theta: Tensor, v: Tensor, kept: Kept, delta: Maybe, h_dot: Maybe, delta_dot: Tensor) -> Back:
        down, found = self.backward(theta, kept, delta_dot, h_dot is not None, True)
        if h_dot is not None:
            other, (slope, *_) = self.backward(v, (h_dot,), delta, True, True)
            down.add_(other)
            found[0].add_(slope)
        return down, found

    def _convolved(self, h: Tensor, kernels: Tensor, shift: Tensor) -> Tensor:
        bias = self.bias(shift).reshape(-1) if self.has_bias else None
        out: Tensor = aten.convolution(h, kernels, bias, *self.how, h.shape[1] // kernels.shape[1])
        return out

    def _kernels(self, theta: Tensor) -> Tensor:
        return self.weight(theta).flatten(0, 1)


class Tiled(Convolution):
    """A convolution whose windows tile the picture: of many networks a dense layer on windows, in half the time."""

    def forward(self, theta: Tensor, h: Tensor) -> tuple[Tensor, Kept]:
        (_, inputs, *window), (n, channels, *size) = self.shape, h.shape
        high, wide = (pixels // width for pixels, width in zip(size, window, strict=True))
        if len(theta) == 1 or channels != len(theta) * inputs or size != [high * window[0], wide * window[1]]:
            return super().forward(theta, h)
        split = h.movedim(1, -1).reshape(n, high, window[0], wide, window[1], len(theta), inputs)
        rows = split.permute(5, 0, 1, 3, 2, 4, 6).reshape(len(theta), n * high * wide, -1)
        out, bias = torch.bmm(rows, self._matrices(theta)), self.bias(theta)
        out = out if bias is None else out.add_(bias.unsqueeze(1))
        return out.view(len(theta), n, high, wide, -1).movedim(0, 3).flatten(3).movedim(-1, 1), (rows, split.shape)

    def backward(self, theta: Tensor, kept: Kept, delta: Tensor, inner: bool, weights: bool) -> Back:
        if len(kept) == 1:  # as any convolution
            return super().backward(theta, kept, delta, inner, weights)
        rows, (n, high, k, wide, q, networks, inputs) = kept
        delta = delta.movedim(1, -1).reshape(n, high, wide, networks, -1).movedim(3, 0).flatten(1, 3)
        down = torch.bmm(delta, self._matrices(theta).mT).view(networks, n, high, wide, k, q, inputs)
        down = down.permute(1, 2, 4, 3, 5, 0, 6).reshape(n, high * k, wide * q, -1).movedim(-1, 1)
        slope = torch.bmm(rows.mT, delta).view(networks, k, q, inputs, -1).permute(0, 4, 3, 1, 2)
        return down, [slope, *([delta.sum(1)] if self.has_bias else [])]

    def _matrices(self, theta: Tensor) -> Tensor:
        """Return the kernels as matrices (P, pixels and inputs of a window, outputs)."""
        return self.weight(theta).permute(0, 3, 4, 2, 1).reshape(len(theta), -1, self.shape[0])


class Fixed(Layer):
    """A layer without weights: ``push`` is its Jacobian at what it kept, and ``pull`` the transpose of that."""

    @abstractmethod
    def push(self, kept: Kept, h_dot: Tensor) -> Tensor: ...

    @abstractmethod
    def pull(self, kept: Kept, delta: Tensor) -> Tensor: ...

    def backward(self, theta: Tensor, kept: Kept, delta: Tensor, inner: bool, weights: bool) -> Back:
        return self.pull(kept, delta), []

    def forward_dot(self, theta: Tensor, v: Tensor, kept: Kept, h_dot: Maybe) -> Tensor:
        return self.push(kept, h_dot)

    def backward_dot(self, theta: Tensor, v: Tensor, kept: Kept, delta: Maybe, h_dot: Maybe, delta_dot: Tensor) -> Back:
        return self.pull(kept, delta_dot), []


@dataclass(frozen=True)
class Elementwise(Fixed):
    """h = φ(z)."""

    kind: type[nn.Module]  # by which it can be pickled

    @property
    def phi(self) -> Activation:
        return ACTIVATIONS[self.kind]

    @property
    def needs_delta(self) -> bool:  # type: ignore[override]
        return self.phi.second is not None

    def forward(self, theta: Tensor, h: Tensor) -> tuple[Tensor, Kept]:
        out = self.phi.forward(h)
        return out, (h if self.needs_delta else out, out)  # what is straight has its slopes by h alone

    def push(self, kept: Kept, h_dot: Tensor) -> Tensor:
        return self.phi.backward(h_dot, *kept)

    def pull(self, kept: Kept, delta: Tensor) -> Tensor:
        return self.phi.backward(delta, *kept)

    def backward_dot(self, theta: Tensor, v: Tensor, kept: Kept, delta: Maybe, h_dot: Maybe, delta_dot: Tensor) -> Back:
        down = self.pull(kept, delta_dot)
        if self.phi.second is not None:
            down = torch.addcmul(down, self.phi.second(*kept) * delta, h_dot)
        return down, []


@dataclass(frozen=True)
class GroupNorm(Fixed):
    """n = (u - ū)/σ within groups of channels and their pixels, with σ² = var u + ε; without scale and shift.

    Its Jacobian J = (1 - 11ᵀ/F - nnᵀ/F)/σ over the F numbers of a group is symmetric, so ``push`` is ``pull``.
    """

    groups: int  # of one network's channels
    eps: float
    needs_delta = True

    def forward(self, theta: Tensor, h: Tensor) -> tuple[Tensor, Kept]:
        h = _in_order(h)
        sizes = *h.shape[:2], math.prod(h.shape[2:]), len(theta) * self.groups
        out, mean, scale = aten.native_group_norm(h, None, None, *sizes, self.eps)
        return out, (h, mean, scale, out, sizes)

    def push(self, kept: Kept, h_dot: Tensor) -> Tensor:
        return self.pull(kept, h_dot)

    def pull(self, kept: Kept, delta: Tensor) -> Tensor:
        h, mean, scale, _, sizes = kept
        asked = [True, False, False]
        found: Tensor = aten.native_group_norm_backward(_in_order(delta), h, mean, scale, None, *sizes, asked)[0]
        return found

    def backward_dot(self, theta: Tensor, v: Tensor, kept: Kept, delta: Maybe, h_dot: Maybe, delta_dot: Tensor) -> Back:
        _, _, scale, n, _ = kept
        n_dot = self.push(kept, h_dot)
        groups = partial(Tensor.unflatten, dim=1, sizes=(self.groups, -1))  # (N, G, C/G, H, W)

        def mean(one: Tensor, other: Tensor) -> Tensor:
            return groups(one * other).mean((2, 3, 4), keepdim=True)

        bent = groups(self.pull(kept, delta)) * mean(n, h_dot)  # J̇δ, as in ``stacked.Norm.times_dot``
        bent += groups(n_dot) * mean(n, delta) + groups(n) * mean(n_dot, delta)
        return self.pull(kept, delta_dot).sub_((bent * scale[..., None, None, None]).flatten(1, 2)), []


@dataclass(frozen=True)
class MaxPool(Fixed):
    """The largest of each window."""

    settings: tuple[Any, ...]  # kernel, stride, padding, dilation, ceil_mode

    def forward(self, theta: Tensor, h: Tensor) -> tuple[Tensor, Kept]:
        out, index = aten.max_pool2d_with_indices(h, *self.settings)
        (n, channels, *size), place = h.shape, partial(torch.arange, device=h.device)
        first = place(n).view(-1, 1, 1, 1) * (math.prod(size) * channels) + place(channels)
        return out, (first.add(index.movedim(1, -1), alpha=channels), h.shape)  # among ``_pixels``

    def push(self, kept: Kept, h_dot: Tensor) -> Tensor:
        found = _pixels(h_dot).index_select(0, kept[0].flatten())  # of one dimension: of three it takes twice as long
        return found.view(kept[0].shape).movedim(-1, 1)

    def pull(self, kept: Kept, delta: Tensor) -> Tensor:
        return self._spread(kept, delta, delta.new_zeros(kept[1].numel()))

    def backward_dot(self, theta: Tensor, v: Tensor, kept: Kept, delta: Maybe, h_dot: Maybe, delta_dot: Tensor) -> Back:
        return self._spread(kept, delta_dot, _pixels(h_dot).zero_()), []  # ḣ has served; new memory would cost more

    def _spread(self, kept: Kept, delta: Tensor, zeros: Tensor) -> Tensor:
        places, (n, channels, *size) = kept
        return zeros.scatter_add_(0, places.flatten(), _pixels(delta)).view(n, *size, channels).movedim(-1, 1)


@dataclass(frozen=True)
class MeanPool(Fixed):
    """The mean of each window, or of all pixels."""

    settings: tuple[Any, ...]  # kernel, stride, padding, ceil_mode, count_include_pad, divisor_override; () for all

    def forward(self, theta: Tensor, h: Tensor) -> tuple[Tensor, Kept]:
        how = self.settings or (h.shape[2:], [], [0, 0], False, True, None)
        return aten.avg_pool2d(h, *how), (h.shape, how)

    def push(self, kept: Kept, h_dot: Tensor) -> Tensor:
        out: Tensor = aten.avg_pool2d(h_dot, *kept[1])
        return out

    def pull(self, kept: Kept, delta: Tensor) -> Tensor:
        shape, how = kept
        like = torch.empty(
            shape, dtype=delta.dtype, device=delta.device, memory_format=LAST
        )  # whose values nobody reads
        found: Tensor = aten.avg_pool2d_backward(delta, like, *how)
        return found


class Flatten(Fixed):
    """Pictures (N, P·C, H, W) as rows (P, N, C·H·W)."""

    def forward(self, theta: Tensor, h: Tensor) -> tuple[Tensor, Kept]:
        return h.reshape(len(h), len(theta), -1).transpose(0, 1), (h.shape,)

    def push(self, kept: Kept, h_dot: Tensor) -> Tensor:
        return h_dot.flatten(1).unsqueeze(0)

    def pull(self, kept: Kept, delta: Tensor) -> Tensor:
        return delta.transpose(0, 1).reshape(*kept).contiguous(memory_format=LAST)


class Passes(NamedTuple):
    """What all products at one θ share: the outputs (1, N, C), and of each layer what it kept and its δ."""

    outputs: Tensor
    layers: list[tuple[Kept, Maybe]]

    @property
    def bytes(self) -> int:
        """Return how much memory it holds, inputs included."""
        held = (each for kept, delta in self.layers for each in (*kept, delta) if isinstance(each, Tensor))
        return sum({each.data_ptr(): each.nbytes for each in held}.values())


@dataclass(frozen=True)
class ConvChain:
    """Convolutions, norms, pooling and elementwise activations, then linear layers: one after the other."""

    layers: list[Layer]

    @classmethod
    def of(cls, model: nn.Module) -> ConvChain | None:
        """Return the chain that computes what ``model`` does, or None where it is no such chain."""
        every = [module for _, module in model.named_modules(remove_duplicate=False)]
        modules = [module for module in every if type(module) not in (nn.Sequential, nn.Identity)]
        if any(map(does_more, every)) or type(next(iter(modules), None)) is not nn.Conv2d:
            return None
        layers: list[Layer] = []
        stop, flat = 0, False
        for module in modules:
            layer = _layer(module, stop, flat)
            if layer is None:
                return None
            layers.append(layer)
            stop, flat = getattr(layer, "stop", stop), flat or isinstance(layer, Flatten)
        trained = sum(p.numel() for p in model.parameters() if p.requires_grad)  # each once, however often it is used
        return cls(layers) if flat and trained == stop else None

    def gradient(
        self, theta: Tensor, x: Tensor, slopes: Callable[[Tensor], Tensor], own: bool
    ) -> tuple[Tensor, Tensor]:
        """Return outputs (P, N, C) and gradients (P, D) on inputs (N, ...), or each one's ``own`` (P, N, ...).

        ``slopes`` maps outputs to the derivative of the loss by them.
        """
        if own:  # (N, H, W, P·C) in memory
            x = x.permute(1, 3, 4, 0, 2).flatten(3).permute(0, 3, 1, 2)
        outputs, kept = self._forward(theta, x)
        found, _ = self._backward(theta, kept, slopes(outputs), True)
        return outputs, torch.cat([each.flatten(1) for each in found], 1)

    def passes(self, theta: Tensor, x: Tensor, slopes: Callable[[Tensor], Tensor]) -> Passes:
        """Return what all products at one θ (1, D) share."""
        outputs, kept = self._forward(theta, x)
        deltas = self._backward(theta, kept, slopes(outputs), False)[1]
        return Passes(outputs, list(zip(kept, deltas, strict=True)))

    def product(self, theta: Tensor, v: Tensor, passes: Passes, slopes: Callable[[Tensor, Tensor], Slopes]) -> Tensor:
        """Return Hv (D,) at θ (1, D) by Pearlmutter's R-operator (1994, Neural Computation 6, 147).

        As ``Stack`` does it; ``slopes`` maps z and ż of the outputs to δ and δ̇.
        """
        outputs, shared = passes
        v = v[None]
        h_dot: Maybe = None
        dots: list[Maybe] = []
        found: list[Tensor] = []
        for layer, (kept, _) in zip(self.layers, shared, strict=True):
            dots.append(h_dot)
            h_dot = layer.forward_dot(theta, v, kept, h_dot)
        delta_dot = slopes(outputs, h_dot)[1]
        for layer, (kept, delta), h_dot in zip(self.layers[::-1], shared[::-1], dots[::-1], strict=True):
            delta_dot, some = layer.backward_dot(theta, v, kept, delta, h_dot, delta_dot)
            found += some[::-1]
        return torch.cat([each.flatten() for each in found[::-1]])

    def _forward(self, theta: Tensor, h: Tensor) -> tuple[Tensor, list[Kept]]:
        every = []
        if h.shape[1] == 1:  # of one channel torch cannot tell the layout by itself, and takes the slower one
            h = h.reshape(len(h), *h.shape[2:], 1).movedim(-1, 1)
        for layer in self.layers:
            h, kept = layer.forward(theta, h)
            every.append(kept)
        return h, every

    def _backward(
        self, theta: Tensor, every: list[Kept], delta: Tensor, weights: bool
    ) -> tuple[list[Tensor], list[Maybe]]:
        """Return gradients, where ``weights`` is set, and the δs that products need: not that of the first layer."""
        deltas: list[Maybe] = []
        found: list[Tensor] = []
        for number in reversed(range(len(self.layers))):
            layer = self.layers[number]
            deltas.append(delta if number and layer.needs_delta else None)
            if weights or any(below.needs_delta for below in self.layers[1:number]):
                delta, some = layer.backward(theta, every[number], delta, number > 0, weights)
                found += some[::-1]
        return found[::-1], deltas[::-1]


def _pixels(h: Tensor) -> Tensor:
    """Return the numbers of pictures in one row, channels last; where they lie so, the same memory."""
    return h.movedim(1, -1).reshape(-1)


def _in_order(h: Tensor) -> Tensor:
    """Return pictures in the order of numbers that group norm takes."""
    return h.contiguous(memory_format=LAST if h.device.type == "cpu" else torch.contiguous_format)


def _layer(module: nn.Module, start: int, flat: bool) -> Layer | None:
    """Return the layer of a module, on rows or on pictures, or None where there is none."""
    how: Any
    if type(module) in ACTIVATIONS and getattr(module, "approximate", "none") == "none":  # GELU has another form too
        return Elementwise(type(module))
    if flat:
        return Dense(start, module.weight.shape, module.bias is not None) if type(module) is nn.Linear else None
    if type(module) is nn.Flatten and (module.start_dim, module.end_dim) == (1, -1):
        return Flatten()
    if type(module) is nn.Conv2d and (module.groups, module.padding_mode) == (1, "zeros"):
        how = module.stride, module.padding, module.dilation, False, (0, 0)
        tiles = (module.stride, module.padding, module.dilation) == (module.kernel_size, (0, 0), (1, 1))
        plain = not isinstance(module.padding, str)
        kind = Tiled if tiles else Convolution
        return kind(start, module.weight.shape, module.bias is not None, how) if plain else None
    if type(module) is nn.GroupNorm and not module.affine:
        return GroupNorm(module.num_groups, module.eps)
    if type(module) is nn.MaxPool2d and not module.return_indices:
        how = map(_pair, (module.kernel_size, module.stride, module.padding, module.dilation))
        return MaxPool((*how, module.ceil_mode))
    if type(module) is nn.AvgPool2d:
        how = map(_pair, (module.kernel_size, module.stride, module.padding))
        return MeanPool((*how, module.ceil_mode, module.count_include_pad, module.divisor_override))
    if type(module) is nn.AdaptiveAvgPool2d and _pair(module.output_size) == (1, 1):
        return MeanPool(())
    return None


def _pair(size: Any) -> tuple[Any, ...]:
    return (size, size) if isinstance(size, int) else tuple(size)
