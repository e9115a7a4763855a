"""The exercises of lesson 09: norms matched along a road, what noise adds to the way home, ends that are settled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from entropic_edu.course import Exercise

Answer = Callable[..., Any]
LAYERS = ((0, 4), (4, 9))  # of exercise 9.1: the weights after them are those of the last layer, which has a scale
POINT = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)  # where 9.3 begins


def _random(seed: int, *shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def _matched(norm: Callable[[Tensor, Tensor, float], Any], only: tuple[Any, ...] = (), power: float = 1.0) -> Answer:
    """Return an answer to 9.1, given the norm that a layer gets from its two ends and the place on the road."""

    def answer(theta: Tensor, first: Tensor, last: Tensor, layers: Any, place: float) -> Tensor:
        theta = theta.clone()
        for begin, end in only or layers:
            part = slice(begin, end)
            theta[part] *= (norm(first[part], last[part], place) / theta[part].norm()) ** power
        return theta

    return answer


def _between(first: Tensor, last: Tensor, place: float) -> Tensor:
    return torch.lerp(first.norm(), last.norm(), place)


def _place(seed: int, place: float) -> tuple[Any, ...]:
    """Return made-up weights of a place, which have sagged, and of both ends, 12 each."""
    theta, first, last = _random(seed, 3, 12) - 0.5
    return 0.6 * theta, first, 1.4 * last, LAYERS, place


def _left(position: Tensor) -> Tensor:
    """Return how far the walkers of each pair are from their own end at last, (P, R, 2, W) -> (P, 2W)."""
    return torch.cat([position[:, -1, 0], 1 - position[:, -1, 1]], 1)


def _share(position: Tensor, start: float) -> Tensor:
    return 1 - _left(position).mean(1) / start


def _mean(each: Tensor, error: Answer = lambda each: each.std() / len(each) ** 0.5) -> Tensor:
    return torch.stack([each.mean(), error(each)])


def _by_noise(share: Answer = _share, *error: Answer) -> Answer:
    """Return an answer to 9.2, given how it makes a share for each pair and an error of the differences."""
    return lambda noisy, control, start: _mean(share(noisy, start) - share(control, start), *error)


def by_noise(noisy: Tensor, control: Tensor, start: float) -> Tensor:
    """Return the share of the way home that noise adds, mean over the pairs and standard error: the answer to 9.2."""
    return _mean(_share(noisy, start) - _share(control, start))


def _crowd(noisy: Tensor, control: Tensor, start: float) -> Tensor:
    """Return the answer of who takes each walker for an independent measurement."""
    return _mean((_left(control).mean(1, keepdim=True) - _left(noisy)).flatten() / start)


def _unpaired(noisy: Tensor, control: Tensor, start: float) -> Tensor:
    """Return the answer of who adds the errors of noise and control as if they had nothing to do with each other."""
    errors = torch.stack([_mean(_share(each, start))[1] for each in (noisy, control)])
    return torch.stack([by_noise(noisy, control, start)[0], errors.norm()])


def _walked(seed: int, pairs: int, start: float) -> tuple[Tensor, Tensor, float]:
    """Return made-up walkers of some pairs at four moments, 3 a start with noise, one without, and the start."""
    time = torch.linspace(0, 1, 4, dtype=torch.float64)[:, None, None]
    own = _random(seed, 2, pairs, 1, 1, 1)  # of each pair
    walkers = []
    for gone, count in ((0.4 + 0.3 * own[0], 3), (0.05 + 0.1 * own[1], 1)):
        left = start * (1 - gone * (0.8 + 0.4 * _random(seed + count, pairs, 1, 2, count)) * time)
        walkers.append(torch.stack([left[:, :, 0], 1 - left[:, :, 1]], 2))
    return walkers[0], walkers[1], start


@dataclass(frozen=True)
class Bowl:
    """The gradient of ½ Σᵢ hᵢ θᵢ², as a function of θ."""

    h: tuple[float, ...]

    def __call__(self, theta: Tensor) -> Tensor:
        return torch.tensor(self.h).to(theta) * theta


def _settled(
    steps: Answer = lambda learning_rate, momentum, flow_time: flow_time * (1 - momentum) / learning_rate,
    keep: Answer = lambda momentum: momentum,
    take: Answer = lambda momentum: 1.0,
) -> Answer:
    """Return an answer to 9.3, given its number of steps and what each keeps of the velocity and takes of the slope."""

    def answer(gradient: Answer, theta: Tensor, learning_rate: float, momentum: float, flow_time: float) -> Tensor:
        velocity = torch.zeros_like(theta)
        for _ in range(round(steps(learning_rate, momentum, flow_time))):
            velocity = keep(momentum) * velocity + take(momentum) * gradient(theta)
            theta = theta - learning_rate * velocity
        return theta

    return answer


EXERCISES = [
    Exercise(
        "matched",
        "9.1",
        truth=_matched(_between),
        wrong={
            "whole": _matched(_between, ((0, 12),)),
            "all_layers": _matched(_between, (*LAYERS, (9, 12))),
            "first_end": _matched(lambda first, last, place: first.norm()),
            "no_place": _matched(lambda first, last, place: (first.norm() + last.norm()) / 2),
            "line": _matched(lambda first, last, place: torch.lerp(first, last, place).norm()),
            "square": _matched(_between, power=2),
        },
        cases=[_place(1, 0.25), _place(2, 0.8)],
    ),
    Exercise(
        "by_noise",
        "9.2",
        truth=by_noise,
        wrong={
            "no_control": lambda noisy, control, start: _mean(_share(noisy, start)),
            "unfolded": _by_noise(lambda position, start: 1 - position[:, -1].mean((1, 2)) / start),
            "one_side": _by_noise(lambda position, start: 1 - position[:, -1, 0].mean(1) / start),
            "deviation": _by_noise(_share, lambda added: added.std()),
            "population": _by_noise(_share, lambda added: added.std(correction=0) / len(added) ** 0.5),
            "crowd": _crowd,
            "unpaired": _unpaired,
        },
        cases=[_walked(1, 5, 0.3), _walked(2, 4, 0.25)],
    ),
    Exercise(
        "settle",
        "9.3",
        truth=_settled(),
        wrong={
            "no_momentum": _settled(lambda learning_rate, momentum, flow_time: flow_time / learning_rate),
            "time_as_steps": _settled(lambda learning_rate, momentum, flow_time: flow_time),
            "plain": _settled(keep=lambda momentum: 0.0),
            "mean": _settled(take=lambda momentum: 1 - momentum),
            "uphill": _settled(take=lambda momentum: -1.0),
        },
        cases=[(Bowl((0.5, 0.1, 0.02)), POINT, 0.2, 0.9, 20.0), (Bowl((1.0, 0.3, 0.0)), POINT, 0.1, 0.5, 3.0)],
    ),
]
