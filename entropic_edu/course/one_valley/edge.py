"""Round 3, what is computed: walkers where h = 1, up to where they fall, and how wide they should be."""

from __future__ import annotations

import math
import warnings
from functools import lru_cache

from torch import Tensor

from entropic_edu.course.crowd import Crowd
from entropic_edu.physics.release import Release
from entropic_edu.physics.snapshot import Snapshot
from entropic_edu.physics.steps import DivergenceError, StabilityWarning

STEPS, BATCH = 100, 16
CROWD = Crowd("Waist", {"g_wide": 1.0, "g_narrow": 1.0}, steps=STEPS, records=STEPS)  # h = 1: ηh is η


def variance_after(steps: Tensor, edge: float) -> Tensor:
    """Return the mean of x² after ``steps`` from x = 0, where h = s = 1: also where it never settles.

    x' = (1 - η) x - ηξ adds η²/B in each step to (1 - η)² times what there was.
    """
    factor, kick = (1 - edge) ** 2, edge**2 / BATCH
    if math.isclose(factor, 1):
        return kick * steps.double()
    return kick * (1 - factor ** steps.double()) / (1 - factor)


@lru_cache(maxsize=16)
def until_it_falls(seed: int, edge: float) -> Release:
    """Return a release on the trough of h = 1, up to where a walker was too far away to go on."""
    last: Snapshot[Release] | None = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", StabilityWarning)  # to go past the edge is the point of this picture
        try:
            for snapshot in CROWD.stream(seed, batch_size=BATCH, learning_rate=edge):
                last = snapshot
        except DivergenceError:
            pass  # the records up to there are what we came for
    assert last is not None  # every stream begins with a snapshot
    return last.result


def regime(edge: float) -> str:
    """Return what walkers do where h = 1: "settles", "wanders" at the edge itself, or "falls" past it."""
    return "wanders" if math.isclose(edge, 2) else "settles" if edge < 2 else "falls"
