"""The exercises of lesson 09: norms matched along a road, what noise adds to the way home, ends that are settled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from entropic_edu.teaching.slips import solved

LAYERS = ((0, 4), (4, 9))  # of exercise 9.1: the weights after them are those of the last layer, which has a scale
POINT = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)  # where 9.3 begins


def matched(theta: Tensor, first: Tensor, last: Tensor, layers: Sequence[tuple[int, int]], place: float) -> Tensor:
    """Return weights of a road whose layers have norms between those of its ends, as far as its place on it, (D,)."""
    theta = theta.clone()
    for begin, end in layers:
        part = slice(begin, end)
        norm = torch.lerp(first[part].norm(), last[part].norm(), place)
        theta[part] *= norm / theta[part].norm()
    return theta


def by_noise(noisy: Tensor, control: Tensor, start: float) -> Tensor:
    """Return the share of the way home that noise adds, mean over the pairs and error: (P, R, 2, W) -> (2,)."""

    def home(position: Tensor) -> Tensor:
        left = torch.cat([position[:, -1, 0], 1 - position[:, -1, 1]], 1)
        return 1 - left.mean(1) / start

    added = home(noisy) - home(control)
    return torch.stack([added.mean(), added.std() / len(added) ** 0.5])


def settle(
    gradient: Callable[[Tensor], Tensor], theta: Tensor, learning_rate: float, momentum: float, flow_time: float
) -> Tensor:
    """Return where heavy ball goes in a flow time η/(1-m)·steps, (D,)."""
    velocity = torch.zeros_like(theta)
    for _ in range(round(flow_time * (1 - momentum) / learning_rate)):
        velocity = momentum * velocity + gradient(theta)
        theta = theta - learning_rate * velocity
    return theta


@dataclass(frozen=True)
class Bowl:
    """The gradient of ½ Σᵢ hᵢ θᵢ², as a function of θ."""

    h: tuple[float, ...]

    def __call__(self, theta: Tensor) -> Tensor:
        return torch.tensor(self.h).to(theta) * theta


def _random(seed: int, *shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _place(seed: int, place: float) -> tuple[Any, ...]:
    """Return made-up weights of a place, which have sagged, and of both ends, 12 each."""
    theta, first, last = _random(seed, 3, 12) - 0.5
    return 0.6 * theta, first, 1.4 * last, LAYERS, place


def _walked(seed: int, pairs: int, start: float) -> tuple[Tensor, Tensor, float]:
    """Return made-up walkers of some pairs at four moments, 3 a start with noise, one without, and the start."""
    time = torch.linspace(0, 1, 4, dtype=torch.float64)[:, None, None]
    own = _random(seed, 2, pairs, 1, 1, 1)  # of each pair
    walkers = []
    for gone, count in ((0.4 + 0.3 * own[0], 3), (0.05 + 0.1 * own[1], 1)):
        left = start * (1 - gone * (0.8 + 0.4 * _random(seed + count, pairs, 1, 2, count)) * time)
        walkers.append(torch.stack([left[:, :, 0], 1 - left[:, :, 1]], 2))
    return walkers[0], walkers[1], start


# in the solutions
_NORM = "torch.lerp(first[part].norm(), last[part].norm(), place)"
_LEFT = "torch.cat([position[:, -1, 0], 1 - position[:, -1, 1]], 1)"
_ERROR = "added.std() / len(added) ** 0.5"

EXERCISES = [
    solved(
        "9.1",
        matched,
        [_place(1, 0.25), _place(2, 0.8)],
        whole=("in layers", "in [(0, len(theta))]"),
        all_layers=("in layers", "in [*layers, (layers[-1][1], len(theta))]"),
        first_end=(_NORM, "first[part].norm()"),
        no_place=("place)\n", "0.5)\n"),
        line=(_NORM, "torch.lerp(first[part], last[part], place).norm()"),
        square=("norm / theta[part].norm()", "(norm / theta[part].norm()) ** 2"),
    ),
    solved(
        "9.2",
        by_noise,
        [_walked(1, 5, 0.3), _walked(2, 4, 0.25)],
        no_control=(" - home(control)", ""),
        unfolded=(_LEFT, "position[:, -1].flatten(1)"),
        one_side=(_LEFT, "position[:, -1, 0]"),
        deviation=(_ERROR, "added.std()"),
        population=("added.std()", "added.std(correction=0)"),
        crowd=(
            "left.mean(1)",
            "left",
            "home(noisy) - home(control)",
            "(home(noisy) - home(control).mean(1)[:, None]).flatten()",
        ),
        unpaired=(_ERROR, "((home(noisy).var() + home(control).var()) / len(added)) ** 0.5"),
    ),
    solved(
        "9.3",
        settle,
        [(Bowl((0.5, 0.1, 0.02)), POINT, 0.2, 0.9, 20.0), (Bowl((1.0, 0.3, 0.0)), POINT, 0.1, 0.5, 3.0)],
        no_momentum=(" * (1 - momentum)", ""),
        time_as_steps=(" * (1 - momentum) / learning_rate", ""),
        plain=("momentum * velocity", "0 * velocity"),
        mean=("+ gradient(theta)", "+ (1 - momentum) * gradient(theta)"),
        uphill=("+ gradient(theta)", "- gradient(theta)"),
    ),
]
