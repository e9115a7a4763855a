"""Each sample's own backward pass through any module: layers by hooks, whatever else by whole gradients.

A layer's weight gradient is Σ δaᵀ over the positions that share the weight, with inputs a and back-propagated δ: one
backward pass gives the δs of all samples, and no sample's gradient is formed. Where torch has no rule for samples, or
for vectors on the outputs, side by side, they pass one after the other.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from entropic_edu.physics.landscape import pulled_back

from . import memory
from .parameters import Layout, functional_call

_HELD = 2**22  # numbers in the largest block of weight gradients: bounds memory
_MOST = 2**27  # the same for one sample with very many

# what torch raises where an operation has no rule for vmap, or must not be called within one
NO_RULE = (RuntimeError, ValueError, TypeError, IndexError, AssertionError, AttributeError)

T = TypeVar("T")
Pulled = dict[str, tuple[nn.Module, Tensor, Tensor]]  # by layer: (module, input (n, ...), output gradients (K, n, ...))


def side_by_side(together: Callable[[], T], singly: Callable[[], T], loops: set[str], what: str) -> T:
    """Return together(), or singly() where torch has no rule for the former; ``loops`` notes of what that is true."""
    if what not in loops:
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "There is a performance drop")
                return together()
        except NO_RULE as error:
            if memory.ran_out(error):
                raise
            loops.add(what)
    return singly()


def pull_back(z: Tensor, leaves: Sequence[Tensor], rows: Tensor, twice: bool = False) -> list[Tensor]:
    """Return Jᵀr of outputs by leaves for vectors r (K, *shape of z), one after the other: (K, *shape of leaf) each.

    ``twice`` says that they are to be differentiated again.
    """
    if not z.requires_grad:
        return [leaf.new_zeros(len(rows), *leaf.shape) for leaf in leaves]
    options = {"retain_graph": True, "materialize_grads": True, "create_graph": twice}
    each = [pulled_back(z, leaves, row, **options) for row in rows]
    return [torch.stack(parts) for parts in zip(*each, strict=True)]


def missing_derivative(gradient: Tensor) -> str:
    """Return what of a gradient's graph has no derivative, in words, or ""; torch may pass over it in silence.

    It is in the graph if what was differentiated has a factor that requires a gradient.
    """
    seen: set[object] = set()
    nodes = [gradient.grad_fn]
    while nodes:
        node = nodes.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        nodes += [before for before, _ in node.next_functions]
        if node.name() in ("torch::autograd::Error", "torch::autograd::NotImplemented"):
            return "an operation of the model or of the loss is differentiable only once"
    return ""


class ModuleAt:
    """A module at one θ (D,), ready for per-sample backward passes; it is copied, so that hooks disturb nobody.

    ``loops`` holds, and is told, what has to pass one after the other: "samples", "rows".
    """

    def __init__(self, model: nn.Module, layout: Layout, theta: Tensor, loops: set[str] | None = None) -> None:
        self.layout, self.weights = layout, layout.split(theta.detach())
        self.plain, self.model = model, copy.deepcopy(model)
        self.model.load_state_dict(self.weights, strict=False)
        self.loops: set[str] = set() if loops is None else loops

    def squares(
        self, x: Tensor, y: Tensor, rows: Callable[..., Tensor], layers: Iterable[str], scale: Tensor | None = None
    ) -> Tensor:
        """Return what ``Engine.squares`` asks for, (); hooks give the gradients of ``layers``, in any order."""
        layers = frozenset(layers)
        weights = None if scale is None else {n: w.square() for n, w in self.layout.split(scale).items()}
        total = next(iter(self.weights.values())).new_zeros(())
        with torch.no_grad():
            outputs = self.model(x[:1])[0].numel()
        size = max(1, min(128, _HELD // (max(self.layout.sizes) * (outputs + 1))))
        for some, targets in zip(x.split(size), y.split(size), strict=True):
            z, pulled = self.backward(some, partial(rows, y=targets), layers)
            total += sum((layer_squares(name, *parts, weights).sum() for name, parts in pulled.items()), total * 0)
            if rest := [name for name in self.layout.names if name.rpartition(".")[0] not in pulled]:
                most = max(1, _MOST // (len(some) * max(self.layout.sizes)))
                for r in rows(z, targets).split(most):
                    for name, g in self.gradients(rest, some, r).items():
                        total += (g.square() if weights is None else g.square() * weights[name]).sum()
        return total / len(x)

    def backward(self, x: Tensor, rows: Callable[[Tensor], Tensor], layers: frozenset[str]) -> tuple[Tensor, Pulled]:
        """Return outputs (n, ...), and what passes each of the layers that is called once, in the model's order."""
        modules = {name: module for name, module in self.model.named_modules() if name in layers}
        calls: dict[str, list[tuple[nn.Module, Tensor, Tensor]]] = {name: [] for name in modules}

        def note(name: str, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
            if inputs:  # else given by name
                calls[name].append((module, inputs[0].detach(), output))
            return output.clone()  # an activation in place must not turn this output into its own

        hooks = [module.register_forward_hook(partial(note, name)) for name, module in modules.items()]
        if any(isinstance(module, nn.GroupNorm) for module in self.model.modules()):
            x = x.contiguous()  # its backward pass has no rule for a batch of gradients in channels_last
        with torch.enable_grad():
            z = self.model(x)
            if not z.requires_grad:
                raise ValueError(
                    "The outputs do not depend on the parameters as far as autograd sees; forward must not detach them "
                    "or run under no_grad, and torch.autograd.grad in forward needs create_graph=True."
                )
            once = {name: noted[0] for name, noted in calls.items() if len(noted) == 1 and noted[0][2].requires_grad}
            leaves = [out for _, _, out in once.values()]
            deltas: Sequence[Tensor | None] = ()
            if once:
                r = rows(z.detach())
                options = {"is_grads_batched": True, "allow_unused": True, "retain_graph": True}
                together = partial(torch.autograd.grad, z, leaves, r, **options)
                deltas = side_by_side(together, lambda: pull_back(z, leaves, r), self.loops, "rows")
        for hook in hooks:
            hook.remove()
        parts = zip(once.items(), deltas, strict=True)
        return z.detach(), {name: (module, a, delta) for (name, (module, a, _)), delta in parts if delta is not None}

    def gradients(self, names: list[str], x: Tensor, rows: Tensor) -> dict[str, Tensor]:
        """Return Jᵀr for each sample and each of its rows (K, n, ...), by parameter name: (n, K, *shape)."""

        def singly() -> dict[str, Tensor]:
            each = list(self.one_by_one(names, x, rows))
            return {name: torch.stack([parts[name] for parts in each]) for name in names}

        return side_by_side(lambda: self._vmapped(names, x, rows), singly, self.loops, "samples")

    def _vmapped(self, names: list[str], x: Tensor, rows: Tensor) -> dict[str, Tensor]:
        moved = {name: self.weights[name] for name in names}

        def outputs(moved: dict[str, Tensor], x: Tensor) -> Tensor:
            return functional_call(self.plain, {**self.weights, **moved}, (x[None],))[0]

        def one(x: Tensor, rows: Tensor) -> dict[str, Tensor]:
            pull = torch.func.vjp(partial(outputs, x=x), moved)[1]
            return torch.vmap(pull)(rows)[0]

        return torch.vmap(one, in_dims=(0, 1))(x, rows.detach())

    def one_by_one(self, names: list[str], x: Tensor, rows: Tensor) -> Iterator[dict[str, Tensor]]:
        """Yield the same for each sample, (K, *shape), by plain autograd."""
        for number in range(len(x)):
            moved = {name: self.weights[name].detach().requires_grad_() for name in names}
            with torch.enable_grad():
                weights = {**self.weights, **moved}
                z = functional_call(self.plain, weights, (x[number : number + 1],))
            parts = pull_back(z, list(moved.values()), rows[:, number : number + 1].detach())
            yield dict(zip(names, parts, strict=True))

    def sound_layers(self, x: Tensor, rows: Tensor) -> frozenset[str]:
        """Return the layers whose hooks agree with whole gradients on inputs (n, ...) and any ``rows`` (1, n, ...).

        A weight that is shared, tied or used outside its module's call fails this, and goes the general way, as do all
        layers of an odd kind; whether their samples can pass side by side is noted.
        """
        names = self.layout.names
        each = [{n: g.square().sum() for n, g in one.items()} for one in self.one_by_one(names, x, rows)]
        whole = {n: torch.stack([one[n] for one in each]) for n in names}  # of each sample, (n,)
        plain = [name for name, module in self.model.named_modules() if _is_plain(module)]
        own = {name: [n for n in names if n.rpartition(".")[0] == name] for name in plain}
        agree = set()
        for name, parts in self.backward(x, lambda z: rows, frozenset(name for name in plain if own[name]))[1].items():
            if len(parts[1]) == len(x):
                hooked = layer_squares(name, *parts, None)
                if _agree(hooked, torch.stack([whole[n] for n in own[name]]).sum(0)):
                    agree.add(name)
        rest = [n for n in names if n.rpartition(".")[0] not in agree]
        found = self.gradients(rest, x[:2], rows[:, :2]) if rest else {}
        for n, g in found.items():
            if not _agree(g.flatten(1).square().sum(1), whole[n][:2]):
                self.loops.add("samples")
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


def _agree(one: Tensor, other: Tensor) -> bool:
    near = 1e-8 if one.dtype == torch.float64 else torch.finfo(one.dtype).eps ** 0.5
    return one.shape == other.shape and torch.allclose(one, other, rtol=near)


def _is_plain(module: nn.Module) -> bool:
    if type(module) is nn.Conv2d:
        return module.groups == 1 and module.padding_mode == "zeros" and not isinstance(module.padding, str)
    return type(module) is nn.Linear
