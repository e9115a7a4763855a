"""Exercises of lesson 06: projection, release, the force of the noise, and its share, each with the known slips."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from entropic_edu.course import Exercise

ROAD = torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.5, 0.0], [1.5, 1.5, 0.4], [3.0, 1.8, 0.2]])
PLACES = ((0.6, 0.1, 0.3), (1.6, 0.9, -0.2), (-0.5, 0.4, 0.1), (3.4, 2.2, 0.5), (0.9, 0.8, 0.3))  # two past the ends


def project(
    theta: Tensor, pivots: Tensor, *, ends: bool = True, power: int = 2, unit: bool = True, sign: int = 1
) -> Any:
    """Return the nearest point of the road and the direction of its piece, (2, D); keywords make slips."""
    piece = pivots[1:] - pivots[:-1]
    share = ((theta - pivots[:-1]) * piece).sum(1) / piece.norm(dim=1) ** power
    points = pivots[:-1] + (share.clamp(0, 1) if ends else share)[:, None] * piece
    best = (points - theta).norm(dim=1).argmin()
    along = sign * piece[best]
    return torch.stack([points[best], along / along.norm() if unit else along])


def _pivot(theta: Tensor, pivots: Tensor) -> Any:
    best = int((pivots - theta).norm(dim=1).argmin())
    return torch.stack([pivots[best], project(theta, pivots)[1]])


class Bowl:
    """A gradient that is not the same everywhere."""

    def __call__(self, theta: Tensor) -> Tensor:
        pull: Tensor = torch.tensor([0.4, 2.0, 1.0]) * (theta - torch.tensor([0.2, 1.0, 0.3])) + 0.2 * theta.sin()
        return pull

    def __repr__(self) -> str:
        return "that of a bowl"


def release(
    theta: Tensor,
    pivots: Tensor,
    gradient: Callable[[Tensor], Tensor],
    learning_rate: float,
    momentum: float,
    steps: int,
    every: int,
    *,
    gain: Callable[[float], float] = lambda rate: -rate,
    decay: bool = True,
    put: str = "along",
    first: int = 1,
) -> Any:
    """Return where a walker of heavy ball ends, put back on the road every so many steps; keywords make slips."""
    velocity = torch.zeros_like(theta)
    for step in range(first, first + steps):
        velocity = (momentum if decay else 0.0) * velocity + gain(learning_rate) * gradient(theta)
        theta = theta + velocity
        if put != "never" and step % every == 0:
            theta, along = project(theta, pivots)
            velocity = {"along": (velocity @ along) * along, "all": velocity, "none": 0 * velocity}[put]
    return theta


def force(
    position: Tensor,
    trace: Tensor,
    length: float,
    excess: Tensor,
    *,
    sign: int = -1,
    unit: bool = True,
    relative: bool = True,
    spacings: int = 2,
) -> Any:
    """Return the force at the inner points of a road, (n-2,); keywords make slips."""
    apart = 0.5 * spacings * (position[2:] - position[:-2]) * (length if unit else 1.0)
    narrowing = (trace[2:] - trace[:-2]) / apart / (trace[1:-1] if relative else 1.0)
    return sign * narrowing * excess[1:-1]


def share(noisy: Sequence[float], control: Sequence[float], *, power: float = 0.5, correction: int = 1) -> Any:
    """Return how many standard errors the mean difference is from zero; keywords make slips."""
    apart = torch.tensor(noisy, dtype=torch.float64) - torch.tensor(control, dtype=torch.float64)
    return apart.mean() / (apart.std(correction=correction) / len(apart) ** power)


def _unpaired(noisy: Sequence[float], control: Sequence[float]) -> Any:
    """Return the answer of who takes the two sets of walkers as unrelated and adds their errors."""
    a, b = (torch.tensor(each, dtype=torch.float64) for each in (noisy, control))
    return (a.mean() - b.mean()) / ((a.var() + b.var()) / len(a)) ** 0.5


def _ends(position: Tensor, trace: Tensor, length: float, excess: Tensor) -> Any:
    """Return the answer of who takes the difference to the next point for the slope here."""
    slope = trace.diff()[1:] / (position.diff()[1:] * length)
    return -slope / trace[1:-1] * excess[1:-1]


# Displacements along the road of five pairs of minima, made up so that the slips differ
MOVED = (
    ([-0.21, -0.24, -0.19, -0.22, -0.23], [-0.03, -0.01, -0.02, -0.04, -0.01]),
    ([-0.05, -0.02, -0.04, -0.05], [-0.02, -0.03, -0.01, -0.02]),
    ([0.12, 0.31, 0.22, 0.17, 0.27, 0.24], [0.05, 0.02, 0.03, 0.06, 0.01, 0.05]),
)
_X = torch.linspace(0, 1, 6, dtype=torch.float64)
_START = torch.tensor([0.5, 0.25, 0.0])

EXERCISES = [
    Exercise(
        "project",
        "6.1",
        truth=lambda theta, pivots: project(theta, pivots),
        wrong={
            "pivot": _pivot,
            "past_the_ends": partial(project, ends=False),
            "length": partial(project, power=1),
            "not_unit": partial(project, unit=False),
            "backwards": partial(project, sign=-1),
            "straight": lambda theta, pivots: project(theta, pivots[[0, -1]]),
        },
        cases=[(torch.tensor(place), ROAD) for place in PLACES],
    ),
    Exercise(
        "release",
        "6.2",
        truth=lambda theta, pivots, gradient, learning_rate, momentum, steps, every: release(
            theta, pivots, gradient, learning_rate, momentum, steps, every
        ),
        wrong={
            "uphill": partial(release, gain=lambda rate: rate),
            "no_rate": partial(release, gain=lambda rate: -1.0),
            "no_momentum": partial(release, decay=False),
            "never": partial(release, put="never"),
            "all_kept": partial(release, put="all"),
            "none_kept": partial(release, put="none"),
            "too_early": partial(release, first=0),
        },
        cases=[(_START, ROAD, Bowl(), 0.05, 0.8, 7, 3), (_START, ROAD, Bowl(), 0.02, 0.9, 8, 4)],
    ),
    Exercise(
        "force",
        "6.3",
        truth=lambda position, trace, length, excess: force(position, trace, length, excess),
        wrong={
            "sign": partial(force, sign=1),
            "in_roads": partial(force, unit=False),
            "not_relative": partial(force, relative=False),
            "one_spacing": partial(force, spacings=1),
            "next_point": _ends,
        },
        cases=[
            (_X, 60 + 150 * _X + 40 * (5 * _X).sin(), 30.0, 0.02 + 0.03 * _X**2),
            (_X**1.5, 200 - 90 * _X, 12.0, 0.05 - 0.02 * _X),
        ],
    ),
    Exercise(
        "noise_share",
        "6.4",
        truth=lambda noisy, control: float(share(noisy, control)),
        wrong={
            "population": partial(share, correction=0),
            "no_control": lambda noisy, control: share(noisy, [0.0] * len(noisy)),
            "deviation": partial(share, power=0),
            "sign": lambda noisy, control: -share(noisy, control),
            "by_count": partial(share, power=1),
            "unpaired": _unpaired,
        },
        cases=MOVED,
    ),
]
