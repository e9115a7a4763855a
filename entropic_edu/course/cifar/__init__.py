"""Lesson 09: loss, curvature and drift for a CNN on CIFAR-10, recorded; with images three parts run live."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from entropic_edu.course import Chapter, Exercise, Question
from entropic_edu.physics.mean import middle_over_ends

from .both import both
from .bump import bump
from .hook import three
from .walk import walk

QUESTIONS = [
    Question(
        "hill",
        ("none", "same", "guess", "beyond"),
        "guess",
        {"none": 0.01, "same": 1.4, "guess": 2.3, "beyond": 10.0},
    ),
    Question("only", ("falls", "same", "more"), "more", {"falls": 0.8, "same": 2.0, "more": 5.0}),
    Question("end", ("stay", "part", "home"), "part", {"stay": 0.27, "part": 0.19, "home": 0.02}),
]


def _made(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return positions, loss and trace along three made-up roads, for exercise 9.2."""
    generator = torch.Generator().manual_seed(seed)
    where = torch.linspace(0, 1, 12, dtype=torch.float64)  # none at 1/3 or 2/3: round-off may not judge an answer
    level, height, tilt, steep = torch.rand(4, 3, 1, generator=generator, dtype=torch.float64)
    hill = torch.sin(torch.pi * where)
    loss = (0.004 + 0.001 * level + 0.0005 * tilt * where) * (1 + (0.5 + 0.5 * height) * hill)
    return where, loss, (20 + 10 * steep + 5 * tilt * where) * (1 + (2 + height) * hill)


def _share(each: Callable[[Tensor, Tensor], Tensor], error: Callable[[Tensor], Tensor]) -> Callable[..., Any]:
    """Return an answer to exercise 9.2, given how it makes a share of both bumps and an error of the shares."""

    def answer(position: Tensor, loss: Tensor, trace: Tensor) -> Tensor:
        shares = each(middle_over_ends(position, loss), middle_over_ends(position, trace))
        return torch.stack([shares.mean(), error(shares)])

    return answer


def _standard(shares: Tensor) -> Tensor:
    return shares.std() / len(shares) ** 0.5


def _rises(loss: Tensor, trace: Tensor) -> Tensor:
    return (loss - 1) / (trace - 1)


EXERCISES = [
    Exercise(
        "accuracy",
        "9.1",
        truth=lambda accuracy, images: (accuracy * (1 - accuracy) / images) ** 0.5,
        wrong={
            "variance": lambda accuracy, images: accuracy * (1 - accuracy) / images,
            "one_image": lambda accuracy, images: (accuracy * (1 - accuracy)) ** 0.5,
            "by_count": lambda accuracy, images: (accuracy * (1 - accuracy)) ** 0.5 / images,
            "no_misses": lambda accuracy, images: (accuracy / images) ** 0.5,
            "only_count": lambda accuracy, images: images**-0.5,
        },
        cases=[(0.56, 1000), (0.97, 500), (0.1, 10_000)],
    ),
    Exercise(
        "explained",
        "9.2",
        truth=_share(_rises, _standard),
        wrong={
            "ratios": _share(lambda loss, trace: loss / trace, _standard),
            "inverted": _share(lambda loss, trace: (trace - 1) / (loss - 1), _standard),
            "left": _share(lambda loss, trace: 1 - _rises(loss, trace), _standard),
            "scatter": _share(_rises, lambda shares: shares.std()),
            "rise_only": _share(lambda loss, trace: loss - 1, _standard),
        },
        cases=[_made(1), _made(2)],
    ),
    Exercise(
        "same_time",
        "9.3",
        truth=lambda learning_rate, momentum, steps, control_rate, control_momentum: (
            steps * learning_rate / (1 - momentum) / (control_rate / (1 - control_momentum))
        ),
        wrong={
            "same_steps": lambda learning_rate, momentum, steps, control_rate, control_momentum: steps,
            "inverted": lambda learning_rate, momentum, steps, control_rate, control_momentum: (
                steps * control_rate / (1 - control_momentum) / (learning_rate / (1 - momentum))
            ),
            "no_momentum": lambda learning_rate, momentum, steps, control_rate, control_momentum: (
                steps * learning_rate / control_rate
            ),
            "momentum_inverted": lambda learning_rate, momentum, steps, control_rate, control_momentum: (
                steps * learning_rate * (1 - momentum) / (control_rate * (1 - control_momentum))
            ),
            "no_rate": lambda learning_rate, momentum, steps, control_rate, control_momentum: (
                steps * (1 - control_momentum) / (1 - momentum)
            ),
        },
        cases=[(0.05, 0.9, 6000, 0.2, 0.9), (0.05, 0.9, 6000, 0.4, 0.8), (0.1, 0.0, 3000, 0.02, 0.9)],
    ),
]

CHAPTER = Chapter(
    "09",
    questions=QUESTIONS,
    exercises=EXERCISES,
    explorers={"three": three, "both": both, "bump": bump, "walk": walk},
)
