"""Exercises of lesson 06: projection, release, the force of the noise, and its share, each with the known slips."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from entropic_edu.course import Given
from entropic_edu.teaching.slips import solved

ROAD = torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.5, 0.0], [1.5, 1.5, 0.4], [3.0, 1.8, 0.2]])
PLACES = ((0.6, 0.1, 0.3), (1.6, 0.9, -0.2), (-0.5, 0.4, 0.1), (3.4, 2.2, 0.5), (0.9, 0.8, 0.3))  # two past the ends


def project(theta: Tensor, pivots: Tensor) -> Tensor:
    """Return the nearest point of the road and the direction of its piece, (2, D)."""
    piece = pivots[1:] - pivots[:-1]
    share = ((theta - pivots[:-1]) * piece).sum(1) / piece.norm(dim=1) ** 2
    points = pivots[:-1] + share.clamp(0, 1)[:, None] * piece
    best = (points - theta).norm(dim=1).argmin()
    return torch.stack([points[best], piece[best] / piece[best].norm()])


def release(
    theta: Tensor,
    pivots: Tensor,
    gradient: Callable[[Tensor], Tensor],
    learning_rate: float,
    momentum: float,
    steps: int,
    every: int,
) -> Tensor:
    """Return where a walker of heavy ball ends, put back on the road every so many steps."""
    velocity = torch.zeros_like(theta)
    for step in range(1, steps + 1):
        velocity = momentum * velocity - learning_rate * gradient(theta)
        theta = theta + velocity
        if step % every == 0:
            theta, along = project(theta, pivots)
            velocity = (velocity @ along) * along
    return theta


def force(position: Tensor, trace: Tensor, length: float, excess: Tensor) -> Tensor:
    """Return the force at the inner points of a road, (n-2,)."""
    apart = (position[2:] - position[:-2]) * length
    narrowing = (trace[2:] - trace[:-2]) / apart / trace[1:-1]
    return -narrowing * excess[1:-1]


def noise_share(noisy: Sequence[float], control: Sequence[float]) -> float:
    """Return how many standard errors the mean difference is from zero."""
    apart = torch.tensor(noisy, dtype=torch.float64) - torch.tensor(control, dtype=torch.float64)
    return float(apart.mean() / (apart.std() / len(apart) ** 0.5))


def _bowl(theta: Tensor) -> Tensor:
    """Return a gradient that is not the same everywhere."""
    return torch.tensor([0.4, 2.0, 1.0]) * (theta - torch.tensor([0.2, 1.0, 0.3])) + 0.2 * theta.sin()


# Displacements along the road of five pairs of minima, made up so that the slips differ
MOVED = (
    ([-0.21, -0.24, -0.19, -0.22, -0.23], [-0.03, -0.01, -0.02, -0.04, -0.01]),
    ([-0.05, -0.02, -0.04, -0.05], [-0.02, -0.03, -0.01, -0.02]),
    ([0.12, 0.31, 0.22, 0.17, 0.27, 0.24], [0.05, 0.02, 0.03, 0.06, 0.01, 0.05]),
)
BOWL = Given(_bowl, "that of a bowl")
_X = torch.linspace(0, 1, 6, dtype=torch.float64)
_START = torch.tensor([0.5, 0.25, 0.0])

_ALONG, _ERROR, _MIDDLE = "(velocity @ along) * along", "apart.std() / len(apart) ** 0.5", "trace[2:] - trace[:-2]"

EXERCISES = [
    solved(
        "6.1",
        project,
        [(torch.tensor(place), ROAD) for place in PLACES],
        pivot=("[points[best]", "[pivots[(pivots - theta).norm(dim=1).argmin()]"),
        past_the_ends=("share.clamp(0, 1)", "share"),
        length=("** 2", "** 1"),
        not_unit=(" / piece[best].norm()", ""),
        backwards=("piece[best] /", "-piece[best] /"),
        straight=("piece = pivots", "pivots = pivots[[0, -1]]\n    piece = pivots"),
    ),
    solved(
        "6.2",
        release,
        [(_START, ROAD, BOWL, 0.05, 0.8, 7, 3), (_START, ROAD, BOWL, 0.02, 0.9, 8, 4)],
        uphill=("- learning_rate", "+ learning_rate"),
        no_rate=("- learning_rate * gradient", "- gradient"),
        no_momentum=("momentum * velocity - ", "-"),
        never=("step % every == 0", "False"),
        all_kept=(_ALONG, "velocity"),
        none_kept=(_ALONG, "0 * velocity"),
        too_early=("range(1, steps + 1)", "range(steps)"),
    ),
    solved(
        "6.3",
        force,
        [
            (_X, 60 + 150 * _X + 40 * (5 * _X).sin(), 30.0, 0.02 + 0.03 * _X**2),
            (_X**1.5, 200 - 90 * _X, 12.0, 0.05 - 0.02 * _X),
        ],
        sign=("-narrowing", "narrowing"),
        in_roads=(" * length", ""),
        not_relative=(" / trace[1:-1]", ""),
        one_spacing=("apart = ", "apart = 0.5 * "),
        next_point=(_MIDDLE, "trace[2:] - trace[1:-1]", "position[:-2]", "position[1:-1]"),
    ),
    solved(
        "6.4",
        noise_share,
        MOVED,
        population=("std()", "std(correction=0)"),
        no_control=(" - torch.tensor(control, dtype=torch.float64)", ""),
        deviation=(" / len(apart) ** 0.5", ""),
        sign=("return ", "return -"),
        by_count=("** 0.5", "** 1"),
        unpaired=(_ERROR, "((torch.tensor(noisy).var() + torch.tensor(control).var()) / len(apart)) ** 0.5"),
    ),
]
