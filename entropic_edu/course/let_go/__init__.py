"""Lesson 06: walkers let go on the road between two networks, what sends them home, and what the result stands on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from entropic_edu.course import Chapter, Exercise, Question

from .collapse import collapse
from .film import film
from .push import pushes
from .sceptic import runaway, sceptic
from .walk import walk

QUESTIONS = [
    Question("still", ("home", "near", "middle"), "near", {"home": 0.1, "near": 0.3, "middle": 0.5}),
    Question("same", ("less", "same", "more"), "same", {"less": 0.5, "same": 1.0, "more": 1.4}),
    Question("push", ("twice", "four", "sixteen"), "four", {"twice": 2.0, "four": 4.0, "sixteen": 16.0}),
    Question("frozen", ("stay", "theory", "home"), "theory", {"stay": 0.29, "theory": 0.255, "home": 0.08}),
]


def _share(noisy: Any, control: Any, ddof: int = 1) -> tuple[float, float]:
    """Return mean and standard deviation of the difference of pairs, over n - ``ddof``."""
    apart = [a - b for a, b in zip(noisy, control, strict=True)]
    mean = sum(apart) / len(apart)
    return mean, (sum((one - mean) ** 2 for one in apart) / (len(apart) - ddof)) ** 0.5


def _ratio(
    noisy: Any, control: Any, error: Callable[[float, int], float] = lambda s, n: s / n**0.5, ddof: int = 1
) -> float:
    mean, deviation = _share(noisy, control, ddof)
    return mean / error(deviation, len(noisy))


def _unpaired(noisy: Any, control: Any) -> float:
    """Return the answer of who takes the two sets of walkers as unrelated and adds their errors."""
    mean, _ = _share(noisy, control)
    zero = [0.0] * len(noisy)
    squares = sum(_share(one, zero)[1] ** 2 for one in (noisy, control)) / len(noisy)
    return mean / squares**0.5


def _velocity(loss: float, road_loss: float, narrowing: float, learning_rate: float, momentum: float) -> float:
    """Return the mean velocity that excess loss makes, length per step."""
    return -learning_rate / (1 - momentum) * narrowing * (loss - road_loss)


# Displacements along the road of five pairs of minima, made up so that the slips differ
MOVED = (
    ([-0.21, -0.24, -0.19, -0.22, -0.23], [-0.03, -0.01, -0.02, -0.04, -0.01]),
    ([-0.05, -0.02, -0.04, -0.05], [-0.02, -0.03, -0.01, -0.02]),
    ([0.12, 0.31, 0.22, 0.17, 0.27, 0.24], [0.05, 0.02, 0.03, 0.06, 0.01, 0.05]),
)

EXERCISES = [
    Exercise(
        "noise_share",
        "6.1",
        truth=_ratio,
        wrong={
            "population": lambda noisy, control: _ratio(noisy, control, ddof=0),
            "no_control": lambda noisy, control: _ratio(noisy, [0.0] * len(noisy)),
            "deviation": lambda noisy, control: _ratio(noisy, control, lambda s, n: s),
            "sign": lambda noisy, control: -_ratio(noisy, control),
            "by_count": lambda noisy, control: _ratio(noisy, control, lambda s, n: s / n),
            "unpaired": _unpaired,
        },
        cases=MOVED,
    ),
    Exercise(
        "temperature",
        "6.2",
        truth=lambda batch_size, learning_rate, momentum: learning_rate / ((1 - momentum) * batch_size),
        wrong={
            "no_momentum": lambda batch_size, learning_rate, momentum: learning_rate / batch_size,
            "times": lambda batch_size, learning_rate, momentum: learning_rate * (1 - momentum) / batch_size,
            "inverted": lambda batch_size, learning_rate, momentum: learning_rate * batch_size / (1 - momentum),
            "half": lambda batch_size, learning_rate, momentum: learning_rate / (2 * (1 - momentum) * batch_size),
            "plus": lambda batch_size, learning_rate, momentum: learning_rate / ((1 + momentum) * batch_size),
        },
        cases=[(16, 0.2, 0.9), (64, 0.1, 0.8), (8, 0.05, 0.5)],
    ),
    Exercise(
        "velocity",
        "6.3",
        truth=_velocity,
        wrong={
            "sign": lambda loss, road_loss, narrowing, learning_rate, momentum: (
                -_velocity(loss, road_loss, narrowing, learning_rate, momentum)
            ),
            "no_momentum": lambda loss, road_loss, narrowing, learning_rate, momentum: _velocity(
                loss, road_loss, narrowing, learning_rate, 0.0
            ),
            "no_rate": lambda loss, road_loss, narrowing, learning_rate, momentum: _velocity(
                loss, road_loss, narrowing, 1.0, momentum
            ),
            "force": lambda loss, road_loss, narrowing, learning_rate, momentum: -narrowing * (loss - road_loss),
            "whole_loss": lambda loss, road_loss, narrowing, learning_rate, momentum: _velocity(
                loss, 0.0, narrowing, learning_rate, momentum
            ),
            "times": lambda loss, road_loss, narrowing, learning_rate, momentum: (
                -learning_rate * (1 - momentum) * narrowing * (loss - road_loss)
            ),
        },
        cases=[(0.58, 0.51, 0.06, 0.02, 0.9), (0.62, 0.5, -0.08, 0.04, 0.8), (0.07, 0.004, 0.05, 0.2, 0.5)],
    ),
    Exercise(
        "same_heat",
        "6.4",
        truth=lambda batch_size, learning_rate, momentum, new_rate, new_momentum: (
            batch_size * (new_rate / (1 - new_momentum)) / (learning_rate / (1 - momentum))
        ),
        wrong={
            "no_momentum": lambda batch_size, learning_rate, momentum, new_rate, new_momentum: (
                batch_size * new_rate / learning_rate
            ),
            "inverted": lambda batch_size, learning_rate, momentum, new_rate, new_momentum: (
                batch_size * (learning_rate / (1 - momentum)) / (new_rate / (1 - new_momentum))
            ),
            "momentum_inverted": lambda batch_size, learning_rate, momentum, new_rate, new_momentum: (
                batch_size * (new_rate * (1 - new_momentum)) / (learning_rate * (1 - momentum))
            ),
            "root": lambda batch_size, learning_rate, momentum, new_rate, new_momentum: (
                batch_size * ((new_rate / (1 - new_momentum)) / (learning_rate / (1 - momentum))) ** 0.5
            ),
            "unchanged": lambda batch_size, learning_rate, momentum, new_rate, new_momentum: batch_size,
        },
        cases=[(16, 0.02, 0.9, 0.04, 0.9), (16, 0.02, 0.9, 0.5, 0.0), (64, 0.1, 0.8, 0.2, 0.9)],
    ),
]

CHAPTER = Chapter(
    "06",
    questions=QUESTIONS,
    exercises=EXERCISES,
    explorers={"walk": walk, "collapse": collapse, "push": pushes, "runaway": runaway, "sceptic": sceptic},
    players={"hot": film},
)
