"""Where the walkers of a recorded run stood, and where the linear theory has them."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from entropic_edu.physics.mean import Mean
from entropic_edu.physics.theory import Prediction, predict
from entropic_edu.recorded import cifar10

from .common import PAIRS, even, kept, objective, profile, sampled
from .relaxation import settings, times

STARTS: tuple[float, ...] = tuple(cifar10.RECIPE["starts"])
CONTROL = "control"


def column(name: str, key: str, start: float) -> Tensor:
    """Return what belongs to a start, (P, ..., S, W) -> (P, ..., W)."""
    return kept(f"{name}/{key}")[..., STARTS.index(start), :]


def mean_of(each: Tensor, pair: int | None) -> Mean:
    """Return mean and error over the pairs, (P, ..., W) -> (...); of one pair the error is over its walkers."""
    if pair is None:
        means = each.mean(-1)
        return Mean(means.mean(0), means.std(0) / len(means) ** 0.5)
    mine, walkers = each[pair - 1], each.shape[-1]
    error = mine.std(-1) / walkers**0.5 if walkers > 1 else torch.zeros_like(mine[..., 0])
    return Mean(mine.mean(-1), error)


def at_time(name: str, start: float, pair: int | None, time: float) -> Mean:
    """Return where the walkers of a run stand at η·steps, on straight lines between its records."""
    when, each = times(name), column(name, "position", start)  # (P, R, W)
    row = int(torch.searchsorted(when, time).clamp(1, len(when) - 1))
    share = (time - when[row - 1]) / (when[row] - when[row - 1])
    return mean_of(torch.lerp(each[:, row - 1], each[:, row], share), pair)


def lowest(start: float, pair: int | None) -> float:
    """Return where the objective is lowest on the side of a start, the mean over the pairs looked at."""
    height = objective() if pair is None else objective()[pair - 1 : pair]
    where = even(height.shape[1])
    side = (where < 0.5) == (start < 0.5)
    return float(where[side][height[:, side].argmin(1)].mean())


def together(name: str) -> float:
    """Return the largest η·steps that both a run and the control reach."""
    return float(min(times(name)[-1], times(CONTROL)[-1]))


@cache
def law(pair: int, name: str) -> Prediction:
    """Return the linear theory's velocity on a road, pairs counted from 0; the slope is taken where the loss was."""
    options = {key: settings()[name][key] for key in ("batch_size", "learning_rate", "momentum", "project_every")}
    prediction = predict(profile(pair), **options)
    height = objective()[pair]
    spacing = prediction.length / (len(height) - 1)
    energy = -options["learning_rate"] / (1 - options["momentum"]) * torch.gradient(height, spacing=spacing)[0]
    position = even(len(height))
    noise, error = (sampled(part.double(), position) for part in (prediction.noise, prediction.velocity_error))
    return Prediction(position, energy + noise, error, energy, noise, prediction.length)


def speed_by_law(name: str, pair: int | None) -> Tensor:
    """Return the theory's velocity, road lengths per 1,000 steps, the mean over the pairs looked at, (n,)."""
    chosen = PAIRS if pair is None else (pair - 1,)
    return torch.stack([1000 * law(one, name).velocity / law(one, name).length for one in chosen]).mean(0)


@cache
def track(name: str, pair: int | None, start: float) -> Tensor:
    """Return where theory says the mean walker is at the records of a run, (R,)."""
    chosen = PAIRS if pair is None else (pair - 1,)
    return torch.stack([law(one, name).track(start, kept(f"{name}/step")) for one in chosen]).mean(0)
