"""Claim: the exact trace of a ReLU net takes at most as long as two Hessian-vector products.

On an MLP it takes about one, which is what a single noisy probe costs. A CNN pays for C backward passes whose weight
gradients add up over positions: two and a half to four products at C = 10, so there the claim does not hold.

Random data of the digits' size.

    python -m benchmarks.exact_trace
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from entropic_edu.networks.network import Network
from entropic_edu.networks.per_sample import exact_trace

from .run import HEADER, Ratio, medians, one_thread


def mlp(generator: torch.Generator, samples: int) -> Network:
    model = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))
    x, y = torch.randn(samples, 64, generator=generator), torch.randint(10, (samples,), generator=generator)
    return Network(model, x, y)


def cnn(generator: torch.Generator, samples: int) -> Network:
    layers = [nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 16, 3, padding=1), nn.ReLU()]
    model = nn.Sequential(*layers, nn.MaxPool2d(2), nn.Flatten(), nn.Linear(64, 10))
    x, y = torch.randn(samples, 1, 8, 8, generator=generator), torch.randint(10, (samples,), generator=generator)
    return Network(model, x, y)


def hessian_vector_product(land: Network, theta: Tensor, v: Tensor) -> Tensor:
    product = torch.zeros_like(theta)
    for piece in land.pieces():
        product += torch.func.jvp(torch.func.grad(piece), (theta,), (v,))[1]
    return product


def main(rounds: int = 10, small: bool = False) -> tuple[Ratio, ...]:
    """Print and return the time of the exact trace over that of one product, for two networks."""
    samples = 16 if small else 1297
    ratios = []
    print(HEADER)
    with one_thread():
        for name, build in (("MLP", mlp), ("CNN", cnn)):
            generator = torch.Generator().manual_seed(0)
            land = build(generator, samples)
            theta, v = land.initial(generator), torch.randn(land.dim, generator=generator)
            # the warm-up also measures once what exact_trace then knows of the landscape
            trace, product = medians(
                [lambda: exact_trace(land, theta), lambda: hessian_vector_product(land, theta, v)],  # noqa: B023
                rounds,
            )
            claim = f"exact trace, {name} of {land.dim} parameters / one Hessian-vector product"
            ratios.append(Ratio(claim, trace / product, aim=2, at_most=True))
            print(ratios[-1])
    print(f"{samples} samples; {rounds} interleaved rounds on one thread")
    return tuple(ratios)


if __name__ == "__main__":
    main()
