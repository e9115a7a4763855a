"""How fast walkers go home: the time each run takes for as much of the way as another run came, and the ratio."""

from __future__ import annotations

import math
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from entropic_edu.physics.noise import effective_temperature
from entropic_edu.recorded import cifar10

from .common import has, kept


class Ratio(NamedTuple):
    """How many times faster one run goes than another, with its standard error over the pairs of minima.

    Attributes:
        value: Mean over the pairs.
        error: Its standard error.
        level: Distance from the own end to which both are timed, the mean over the pairs.
    """

    value: float
    error: float
    level: float


def settings() -> dict[str, dict[str, Any]]:
    """Return the runs that the recording holds by name, the control first, then by rising temperature."""
    recorded_settings = {name: setting for name, setting in cifar10.settings().items() if has(f"{name}/step")}
    return dict(sorted(recorded_settings.items(), key=lambda item: temperature(item[1])))


def temperature(setting: dict[str, Any]) -> float:
    """Return T = η/((1-m)B) of a run, 0 without noise."""
    return effective_temperature(setting["batch_size"], setting["learning_rate"], setting["momentum"])


def times(name: str) -> Tensor:
    """Return η times the steps at the records of a run, (R,): without noise this alone counts."""
    return kept(f"{name}/step") * float(settings()[name]["learning_rate"])


@cache
def remaining(name: str) -> Tensor:
    """Return the distance from the own end, the mean over walkers and both starts, by pair and record, (P, R)."""
    position = kept(f"{name}/position")
    low = torch.tensor(settings()[name]["start"]) < 0.5
    return torch.cat([position[:, :, low].flatten(2), 1 - position[:, :, ~low].flatten(2)], -1).mean(-1)


def reached(time: Tensor, distance: Tensor, level: float) -> float:
    """Return when a distance (R,) first falls to a level, on straight lines between records; infinite if never."""
    below = (distance <= level).nonzero()
    if len(below) == 0:
        return math.inf
    row = int(below[0])
    if row == 0:
        return float(time[0])
    a, b = float(distance[row - 1]), float(distance[row])
    return float(time[row - 1]) + (a - level) / (a - b) * float(time[row] - time[row - 1])


def at(time: Tensor, distance: Tensor, when: float) -> float:
    """Return a distance (R,) at a time, on straight lines between records."""
    row = int(torch.searchsorted(time, when).clamp(1, len(time) - 1))
    share = (when - time[row - 1]) / (time[row] - time[row - 1])
    return float(torch.lerp(distance[row - 1], distance[row], share))


@cache
def faster(name: str, than: str) -> Ratio:
    """Return how many times less η·steps a run takes than another, to the place that both reach in equal η·steps."""
    end = min(float(times(name)[-1]), float(times(than)[-1]))
    ratios, levels = [], []
    for fast, slow in zip(remaining(name), remaining(than), strict=True):
        levels.append(max(at(times(name), fast, end), at(times(than), slow, end)))  # of the one that came less far
        ratios.append(reached(times(than), slow, levels[-1]) / reached(times(name), fast, levels[-1]))
    each = torch.tensor(ratios, dtype=torch.float64)
    return Ratio(float(each.mean()), float(each.std()) / len(each) ** 0.5, sum(levels) / len(levels))


@cache
def quarter(name: str) -> tuple[Tensor, float]:
    """Return the η·steps after which a quarter of the way home is gone, by pair, and the length of the run.

    Infinite where it never is: then the length of the run is a lower bound.
    """
    each = remaining(name)
    steps = [reached(times(name), one, 0.75 * float(one[0])) for one in each]
    return torch.tensor(steps, dtype=torch.float64), float(times(name)[-1])


def partner(name: str) -> str | None:
    """Return the run at B = 256 with the η of a run, or None where there is none or it is that run."""
    runs = settings()
    wanted = {key: one for key, one in runs.items() if one["batch_size"] == 256 and key != name}
    rate = runs[name]["learning_rate"]
    return next((key for key, one in wanted.items() if one["learning_rate"] == rate), None)


class Bound(NamedTuple):
    """The least number of times that batches of 256 are slower than a run, to a quarter of the way home.

    Attributes:
        value: Their longest run over the mean time of the run, both in η·steps.
        length: η·steps of their longest run, in which they never went so far.
        learning_rate: η of it, which may differ from that of the run.
    """

    value: float
    length: float
    learning_rate: float


def bound(name: str) -> Bound | None:
    """Return how much slower than a run batches of 256 are at least, or None where they do get so far."""
    cold = [key for key, one in settings().items() if one["batch_size"] == 256]
    longest = max(cold, key=lambda key: float(times(key)[-1]))
    each, length = quarter(longest)
    if not bool(each.isinf().all()):
        return None
    return Bound(length / float(quarter(name)[0].mean()), length, settings()[longest]["learning_rate"])
