"""Lesson 06: walkers let go on the road between two networks, what sends them home, and what the result stands on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from entropic_edu.course import Chapter, Exercise, Question

from .collapse import collapse
from .film import film
from .labels import jitter
from .sceptic import sceptic
from .walk import walk

QUESTIONS = [
    Question("still", ("home", "near", "middle"), "near", {"home": 0.08, "near": 0.28, "middle": 0.5}),
    Question("same", ("less", "same", "more"), "same", {"less": 0.35, "same": 1.0, "more": 1.25}),
    Question("double", ("nothing", "twice", "four"), "four", {"nothing": 1.0, "twice": 2.0, "four": 4.0}),
    Question("free", ("along", "slides", "wrecks"), "wrecks", {"along": 0.3, "slides": 3.0, "wrecks": 40.0}),
]


def _share(noisy: Any, control: Any) -> tuple[float, float]:
    """Return mean and standard error of the difference of pairs, as the truth of exercise 6.1 has them."""
    apart = [a - b for a, b in zip(noisy, control, strict=True)]
    mean = sum(apart) / len(apart)
    return mean, (sum((one - mean) ** 2 for one in apart) / (len(apart) - 1)) ** 0.5


def _ratio(noisy: Any, control: Any, error: Callable[[float, int], float], sign: float = 1.0) -> float:
    mean, deviation = _share(noisy, control)
    return sign * mean / error(deviation, len(noisy))


def _unpaired(noisy: Any, control: Any) -> float:
    """Return the answer of who takes the two sets of walkers as unrelated and adds their errors."""
    mean, _ = _share(noisy, control)
    zero = [0.0] * len(noisy)
    squares = sum(_share(one, zero)[1] ** 2 for one in (noisy, control)) / len(noisy)
    return mean / squares**0.5


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
        truth=lambda noisy, control: _ratio(noisy, control, lambda s, n: s / n**0.5),
        wrong={
            "no_control": lambda noisy, control: _ratio(noisy, [0.0] * len(noisy), lambda s, n: s / n**0.5),
            "deviation": lambda noisy, control: _ratio(noisy, control, lambda s, n: s),
            "sign": lambda noisy, control: _ratio(noisy, control, lambda s, n: s / n**0.5, -1.0),
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
        "push",
        "6.3",
        truth=lambda sigma, batch_size, learning_rate, slope: -learning_rate * sigma**2 / (2 * batch_size) * slope,
        wrong={
            "uphill": lambda sigma, batch_size, learning_rate, slope: (
                learning_rate * sigma**2 / (2 * batch_size) * slope
            ),
            "linear": lambda sigma, batch_size, learning_rate, slope: -learning_rate * sigma / (2 * batch_size) * slope,
            "no_batch": lambda sigma, batch_size, learning_rate, slope: -learning_rate * sigma**2 / 2 * slope,
            "quarter": lambda sigma, batch_size, learning_rate, slope: (
                -learning_rate * sigma**2 / (4 * batch_size) * slope
            ),
            "whole": lambda sigma, batch_size, learning_rate, slope: -learning_rate * sigma**2 / batch_size * slope,
            "step": lambda sigma, batch_size, learning_rate, slope: (
                -(learning_rate**2) * sigma**2 / (2 * batch_size) * slope
            ),
        },
        cases=[(0.3, 50, 0.02, 12.0), (0.6, 25, 0.01, -30.0), (0.15, 100, 0.02, 8.0)],
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
        cases=[(16, 0.2, 0.9, 0.4, 0.9), (16, 0.2, 0.9, 0.5, 0.0), (64, 0.1, 0.8, 0.2, 0.9)],
    ),
]

CHAPTER = Chapter(
    "06",
    questions=QUESTIONS,
    exercises=EXERCISES,
    explorers={"walk": walk, "collapse": collapse, "jitter": jitter, "sceptic": sceptic},
    players={"hot": film},
)
