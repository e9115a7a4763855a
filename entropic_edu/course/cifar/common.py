"""What the explorers share: the recording beside that of digits, means over the pairs, and theory's tracks."""

from __future__ import annotations

from functools import cache

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from entropic_edu import recorded
from entropic_edu.figures.plots import labelled
from entropic_edu.physics.mean import Mean, exact, middle_over_ends
from entropic_edu.physics.noise import effective_temperature
from entropic_edu.recorded import cifar10, let_go
from entropic_edu.teaching.strings import text

PAIRS = tuple(cifar10.PAIRS)  # of minima, counted from 0
ALL = (None, *(pair + 1 for pair in PAIRS))  # of the slider "pair of minima": None is all of them
RUNS = ("no noise", "cold", "warm", "hot")  # by rising temperature
STARTS: tuple[float, ...] = cifar10.STORY.starts


def over_pairs(each: Tensor, pair: int | None = None) -> Mean:
    """Return mean and standard error over the pairs, (P, ...) -> (...); of one pair its values, whose error is 0."""
    if pair is not None:
        return Mean(each[pair - 1], torch.zeros_like(each[pair - 1]))
    return Mean(each.mean(0), each.std(0) / len(each) ** 0.5)


def written(mean: Mean, form: str = ".2f") -> str:
    """Write a number with its error, or alone where it has none."""
    value, error = float(mean.value), float(mean.error)
    return f"{value:{form}}" + (f" ± {error:{form}}" if error else "")


def named(pair: int | None) -> str:
    """Name the pairs looked at."""
    return text("09.pairs.all", count=len(PAIRS)) if pair is None else text("09.pairs.one", pair=pair)


def even(count: int) -> Tensor:
    """Return even positions from 0 to 1, (count,), float64."""
    return torch.linspace(0, 1, count, dtype=torch.float64)


def over_ends(values: Tensor) -> Tensor:
    """Return values (..., n) over the mean of the two ends of their road."""
    return values / values[..., [0, -1]].mean(-1, keepdim=True)


def bump(values: Tensor) -> Tensor:
    """Return the mean over the middle third of the road, over the mean of its two ends, (..., n) -> (...)."""
    return middle_over_ends(even(values.shape[-1]), values)


@cache
def on_digits(field: str) -> Tensor:
    """Return a quantity along the five roads of lessons 05 and 06, (5, 21), float64."""
    kept = recorded.load("bump")
    return torch.stack([getattr(kept[f"pair{pair}/profile"], field) for pair in range(5)]).double()


# --- walkers --------------------------------------------------------------------------------------------------------


def pairs_of(pair: int | None) -> tuple[int, ...]:
    """Return the pairs looked at, counted from 0."""
    return PAIRS if pair is None else (pair - 1,)


def temperature(name: str) -> float:
    """Return T = η/((1-m)B) of a setting of this lesson, or of a run of lesson 06."""
    law = cifar10.STORY.step(cifar10.setting(name)) if name in RUNS else let_go.settings()[name]
    return effective_temperature(law["batch_size"], law["learning_rate"], law["momentum"])


@cache
def times(name: str) -> Tensor:
    """Return the flow time η/(1-m)·steps at the records of a setting, (R,)."""
    time: Tensor = recorded.load("cifar10")[f"pair0/{name}"].time
    return time.double()


@cache
def of_start(name: str, start: float, field: str = "position") -> Tensor:
    """Return a field of the walkers of a start, the mean over those of a pair, (P, R)."""
    return cifar10.stacked(name, field)[:, :, STARTS.index(start)].mean(-1)


@cache
def track(name: str, start: float) -> Tensor:
    """Return where linear theory has the mean walker of each pair at the records of a setting, (P, R)."""
    step = recorded.load("cifar10")[f"pair0/{name}"].step
    return torch.stack([cifar10.theory(pair, name).track(start, step) for pair in PAIRS])


def by_theory(name: str) -> Mean:
    """Return the share of the way home that theory says for the end of a setting, in per cent, over the pairs."""
    left = torch.stack([abs(round(start) - track(name, start)[:, -1]) / abs(round(start) - start) for start in STARTS])
    return over_pairs(100 * (1 - left.mean(0)))


@cache
def digits_home(name: str) -> Mean:
    """Return the share of the way home of a run of lesson 06 after the flow time of this lesson, in per cent."""
    setting, kept = let_go.settings()[name], recorded.load("let_go")
    when = kept[f"{name}/step"].double() * setting["learning_rate"] / (1 - setting["momentum"])
    left = let_go.remaining(name, 0.3).mean(-1)  # (P, R)
    end = float(times("hot")[-1])
    row = int(torch.searchsorted(when, end).clamp(1, len(when) - 1))
    share = (end - when[row - 1]) / (when[row] - when[row - 1])
    return over_pairs(100 * (1 - torch.lerp(left[:, row - 1], left[:, row], share) / 0.3))


# --- pictures -------------------------------------------------------------------------------------------------------


def panel(
    figure: Figure, place: tuple[float, float, float, float], title: str, below: str, **limits: tuple[float, float]
) -> Axes:
    """Return the axes of a panel, named above and below."""
    ax = labelled(figure.add_axes(place), below, "", title)
    ax.title.set_fontsize(11)
    ax.set(**limits)
    return ax


def hump(height: float | None, where: Tensor) -> Mean | None:
    """Return a predicted bump as a curve of that height, or None."""
    return None if height is None else exact(height ** torch.sin(torch.pi * where))


def code(*lines: str) -> str:
    """Return code that reads the recording."""
    return "\n".join(["from entropic_edu.recorded import cifar10", *lines])
