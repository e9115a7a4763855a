"""What the explorers share: the recording, means over the pairs of minima, and the digits beside."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor

from entropic_edu import recorded
from entropic_edu.course.bump import common as valley
from entropic_edu.physics.mean import Mean, middle_over_ends
from entropic_edu.physics.path import Path
from entropic_edu.physics.probe import Profile
from entropic_edu.recorded import cifar10
from entropic_edu.teaching.strings import text

PAIRS = tuple(range(cifar10.RECIPE["pairs"]))  # of minima, counted from 0
ALL = (None, *(pair + 1 for pair in PAIRS))  # of the slider "pair of minima": None is all of them
PLACES = tuple(round(0.1 * place, 1) for place in range(11))
MADE = "# anew, with the images: entropic-edu record cifar10"


def kept(key: str) -> Tensor:
    """Return a tensor of the recording, float64."""
    recorded_values: Tensor = recorded.load("cifar10")[key]
    return recorded_values.double()


def has(key: str) -> bool:
    """Return whether the recording holds a key."""
    return key in recorded.load("cifar10")


def device() -> str:
    """Name the device that made the recording."""
    return str(recorded.load("cifar10")["device"])


def every(key: str) -> Tensor:
    """Return what the recording holds of each pair under one name, (pairs, ...), float64."""
    return torch.stack([kept(f"pair{pair}/{key}") for pair in PAIRS])


@cache
def road(pair: int) -> Path:
    """Return the road that walkers go on, pairs counted from 0."""
    return cifar10.road(pair)


@cache
def profile(pair: int) -> Profile:
    """Return the recorded profile of a road, pairs counted from 0."""
    measured: Profile = recorded.load("cifar10")[f"pair{pair}/profile"]
    return measured


@cache
def along(field: str) -> Tensor:
    """Return a quantity of the profiles along the roads of all pairs, (pairs, n), float64."""
    return torch.stack([getattr(profile(pair), field) for pair in PAIRS]).double()


@cache
def on_digits(field: str) -> Tensor:
    """Return the same of the digits network of lessons 05 and 06, five pairs, (5, 21), float64."""
    return torch.stack([getattr(valley.profile(pair), field) for pair in range(valley.COUNT)]).double()


@cache
def objective() -> Tensor:
    """Return data loss and weight decay along the roads, at the places of "road_loss", (pairs, M), float64."""
    loss, decay = every("road_loss"), 0.5 * cifar10.RECIPE["weight_decay"]
    pivots = [road(pair).resample(loss.shape[1]).pivots for pair in PAIRS]
    return loss + decay * torch.stack([each.double().square().sum(1) for each in pivots])


def even(count: int) -> Tensor:
    """Return even positions from 0 to 1, (count,), float64."""
    return torch.linspace(0, 1, count, dtype=torch.float64)


def sampled(values: Tensor, where: Tensor) -> Tensor:
    """Return values at even positions (..., n) at the positions asked for, on straight lines between, (..., k)."""
    exactly = where.double() * (values.shape[-1] - 1)
    low = exactly.long().clamp(max=values.shape[-1] - 2)
    return torch.lerp(values[..., low], values[..., low + 1], exactly - low)


def at(values: Tensor, place: float) -> Tensor:
    """Return values at even positions (..., n) at one place, (...)."""
    return sampled(values, torch.tensor([place]))[..., 0]


def over_ends(values: Tensor) -> Tensor:
    """Return values (..., n) over the mean of the two ends of their road."""
    return values / values[..., [0, -1]].mean(-1, keepdim=True)


def bump(values: Tensor) -> Tensor:
    """Return the mean over the middle third of the road, over the mean of its two ends, (..., n) -> (...)."""
    return middle_over_ends(torch.linspace(0, 1, values.shape[-1]), values)


def over_pairs(values: Tensor, pair: int | None = None) -> Mean:
    """Return mean and standard error over the pairs, (pairs, ...) -> (...); of one pair its values, without error."""
    if pair is not None:
        return Mean(values[pair - 1], torch.zeros_like(values[pair - 1]))
    return Mean(values.mean(0), values.std(0) / len(values) ** 0.5)


def with_error(mean: Mean, digits: str = ".2f") -> str:
    """Write a number with its error, or alone where it has none."""
    value, error = float(mean.value), float(mean.error)
    if error == 0:
        return format(value, digits)
    return text("09.told", value=format(value, digits), error=format(error, digits.replace("3g", "2g")))


def named(pair: int | None) -> str:
    """Name the pairs looked at."""
    return text("09.pairs.all", count=len(PAIRS)) if pair is None else text("09.pairs.one", pair=pair, count=len(PAIRS))


def code(*lines: str) -> str:
    """Return code that reads the recording, and how to make it anew."""
    return "\n".join(['from entropic_edu import recorded\nkept = recorded.load("cifar10")', *lines, MADE])


def known(**values: Any) -> dict[str, Any]:
    """Return what every sentence may ask for, with more."""
    return {"device": device(), **values}
