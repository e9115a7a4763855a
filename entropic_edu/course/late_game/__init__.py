"""Lesson 07: children of one training run, the two barriers between them, and what their mean is worth."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from torch import Tensor

from entropic_edu.course import Chapter, Exercise, Given, Question

from . import average, barriers, hill, race, slopes
from .measures import even_batch, order, share

QUESTIONS = [
    Question(
        "order",
        ("curvature", "together", "loss"),
        "loss",
        {"curvature": 2.0, "together": 1.0, "loss": 0.5},
    ),
    Question(
        "force", ("always", "late", "never"), "never", {"always": (2.0, 2.0), "late": (0.1, 2.8), "never": (0.4, 0.4)}
    ),
    Question("mean", ("ruin", "little", "better"), "better", {"ruin": -50.0, "little": -10.0, "better": 5.0}),
]


Rule: TypeAlias = Callable[..., Any]


def _curve_share(of: Rule) -> Rule:
    """Return an answer to exercise 7.1 that reads a height off each curve, (T, K, P) -> (T, K)."""

    def rule(curves: Tensor) -> Tensor:
        height = of(curves).mean(0)
        return height / height[0]

    return rule


def _higher(curves: Tensor) -> Tensor:
    return torch.maximum(curves[..., 0], curves[..., -1])


def _each_first(curves: Tensor) -> Tensor:
    """Return the mean of the shares, each over that trunk's own first height."""
    height = curves.amax(-1) - _higher(curves)
    return (height / height[:, :1]).mean(0)


def _mean_curve(curves: Tensor) -> Tensor:
    """Return the share of the mean curve's barrier."""
    mean = curves.mean(0)
    height = mean.amax(-1) - _higher(mean)
    return height / height[0]


def _gone(k: Tensor, height: Tensor, place: Rule) -> Tensor:
    return k[min(place([float(value) for value in height]), len(k) - 1)].double()


def _stays(height: list[float]) -> int:
    """Return the place from which on a height stays below 10 %."""
    return max((place + 1 for place, value in enumerate(height) if value >= 0.1), default=0)


def _once(height: list[float]) -> int:
    return next((place for place, value in enumerate(height) if value < 0.1), len(height) - 1)


def _ordered(place: Rule) -> Rule:
    """Return an answer to exercise 7.2 from a rule for the place where a barrier has gone."""

    def rule(k: Tensor, loss: Tensor, trace: Tensor) -> Tensor:
        first, second = (torch.stack([_gone(k, row, place) for row in rows]) for rows in (loss, trace))
        later = second - first
        return torch.stack([later.mean(), later.std() / len(later) ** 0.5])

    return rule


def _deviation(k: Tensor, loss: Tensor, trace: Tensor) -> Tensor:
    mean, error = order(k, loss, trace)
    return torch.stack([mean, error * len(loss) ** 0.5])


def _apart(k: Tensor, loss: Tensor, trace: Tensor) -> Tensor:
    """Return the difference with both errors added in squares, as if the two were independent."""
    both = [torch.stack([_gone(k, row, _stays) for row in rows]) for rows in (loss, trace)]
    error = (sum(each.var() / len(each) for each in both)) ** 0.5
    return torch.stack([both[1].mean() - both[0].mean(), torch.as_tensor(error)])


def _of_mean(k: Tensor, loss: Tensor, trace: Tensor) -> Tensor:
    """Return the difference of the mean curves, with the error of the trunks."""
    gone = [_gone(k, rows.mean(0), _stays) for rows in (loss, trace)]
    return torch.stack([gone[1] - gone[0], order(k, loss, trace)[1]])


def _even(heat: Rule, weight: float = 0.25) -> Rule:
    """Return an answer to exercise 7.3 from a rule for the temperature at B = 1."""

    def rule(loss: Tensor, trace: Tensor, noise: Tensor, learning_rate: float, momentum: float) -> Tensor:
        hot = heat(trace, noise, learning_rate, momentum)
        return (weight * (hot[1:] + hot[:-1]) * trace.diff()).sum() / (loss[-1] - loss[0])

    return rule


def _temperature(trace: Tensor, noise: Tensor, rate: float, momentum: float) -> Tensor:
    return rate / (2 * (1 - momentum)) * noise / trace


def _one_temperature(trace: Tensor, noise: Tensor, rate: float, momentum: float) -> Tensor:
    """Return the mean temperature everywhere."""
    hot = _temperature(trace, noise, rate, momentum)
    return hot.mean().expand_as(hot)


def _start_temperature(loss: Tensor, trace: Tensor, noise: Tensor, learning_rate: float, momentum: float) -> Tensor:
    """Return what T at the beginning of each stretch gives."""
    hot = _temperature(trace, noise, learning_rate, momentum)
    return (0.5 * hot[:-1] * trace.diff()).sum() / (loss[-1] - loss[0])


def _gain(of: Rule) -> Rule:
    """Return an answer to exercise 7.4 in percentage points."""
    return lambda accuracy, networks: float(100 * of(accuracy, networks))


def _reads(theta: Tensor) -> Tensor:
    """Return a made-up accuracy, (n, D) -> (n,): best near (1, 1)."""
    return 0.9 - 0.2 * (theta - 1).square().sum(-1) / theta.shape[-1]


