"""What the explorers share: the recorded walkers, means over the pairs of minima, and theory for the same settings."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.text import Text
from torch import Tensor

from entropic_edu import recorded
from entropic_edu.course.runs import Run
from entropic_edu.physics.mean import Mean
from entropic_edu.physics.probe import Profile
from entropic_edu.physics.theory import Prediction
from entropic_edu.recorded import let_go
from entropic_edu.teaching import sheet
from entropic_edu.teaching.strings import text

GRID = let_go.RECIPE["grid"]
STARTS: tuple[float, ...] = tuple(GRID["starts"])
RATES = tuple(float(rate) for rate in GRID["steps"])
BATCHES = (*(int(size) for size in GRID["walkers"]), None)
MOMENTUM, K, FLOW_TIME = 0.9, 15, 1200  # of the grid: m, k, and the flow time of every run
STILL = let_go.settings()["control"]  # the run without noise
PAIRS = tuple(range(len(let_go.RECIPE["seeds"])))
ALL = (None, *(pair + 1 for pair in PAIRS))  # of the slider "pair of minima": None is all five
PLACES = torch.linspace(0, 1, 11, dtype=torch.float64)  # edges of the bins of the road


def kept(key: str) -> Tensor:
    """Return a tensor of the recording in double precision, or its steps."""
    recorded_values: Tensor = recorded.load("let_go")[key]
    return recorded_values.double()


def name_of(batch_size: int | None, learning_rate: float) -> str:
    """Return the name of a run of the grid; the control serves all learning rates."""
    return "control" if batch_size is None else f"eta {learning_rate:g}, B {batch_size}"


def length_of(learning_rate: float) -> int:
    """Return the steps of a run of the grid."""
    return int(GRID["steps"][f"{learning_rate:g}"])


def steps_of(name: str, learning_rate: float) -> Tensor:
    """Return the steps at the records of a run, (R,); those of the control as this learning rate would take them."""
    return kept(f"{name}/step") * (STILL["learning_rate"] / learning_rate if name == "control" else 1.0)


def column(values: Tensor, start: float) -> Tensor:
    """Return what belongs to a start of the grid, (..., S, W) -> (..., W)."""
    return values[..., STARTS.index(start), :]


def over_pairs(each: Tensor, pair: int | None) -> Mean:
    """Return the mean over the pairs of minima with its standard error, (P, ..., W) -> (...).

    Args:
        each: By pair first and walker last.
        pair: One pair, counted from 1: then ``mean_of`` its walkers.
    """
    if pair is not None:
        return mean_of(each[pair - 1])
    means = each.mean(-1)
    return Mean(means.mean(0), means.std(0) / len(means) ** 0.5)


def mean_of(walkers: Tensor) -> Mean:
    """Return the mean over walkers with its standard error, (..., W) -> (...); that of a single one is not known."""
    count = walkers.shape[-1]
    mean = walkers.mean(-1)
    return Mean(mean, walkers.std(-1) / count**0.5 if count > 1 else torch.full_like(mean, torch.nan))


def with_error(mean: Mean, form: str) -> str:
    """Write a mean with its error, and without one where that is not known."""
    error = float(mean.error)
    return f"{float(mean.value):{form}}" + ("" if math.isnan(error) else f" ± {error:{form}}")


def walkers_named(count: int) -> str:
    """Name a number of walkers."""
    return text("06.walkers.one") if count == 1 else text("06.walkers.several", walkers=count)


def pick(each: Tensor, pair: int | None) -> Tensor:
    """Return the rows of all pairs, or of one as the only row, (P, ...) -> (P or 1, ...)."""
    return each if pair is None else each[pair - 1 : pair]


@cache
def profile(pair: int, on: str = "valley") -> Profile:
    """Return the recorded profile of a road in the "valley" or the "runaway", pairs counted from 0."""
    measured: Profile = recorded.load("let_go")[f"{on}/pair{pair}/profile"]
    return measured


def pairs_of(pair: int | None) -> tuple[int, ...]:
    """Return the pairs that a learner looks at, counted from 0."""
    return PAIRS if pair is None else (pair - 1,)


def along_road(pair: int | None, field: str) -> Tensor:
    """Return a quantity of the profile along the road, the mean over the pairs looked at, (25,)."""
    return torch.stack([getattr(profile(one), field).double() for one in pairs_of(pair)]).mean(0)


@cache
def law(name: str, pair: int) -> Prediction:
    """Return linear theory for a recorded run of SGD, pairs counted from 0."""
    setting = let_go.settings()[name]
    return let_go.theory(profile(pair, setting["on"]), setting)


def speed_by_law(pair: int | None, batch_size: int | None, learning_rate: float) -> Tensor:
    """Return the theory's velocity in the valley, road lengths per 1,000 steps, the mean over the pairs, (25,)."""
    stretch = learning_rate / STILL["learning_rate"] if batch_size is None else 1.0  # only flow time counts then
    each = [law(name_of(batch_size, learning_rate), one) for one in pairs_of(pair)]
    return torch.stack([1000 * stretch * one.velocity / one.length for one in each]).mean(0)


