"""Claim: sixteen walkers released together are at least five times as fast as sixteen releases of one walker.

The digits MLP, batches of 16, projected every 15 steps on a straight path of 80 points, as many as ``connect`` returns.
It joins two random starts, since the time depends on shapes alone. Every release first looks at λ_max once, which
sixteen single runs pay sixteen times; so that nobody takes that for speed, a second ratio leaves the start out.

    python -m benchmarks.walkers
"""

from __future__ import annotations

import statistics
import time

import torch

import entropic_edu as ee

from .run import HEADER, Ratio, one_thread
from .sweeps import digits_network


def main(rounds: int = 3, small: bool = False) -> tuple[Ratio, ...]:
    """Print and return the ratios of the two times; ``small`` takes two walkers and few steps."""
    walkers, steps = (2, 15) if small else (16, 300)
    land, generator = digits_network(), torch.Generator().manual_seed(0)
    path = ee.Path(torch.stack([land.initial(generator), land.initial(generator)])).resample(80)
    with one_thread():
        _seconds(land, path, walkers, steps)
        _seconds(land, path, 1, steps)
        both = [(_seconds(land, path, walkers, steps), _sum(land, path, walkers, steps)) for _ in range(rounds)]
    whole, steps_alone = (
        statistics.median(apart[part] for _, apart in both) / statistics.median(together[part] for together, _ in both)
        for part in (0, 1)
    )
    name = f"drift: {walkers} runs of one walker / one run of {walkers} walkers"
    ratios = (Ratio(name, whole, aim=5), Ratio(f"{name}, steps alone", steps_alone))
    print(HEADER, *ratios, sep="\n")
    print(f"{steps} steps, {rounds} interleaved rounds on one thread")
    return ratios


def _seconds(land: ee.Network, path: ee.Path, walkers: int, steps: int, seed: int = 0) -> tuple[float, float]:
    """Time one release, and the part of it after the first snapshot, which comes before the first step."""
    generator = torch.Generator().manual_seed(seed)
    began = time.perf_counter()
    stream = ee.stream.drift(land, path, batch_size=16, walkers=walkers, steps=steps, generator=generator)
    next(stream)
    stepped = time.perf_counter()
    for _ in stream:
        pass
    ended = time.perf_counter()
    return ended - began, ended - stepped


def _sum(land: ee.Network, path: ee.Path, walkers: int, steps: int) -> tuple[float, float]:
    runs = [_seconds(land, path, 1, steps, seed) for seed in range(walkers)]
    return sum(whole for whole, _ in runs), sum(alone for _, alone in runs)


if __name__ == "__main__":
    main()
