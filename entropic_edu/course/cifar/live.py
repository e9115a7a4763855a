"""What runs now, on a learner's own copy of the images: two networks trained, a road probed, walkers, ends settled."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from entropic_edu import stream
from entropic_edu.data import find_cifar10
from entropic_edu.networks.network import Network
from entropic_edu.physics.probe import Profile
from entropic_edu.physics.release import Release
from entropic_edu.physics.snapshot import Snapshot
from entropic_edu.physics.train import Run
from entropic_edu.recorded import cifar10
from entropic_edu.story.tell import release_settings
from entropic_edu.teaching.explorer import Work
from entropic_edu.teaching.strings import text

SEEN = 200  # images on which loss and curvature are measured here, of the 1,000 that all runs learn or walk on
POINTS = 5  # of the road that is probed
WALKERS = 2  # of each start
LINE = 13  # points of a line
STEPS = cifar10.STORY.train["epochs"] * math.ceil(5 * (cifar10.STORY.images or 0) / cifar10.STORY.train["batch_size"])

Picture = Callable[..., tuple[Figure, str]]


def work(
    what: str, begin: Callable[..., Iterator[Snapshot[Any]]], show: Picture, units: Callable[..., int], frame: bool
) -> Work:
    """Return the work of a button, or words in its place where there are no images.

    Args:
        what: What the button does, for these words.
        begin: Given the landscape and the controls, yields snapshots.
        show: As in ``Work``.
        units: As in ``Work``.
        frame: Whether the picture follows the work.
    """
    absent = "" if find_cifar10() is not None else text("09.absent", what=what)

    def streamed(**turned: Any) -> Iterator[Snapshot[Any]]:
        yield from begin(landscape().to("cpu"), **turned)  # a model of its own: two buttons may run at once

    return Work(streamed, show, units, show if frame else None, absent)


@cache
def landscape() -> Network:
    """Return the network with its 1,000 images, read once.

    Raises:
        FileNotFoundError: If no whole copy of CIFAR-10 is found.
        ValueError: If a file of it is damaged.
    """
    return cifar10.landscape()


def few(land: Network) -> Network:
    """Return the landscape on ``SEEN`` of the images, as many of each file."""
    return land.subset(torch.arange(0, len(land.x), len(land.x) // SEEN))


def trained(land: Network, seed: int) -> Iterator[Snapshot[Run]]:
    """Yield two networks as they learn, by the recipe of the recorded ones, without the rest at its end."""
    generator = torch.Generator().manual_seed(1_000_000 + seed)
    return stream.train(land, generator=generator, runs=2, **cifar10.STORY.train)  # type: ignore[no-any-return]


def line(land: Network, run: Run) -> Tensor:
    """Return the objective along the straight line between the two rows of a run, (LINE,)."""
    with torch.no_grad():
        return few(land).loss(torch.lerp(run.theta[0], run.theta[1], torch.linspace(0, 1, LINE)[:, None]))


def probed(land: Network, pair: int, seed: int) -> Iterator[Snapshot[Profile]]:
    """Yield the profile of a recorded road at a few places, pairs counted from 0."""
    generator = torch.Generator().manual_seed(seed)
    options = cifar10.STORY.probe | {"points": POINTS}
    return stream.probe(few(land), cifar10.road(pair), generator=generator, **options)  # type: ignore[no-any-return]


def released(land: Network, pair: int, seed: int, name: str) -> Iterator[Snapshot[Release]]:
    """Yield walkers let go on a recorded road as the recorded ones were, but fewer."""
    walkers = min(WALKERS, cifar10.setting(name).walkers)
    settings = release_settings(cifar10.STORY, replace(cifar10.setting(name), walkers=walkers))
    generator = torch.Generator().manual_seed(seed)
    return stream.drift(land, cifar10.road(pair), generator=generator, **settings)  # type: ignore[no-any-return]


def settled(land: Network, pair: int) -> Iterator[Snapshot[Run]]:
    """Yield both ends of a recorded road as full-batch descent moves them, for the flow time of the walkers."""
    still, ends = cifar10.STORY.control, cifar10.road(pair).pivots[[0, -1]]
    how = cifar10.STORY.step(still) | {"epochs": still.steps, "schedule": "constant"}
    return stream.train(land.without_label_noise(), start=ends, generator=torch.Generator(), **how)  # type: ignore[no-any-return]


def moved(run: Run, pair: int) -> tuple[float, float]:
    """Return the flow time of a descent from the ends of a recorded road, and how far it has moved them.

    The distance is the mean of both ends, as share of the road; layers whose scale changes no output have the norms
    again that they had.
    """
    road, still, theta = cifar10.road(pair), cifar10.STORY.control, run.theta.clone()
    for layer in road.scale_free(cifar10.stand_in()).values():
        theta[:, layer] *= (road.pivots[[0, -1]][:, layer].norm(dim=1) / theta[:, layer].norm(dim=1))[:, None]
    away = (theta - road.pivots[[0, -1]]).norm(dim=1).mean()
    return run.step * still.learning_rate / (1 - still.momentum), float(away) / road.length
