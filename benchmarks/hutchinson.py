"""Claim: our Hutchinson trace on a CNN of 25,000 parameters is at least 1.5 times as fast as curvlinops'.

The same number of probes, data and network. curvlinops runs twice: on all samples at once, as one calls it, and in
micro-batches of 64, which its user has to think of and which suits the caches better.

    python -m benchmarks.hutchinson
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
from torch import nn

from entropic_edu.networks.network import Network
from entropic_edu.physics.curvature import hutchinson_trace

from .run import HEADER, Ratio, medians, one_thread

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # a dependency of curvlinops uses torch.jit.script
    from curvlinops import HessianLinearOperator  # type: ignore[import-untyped]
    from curvlinops import hutchinson_trace as peer_trace


def cnn() -> nn.Module:
    """Return a CNN 3-16-32-32 with a hidden linear layer, 24,806 parameters."""
    return nn.Sequential(
        *(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(32, 32, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(4)),
        *(nn.Flatten(), nn.Linear(512, 20), nn.ReLU(), nn.Linear(20, 10)),
    )


def main(rounds: int = 5, small: bool = False) -> tuple[Ratio, ...]:
    """Print and return curvlinops' time over ours; ``small`` takes few samples and probes."""
    samples, probes, rows = (8, 1, 4) if small else (512, 8, 64)
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(samples, 3, 32, 32, generator=generator), torch.randint(10, (samples,), generator=generator)
    land = Network(cnn(), x, y)
    theta = land.initial(generator)
    model = land.module(theta)

    def peer(size: int) -> Callable[[], object]:
        data = list(zip(torch.split(x, size), torch.split(y, size), strict=True))
        parameters = list(model.parameters())
        hessian = HessianLinearOperator(model, nn.CrossEntropyLoss(), parameters, data, check_deterministic=False)
        return lambda: peer_trace(hessian, probes)

    with one_thread():
        ours, whole, split = medians(
            [
                lambda: hutchinson_trace(land, theta, num_probes=probes, generator=generator),
                peer(samples),
                peer(rows),
            ],
            rounds,
        )
    ratios = (
        Ratio("Hutchinson, CNN: curvlinops on all samples at once / ours", whole / ours, aim=1.5),
        Ratio(f"Hutchinson, CNN: curvlinops in micro-batches of {rows} / ours", split / ours, aim=1.5),
    )
    print(HEADER, *ratios, sep="\n")
    print(f"{land.dim} parameters, {samples} samples, {probes} probes; {rounds} interleaved rounds on one thread")
    return ratios


if __name__ == "__main__":
    main()