SHARE = Exercise(
    "share",
    "7.1",
    truth=share,
    wrong={
        "range": _curve_share(lambda curves: curves.amax(-1) - curves.amin(-1)),
        "mean": _curve_share(lambda curves: curves.amax(-1) - 0.5 * (curves[..., 0] + curves[..., -1])),
        "start": _curve_share(lambda curves: curves.amax(-1) - curves[..., 0]),
        "middle": _curve_share(lambda curves: curves[..., curves.shape[-1] // 2] - _higher(curves)),
        "top": _curve_share(lambda curves: curves.amax(-1)),
        "each_first": _each_first,
        "mean_curve": _mean_curve,
        "raw": lambda curves: (curves.amax(-1) - _higher(curves)).mean(0),
    },
    cases=[
        (torch.tensor([[[0.1, 0.9, 0.5, 0.6, 0.3], [0.2, 0.1, 0.6, 0.5, 0.4]],
                       [[0.3, 0.4, 0.5, 1.3, 0.2], [0.1, 0.5, 0.2, 0.3, 0.3]]]),),
        (torch.tensor([[[5.0, 9.0, 6.0], [4.0, 6.0, 2.0], [3.0, 3.0, 2.0]],
                       [[6.0, 7.0, 4.0], [3.0, 8.0, 5.0], [2.0, 3.0, 4.0]]]),),
    ],
)  # fmt: skip
ORDER = Exercise(
    "order",
    "7.2",
    truth=order,
    wrong={
        "once": _ordered(_once),
        "early": _ordered(lambda height: max(_stays(height) - 1, 0)),
        "deviation": _deviation,
        "apart": _apart,
        "of_mean": _of_mean,
    },
    cases=[
        (
            torch.tensor([0, 60, 120, 240, 480]),
            torch.tensor([[1.2, 0.3, 0.05, 0.02, 0.0], [0.9, 0.05, 0.2, 0.05, 0.0], [0.9, 0.4, 0.3, 0.04, 0.0]]),
            torch.tensor([[1.1, 0.8, 0.4, 0.06, 0.0], [1.0, 0.3, 0.3, 0.2, 0.04], [0.9, 0.7, 0.05, 0.12, 0.0]]),
        ),
        (
            torch.tensor([5, 10, 40, 100]),
            torch.tensor([[1.0, 0.5, 0.3, 0.05], [1.1, 0.09, 0.12, 0.01]]),
            torch.tensor([[0.9, 0.08, 0.05, 0.01], [1.2, 0.4, 0.3, 0.02]]),
        ),
    ],
)  # fmt: skip
EVEN = Exercise(
    "even",
    "7.3",
    truth=even_batch,
    wrong={
        "whole": _even(_temperature, 0.5),
        "no_momentum": _even(lambda trace, noise, rate, momentum: rate / 2 * noise / trace),
        "one_temperature": _even(_one_temperature),
        "start": _start_temperature,
        "noise_for_heat": _even(lambda trace, noise, rate, momentum: rate / (2 * (1 - momentum)) * noise),
        "upside_down": lambda loss, trace, noise, rate, momentum: 1 / even_batch(loss, trace, noise, rate, momentum),
        "top": lambda loss, trace, noise, rate, momentum: even_batch(loss - loss[0] + 0 * loss, trace, noise, rate,
                                                                     momentum) * (loss[-1] - loss[0]) / loss[-1],
    },
    cases=[
        (torch.tensor([0.02, 0.1, 0.3]), torch.tensor([23.0, 50.0, 75.0]), torch.tensor([4.0, 20.0, 60.0]), 0.05, 0.9),
        (torch.tensor([0.1, 0.15, 0.25, 0.4]), torch.tensor([4.0, 9.0, 7.0, 12.0]), torch.tensor([2.0, 3.0, 6.0, 4.0]),
         0.1, 0.8),
    ],
)  # fmt: skip
GAIN = Exercise(
    "gain",
    "7.4",
    truth=_gain(lambda accuracy, networks: accuracy(networks.mean(0, keepdim=True))[0] - accuracy(networks).mean()),
    wrong={
        "wrong_axis": _gain(
            lambda accuracy, networks: accuracy(networks.mean(1)[:, None])[0] - accuracy(networks).mean()
        ),
        "best": _gain(lambda accuracy, networks: accuracy(networks.mean(0)[None])[0] - accuracy(networks).max()),
        "first_two": _gain(
            lambda accuracy, networks: accuracy(networks[:2].mean(0)[None])[0] - accuracy(networks).mean()
        ),
        "accuracy": _gain(lambda accuracy, networks: accuracy(networks.mean(0)[None])[0]),
    },
    cases=[
        (Given(_reads, "accuracy on new digits"), torch.tensor([[1.5, 0.2], [0.4, 1.3], [0.8, 2.0]])),
        (Given(_reads, "accuracy on new digits"), torch.tensor([[0.0, 1.0, 1.0], [1.2, 0.5, 2.0]])),
    ],
)
EXERCISES = [SHARE, ORDER, EVEN, GAIN]

CHAPTER = Chapter(
    "07",
    questions=QUESTIONS,
    exercises=EXERCISES,
    explorers={
        "hill": hill.hill,
        "barriers": barriers.barriers,
        "race": race.race,
        "slopes": slopes.slopes,
        "average": average.average,
    },
)
