"""The same network with its units renamed: permutations that bring one minimum close to another.

Units of a hidden layer may change places, if the next layer's inputs do, and the function stays. Much of the barrier
on the line between two trained networks is there because their units carry different numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from .network import Network

_ELEMENTWISE = {
    nn.CELU, nn.ELU, nn.GELU, nn.Hardswish, nn.Hardtanh, nn.Identity, nn.LeakyReLU, nn.Mish, nn.ReLU, nn.ReLU6, nn.SELU,
    nn.SiLU, nn.Sigmoid, nn.Softplus, nn.Tanh,
}  # fmt: skip
_POOLING = {nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d, nn.AvgPool2d, nn.MaxPool2d}
# Of each layer: weights (outputs, inputs, block), the block a kernel or the pixels of a channel, and biases
# (outputs, 1), or (outputs, 0) where there are none.
_Layers = list[tuple[Tensor, Tensor]]


@dataclass(frozen=True, eq=False)
class Alignment:
    """A network whose units were renamed to match another's.

    Attributes:
        theta: Parameters of b after the permutation, shape (D,), the same function as b.
        permutations: For each hidden layer the units of b in their new order, shape (units,).
        distance_before: ‖a - b‖.
        distance_after: ‖a - theta‖.
        sweeps: Passes over the hidden layers.
    """

    theta: Tensor
    permutations: tuple[Tensor, ...]
    distance_before: float
    distance_after: float
    sweeps: int

    def summary(self) -> str:
        """Return one sentence with the distances."""
        moved = sum(int((p != torch.arange(len(p))).sum()) for p in self.permutations)
        return (
            f"Renaming {moved} of {sum(map(len, self.permutations))} hidden units brought the networks from distance "
            f"{self.distance_before:.4g} to {self.distance_after:.4g}."
        )


def align(land: Network, a: Any, b: Any, *, generator: torch.Generator) -> Alignment:
    """Permute the hidden units of b so that it comes close to a and computes what it did ("weight matching").

    Maximises Σₗ ⟨Wₗᴬ, Pₗ Wₗᴮ Pₗ₋₁ᵀ⟩ over the permutations Pₗ, which is to minimise ‖a - π(b)‖. With all other layers
    fixed the best Pₗ is a linear assignment, solved exactly; layers take turns in random order until a whole sweep
    changes nothing. No step increases the distance. The end is a local optimum: another generator may find another.

    Args:
        land: Landscape of an nn.Sequential chain of Linear and Conv2d layers.
        a: Parameters to come close to, (D,), or a module, state_dict or Run with them.
        b: Parameters to permute, likewise.
        generator: Draws the order of the layers.

    Raises:
        ValueError: If the model is not such a chain, or a and b are not finite and of shape (D,).

    Example:
        >>> generator = torch.Generator().manual_seed(0)
        >>> x, y = torch.randn(20, 4, generator=generator), torch.arange(20) % 3
        >>> land = Network(nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3)), x, y)
        >>> a = land.initial(generator)
        >>> b = permute(land, a, [torch.randperm(6, generator=generator)])  # the same function, units renamed
        >>> torch.equal(align(land, a, b, generator=generator).theta, a)
        True

    References:
        Ainsworth, Hayase & Srinivasa (2022), Git Re-Basin, arXiv:2209.04836, section 3.2 and algorithm 1; the
        sweeps follow ``weight_matching`` in the authors' code.
    """
    layers = _chain(land)
    a, b = land.vector(a), land.vector(b)
    for name, theta in (("a", a), ("b", b)):
        if theta.shape != (land.dim,) or not bool(theta.isfinite().all()):
            raise ValueError(
                f"align needs finite {name} of shape ({land.dim},), got shape {tuple(theta.shape)} with "
                f"{int((~theta.isfinite()).sum())} entries NaN or infinite; pass one trained theta."
            )
    first, second = (theta.detach().cpu().double() for theta in (a, b))  # assignments compare sums: float64
    orders = [torch.arange(layers[0][0].shape[1]), *(torch.arange(len(weight)) for weight, _ in layers)]
    sweeps = _ascend(layers, first, second, orders, generator)
    order = _order(land.dim, layers, orders)
    distances = float((first - second).norm()), float((first - second[order]).norm())
    return Alignment(b.detach()[order.to(b.device)], tuple(orders[1:-1]), *distances, sweeps)


def permute(land: Network, theta: Tensor, permutations: Sequence[Tensor]) -> Tensor:
    """Return the same function with its hidden units in another order, the shape of ``theta``, (D,) or (P, D).

    Args:
        land: As in ``align``.
        theta: Parameters.
        permutations: For each hidden layer its units in their new order, shape (units,).

    Raises:
        ValueError: If the model is not such a chain, or the permutations do not fit it.
    """
    layers = _chain(land)
    land.check_shape(theta)
    units = [len(weight) for weight, _ in layers[:-1]]
    given = [p.cpu() for p in permutations]
    if [sorted(p.tolist()) for p in given] != [list(range(n)) for n in units]:
        raise ValueError(
            f"This model has hidden layers of {units} units and needs one permutation of 0 .. units-1 for each, "
            f"got lengths {[len(p) for p in given]}; use torch.randperm(units, generator=generator)."
        )
    orders = [torch.arange(layers[0][0].shape[1]), *given, torch.arange(len(layers[-1][0]))]
    return theta[..., _order(land.dim, layers, orders).to(theta.device)]


def _chain(land: Network) -> _Layers:
    """Return where the parameters of each layer lie in θ, in order, or say which layer is not understood."""
    found: list[tuple[str, nn.Linear | nn.Conv2d, int]] = []
    units = None  # how many there are before a layer, once one has come
    maps = blocks = False  # what the units are now: channels (N, C, H, W), or channels flattened into (N, C·H·W)
    for name, module in land.model.named_modules(remove_duplicate=False):
        if type(module) in {nn.Sequential, *_ELEMENTWISE} or (type(module) in _POOLING and (maps or units is None)):
            continue
        if type(module) is nn.Flatten and (module.start_dim, module.end_dim) == (1, -1):
            maps, blocks = False, maps or blocks
        elif (type(module) is nn.Conv2d and module.groups == 1 and (maps or units is None)) or (
            type(module) is nn.Linear
            and not maps
            and (units in (None, module.in_features) or (blocks and module.in_features % (units or 1) == 0))
        ):
            found.append((f"{name}." if name else "", module, units or module.weight.shape[1]))
            units, maps, blocks = len(module.weight), type(module) is nn.Conv2d, False
        else:
            kind = type(module).__name__
            advice = " A norm ties channels to each other: build the model with norm=None." if "Norm" in kind else ""
            raise ValueError(
                "align takes an nn.Sequential of Linear and Conv2d (groups=1) layers with elementwise activations "
                "between them, pooling while the units are maps, and nn.Flatten() from maps to linear layers; got "
                f"{kind} {f'at layer {name!r}' if name else 'as the model'}, whose units cannot be renamed here."
                f"{advice}"
            )
    used = {prefix + own for prefix, module, _ in found for own, _ in module.named_parameters()}
    if used != set(land.layout.names):
        raise ValueError(
            f"align needs every weight and bias to be trainable and used once; {sorted(used ^ set(land.layout.names))} "
            "are frozen, shared or not of a Linear or Conv2d layer."
        )
    index = land.unflatten(torch.arange(land.dim))
    return [
        (
            index[f"{prefix}weight"].reshape(len(module.weight), inputs, -1),
            index.get(f"{prefix}bias", torch.arange(0)).reshape(len(module.weight), -1),
        )
        for prefix, module, inputs in found
    ]


def _order(dim: int, layers: _Layers, orders: Sequence[Tensor]) -> Tensor:
    """Return the index vector (D,) that carries out the permutations: θ[order] is the permuted θ."""
    order = torch.arange(dim)
    for (weight, bias), before, after in zip(layers, orders, orders[1:], strict=False):
        order[weight], order[bias] = weight[after][:, before], bias[after]
    return order


def _ascend(layers: _Layers, first: Tensor, second: Tensor, orders: list[Tensor], generator: torch.Generator) -> int:
    """Improve ``orders`` in place, one hidden layer at a time; return the number of sweeps."""
    from scipy.optimize import linear_sum_assignment  # scipy takes a quarter of the time that torch takes to import

    a, b = ([(theta[weight], theta[bias]) for weight, bias in layers] for theta in (first, second))
    sweeps, improved = 0, True
    while improved:
        sweeps, improved = sweeps + 1, False
        for hidden in torch.randperm(len(a) - 1, generator=generator, device=generator.device).tolist():
            before, now, after = orders[hidden : hidden + 3]
            (incoming, bias), (outgoing, _) = b[hidden : hidden + 2]
            score = (  # how well unit j of b fits in the place of unit i of a, other layers as they stand
                torch.einsum("iub,jub->ij", a[hidden][0], incoming[:, before])
                + a[hidden][1] @ bias.mT
                + torch.einsum("oib,ojb->ij", a[hidden + 1][0], outgoing[after])
            )
            best = torch.from_numpy(linear_sum_assignment(score.numpy(), maximize=True)[1])
            rows = torch.arange(len(best))
            gain = (score[rows, best] - score[rows, now]).sum()
            if gain > 1e-12 * len(rows) * score.abs().max():  # less is round-off, and ties could change places for ever
                orders[hidden + 1], improved = best, True
    return sweeps
