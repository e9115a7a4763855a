"""What noise did on the five recorded roads of lesson 10's network; a pair of minima is the unit, not a walker."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor

from entropic_edu import recorded
from entropic_edu.physics.mean import Mean
from entropic_edu.physics.probe import Profile

PAIRS = (1, 2, 3, 4, 5)
RUNS = {8: "warm", 16: "base", 32: "cool", None: "still"}
VARIED = ("base", "often", "seldom", "free")
STARTS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
READ = 'from entropic_edu import recorded\nkept = recorded.load("limits")  # anew: entropic-edu record limits'


def profile(pair: int) -> Profile:
    """Return the profile of a pair's road; pairs count from 1."""
    measured: Profile = recorded.load("limits")[f"pair{pair - 1}/profile"]
    return measured


def tracks(pair: int, run: str) -> Tensor:
    """Return the mean position of the walkers of each start at each record, (R, 7)."""
    positions: Tensor = recorded.load("limits")[f"pair{pair - 1}/{run}"]
    return positions.double()


@cache
def ends(run: str, start: float) -> Tensor:
    """Return where the walkers of a start are at the end, on each pair, (5,)."""
    return torch.stack([tracks(pair, run)[-1, STARTS.index(start)] for pair in PAIRS])


def moves(run: str, start: float) -> Tensor:
    """Return how far they moved along the road, with its sign, (5,)."""
    return ends(run, start) - start


def noise_share(start: Tensor, noisy: Tensor, still: Tensor) -> Tensor:
    """Return the share of a walk that noise makes, its mean over the pairs and its standard error, (2,)."""
    each = (noisy - still) / (noisy - start)
    return torch.stack([each.mean(), each.std() / len(each) ** 0.5])


def bump(name: str) -> Mean:
    """Return the bump of a curve of the profile in the middle third of the road, over the pairs."""
    return Mean.over(torch.tensor([profile(one).bump(getattr(profile(one), name)) for one in PAIRS]).double())


def away(run: str, start: float) -> Mean:
    """Return the distance from the road at the end over its length, mean over the pairs."""
    kept = recorded.load("limits")
    each = [float(kept[f"pair{pair - 1}/{run}_away"][STARTS.index(start)]) for pair in PAIRS]
    return Mean.over(torch.tensor(each, dtype=torch.float64))


def conclude(moves: Sequence[float]) -> str:
    """Return "home", "inward" or "cannot tell" from displacements towards the own end: Student's t, five pairs."""
    each = torch.as_tensor(moves, dtype=torch.float64)
    mean = Mean.over(each)
    if abs(mean.value) <= 2.8 * mean.error:
        return "cannot tell"
    return "home" if mean.value > 0 else "inward"
