"""One family trained now: a trunk, two children that part from it, and the line between them while they train."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from entropic_edu.networks.network import Network
from entropic_edu.networks.per_sample import exact_trace
from entropic_edu.physics.results import Result
from entropic_edu.physics.snapshot import Snapshot
from entropic_edu.physics.spawn import born
from entropic_edu.physics.train import Run, train
from entropic_edu.recorded import late_game
from entropic_edu.teaching.strings import text

POINTS = late_game.RECIPE["points"]


@dataclass(frozen=True, eq=False)
class Live(Result):
    """The line between two children at one moment of their training; empty before they part."""

    step: int  # done, those of the trunk among them
    parted: int  # step at which the children part
    data_loss: Tensor  # along the line, (P,)
    trace: Tensor  # tr H, (P,)
    accuracy: Tensor  # on the test digits, (P,)


@cache
def landscape(task: str) -> Network:
    """Return the network of a task, as it was recorded."""
    return late_game.landscape(late_game.RECIPE, task)


def measured(land: Network, run: Run, parted: int, complete: bool) -> Live:
    """Return the line between the two rows of a run."""
    weights = torch.linspace(0, 1, POINTS)[:, None]
    theta = torch.lerp(run.theta[0], run.theta[-1], weights)
    with torch.no_grad():
        loss = land.data_loss(theta)
    trace = exact_trace(land, theta, weight_decay=False)
    return Live(run.step, parted, loss, trace, land.accuracy(theta, "test"), complete=complete)


def live(seed: int, task: str, parted: int) -> Iterator[Snapshot[Live]]:
    """Yield a family as it grows, once an epoch: the trunk to step ``parted``, then both children to the end."""
    land, stream = landscape(task), inspect.unwrap(train)
    settings, generator = late_game.settings(late_game.RECIPE, task), torch.Generator().manual_seed(1_000_000 + seed)
    empty = torch.empty(0)
    trunk: Run | None = None
    for grown in stream(land, generator=generator, runs=1, stop_at=parted, **settings):
        trunk = grown.result
        result = Live(trunk.step, parted, empty, empty, empty, complete=False)
        yield Snapshot(trunk.step, trunk.steps, text("07.live.trunk"), lambda result=result: result)  # type: ignore[misc]
    assert trunk is not None  # every stream begins with a snapshot
    for children in stream(land, generator=generator, start=born(trunk, 2), **settings):
        run = children.result

        def make(run: Run = run) -> Live:
            return measured(land, run, parted, run.step == run.steps)

        yield Snapshot(run.step, run.steps, text("07.live.children"), make)
