"""Claim: what a learner runs live in the network lessons keeps to its time, on one thread.

Two minima 3 s, the road between them 10 s, a profile of 21 points 8 s, 16 walkers for 2,000 steps 6 s: the recipe of
``entropic_edu/recorded/roads.py``, which is the story's. Each row is the time as a share of what is allowed.

    python -m benchmarks.live
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch

import entropic_edu as ee
from entropic_edu.recorded import roads

from .run import HEADER, Ratio, one_thread

ALLOWED = {"two minima": 3, "the road": 10, "profile of 21 points": 8, "16 walkers x 2,000 steps": 6}  # seconds


def main(rounds: int = 3, small: bool = False) -> tuple[Ratio, ...]:
    """Print and return each live part's time over what is allowed; ``small`` takes the miniature recipe."""
    recipe = roads.RECIPE | (roads.TINY if small else {})
    with one_thread():
        times = [_once(recipe, small) for _ in range(rounds)]
    ratios = tuple(
        Ratio(f"live: {name}, share of {seconds} s", statistics.median(t[name] for t in times) / seconds, 1, True)
        for name, seconds in ALLOWED.items()
    )
    print(HEADER, *ratios, sep="\n")
    print(f"{rounds} rounds on one thread")
    return ratios


def _once(recipe: dict[str, dict[str, object]], small: bool) -> dict[str, float]:
    """Train, connect, probe and drift as a learner does; return the seconds of each."""
    land, times = roads.landscape(recipe), {}

    def timed(name: str, call: Callable[[torch.Generator], object]) -> object:
        began = time.perf_counter()
        result = call(torch.Generator().manual_seed(len(times)))
        times[name] = time.perf_counter() - began
        return result

    run = timed("two minima", lambda g: ee.train(land, generator=g, runs=2, **recipe["train"]))
    road = timed("the road", lambda g: ee.connect(land, *run.theta, generator=g, **recipe["connect"]))
    timed("profile of 21 points", lambda g: ee.probe(land, road, generator=g, points=3 if small else 21))
    settings = {"start": 0.3, "batch_size": 16, "learning_rate": 0.2, "walkers": 16, "steps": 30 if small else 2000}
    timed("16 walkers x 2,000 steps", lambda g: ee.drift(land, road, generator=g, **settings))
    return times


if __name__ == "__main__":
    main()
