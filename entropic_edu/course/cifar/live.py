"""What runs now, on a learner's own copy of the images: two networks trained, a road probed, walkers, ends settled."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch
from torch import Tensor

from entropic_edu import stream
from entropic_edu.data import find_cifar10
from entropic_edu.networks.network import Network
from entropic_edu.physics.curvature import hessian_vector_product
from entropic_edu.physics.results import Result
from entropic_edu.physics.snapshot import Snapshot
from entropic_edu.physics.train import Run
from entropic_edu.recorded import cifar10
from entropic_edu.recorded._common import seeded
from entropic_edu.story.tell import release_settings
from entropic_edu.teaching.explorer import Work
from entropic_edu.teaching.strings import said, text

SEEN = 200  # images on which loss and curvature are measured here, of the 1,000 that all runs learn or walk on
POINTS, PROBES, LINE = 5, 32, 13  # of the road that is probed, and of the line between two networks
WALKERS = 2  # of each start
STEPS = cifar10.STORY.train["epochs"] * (5 * (cifar10.STORY.images or 0) // cifar10.STORY.train["batch_size"])


@dataclass(frozen=True, eq=False)
class Traces(Result):
    """What each random probe makes of tr H at places of a road, ``samples`` (V, POINTS)."""

    samples: Tensor


def work(what: str, begin: Callable[..., Any], seed: int, show: Callable[..., str], units: Callable[..., int]) -> Work:
    """Return the work of a button; where there are no images, words in its place, ``what`` being their key."""
    absent = "" if find_cifar10() is not None else text("09.absent", what=said(what))
    if not absent:
        try:
            landscape()
        except (OSError, ValueError) as error:
            absent = text("09.unreadable", what=said(what), reason=error)
    # each button has a model of its own: two may run at once
    return Work(lambda state: begin(seed, landscape().to("cpu"), state), show, units, show, absent)


@cache
def landscape() -> Network:
    """Return the network with its 1,000 images, read once; as an error that there is no whole copy of them."""
    return cifar10.landscape()


def few(land: Network) -> Network:
    """Return the landscape on ``SEEN`` of the images, as many of each file."""
    return land.subset(torch.arange(0, len(land.x), len(land.x) // SEEN))


def trained(seed: int, land: Network, _: Any) -> Iterator[Snapshot[Any]]:
    """Yield two networks as they learn, by the recipe of the recorded ones, without the rest at its end."""
    yield from stream.train(land, generator=seeded(1_000_000 + seed), runs=2, **cifar10.STORY.train)


def line(run: Run) -> Tensor:
    """Return the objective along the straight line between the two rows of a run, (LINE,)."""
    with torch.no_grad():
        return few(landscape()).loss(torch.lerp(run.theta[0], run.theta[1], torch.linspace(0, 1, LINE)[:, None]))


def probed(seed: int, land: Network, state: Any) -> Iterator[Snapshot[Any]]:
    """Yield tr H at a few places of a recorded road, one random probe after the other, the same at all places."""
    theta, generator, found = cifar10.road(state.first).at(torch.linspace(0, 1, POINTS)), seeded(seed), []
    for done in range(1, PROBES + 1):
        probe = torch.randn(land.dim, generator=generator).sign().expand_as(theta)
        found.append((probe * hessian_vector_product(few(land), theta, probe, weight_decay=False)).sum(1).detach())
        result = Traces(torch.stack(found), complete=done == PROBES)
        yield Snapshot(done, PROBES, "", lambda result=result: result)  # type: ignore[misc]


def released(seed: int, land: Network, state: Any) -> Iterator[Snapshot[Any]]:
    """Yield walkers let go on a recorded road as the recorded ones were, but fewer."""
    settings = release_settings(cifar10.STORY, replace(state.setting, walkers=min(WALKERS, state.setting.walkers)))
    yield from stream.drift(land, cifar10.road(state.first), generator=seeded(seed), **settings)


def settled(seed: int, land: Network, state: Any) -> Iterator[Snapshot[Any]]:
    """Yield both ends of a recorded road as full-batch descent moves them, for the flow time of the walkers."""
    still, start = cifar10.STORY.control, cifar10.road(state.first).pivots[[0, -1]]
    how = cifar10.STORY.step(still) | {"epochs": still.steps, "schedule": "constant"}
    yield from stream.train(land.without_label_noise(), start=start, generator=seeded(seed), **how)


def moved(run: Run, pair: int) -> float:
    """Return how far a descent has moved the ends, share of the road, with scale-free layers at their old norms."""
    road, theta = cifar10.road(pair), run.theta.clone()
    before = road.pivots[[0, -1]]
    for layer in cifar10.stand_in().scale_free(before).values():
        theta[:, layer] *= (before[:, layer].norm(dim=1) / theta[:, layer].norm(dim=1))[:, None]
    return float((theta - before).norm(dim=1).mean()) / road.length
