"""Stacked networks that take small steps: the numbers of a layer lie together, and no step asks for memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from entropic_edu.physics.crowd import Crowd

from .batches import Batch
from .engine import Computed, StackEngine
from .losses import FEW_CLASSES, CrossEntropy
from .stacked import Layer, Norm

Call = Callable[[], Tensor]
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
        self.back = [like.new_empty(networks, samples, layer.inputs) for layer in layers]
        self.shares = torch.empty_like(self.outputs[-1])
        front = -1 if classes > FEW_CLASSES else 0
        self.softmax = partial(
            torch.softmax, self.outputs[-1].movedim(-1, front), front, out=self.shares.movedim(-1, front)
        )
        self.first = torch.arange(0, self.shares.numel(), classes, device=like.device).view(networks, samples)
        self.right = torch.empty_like(self.first)  # where the share of each sample's own class lies, from its first one
        self.minus, self.count = like.new_full((networks * samples,), -1.0), like.new_tensor(float(samples))
        self.there, self.back_home = list[Call](), list[Call]()  # see ``StackCrowd._plan``; empty where there is none
        self.turned = self.shares.mT  # what comes back to the first layer, (P, out, B)

    def slopes(self, y: Tensor) -> Tensor:
        """Return ``CrossEntropy.mean_slopes`` of the last outputs, to the bit."""
        self.softmax()
        torch.add(self.first, y, out=self.right)
        self.shares.view(-1).index_add_(0, self.right.view(-1), self.minus)
        return self.shares.div_(self.count)


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
        plain = all(layer.kind in (nn.Identity, nn.ReLU) and layer.eps is None for layer in self.layers)
        self.planned = plain and isinstance(self.criterion, CrossEntropy)
        self.keeps = self.layers[-1].kind is nn.Identity and self.layers[-1].eps is None  # outputs after the pass back
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

    def gradient(self, batch: Batch | None) -> Tensor:
        slope, decay = self.slope(batch)
        return slope.add_(self.numbers, alpha=decay) if decay else slope

    def slope(self, batch: Batch | None) -> tuple[Tensor, float]:
        if batch is None or not self._takes(batch):
            return super().gradient(batch), 0.0
        x, y = (batch.x, batch.y) if batch.own else (batch.x[None], batch.y[None])
        room, x = self.room.get(batch.size) or self._room_for(batch.size), x if x.ndim == 3 else x.flatten(2)
        if room.back_home and not y.is_floating_point():
            self._product(0, x, room)()
            for call in room.there:
                call()
            room.slopes(y)
            for call in room.back_home:
                call()
            torch.bmm(room.turned, x, out=self.slopes_at[0].weight)
        else:
            self._by_layers(x, y, room)
        return self.slopes, self.land.weight_decay

    def _by_layers(self, x: Tensor, y: Tensor, room: _Room) -> None:
        """Leave in ``slopes`` the gradient of the mean loss alone, layer by layer: with any activation and norm."""
        inputs, norms = [x], list[Norm | None]()
        for number, (layer, z) in enumerate(zip(self.layers, room.outputs, strict=True)):
            self._product(number, inputs[-1], room)()
            norms.append(None if layer.eps is None else Norm.of(z, layer.eps))
            inputs.append(layer.activation.forward(z if norms[-1] is None else norms[-1].rows))
        delta = self.criterion.mean_slopes(inputs[-1], y)
        for number in reversed(range(len(self.layers))):
            layer, here, h, norm = self.layers[number], self.slopes_at[number], inputs[number + 1], norms[number]
            delta = layer.activation.backward(delta, room.outputs[number] if norm is None else norm.rows, h)
            delta = delta if norm is None else norm.times(delta)
            if here.bias is not None:
                torch.sum(delta, 1, out=here.bias)
            torch.bmm(delta.mT, inputs[number], out=here.weight)
            if number:
                delta = torch.bmm(delta, self.at[number].weight, out=room.back[number])

    def _product(self, number: int, h: Tensor, room: _Room) -> Call:
        """Return the call of a layer's product with its inputs (P, B, in)."""
        weight, bias = self.affine[number]
        if bias is None:
            return partial(torch.bmm, h, weight, out=room.outputs[number])
        return partial(torch.baddbmm, bias, h, weight, out=room.outputs[number])

    def _plan(self, room: _Room) -> None:
        """Fill in the calls of both passes, of layers whose outputs lie in the room, but for what the batch enters."""
        delta = room.shares
        for number in reversed(range(len(self.layers))):
            z, here = room.outputs[number], self.slopes_at[number]
            if self.layers[number].kind is nn.ReLU:
                room.back_home += [z.sign_, partial(z.mul_, delta)]
                room.there.insert(0, z.relu_)
                delta = z
            if here.bias is not None:
                room.back_home.append(partial(torch.sum, delta, 1, out=here.bias))
            if number:
                h, weight = room.outputs[number - 1], self.at[number].weight
                room.back_home.append(partial(torch.bmm, delta.mT, h, out=here.weight))
                room.back_home.append(partial(torch.bmm, delta, weight, out=room.back[number]))
                room.there.insert(0, self._product(number, h, room))
                delta = room.back[number]
        room.turned = delta.mT

    def _takes(self, batch: Batch) -> bool:
        return batch.size <= _LARGEST and (batch.own or self.size == 1)

    def _room_for(self, samples: int) -> _Room:
        room = _Room(self.numbers, self.size, samples, self.layers)
        self.room = {samples: room}  # another size of batches is rare
        if self.planned:
            self._plan(room)
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
