"""The digits network of lessons 04 to 08 and its five recorded roads."""

from __future__ import annotations

from functools import cache

import torch

from entropic_edu import recorded
from entropic_edu.networks.network import Network
from entropic_edu.physics.path import Path
from entropic_edu.recorded import roads

PAIRS = tuple(range(len(roads.RECIPE["seeds"])))  # of minima


@cache
def land() -> Network:
    """Return the landscape: network 64-32-32-10 on 1,297 digits, cross-entropy with weight decay 5e-4."""
    return roads.landscape()


@cache
def road(pair: int) -> Path:
    """Return the recorded road of a pair of minima, 160 points."""
    return roads.road(pair)


def line_loss(pair: int) -> torch.Tensor:
    """Return the objective at 25 even positions of the straight line between the ends, (25,)."""
    losses: torch.Tensor = recorded.load("roads")[f"pair{pair}/line_loss"]
    return losses
