"""Stacked networks that take small steps: the numbers of a layer lie together, and no step asks for memory."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from entropic_edu.physics.crowd import Crowd

from .batches import Batch
from .engine import Computed, StackEngine
from .losses import FEW_CLASSES, CrossEntropy
from .stacked import Layer, Norm

_LARGEST = 64  # batch, up to which this is the faster way: beyond, the products take the time (benchmarks/)


@dataclass(frozen=True)
class _Views:
    """One layer's weights (P, out, in) and biases (P, out) in a crowd's numbers, as the passes take them."""

    weight: Tensor
    bias: Tensor | None

    @property
    def rows(self) -> list[Tensor]:
        """Both, (P, numbers)."""
        return [part.flatten(1) for part in (self.weight, self.bias) if part is not None]


class _Room:
    """Memory of the passes of P networks on batches of B: each layer's outputs, and what comes back to its inputs."""

    def __init__(self, like: Tensor, networks: int, samples: int, layers: list[Layer]) -> None:
        classes = layers[-1].outputs
        self.outputs = [like.new_empty(networks, samples, layer.outputs) for layer in layers]
        self.turned = [z.mT for z in self.outputs]
        self.back = [like.new_empty(networks, samples, layer.inputs) for layer in layers]
        self.shares = torch.empty_like(self.outputs[-1])
        front = -1 if classes > FEW_CLASSES else 0
        self.softmax = partial(
            torch.softmax, self.outputs[-1].movedim(-1, front), front, out=self.shares.movedim(-1, front)
        )
        self.flat, self.minus = self.shares.view(-1), like.new_full((networks * samples,), -1.0)
        self.first = torch.arange(0, len(self.flat), classes, device=like.device)  # of each sample's shares

    def slopes(self, y: Tensor) -> Tensor:
        """Return ``CrossEntropy.mean_slopes`` of the last outputs, to the bit."""
        self.softmax()
        self.flat.index_add_(0, self.first + y.reshape(-1), self.minus)
        return self.shares.div_(self.shares.shape[1])


class StackCrowd(Crowd):
    """P networks of a ``Stack`` with numbers (P·D,), layer after layer.

    Gradients have the bits of the stack's own, but where a product rounds otherwise since its memory is not aligned.
    Batches of more than 64 samples, all data, and a batch that several share go the landscape's way.
    """

    land: Computed

    def __init__(self, theta: Tensor, land: Computed) -> None:
        assert isinstance(land.engine, StackEngine)
        self.criterion, self.layers = land.engine.criterion, land.engine.stack.layers
        self.size = len(theta) if theta.ndim == 2 else 1
        self.room: dict[int, _Room] = {}  # by the size of batches
        last = self.layers[-1]
        plain = last.kind in (nn.Identity, nn.ReLU) and last.eps is None  # so that the room holds the outputs
        self.sharp = plain and isinstance(self.criterion, CrossEntropy)
        self.keeps = plain and last.kind is nn.Identity  # the outputs, also after the pass back
        super().__init__(theta, land)
        self.at = self._views(self.numbers)
        self.slopes = torch.empty_like(self.numbers)
        self.slopes_at = self._views(self.slopes)
        self.affine = [(each.weight.mT, None if each.bias is None else each.bias.unsqueeze(1)) for each in self.at]

    def ordered(self, theta: Tensor) -> Tensor:
        numbers, rows, start = theta.new_empty(theta.numel()), theta.reshape(self.size, -1), 0
        for each in self._views(numbers):
            for part in each.rows:
                part.copy_(rows[:, start : start + part.shape[1]])
                start += part.shape[1]
        return numbers

    def vectors(self, numbers: Tensor) -> Tensor:
        return torch.cat([part for each in self._views(numbers) for part in each.rows], 1).view(self.shape)

    @torch.no_grad()
    def loss_and_gradient(self, batch: Batch | None) -> tuple[Tensor, Tensor]:
        if batch is None or not (self.keeps and self._takes(batch)):
            return super().loss_and_gradient(batch)
        gradient = self.gradient(batch)
        z = self.room[batch.size].outputs[-1]
        return self.criterion.means(z, batch.averaged(self.criterion, z.dtype)).view(self.shape[:-1]), gradient

    @torch.no_grad()
    def gradient(self, batch: Batch | None) -> Tensor:
        if batch is None or not self._takes(batch):
            return super().gradient(batch)
        x, y = (batch.x, batch.y) if batch.own else (batch.x[None], batch.y[None])
        room = self.room.get(batch.size) or self._room_for(batch.size)
        inputs, norms = [x.flatten(2)], []
        for (weight, bias), layer, z in zip(self.affine, self.layers, room.outputs, strict=True):
            if bias is None:
                torch.bmm(inputs[-1], weight, out=z)
            else:
                torch.baddbmm(bias, inputs[-1], weight, out=z)
            norms.append(None if layer.eps is None else Norm.of(z, layer.eps))
            z = z if norms[-1] is None else norms[-1].rows
            inputs.append(z.relu_() if layer.kind is nn.ReLU else layer.activation.forward(z))
        sharp = self.sharp and not y.is_floating_point()
        delta = room.slopes(y) if sharp else self.criterion.mean_slopes(inputs[-1], y)
        for number in reversed(range(len(self.layers))):
            layer, here, h, norm = self.layers[number], self.slopes_at[number], inputs[number + 1], norms[number]
            if layer.kind is nn.ReLU:
                delta = h.sign_().mul_(delta)
            else:
                delta = layer.activation.backward(delta, room.outputs[number] if norm is None else norm.rows, h)
            delta = delta if norm is None else norm.times(delta)
            if here.bias is not None:
                torch.sum(delta, 1, out=here.bias)
            torch.bmm(room.turned[number] if delta is h else delta.mT, inputs[number], out=here.weight)
            if number:
                delta = torch.bmm(delta, self.at[number].weight, out=room.back[number])
        return self.slopes.add_(self.numbers, alpha=self.land.weight_decay)

    def _takes(self, batch: Batch) -> bool:
        return batch.size <= _LARGEST and (batch.own or self.size == 1)

    def _room_for(self, samples: int) -> _Room:
        room = _Room(self.numbers, self.size, samples, self.layers)
        self.room = {samples: room}  # another size of batches is rare
        return room

    def _views(self, numbers: Tensor) -> list[_Views]:
        views, start = [], 0

        def take(*shape: int) -> Tensor:
            nonlocal start
            size = self.size * torch.Size(shape).numel()
            start += size
            return numbers[start - size : start].view(self.size, *shape)

        for layer in self.layers:
            weight = take(layer.outputs, layer.inputs)
            views.append(_Views(weight, take(layer.outputs) if layer.has_bias else None))
        return views
