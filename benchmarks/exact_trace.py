"""Claim: the exact trace of a ReLU MLP costs about one Hessian-vector product, which is what one noisy probe costs.

A CNN pays for C backward passes whose weight gradients add up over positions: about four products at C = 10.

Random data of the digits' size, one thread, medians of interleaved timings; prints ratios, the lower the better.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from entropic_edu.network import Network
from entropic_edu.per_sample import exact_trace


def mlp(generator: torch.Generator) -> Network:
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    x, y = torch.randn(1297, 64, generator=generator), torch.randint(10, (1297,), generator=generator)
    return Network(model, x, y)


def cnn(generator: torch.Generator) -> Network:
    layers = [nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 16, 3, padding=1), nn.ReLU()]
    model = nn.Sequential(*layers, nn.MaxPool2d(2), nn.Flatten(), nn.Linear(64, 10))
    x, y = torch.randn(1297, 1, 8, 8, generator=generator), torch.randint(10, (1297,), generator=generator)
    return Network(model, x, y)


def hessian_vector_product(land: Network, theta: Tensor, v: Tensor) -> Tensor:
    product = torch.zeros_like(theta)
    for piece in land.pieces():
        product += torch.func.jvp(torch.func.grad(piece), (theta,), (v,))[1]
    return product


def ratio(land: Network, generator: torch.Generator, repeats: int) -> tuple[float, float]:
    """Return the time of one Hessian-vector product in ms, and that of the exact trace over it."""
    theta = land.initial(generator)
    v = torch.randn(land.dim, generator=generator)
    calls: list[Callable[[], Tensor]] = [
        lambda: exact_trace(land, theta),
        lambda: hessian_vector_product(land, theta, v),
    ]
    seconds: list[list[float]] = [[], []]
    for repeat in range(repeats + 1):
        for call, times in zip(calls, seconds, strict=True):
            began = time.perf_counter()
            call()
            if repeat:  # the first round warms up, and measures once what exact_trace then knows of the landscape
                times.append(time.perf_counter() - began)
    trace, product = (statistics.median(times) for times in seconds)
    return 1e3 * product, trace / product


def main(repeats: int = 30) -> dict[str, float]:
    """Return exact-trace time over Hessian-vector-product time, by network."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        ratios = {}
        for name, build, count in (("mlp", mlp, repeats), ("cnn", cnn, max(3, repeats // 5))):
            generator = torch.Generator().manual_seed(0)
            land = build(generator)
            milliseconds, ratios[name] = ratio(land, generator, count)
            print(
                f"{name}: D={land.dim} N={len(land.x)}  Hessian-vector product {milliseconds:.1f} ms  "
                f"exact trace / product {ratios[name]:.2f}"
            )
    finally:
        torch.set_num_threads(threads)
    return ratios


if __name__ == "__main__":
    main()