@cache
def track(name: str, pair: int | None, start: float) -> tuple[Tensor, Tensor]:
    """Return steps (21,) and where theory says the mean walker of all pairs looked at is then, (21,)."""
    steps = torch.linspace(0, let_go.settings()[name]["steps"], 21, dtype=torch.float64).round()
    return steps, torch.stack([law(name, one).track(start, steps) for one in pairs_of(pair)]).mean(0)


def speed(step: Tensor, position: Tensor) -> tuple[Tensor, Mean]:
    """Return centres of ``PLACES`` and the measured velocity there, road lengths per 1,000 steps.

    Args:
        step: Steps at the records, (R,).
        position: (P, R, S, W).

    Returns:
        Centres (10,), and the mean over the pairs with its error; over one pair alone the error is 0, and a bin that
        fewer than 5 moves were made in is NaN.
    """
    here = position[:, :-1].flatten(2)  # (P, R-1, N)
    moved = 1000 * position.flatten(2).diff(dim=1) / step.diff()[None, :, None]
    cell = (torch.bucketize(here.contiguous(), PLACES) - 1).clamp(0, len(PLACES) - 2)
    sums = torch.zeros(len(position), len(PLACES) - 1, dtype=torch.float64)
    count = sums.clone()
    sums.scatter_add_(1, cell.flatten(1), moved.flatten(1))
    count.scatter_add_(1, cell.flatten(1), torch.ones_like(moved).flatten(1))
    each = torch.where(count >= 5, sums / count, torch.nan)
    seen = each.isfinite().sum(0)
    mean = each.nanmean(0)
    spread = (each - mean).square().nansum(0) / (seen - 1).clamp(min=1)
    enough = seen >= min(2, len(position))
    error = (spread / seen.clamp(min=1)).sqrt()
    centres = 0.5 * (PLACES[1:] + PLACES[:-1])
    return centres, Mean(mean.masked_fill(~enough, torch.nan), error.masked_fill(~enough, torch.nan))


def data_of(batch_size: int | None) -> str:
    """Name the batch in a sentence."""
    return text("06.batch.all") if batch_size is None else text("06.batch.some", batch_size=batch_size)


def pairs_named(pair: int | None) -> str:
    """Name the pairs looked at."""
    return text("06.pairs.all") if pair is None else text("06.pairs.one", pair=pair)


def boxed(ax: Axes, words: str, colour: str, **where: Any) -> Text:
    """Return a label on a white box that moves with what it names."""
    label: Text = ax.text(
        0, 0, words, color=sheet.INK.get(colour, colour), fontsize=sheet.SMALL, animated=True, **where
    )
    label.set_bbox({"facecolor": "white", "alpha": 0.85, "lw": 0, "pad": 1})
    label.set_zorder(6)
    return label


def percent(share: Tensor) -> float:
    """Return the mean of shares in per cent."""
    return 100 * float(share.mean())


def code_of(name: str) -> str:
    """Return the code that reads a recorded run, and the call of the verb that makes it anew."""
    on = let_go.settings()[name]["on"]
    return "\n".join(
        [
            "from entropic_edu import recorded",
            "from entropic_edu.recorded import let_go",
            f'position = recorded.load("let_go")["{name}/position"]  # pair, record, start, walker',
            "# made by, for each pair (here the first):",
            f'# land, road = let_go.landscape("{on}"), let_go.road("{on}", 0)',
            f'# release = let_go.release(land, road, 0, let_go.settings()["{name}"])',
        ]
    )


def setting_of(run: Run) -> str:
    """Name batch and learning rate in a sentence."""
    return text("06.setting", data=data_of(run.batch_size), learning_rate=run.learning_rate)
