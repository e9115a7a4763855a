"""What runs on this machine, where there are images: the ends evaluated, a point of the road probed, walkers let go.

Without images nothing fails: the stream ends at once with ``Absent``, and the sentence says how to get them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

from entropic_edu import stream
from entropic_edu.data import find_cifar10
from entropic_edu.networks.network import Network
from entropic_edu.networks.per_sample import exact_trace
from entropic_edu.physics.curvature import extreme_eigenvalues
from entropic_edu.physics.results import Result
from entropic_edu.physics.snapshot import Snapshot
from entropic_edu.recorded import cifar10
from entropic_edu.recorded._common import arguments
from entropic_edu.teaching.strings import text

from .common import road

PARTS = 5  # of the training images, evaluated one after the other
GROUPS, SIZE = 5, 30  # of images to probe with; the groups' scatter gives the error
LANCZOS = 12  # products for λ_max, as many as the recording took
WALKERS = 2
WATCHED = 100  # images for the walkers' loss and for the check of η·λ_max; each batch is drawn from all of them
LOOKS, PAUSE = 4, 0.2  # seconds: where there are no images, long enough to be seen that they were looked for
DRAWS = 3840  # images that a walker sees in a live run

Begin = Callable[[Network], Iterator[Snapshot[Any]]]


@dataclass(frozen=True, eq=False)
class Absent(Result):
    """There are no images here.

    Attributes:
        reason: Empty where no copy was found; else why the copy cannot be read.
    """

    reason: str = ""


@dataclass(frozen=True, eq=False)
class Evaluated(Result):
    """Both ends of a road, on the images.

    Attributes:
        loss: Data loss of the ends so far, (2,).
        accuracy: Training and held-out accuracy of the ends, (2, 2); empty before the end.
        pixels: Four held-out images, (4, 3, 32, 32), normalised; empty before the end.
        classes: Their classes, (4,).
        guesses: What the first end takes them for, (4,).
    """

    loss: Tensor
    accuracy: Tensor
    pixels: Tensor
    classes: Tensor
    guesses: Tensor


@dataclass(frozen=True, eq=False)
class Probed(Result):
    """Curvature at a point of a road.

    Attributes:
        trace: tr H on each group of images so far, (g,).
        top: λ_max on all of them, NaN before the end.
    """

    trace: Tensor
    top: float


@cache
def landscape() -> Network:
    """Return the CNN with its 5,000 + 1,000 images.

    Raises:
        FileNotFoundError: If no whole copy of CIFAR-10 is found.
        ValueError: If a file is damaged.
    """
    return cifar10.landscape()


def with_images(begin: Begin) -> Iterator[Snapshot[Any]]:
    """Yield what ``begin(landscape)`` yields, or one result that says that there are no images."""
    reason = ""
    if find_cifar10() is not None:
        try:
            land = landscape()
        except (OSError, ValueError) as error:
            reason = str(error)
        else:
            yield from begin(land.to("cpu"))  # a model of its own: two buttons may run at once
            return
    for done in range(LOOKS + 1):
        yield Snapshot(done, LOOKS, text("09.looking"), lambda: Absent(reason))
        time.sleep(PAUSE)


def units(count: int) -> int:
    """Return how many units a button's work has: so many where there are images, else those of looking for them."""
    return LOOKS if find_cifar10() is None else count


def missing(absent: Absent, recorded: str) -> str:
    """Say that there are no images, how to get them, and what is recorded."""
    if absent.reason:
        return text("09.unreadable", reason=absent.reason, recorded=recorded)
    return text("09.absent", recorded=recorded)


def some(land: Network, chosen: Tensor) -> Network:
    """Return the landscape of some of the training images."""
    return land.subset(chosen)


def evaluate(land: Network, pair: int) -> Iterator[Snapshot[Evaluated]]:
    """Yield the ends of a road evaluated part by part, pairs counted from 0."""
    ends, empty, losses = road(pair).pivots[[0, -1]], torch.empty(0), []
    nothing = Evaluated(torch.full((2,), torch.nan), empty, empty, empty, empty, complete=False)
    yield Snapshot(0, PARTS + 2, "", lambda: nothing)
    for done, part in enumerate(torch.arange(len(land.x)).chunk(PARTS), start=1):
        with torch.no_grad():
            losses.append(some(land, part).data_loss(ends))
        loss = torch.stack(losses).mean(0)
        growing = Evaluated(loss, empty, empty, empty, empty, complete=False)
        yield Snapshot(done, PARTS + 2, "", lambda growing=growing: growing)  # type: ignore[misc]
    accuracy = [land.accuracy(ends, "train")]
    yield Snapshot(PARTS + 1, PARTS + 2, "", lambda: growing)
    accuracy.append(land.accuracy(ends, "test"))
    assert land.test is not None
    pixels, classes = land.test[0][:4], land.test[1][:4]
    with torch.no_grad():
        guesses = land.outputs(ends[0], pixels).argmax(-1)
    result = Evaluated(loss, torch.stack(accuracy), pixels, classes, guesses)
    yield Snapshot(PARTS + 2, PARTS + 2, "", lambda: result)


def images(size: int = GROUPS * SIZE) -> Tensor:
    """Return which training images are probed: the first of those that the recorded profile took, (size,)."""
    count = 5 * int(cifar10.RECIPE["first"])
    return torch.randperm(count, generator=torch.Generator().manual_seed(90_002))[:size]


def probe(land: Network, pair: int, place: float) -> Iterator[Snapshot[Probed]]:
    """Yield trace and λ_max at a place of a road as they are measured, pairs counted from 0."""
    theta, chosen = road(pair).at(place), images()
    exact_trace(some(land, chosen[:2]), theta)  # the first call is slow, and would spoil the estimate of the time
    traces: list[Tensor] = []
    for done in range(GROUPS + 1):
        if done:
            group = some(land, chosen[(done - 1) * SIZE : done * SIZE])
            traces.append(exact_trace(group, theta, weight_decay=False))
        growing = Probed(torch.stack(traces) if traces else torch.empty(0), torch.nan, complete=False)
        yield Snapshot(done, GROUPS + 5, "", lambda growing=growing: growing)  # type: ignore[misc]
    few, generator = some(land, chosen), torch.Generator().manual_seed(0)
    top = extreme_eigenvalues(few, theta, steps=LANCZOS, generator=generator, weight_decay=False).largest
    result = Probed(torch.stack(traces), float(top))
    yield Snapshot(GROUPS + 5, GROUPS + 5, "", lambda: result)


def steps_of(batch_size: int, project_every: int) -> int:
    """Return the steps of a live run: whole stretches between projections, as many as a few seconds bear."""
    return project_every * max(1, DRAWS // (batch_size * project_every))


def release(land: Network, pair: int, seed: int, setting: dict[str, Any]) -> Iterator[Snapshot[Any]]:
    """Yield walkers let go now on a road, pairs counted from 0, as the recorded ones were."""
    watched = some(land, images(WATCHED))
    watched.draw = land.draw  # type: ignore[method-assign]
    k = setting["project_every"]
    changed = {"walkers": WALKERS, "steps": steps_of(setting["batch_size"], k), "record_every": k}
    generator = torch.Generator().manual_seed(seed)
    yield from stream.drift(watched, road(pair), generator=generator, **arguments(setting | changed))
