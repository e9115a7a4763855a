"""Exercises of lesson 01: walkers in a trough, the heat they keep, and the longest step."""

from __future__ import annotations

import torch
from torch import Tensor

from entropic_edu.teaching.slips import solved
from entropic_edu.teaching.yours import draws


def walk(x: Tensor, kicks: Tensor, learning_rate: float, batch_size: int, curvature: float) -> Tensor:
    """Return where walkers stand after each step of SGD, (S, W).

    Args:
        x: Where they start, (W,).
        kicks: Gradient noise of one sample, a row for each step, (S, W).
        learning_rate, batch_size, curvature: η, B and h.
    """
    places = []
    for kick in kicks:
        x = x - learning_rate * (curvature * x + kick / batch_size**0.5)
        places.append(x)
    return torch.stack(places)


def heat(places: Tensor, curvature: float) -> list[Tensor]:
    """Return h times the mean of x² over the second half of a walk, and its standard error over walkers."""
    late = places[len(places) // 2 :]
    each = curvature * late.square().mean(0)
    return [each.mean(), each.std() / len(each) ** 0.5]


def edge(curvature: float) -> float:
    """Return the learning rate beyond which a walk without noise ends further away than it began."""
    return 2 / curvature


_SLOPE, _LATE = "(curvature * x + kick / batch_size**0.5)", "[len(places) // 2 :]"
_APPEND = "        places.append(x)\n"

EXERCISES = [
    solved(
        "1.1",
        walk,
        [
            (torch.tensor([0.5, -0.2, 1.0]), draws(1, 4, 3), 0.1, 4, 2.0),
            (torch.tensor([0.1, 0.4]), draws(2, 3, 2), 0.3, 16, 0.5),
        ],
        no_batch=(" / batch_size**0.5", ""),
        batch=("batch_size**0.5", "batch_size"),
        no_rate=(_SLOPE, "curvature * x - kick / batch_size**0.5"),
        no_wall=("curvature * x + ", ""),
        no_noise=(" + kick / batch_size**0.5", ""),
        uphill=("x - learning_rate", "x + learning_rate"),
        from_start=("x = x -", "moved = x -", "append(x)", "append(moved)"),
        late=("in kicks:\n", f"in kicks:\n{_APPEND}", f"{_APPEND}    return", "    return"),
    ),
    solved(
        "1.2",
        heat,
        [(draws(3, 8, 5), 2.0), (draws(4, 10, 4), 0.5)],
        deviation=(" / len(each) ** 0.5", ""),
        count=("len(each) ** 0.5", "len(each)"),
        population=("std()", "std(correction=0)"),
        no_curvature=("curvature * late", "late"),
        whole=(_LATE, ""),
        early=(_LATE, "[: len(places) // 2]"),
        half=("each = ", "each = 0.5 * "),
        mean=("[each.mean()", "[curvature * late.mean() ** 2"),
    ),
    solved(
        "1.3",
        edge,
        [(0.5,), (4.0,), (25.0,)],
        name="largest",
        tolerance=0.01,
        one_step=("2 / curvature", "1 / curvature"),
        upside_down=("2 / curvature", "2 * curvature"),
        half=("2 / curvature", "1 / (2 * curvature)"),
        root=("2 / curvature", "(2 / curvature) ** 0.5"),
        no_curvature=("2 / curvature", "2.0"),
    ),
]
