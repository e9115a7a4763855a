"""What is measured on straight lines between two trained networks, recorded and while two new ones learn."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor

from entropic_edu import recorded
from entropic_edu.course import digits
from entropic_edu.physics.results import Result
from entropic_edu.physics.snapshot import Snapshot
from entropic_edu.physics.train import Run
from entropic_edu.stream import train
from entropic_edu.teaching.strings import text

from .common import kept

EVEN = torch.linspace(0, 1, 25)
NUMBERS = tuple(pair + 1 for pair in digits.PAIRS)  # as the learner counts
QUICK: dict[str, Any] = {"batch_size": 64, "learning_rate": 0.1, "momentum": 0.9, "epochs": 60}  # about a second


@dataclass(frozen=True, eq=False)
class Two(Result):
    """Two networks trained side by side, and the line between them.

    Attributes:
        seed: Of the start and of the shuffles.
        step: Steps taken.
        objective: Along the line, (25,).
        accuracy: Training and held-out accuracy along it, (2, 25).
    """

    seed: int
    step: int
    objective: Tensor
    accuracy: Tensor


def times(objective: Tensor) -> Tensor:
    """Return the highest objective of lines over the mean of their two ends, (..., 25) -> (...)."""
    return objective.max(-1).values / objective[..., [0, -1]].mean(-1)


@cache
def lines() -> tuple[Tensor, Tensor]:
    """Return objective (5, 25) and accuracies (5, 2, 25) on the recorded lines."""
    recording = recorded.load("roads")
    accuracy = torch.stack([recording[f"pair{pair}/line_accuracy"] for pair in digits.PAIRS])
    return torch.stack([digits.line_loss(pair) for pair in digits.PAIRS]), accuracy


@cache
def along_roads() -> Tensor:
    """Return the objective at 25 even positions of the recorded roads, (5, 25)."""
    with torch.no_grad():
        return torch.stack([digits.land().loss(digits.road(pair).at(EVEN)) for pair in digits.PAIRS])


def measure(run: Run, seed: int, complete: bool) -> Two:
    """Return the line between the two networks of a run, at whatever step it is."""
    land = digits.land()
    line = torch.lerp(run.theta[0], run.theta[1], EVEN[:, None])
    with torch.no_grad():
        objective = land.loss(line)
    accuracy = torch.stack([land.accuracy(line, "train"), land.accuracy(line, "test")])
    return Two(seed, run.step, objective, accuracy, complete=complete)


def two(seed: int) -> Iterator[Snapshot[Two]]:
    """Yield two networks while they are trained."""
    generator = torch.Generator().manual_seed(seed)
    for snapshot in train(digits.land(), generator=generator, runs=2, **QUICK):
        run, done = snapshot.result, snapshot.done == snapshot.total
        note = text("04.hill.note", seed=seed)
        yield Snapshot(snapshot.done, snapshot.total, note, partial(measure, run, seed, done))


def rises(lines: Tensor) -> Tensor:
    """Return the barrier of lines, (n, 25) -> (n,): the highest objective above the higher end."""
    return lines.max(-1).values - lines[:, [0, -1]].max(-1).values


def rows_of(minima: int | None) -> list[int]:
    """Return the rows of a recording that are shown: those of one pair, or all."""
    return list(digits.PAIRS) if minima is None else [minima - 1]


@cache
def objective(goal: str) -> Tensor:
    """Return the objective along the straight line from A, (5, 25): to B, to B relabelled, or to A shuffled."""
    if goal == "other":
        return torch.stack([digits.line_loss(pair) for pair in digits.PAIRS])
    return kept(f"{goal}/line")
