"""Round 2, what the button does: the spread measured at many settings, beside the exact law."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import torch
from torch import Tensor

from entropic_edu.physics.mean import Mean
from entropic_edu.physics.results import Result
from entropic_edu.physics.snapshot import Snapshot, Stream
from entropic_edu.teaching.strings import text

from .common import late, spread, trough

RATES, CURVATURES = (0.05, 0.1, 0.2, 0.4), (0.5, 1.0, 2.0)
SETTINGS = tuple(product((1, 4, 16, 64), RATES, CURVATURES))  # B, η, h: so many that the button answers in seconds


def exact(batch_size: Any, learning_rate: Any, curvature: Any) -> Any:
    """Return the variance of x that settles, ηs² / (B h (2 - ηh)) with s = 1, for steps of any size."""
    return learning_rate / (batch_size * curvature * (2 - learning_rate * curvature))


@dataclass(frozen=True, eq=False)
class Grid(Result):
    """The spread at many settings: B, η and h of each (n, 3), and the mean of x² with its error (n,)."""

    settings: Tensor
    variance: Tensor
    error: Tensor

    @property
    def exact(self) -> Tensor:
        """The exact law at each setting, (n,)."""
        return torch.as_tensor(exact(*self.settings.T))


def measure(seed: int, settings: Sequence[tuple[int, float, float]] = SETTINGS) -> Stream[Grid]:
    """Yield what was measured so far, one setting (B, η, h) after the other, each with draws of its own."""
    found: list[Mean] = []

    def snapshot(note: str) -> Snapshot[Grid]:
        done, rows = len(found), torch.tensor(found, dtype=torch.float64).reshape(-1, 2)
        some = torch.tensor(settings[:done], dtype=torch.float64).reshape(-1, 3)
        return Snapshot(done, len(settings), note, lambda: Grid(some, *rows.T, complete=done == len(settings)))

    yield snapshot("")
    for number, (batch_size, learning_rate, curvature) in enumerate(settings):
        found.append(
            spread(late(trough(curvature).run(seed + number, batch_size=batch_size, learning_rate=learning_rate)))
        )
        yield snapshot(
            text("01.collapse.note", batch_size=batch_size, learning_rate=learning_rate, curvature=curvature)
        )
