"""Each sample's own backward pass through any module: layers by hooks, whatever else by whole gradients.

A layer's weight gradient is Σ δaᵀ over the positions that share the weight, with inputs a and back-propagated δ: one
backward pass gives the δs of all samples, and no sample's gradient is formed.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .parameters import Layout

_HELD = 2**22  # numbers in the largest block of weight gradients: bounds memory

Pulled = dict[str, tuple[nn.Module, Tensor, Tensor]]  # by layer: (module, input (n, ...), output gradients (K, n, ...))


class ModuleAt:
    """A module at one θ (D,), ready for per-sample backward passes; it is copied, so that hooks disturb nobody."""

    def __init__(self, model: nn.Module, layout: Layout, theta: Tensor) -> None:
        self.layout, self.weights = layout, layout.split(theta.detach())
        self.plain, self.model = model, copy.deepcopy(model)
        self.model.load_state_dict(self.weights, strict=False)

    def squares(
        self, x: Tensor, y: Tensor, rows: Callable[..., Tensor], layers: Iterable[str], scale: Tensor | None = None
    ) -> Tensor:
        """Return what ``Engine.squares`` asks for, (); hooks give the gradients of ``layers``, in any order."""
        layers = frozenset(layers)
        rest = [name for name in self.layout.names if name.rpartition(".")[0] not in layers]
        weights = None if scale is None else {n: w.square() for n, w in self.layout.split(scale).items()}
        total = self.weights[self.layout.names[0]].new_zeros(())
        with torch.no_grad():
            outputs = self.model(x[:1]).shape[-1]
        size = max(1, min(128, _HELD // (max(self.layout.sizes) * (outputs + 1))))
        for some, targets in zip(x.split(size), y.split(size), strict=True):
            z, pulled = self.backward(some, partial(rows, y=targets), layers)
            total += sum((layer_squares(name, *parts, weights).sum() for name, parts in pulled.items()), total * 0)
            if rest:
                for name, g in self.gradients(rest, some, rows(z, targets)).items():
                    total += (g.square() if weights is None else g.square() * weights[name]).sum()
        return total / len(x)

    def backward(self, x: Tensor, rows: Callable[[Tensor], Tensor], layers: frozenset[str]) -> tuple[Tensor, Pulled]:
        """Return outputs (n, C), and what passes each of the layers that is called once, in the model's order."""
        modules = {name: module for name, module in self.model.named_modules() if name in layers}
        calls: dict[str, list[tuple[nn.Module, Tensor, Tensor]]] = {name: [] for name in modules}

        def note(name: str, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
            calls[name].append((module, inputs[0].detach(), output))
            return output.clone()  # an activation in place must not turn this output into its own

        hooks = [module.register_forward_hook(partial(note, name)) for name, module in modules.items()]
        if any(isinstance(module, nn.GroupNorm) for module in self.model.modules()):
            x = x.contiguous()  # its backward pass has no rule for a batch of gradients in channels_last
        with torch.enable_grad():
            z = self.model(x)
            once = {name: noted[0] for name, noted in calls.items() if len(noted) == 1}
            leaves = [out for _, _, out in once.values()]
            deltas: tuple[Tensor, ...] = ()
            if once:
                deltas = torch.autograd.grad(z, leaves, rows(z.detach()), is_grads_batched=True, materialize_grads=True)
        for hook in hooks:
            hook.remove()
        parts = zip(once.items(), deltas, strict=True)
        return z.detach(), {name: (module, a, delta) for (name, (module, a, _)), delta in parts}

    def gradients(self, names: list[str], x: Tensor, rows: Tensor) -> dict[str, Tensor]:
        """Return Jᵀr for each sample and each of its rows (K, n, C), by parameter name: (n, K, *shape)."""
        moved = {name: self.weights[name] for name in names}

        def outputs(moved: dict[str, Tensor], x: Tensor) -> Tensor:
            return torch.func.functional_call(self.plain, {**self.weights, **moved}, (x[None],))[0]

        def one(x: Tensor, rows: Tensor) -> dict[str, Tensor]:
            pull = torch.func.vjp(partial(outputs, x=x), moved)[1]
            return torch.vmap(pull)(rows)[0]

        return torch.vmap(one, in_dims=(0, 1))(x, rows.detach())

    def sound_layers(self, x: Tensor, rows: Tensor) -> frozenset[str]:
        """Return the layers whose hooks agree with whole gradients on inputs (n, ...) and any ``rows`` (1, n, C).

        A weight that is shared, tied or used outside its module's call fails this, and goes the general way.
        """
        tried = frozenset(name for name, module in self.model.named_modules() if _is_plain(module))
        agree = set()
        for name, parts in self.backward(x, lambda z: rows, tried)[1].items():
            own = [n for n in self.layout.names if n.rpartition(".")[0] == name]
            if own:
                whole = sum(g.square().flatten(1).sum(1) for g in self.gradients(own, x, rows).values())
                hooked = layer_squares(name, *parts, None)
                if hooked.shape == rows.shape[1:2] and torch.allclose(hooked, torch.as_tensor(whole), rtol=1e-8):
                    agree.add(name)
        return frozenset(agree)


def layer_squares(name: str, module: nn.Module, a: Tensor, delta: Tensor, weights: dict[str, Tensor] | None) -> Tensor:
    """Return Σ_k |s∘Jᵀr_k|² of a Linear's or Conv2d's own parameters for each sample, (n,).

    With its inputs ``a`` (n, ...), the gradients ``delta`` of its outputs (K, n, ...), and s² by parameter name.
    """
    if isinstance(module, nn.Conv2d):
        assert not isinstance(module.padding, str)
        a = F.unfold(a, module.kernel_size, module.dilation, module.padding, module.stride).mT  # (n, L, in·k·k)
        delta = delta.flatten(3).mT  # (K, n, L, out)
    else:
        a, delta = a.reshape(len(a), -1, a.shape[-1]), delta.reshape(*delta.shape[:2], -1, delta.shape[-1])
    prefix, total = f"{name}." if name else "", a.new_zeros(len(a))
    if module.weight.requires_grad:
        own = None if weights is None else weights[f"{prefix}weight"].flatten(1)  # (out, in)
        total = total + (_rank_one_squares(a, delta, own) if a.shape[1] == 1 else _summed_squares(a, delta, own))
    if module.bias is not None and module.bias.requires_grad:
        squares = delta.sum(2).square().sum(0)  # (n, out)
        total = total + (squares if weights is None else squares * weights[f"{prefix}bias"]).sum(-1)
    return total


def _rank_one_squares(a: Tensor, delta: Tensor, weights: Tensor | None) -> Tensor:
    squares, a = delta.square().sum(0)[:, 0], a.square()[:, 0]  # (n, out), (n, in)
    return squares.sum(-1) * a.sum(-1) if weights is None else ((squares @ weights) * a).sum(-1)


def _summed_squares(a: Tensor, delta: Tensor, weights: Tensor | None) -> Tensor:
    """Positions L share the weight, so their outer products add up before they are squared."""
    gradients = torch.bmm(delta.permute(1, 0, 3, 2).flatten(1, 2), a)  # (n, K·out, in)
    if weights is None:
        return gradients.square().sum((1, 2))
    squares = gradients.view(len(a), len(delta), -1, a.shape[-1]).square().sum(1)
    return torch.mul(squares, weights).sum((1, 2))


def _is_plain(module: nn.Module) -> bool:
    if type(module) is nn.Conv2d:
        return module.groups == 1 and module.padding_mode == "zeros" and not isinstance(module.padding, str)
    return type(module) is nn.Linear
