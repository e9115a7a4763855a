"""The engine of chains of convolutions, and which engine a network gets."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor, nn

from .batches import Batch
from .convolutions import ConvChain, Passes, Tiled
from .engine import Engine, StackEngine, Strategy, Times
from .losses import CrossEntropy, Loss, SquaredError, is_written_out
from .stacked import Stack
from .ways import HELD

_CACHED = 2**24  # bytes that many networks on windows keep at once: more is asked for anew each time
_KEPT = 2**30  # bytes that products with one Hessian may share from call to call


@dataclass(eq=False, repr=False)
class ConvEngine(Engine):
    """Chains of convolutions: many small networks as groups of one on a CPU, and Hessians, without autograd."""

    averages = "groups"
    criterion: CrossEntropy | SquaredError
    chain: ConvChain = field(kw_only=True)

    @property
    def tiles(self) -> bool:
        """Whether many networks are dense layers on windows, which no size makes slower than one by one."""
        return any(isinstance(layer, Tiled) for layer in self.chain.layers)

    @property
    def groups(self) -> float:  # type: ignore[override]
        return math.inf if self.tiles else HELD

    def rows(self, theta: Tensor | None = None) -> int:
        if theta is None or theta.ndim == 1 or not self.tiles:
            return super().rows()
        return max(1, min(super().rows(), _CACHED // (len(theta) * self.bytes_per_sample)))

    def _by(self, way: str, theta: Tensor, batch: Batch) -> tuple[Tensor, ...]:
        if way != "groups":
            return super()._by(way, theta, batch)
        with torch.no_grad():
            slopes = partial(self.criterion.mean_slopes, y=batch.y)
            outputs, gradient = self.chain.gradient(theta, batch.x, slopes, batch.own)
            return self.criterion.means(outputs, batch.averaged(self.criterion, outputs.dtype)), gradient

    def hessian_at(self, theta: Tensor, batch: Batch, decay: float, keep: bool) -> Times:
        if theta.ndim == 1:
            return self._hessian_at(theta, batch, decay, keep)
        each = partial(self._hessian_at, batch=batch, decay=decay, keep=False)  # only what one θ shares is held at once
        return lambda v: torch.stack([each(t)(row) for t, row in zip(theta, v, strict=True)])

    def _hessian_at(self, theta: Tensor, batch: Batch, decay: float, keep: bool) -> Times:
        theta, most = theta.detach()[None], self.most
        kept: dict[int, Passes] = {}

        def passes(number: int, part: Batch) -> Passes:
            if number in kept:
                return kept[number]
            made = self.chain.passes(theta, part.x, partial(self.criterion.mean_slopes, y=part.y))
            if keep and self.most == most and made.bytes * batch.size <= _KEPT * part.size:
                kept[number] = made
            return made

        @torch.no_grad()
        def product(v: Tensor) -> Tensor:
            if self.most != most:  # memory has run out
                kept.clear()
            total = decay * v.reshape(-1, v.shape[-1])
            for number, (share, part) in enumerate(self.parts(batch)):
                here, slopes = passes(number, part), partial(self.criterion.slopes_along, y=part.y)
                for row, one in zip(total, v.reshape(total.shape), strict=True):
                    row.add_(self.chain.product(theta, one, here, slopes), alpha=share)
            return total.view(v.shape)

        return lambda v: self.fitting(lambda: product(v), batch.size)


def engine_for(model: nn.Module, criterion: Loss, few: Batch, seen: Tensor, strategy: Strategy) -> Engine:
    """Return the fastest engine for a module and a loss, or the one that is asked for."""
    if is_written_out(criterion, few.y) and strategy not in ("loop", "vmap") and (stack := Stack.of(model)):
        return StackEngine(model, criterion, few, seen, strategy, stack=stack)
    if strategy == "stacked":
        raise ValueError(
            'strategy="stacked" needs an nn.Sequential of Linear layers and elementwise activations, perhaps after '
            "LayerNorm without scale and shift, with a named loss (and class numbers for cross_entropy), got "
            f"{type(model).__name__} with loss {criterion.name!r} and "
            f'targets of {few.y.dtype}; use "auto".'
        )
    if is_written_out(criterion, few.y) and few.x.ndim == 4 and (chain := ConvChain.of(model)):
        return ConvEngine(model, criterion, few, seen, strategy, chain=chain)
    return Engine(model, criterion, few, seen, strategy)
