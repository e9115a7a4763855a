"""Claim: a string sweep by stacked matrix products is at least 1.5 times as fast as a plain loop over models.

A sweep is the gradient at P pivots of the digits MLP on one shared batch. Its peers: a loop over P modules with
``backward``, as one writes it without a library, and ``torch.vmap`` of ``torch.func.grad``. The distance from the limit
is the sweep's FLOP/s over those of a large square matrix product in the same rounds.

    python -m benchmarks.sweeps
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import entropic_edu as ee

from .run import HEADER, Ratio, medians, one_thread


def digits_network() -> ee.Network:
    """Return the digits MLP 64-64-64-10, 8,970 parameters."""
    return ee.Network(ee.models.mlp(64, 64, 64, 10), *ee.data.digits().train)


def main(rounds: int = 150, small: bool = False) -> tuple[Ratio, ...]:
    """Print and return the ratios of two sweeps, a coarse and a fine one; ``small`` makes them tiny."""
    sizes = ((2, 8), (3, 8)) if small else ((7, 64), (20, 256))
    print(HEADER)
    with one_thread():
        ratios = tuple(r for pivots, batch in sizes for r in _sweep(pivots, batch, rounds, 64 if small else 1024))
    for ratio in ratios:
        print(ratio)
    print(f"{rounds} interleaved rounds on one thread; without weight decay, which the peers would leave to SGD")
    return ratios


def _sweep(pivots: int, batch_size: int, rounds: int, side: int) -> tuple[Ratio, ...]:
    land, generator = digits_network(), torch.Generator().manual_seed(0)
    theta = torch.stack([land.initial(generator) for _ in range(pivots)])
    models, weights = [land.module(row) for row in theta], land.unflatten(theta)
    square = torch.randn(side, side, generator=generator)

    def draw() -> tuple[Tensor, Tensor]:
        index = torch.randint(len(land.x), (batch_size,), generator=generator)
        return land.x[index], land.y[index]

    _check_equal(land, theta)
    ours, loop, vmap, product = medians(
        [
            lambda: land.gradient(theta, batch_size, generator, shared=True),
            lambda: plain_loop(models, *draw()),
            lambda: vmap_of_grad(land.model, weights, *draw()),
            lambda: square @ square,
        ],
        rounds,
    )
    share = _flops(land.model, pivots * batch_size) / ours / (2 * side**3 / product)
    name = f"sweep of {pivots} pivots, batch {batch_size}"
    return (
        Ratio(f"{name}: plain loop over models / ours", loop / ours, aim=1.5),
        Ratio(f"{name}: vmap of grad / ours", vmap / ours),
        Ratio(f"{name}: FLOP/s over those of a {side} x {side} product", share),
    )


def plain_loop(models: list[nn.Module], x: Tensor, y: Tensor) -> None:
    """Leave the gradients in the modules, where an optimizer wants them."""
    for model in models:
        model.zero_grad(set_to_none=True)
        F.cross_entropy(model(x), y).backward()


def vmap_of_grad(model: nn.Module, weights: dict[str, Tensor], x: Tensor, y: Tensor) -> dict[str, Tensor]:
    """Return the gradients by parameter name, (P, ...)."""

    def loss(one: dict[str, Tensor]) -> Tensor:
        return F.cross_entropy(torch.func.functional_call(model, one, (x,)), y)

    return torch.vmap(torch.func.grad(loss))(weights)


def _flops(model: nn.Module, samples: int) -> int:
    """Two per weight and sample in the forward pass, in the weights' gradient, and in the inputs' except the data's."""
    sizes = [layer.weight.numel() for layer in model.modules() if isinstance(layer, nn.Linear)]
    return 2 * samples * (3 * sum(sizes) - sizes[0])


def _check_equal(land: ee.Network, theta: Tensor) -> None:
    """Raise an AssertionError unless all three ways compute the same gradients."""
    models = [land.module(row) for row in theta]
    plain_loop(models, land.x, land.y)
    looped = torch.stack([torch.cat([p.grad.flatten() for p in m.parameters() if p.grad is not None]) for m in models])
    vmapped = vmap_of_grad(land.model, land.unflatten(theta), land.x, land.y)
    for other in (looped, torch.cat([g.flatten(1) for g in vmapped.values()], 1)):
        torch.testing.assert_close(land.gradient(theta), other, atol=1e-5, rtol=1e-3)  # float32 round-off


if __name__ == "__main__":
    main()
