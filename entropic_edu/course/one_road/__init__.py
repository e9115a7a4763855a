"""Lesson 04: two networks trained on digits, the hill on the straight line, the road round it, and units renamed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor

from entropic_edu.course import Chapter, Exercise, Given, Question
from entropic_edu.physics.path import Path

from . import band, hill, match, mistakes, walk
from .mistakes import swept

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


Rule: TypeAlias = Callable[..., Any]


def _line(loss: Rule, a: Tensor, b: Tensor) -> Tensor:
    """Return the loss at 25 even positions of the straight line from a to b."""
    return loss(torch.lerp(a, b, torch.linspace(0, 1, 25, dtype=a.dtype)[:, None]))


def _climb(of: Rule) -> Rule:
    """Return an answer to exercise 4.1 that reads a number off the losses on the line."""
    return lambda loss, a, b: float(of(_line(loss, a, b)))


def _moved(pivots: Tensor, gradients: Tensor, step: float) -> Tensor:
    """Return the pivots after a step downhill, both ends held, before they are spaced anew."""
    moved = pivots.clone()
    moved[1:-1] -= step * gradients[1:-1]
    return moved


def _spaced(moved: Tensor, count: int | None = None) -> Tensor:
    return Path(moved).resample(count or len(moved)).pivots


def _old_spacing(pivots: Tensor, gradients: Tensor, step: float) -> Tensor:
    """Return pivots that were spaced evenly before the step, not after it."""
    return _moved(_spaced(pivots), gradients, step)


def _across(pivots: Tensor, gradients: Tensor, step: float) -> Tensor:
    """Return a sweep by the part of the gradient across the band."""
    along = torch.nn.functional.normalize(pivots[2:] - pivots[:-2], dim=1)
    inner = gradients[1:-1]
    rest = torch.cat([gradients[:1], inner - (inner * along).sum(1, keepdim=True) * along, gradients[-1:]])
    return _spaced(_moved(pivots, rest, step))


def _of_hidden(rule: Callable[[Sequence[int]], int], ends: bool = False) -> Callable[[Sequence[int]], float]:
    """Return an answer to exercise 4.3 from a rule for the layers whose units may change places."""
    return lambda widths: float(rule(widths if ends else widths[1:-1]))


def _product(widths: Sequence[int]) -> int:
    return math.prod(math.factorial(width) for width in widths)


def _ramp(theta: Tensor) -> Tensor:
    return theta.sum(-1) + 0.3


def _bumpy(theta: Tensor) -> Tensor:
    x, y = theta.unbind(-1)
    return 1 + 0.2 * x + 0.9 * (6.5 * y).sin()


HILL = Exercise(
    "hill",
    "4.1",
    truth=_climb(lambda losses: losses.max() - torch.maximum(losses[0], losses[-1])),
    wrong={
        "range": _climb(lambda losses: losses.max() - losses.min()),
        "start": _climb(lambda losses: losses.max() - losses[0]),
        "lower": _climb(lambda losses: losses.max() - torch.minimum(losses[0], losses[-1])),
        "mean": _climb(lambda losses: losses.max() - 0.5 * (losses[0] + losses[-1])),
        "ratio": _climb(lambda losses: losses.max() / torch.maximum(losses[0], losses[-1])),
        "top": _climb(lambda losses: losses.max()),
        "middle": _climb(lambda losses: losses[12] - torch.maximum(losses[0], losses[-1])),
    },
    cases=[
        (Given(_bumpy, "bumpy"), torch.tensor([0.0, 0.0]), torch.tensor([1.0, 1.0])),
        (Given(_bumpy, "bumpy"), torch.tensor([1.0, 0.9]), torch.tensor([0.0, -0.1])),
        (Given(_ramp, "ramp"), torch.tensor([0.1, 0.2, 0.3]), torch.tensor([0.5, 0.2, 0.1])),
    ],
)
SWEEP = Exercise(
    "sweep",
    "4.2",
    truth=swept,
    wrong={
        "uneven": _moved,
        "ends": lambda pivots, gradients, step: _spaced(pivots - step * gradients),
        "uphill": lambda pivots, gradients, step: _spaced(_moved(pivots, -gradients, step)),
        "no_step": lambda pivots, gradients, step: _spaced(_moved(pivots, gradients, 1.0)),
        "still": lambda pivots, gradients, step: _spaced(pivots),
        "early": _old_spacing,
        "straight": lambda pivots, gradients, step: _spaced(pivots[[0, -1]], len(pivots)),
        "across": _across,
    },
    cases=[
        (
            torch.tensor([[0.0, 0.0], [0.5, 1.0], [1.0, 1.2], [3.0, 0.0]]),
            torch.tensor([[0.3, 0.2], [0.5, -1.0], [-0.5, 1.0], [1.0, -1.0]]),
            0.2,
        ),
        (torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.5, 2.0], [6.0, 2.0], [6.0, 3.0]]), torch.zeros(5, 2), 0.1),
        (
            torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.5], [0.0, 0.0, 2.0]]),
            torch.tensor([[1.0, 1.0, 0.0], [2.0, -1.0, 0.5], [-1.0, 1.0, 1.0]]),
            0.3,
        ),
    ],
)
NAMES = Exercise(
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
)
EXERCISES = [HILL, SWEEP, NAMES]

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
