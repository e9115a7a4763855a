"""What a learner waits for: the next picture of every explorer, and what is run live in the network lessons.

A state of an explorer is allowed 150 ms from its controls to its PNG; the first picture of an explorer, whose axes are
drawn too, belongs to its cell. Two minima are allowed 3 s, the road between them 10 s, a profile 8 s and walkers 6 s:
the recipe of ``entropic_edu/recorded/roads.py``, which is the story's.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch

import entropic_edu as ee
from entropic_edu import course
from entropic_edu.recorded import roads
from entropic_edu.teaching.explorer import Explorer

from .gradients import seeded
from .run import Row

STATE = 0.15  # seconds from the controls to the picture
ALLOWED = {"two minima": 3, "the road": 10, "profile of 21 points": 8, "16 walkers x 2,000 steps": 6}  # seconds


def rows(small: bool = False) -> Iterator[Row]:
    """Yield a row for each lesson, of its slowest state, and for each live part."""
    for number in ("06",) if small else course.MODULES:
        found = {name: _states(make, 1 if small else 3) for name, make in course.chapter(number).explorers.items()}
        worst = max(found, key=lambda name: max(found[name].values()))
        state = max(found[worst], key=found[worst].__getitem__)
        yield Row(f"lesson {number}, next picture", found[worst][state], {"allowed": STATE}, note=SLOWEST)
    times = [_once(small) for _ in range(1 if small else 3)]
    for name, seconds in ALLOWED.items():
        yield Row(f"live: {name}", statistics.median(each[name] for each in times), {"allowed": seconds})


def states(explorer: Explorer) -> Iterator[dict[str, Any]]:
    """Yield the first state, and every option of every control with the others as at first."""
    first = {control.name: control.default for control in explorer.controls}
    yield first
    for control in explorer.controls:
        yield from (first | {control.name: option} for option in control.options if option != control.default)


def _states(make: Callable[[int], Explorer], rounds: int) -> dict[str, float]:
    """Return the median time of each state but the first, each round with a new explorer."""
    times: dict[str, list[float]] = {}
    for _ in range(rounds):
        explorer = make(0)
        first, *others = states(explorer)
        explorer.draw(**first)
        for state in others:
            began = time.process_time()
            explorer.draw(**state)
            turned = ", ".join(f"{name} {value}" for name, value in state.items() if value != first[name])
            times.setdefault(turned, []).append(time.process_time() - began)
    return {turned: statistics.median(each) for turned, each in times.items()}


def _once(small: bool) -> dict[str, float]:
    """Train, connect, probe and drift as a learner does; return the seconds of each."""
    recipe = roads.RECIPE | (roads.TINY if small else {})
    land, times = roads.landscape(recipe), {}

    def timed(name: str, call: Callable[[torch.Generator], Any]) -> Any:
        began = time.process_time()
        result = call(seeded(len(times)))
        times[name] = time.process_time() - began
        return result

    run = timed("two minima", lambda g: ee.train(land, generator=g, runs=2, **recipe["train"]))
    road = timed("the road", lambda g: ee.connect(land, *run.theta, generator=g, **recipe["connect"]))
    timed("profile of 21 points", lambda g: ee.probe(land, road, generator=g, points=3 if small else 21))
    settings = {"start": 0.3, "batch_size": 16, "learning_rate": 0.2, "walkers": 16, "steps": 30 if small else 2000}
    timed("16 walkers x 2,000 steps", lambda g: ee.drift(land, road, generator=g, **settings))
    return times


SLOWEST = (
    "The slowest state of all explorers of the lesson, each in the median of three; the first picture is left out."
)
