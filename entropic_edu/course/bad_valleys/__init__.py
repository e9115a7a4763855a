"""Lesson 08: minima of one loss that generalise well and badly, which of them is flatter, and which way noise goes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from entropic_edu.course import Chapter, Exercise, Given, Question

from . import ends, measures, road, walk

QUESTIONS = [
    Question(
        "along",
        ("even", "wall", "hill", "late"),
        "late",
        {
            "even": [0.97, 0.91, 0.845, 0.78, 0.72],
            "wall": [0.97, 0.97, 0.845, 0.72, 0.72],
            "hill": [0.97, 0.7, 0.6, 0.65, 0.72],
            "late": [0.97, 0.97, 0.96, 0.93, 0.72],
        },
    ),
    Question("flatter", ("good", "same", "bad"), "bad", {"good": 0.4, "same": 1.5, "bad": 15.0}),
    Question("drift", ("stays", "bad", "good"), "good", {"stays": 0.95, "bad": 1.0, "good": 0.55}),
]

Rule: TypeAlias = Callable[..., Any]


def _border(error: Rule, sure: float = 2.8, first: bool = False) -> Rule:
    """Return an answer to exercise 8.1 from a rule for the error of the fall, (pairs, P) -> (P,)."""

    def rule(position: Tensor, accuracy: Tensor) -> Tensor:
        fall = (accuracy[:, :1] - accuracy).mean(0)
        below = fall > sure * error(accuracy)
        if first:
            return position[int(below[1:].nonzero()[0]) + 1]
        last = int((~below).nonzero().max())
        return position[min(last + 1, len(position) - 1)]

    return rule


def _paired(accuracy: Tensor) -> Tensor:
    return (accuracy[:, :1] - accuracy).std(0) / len(accuracy) ** 0.5


def _unpaired(accuracy: Tensor) -> Tensor:
    """Return the error as if the accuracies at two places of a road were independent."""
    return ((accuracy.var(0) + accuracy[:, 0].var()) / len(accuracy)) ** 0.5


def _measure(term: Rule) -> Rule:
    """Return an answer to exercise 8.2: the mean over the probes of a term of θ, the product and a probe."""
    return lambda theta, product, probes: torch.stack([term(theta, product, probe) for probe in probes]).mean()


def _walked(step: Rule) -> Rule:
    """Return an answer to exercise 8.3 from a rule for the step at a place, given the start, too."""

    def rule(start: float, position: Tensor, velocity: Tensor, steps: int) -> list[float]:
        where = [start]
        for _ in range(steps):
            where.append(where[-1] + step(where[-1], start, position, velocity))
        return where

    return rule


def _between(place: float, position: Tensor, velocity: Tensor) -> float:
    return float(np.interp(place, position, velocity))


def _nearest(place: float, start: float, position: Tensor, velocity: Tensor) -> float:
    return float(velocity[(position - place).abs().argmin()])


def _times(hessian: Tensor) -> Rule:
    return lambda v: hessian.to(v) @ v


TILTED = torch.tensor([[1.0, -0.4, 0.0, 0.2], [-0.4, 2.0, 0.6, 0.0], [0.0, 0.6, 0.5, -0.3], [0.2, 0.0, -0.3, 4.0]])
SIGNS = torch.tensor([[1.0, 1.0, 1.0, 1.0], [1.0, -1.0, 1.0, -1.0], [1.0, 1.0, -1.0, -1.0], [1.0, -1.0, -1.0, 1.0]])
BORDER = Exercise(
    "border",
    "8.1",
    truth=road.border,
    wrong={
        "no_error": _border(lambda accuracy: 0 * accuracy[0], first=False),
        "deviation": _border(lambda accuracy: (accuracy[:, :1] - accuracy).std(0)),
        "unpaired": _border(_unpaired),
        "one_error": _border(_paired, sure=1.0),
        "first": _border(_paired, first=True),
    },
    cases=[
        (
            torch.tensor([0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
            torch.tensor([[0.97, 0.96, 0.97, 0.94, 0.95, 0.70], [0.90, 0.89, 0.91, 0.88, 0.84, 0.65],
                          [0.94, 0.93, 0.93, 0.945, 0.85, 0.72], [0.88, 0.87, 0.885, 0.86, 0.85, 0.60]]),
        ),
        (
            torch.tensor([0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0]),
            torch.tensor([[0.95, 0.94, 0.95, 0.93, 0.90, 0.85, 0.70], [0.85, 0.835, 0.86, 0.84, 0.82, 0.74, 0.66],
                          [0.90, 0.888, 0.90, 0.91, 0.85, 0.83, 0.68]]),
        ),
    ],
)  # fmt: skip
ADAPTIVE = Exercise(
    "adaptive",
    "8.2",
    truth=measures.adaptive,
    wrong={
        "trace": _measure(lambda theta, product, v: v @ product(v)),
        "first_power": _measure(lambda theta, product, v: v @ product(theta * v)),
        "no_probe": _measure(lambda theta, product, v: theta @ product(theta)),
        "norm": _measure(lambda theta, product, v: (theta**2).sum() * (v @ product(v))),
        "divided": _measure(lambda theta, product, v: (v / theta) @ product(v / theta)),
        "squared": _measure(lambda theta, product, v: (product(theta * v) ** 2).sum()),
    },
    cases=[
        (torch.tensor([2.0, 0.5, 1.0, 0.25]), Given(_times(TILTED), "H v"), SIGNS),
        (torch.tensor([1.0, 3.0, 0.5, 2.0]), Given(_times(TILTED.flip(0, 1)), "H v"), SIGNS),
    ],
)
TRACK = Exercise(
    "track",
    "8.3",
    truth=walk.tracked,
    wrong={
        "fixed": _walked(lambda place, start, position, velocity: _between(start, position, velocity)),
        "reversed": _walked(lambda place, start, position, velocity: -_between(place, position, velocity)),
        "nearest": _walked(_nearest),
        "average": _walked(lambda place, start, position, velocity: float(velocity.mean())),
    },
    cases=[
        (0.95, torch.tensor([0.0, 0.4, 0.7, 1.0]), torch.tensor([-0.002, -0.01, -0.05, -0.12]), 6),
        (0.3, torch.tensor([0.1, 0.5, 0.9]), torch.tensor([0.03, 0.01, -0.04]), 9),
    ],
)
EXERCISES = [BORDER, ADAPTIVE, TRACK]

CHAPTER = Chapter(
    "08",
    questions=QUESTIONS,
    exercises=EXERCISES,
    explorers={"ends": ends.ends, "road": road.road, "measures": measures.measures, "walk": walk.walk},
)
