"""Lesson 04: two networks trained on digits, the hill on the straight line, the road round it, and units renamed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from entropic_edu.course import Chapter, Exercise, Question

from . import band, hill, match, mistakes, walk

QUESTIONS = [
    Question(
        "hill",
        ("level", "few", "tens", "thousands"),
        "tens",
        {"level": 1.0, "few": 3.0, "tens": 23.0, "thousands": 1e3},
    ),
    Question("relax", ("stays", "pass", "gone"), "gone", {"stays": 1.0, "pass": 0.4, "gone": 0.0}),
    Question("names", ("all", "half", "little"), "little", {"all": 1.0, "half": 0.5, "little": 0.03}),
]


def across(gradient: Tensor, tangent: Tensor) -> Tensor:
    """Return the part of a gradient across a unit tangent."""
    return gradient - (gradient @ tangent) * tangent


def neb(gradient: Tensor, tangent: Tensor, ahead: float, behind: float, spring: float) -> Tensor:
    """Return the force on a pivot: the spring along the band, the loss across it."""
    return spring * (ahead - behind) * tangent - across(gradient, tangent)


def turned(vector: Tensor) -> Tensor:
    """Return a vector of the plane turned by a right angle."""
    return torch.stack([-vector[1], vector[0]])


def _of_hidden(rule: Callable[[Sequence[int]], int], ends: bool = False) -> Callable[[Sequence[int]], float]:
    """Return an answer to exercise 4.3 from a rule for the layers whose units may change places."""
    return lambda widths: float(rule(widths if ends else widths[1:-1]))


def _product(widths: Sequence[int]) -> int:
    return math.prod(math.factorial(width) for width in widths)


NEB: dict[str, Callable[..., Any]] = {
    "unprojected": lambda g, t, ahead, behind, k: k * (ahead - behind) * t - g,
    "spring_across": lambda g, t, ahead, behind, k: k * (ahead - behind) * turned(t) - across(g, t),
    "uphill": lambda g, t, ahead, behind, k: k * (ahead - behind) * t + across(g, t),
    "spring_sign": lambda g, t, ahead, behind, k: neb(g, t, behind, ahead, k),
    "along": lambda g, t, ahead, behind, k: k * (ahead - behind) * t - (g @ t) * t,
    "no_spring": lambda g, t, ahead, behind, k: -across(g, t),
}
TRUTH: Callable[..., Any] = neb

EXERCISES = [
    Exercise(
        "barrier",
        "4.1",
        truth=lambda losses: max(losses) - max(losses[0], losses[-1]),
        wrong={
            "range": lambda losses: max(losses) - min(losses),
            "start": lambda losses: max(losses) - losses[0],
            "lower": lambda losses: max(losses) - min(losses[0], losses[-1]),
            "mean": lambda losses: max(losses) - 0.5 * (losses[0] + losses[-1]),
            "ratio": lambda losses: max(losses) / max(losses[0], losses[-1]),
            "top": max,
        },
        cases=[
            ([0.1, 0.5, 0.9, 0.6, 0.2],),
            ([0.3, 0.05, 0.8, 0.4, 0.1],),
            ([0.04, 0.03, 0.035, 0.02, 0.01],),
        ],
    ),
    Exercise(
        "neb_force",
        "4.2",
        truth=TRUTH,
        wrong=NEB,
        cases=[
            (torch.tensor([0.5, -1.0]), torch.tensor([0.6, 0.8]), 0.3, 0.1, 2.0),
            (torch.tensor([1.0, 2.0]), torch.tensor([1.0, 0.0]), 0.2, 0.5, 1.0),
        ],
    ),
    Exercise(
        "relabellings",
        "4.3",
        truth=_of_hidden(_product),
        wrong={
            "sum": _of_hidden(lambda widths: sum(math.factorial(width) for width in widths)),
            "ends": _of_hidden(_product, ends=True),
            "first_only": _of_hidden(lambda widths: math.factorial(widths[0])),
            "together": _of_hidden(lambda widths: math.factorial(sum(widths))),
            "no_factorial": _of_hidden(math.prod),
        },
        cases=[([4, 3, 5, 2],), ([2, 3, 3],), ([64, 32, 32, 10],)],
    ),
]

CHAPTER = Chapter(
    "04",
    questions=QUESTIONS,
    exercises=EXERCISES,
    explorers={
        "walk": walk.walk,
        "hill": hill.hill,
        "band": band.band,
        "mistakes": mistakes.mistakes,
        "match": match.match,
    },
)
