"""Exercises of lesson 03: walkers on a floor that slopes, where they turn round, two shapes of noise, label noise.

The walls of 3.1 widen as h falls by one rate, so that slope and entropy balance at the same temperature everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from entropic_edu.teaching.slips import solved
from entropic_edu.teaching.yours import draws

Along: TypeAlias = Callable[[Tensor], Tensor]
FALL = 1.5


def wall(y: Tensor) -> Tensor:
    """Return h at y."""
    return torch.exp(-FALL * y)


def wall_slope(y: Tensor) -> Tensor:
    """Return h' at y."""
    return -FALL * wall(y)


def shift(
    x: Tensor, y: Tensor, kicks: Tensor, learning_rate: float, batch_size: int, h: Along, h_slope: Along, f_slope: float
) -> list[Tensor]:
    """Return the mean displacement along the floor of walkers (W,), and its standard error; kicks are (S, 2, W)."""
    begin = y
    for kick_x, kick_y in kicks / batch_size**0.5:
        along = f_slope + 0.5 * h_slope(y) * x**2 + kick_y
        x, y = x - learning_rate * (h(y) * x + kick_x), y - learning_rate * along
    moved = y - begin
    return [moved.mean(), moved.std() / len(moved) ** 0.5]


def break_even(temperature: Sequence[float], moved: Sequence[float]) -> float:
    """Return where the line through the points first crosses zero from below; NaN where it does not."""
    for i in range(len(moved) - 1):
        if moved[i] < 0 <= moved[i + 1]:
            part = -moved[i] / (moved[i + 1] - moved[i])
            return temperature[i] + part * (temperature[i + 1] - temperature[i])
    return math.nan


def ratio(shape: str, narrow: float, wide: float) -> float:
    """Return how many times as strong the push of a shape of noise is at one curvature as at another."""
    return narrow / wide if shape == "curvature" else 1.0


def label_step(u: float, v: float, epsilon: float, learning_rate: float) -> list[float]:
    """Return both weights after a step on ½(uv - 1 - ε)²."""
    miss = u * v - 1 - epsilon
    return [u - learning_rate * miss * v, v - learning_rate * miss * u]


_PART, _U, _V = "-moved[i] / (moved[i + 1] - moved[i])", "u - learning_rate * miss * v", "v - learning_rate * miss * u"

EXERCISES = [
    solved(
        "3.1",
        shift,
        [
            (draws(1, 4), draws(2, 4), draws(3, 3, 2, 4), 0.1, 4, wall, wall_slope, 0.5),
            (draws(4, 3), draws(5, 3), draws(6, 5, 2, 3), 0.05, 9, wall, wall_slope, -0.8),
        ],
        no_slope=("along = f_slope", "along = 0"),
        no_push=("0.5 * h_slope(y) * x**2 + ", ""),
        whole=("0.5 * h_slope", "h_slope"),
        uphill=("along = f_slope", "along = -f_slope"),
        no_batch=(" / batch_size**0.5", ""),
        place=("y - begin", "y"),
        deviation=(" / len(moved) ** 0.5", ""),
    ),
    solved(
        "3.2",
        break_even,
        [
            ([0.01, 0.02, 0.04, 0.08], [-0.3, -0.1, 0.2, 0.9]),
            ([0.1, 0.3, 0.4], [-0.2, 0.6, 0.7]),
            ([0.5, 1.0, 1.5, 2.5], [-4.0, -3.0, -1.0, 0.5]),
        ],
        wrong={"nearest": lambda heats, moved: min(zip(moved, heats, strict=True), key=lambda pair: abs(pair[0]))[1]},
        middle=(_PART, "0.5"),
        first=(_PART, "0"),
        turned=("-moved[i] /", "moved[i + 1] /"),
    ),
    solved(
        "3.3",
        ratio,
        [("isotropic", 16.0, 1.0), ("curvature", 16.0, 1.0), ("curvature", 9.0, 4.0), ("isotropic", 5.0, 2.0)],
        swapped=('"curvature"', '"isotropic"'),
        bath=("narrow / wide", "1.0"),
        steeper=("1.0", "narrow / wide"),
        inverted=("narrow / wide", "wide / narrow"),
        root=("narrow / wide", "math.sqrt(narrow / wide)"),
    ),
    solved(
        "3.4",
        label_step,
        [(2.5, 0.4, 0.6, 0.1), (0.5, 1.5, -0.8, 0.2), (1.2, 2.0, 0.3, 0.05)],
        one_after_other=(f"return [{_U}", f"u = {_U}\n    miss = u * v - 1 - epsilon\n    return [u"),
        swapped=(f"{_U}, {_V}", "u - learning_rate * miss * u, v - learning_rate * miss * v"),
        same=(" * v, v", ", v", "miss * u]", "miss]"),
        no_label=(" - epsilon", ""),
        plus=("- epsilon", "+ epsilon"),
        uphill=("- learning_rate", "+ learning_rate"),
    ),
]
