"""Ways to the gradients of many networks on one batch, and which of them to take."""

from __future__ import annotations

import timeit
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from .batches import Batch
from .parameters import Layout

_FEW = 3  # networks, below which a CPU computes their gradients as fast one after the other
_SMALL = 3_000_000  # samples times parameters, above which it does
HELD = 1_250_000  # bytes that a network's gradient on pictures keeps, above which it does
By = Callable[[str, Tensor, Batch], tuple[Tensor, ...]]


def by_loop(
    value: Callable[[dict[str, Tensor], Batch], Tensor], layout: Layout, theta: Tensor, batch: Batch
) -> tuple[Tensor, Tensor]:
    """Return losses (P,) and gradients (P, D), one after the other; ``value`` maps weights and a batch to the loss."""
    losses, gradients = theta.new_empty(len(theta)), torch.empty_like(theta)
    for p in range(len(theta)):
        weights = {name: w.detach().requires_grad_() for name, w in layout.split(theta[p].detach()).items()}
        with torch.enable_grad():
            loss = value(weights, batch.of(p))
            slopes = torch.autograd.grad(loss, list(weights.values()), materialize_grads=True)
        losses[p] = loss.detach()
        torch.cat([slope.detach().flatten() for slope in slopes], out=gradients[p])
    return losses, gradients


def by_vmap(value: Callable[[Tensor, Batch], Tensor], theta: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """Return the same side by side; ``value`` maps θ and a batch to the loss."""
    dims = (0, 0, 0) if batch.own else (0, None, None)
    with torch.enable_grad():
        leaf = theta.detach().requires_grad_()
        one = torch.vmap(lambda row, x, y: value(row, Batch(x, y, whole=batch.whole)), in_dims=dims)
        losses = one(leaf, batch.x.contiguous(), batch.y)  # vmap has no channels_last rule for group norm
        return losses.detach(), torch.autograd.grad(losses.sum(), leaf)[0]


class Choice:
    """Which way to take: the same for the same shapes, by a rule on a CPU and by a timing of each elsewhere."""

    def __init__(self, dim: int, device: torch.device, groups: float) -> None:
        self.dim, self.device = dim, device  # parameters D of a network, and where it is computed
        self.groups = groups  # bytes that the gradient of one keeps, up to which networks are groups of one convolution
        self.made: dict[tuple[int, ...], str] = {}  # by shapes

    def __call__(self, theta: Tensor, batch: Batch, by: By, held: int) -> str:
        """Return "loop", "vmap" or "groups" for networks (P, D) on a batch.

        ``by`` computes in a way that is named; ``held`` is how many bytes the gradient of one network keeps.
        """
        key = (len(theta), batch.own, batch.whole, *batch.x.shape)
        if key not in self.made:
            self.made[key] = self._way(theta, batch, by, held)
        return self.made[key]

    def _way(self, theta: Tensor, batch: Batch, by: By, held: int) -> str:
        """On a CPU side by side if what is computed is small, elsewhere if a short timing has it 1.3 times faster."""
        on_cpu, pictures = self.device.type == "cpu", batch.x.ndim - int(batch.own) == 4
        if on_cpu and pictures and self.groups:  # on pictures that all share, the first convolution is no group
            return "groups" if len(theta) > 1 and held <= (1 if batch.own else 2) * self.groups else "loop"
        small = held <= HELD if pictures else batch.size * self.dim <= _SMALL
        if on_cpu and (len(theta) < _FEW or not small):
            return "loop"
        try:
            if on_cpu:
                by("vmap", theta, batch)
                return "vmap"
            loop, vmap = (_seconds(partial(by, way, theta, batch), self.device) for way in ("loop", "vmap"))
        except RuntimeError:  # some layers (recurrent ones, say) have no batching rule, or memory ran out
            return "loop"
        return "vmap" if 1.3 * vmap < loop else "loop"


def _seconds(call: Callable[[], object], where: torch.device) -> float:
    """Best of three timings after one warm-up."""

    def timed() -> None:
        call()
        if where.type == "cuda":
            torch.cuda.synchronize(where)

    return min(timeit.repeat(timed, number=1, repeat=4)[1:])
