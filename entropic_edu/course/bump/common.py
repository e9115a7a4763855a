"""What the explorers share: the recorded profiles and measures, and the ratio that this lesson is about."""

from __future__ import annotations

from functools import cache, partial

import torch
from matplotlib.axes import Axes
from torch import Tensor

from entropic_edu import recorded
from entropic_edu.networks.network import Network
from entropic_edu.physics.mean import Mean, exact, middle_over_ends
from entropic_edu.physics.path import Path
from entropic_edu.physics.probe import Profile
from entropic_edu.recorded import valley
from entropic_edu.teaching.sheet import GREY, Role

PAIRS = ("all", "1", "2", "3", "4", "5")  # as a learner counts them
COUNT = len(PAIRS) - 1
POINTS = 21  # along a road
PLACES = tuple(round(0.1 * place, 1) for place in range(11))
QUANTITIES = {  # along the road: their fields in a Profile, what stands at their lines, and what sentences call them
    "trace": ("trace", "05.label.trace", "05.quantity.trace"),
    "top": ("top_eigenvalue", "05.label.top", "05.quantity.top"),
    "adaptive": ("adaptive_trace", "05.label.adaptive", "05.quantity.adaptive"),
    "objective": ("loss", "05.label.objective", "05.quantity.objective"),
    "data_loss": ("data_loss", "05.label.data_loss", "05.quantity.data_loss"),
    "gradient_noise": ("noise", "05.label.gradient_noise", "05.quantity.gradient_noise"),
    "norm": ("norm", "05.label.norm", "05.quantity.norm"),
}
HERE = Role(GREY, ":", 1.5)  # the place that is looked at
over_pairs = partial(Mean.over, dim=0)  # (pairs, ...) -> (...)


def at_one(ax: Axes) -> None:
    """Mark the level of the ends."""
    ax.axhline(1, color=GREY, lw=1)


def kept(key: str) -> Tensor:
    """Return a tensor of the recording, float64."""
    value: Tensor = recorded.load("bump")[key]
    return value.double()


@cache
def land() -> Network:
    """Return the landscape: normalised network 64-96-96-10 on 500 digits, a fifth wrong, label noise 0.1."""
    return valley.landscape()


@cache
def road(pair: int) -> Path:
    """Return the recorded road of matched norms, pairs counted from 0."""
    return valley.road(pair)


@cache
def profile(pair: int) -> Profile:
    """Return the recorded Profile of a road, pairs counted from 0."""
    measured: Profile = recorded.load("bump")[f"pair{pair}/profile"]
    return measured


@cache
def along(quantity: str) -> Tensor:
    """Return a quantity along the roads of all pairs, (pairs, n), float64."""
    return torch.stack([getattr(profile(pair), QUANTITIES[quantity][0]) for pair in range(COUNT)]).double()


def positions(count: int) -> Tensor:
    """Return even positions from 0 to 1, (count,), float64."""
    return torch.linspace(0, 1, count, dtype=torch.float64)


def over_ends(values: Tensor) -> Tensor:
    """Return values (..., n) over the mean of the two ends of their road."""
    return values / values[..., [0, -1]].mean(-1, keepdim=True)


def bump(values: Tensor) -> Tensor:
    """Return the mean over the middle third of the road, over the mean of its two ends, (..., n) -> (...)."""
    return middle_over_ends(positions(values.shape[-1]), values)


def chosen(values: Tensor, pair: str) -> Mean:
    """Return the mean over all pairs of (pairs, ...), or the values of one, which have no error bar, (...)."""
    return over_pairs(values) if pair == "all" else exact(values[int(pair) - 1])


def with_error(mean: Mean, digits: str = ".2f") -> str:
    """Write a number with its error over the pairs, or alone where it comes from one pair."""
    value, error = (float(part) for part in mean)
    if error == 0:
        return format(value, digits)
    if digits == ".2f" and error < 0.005:
        digits = ".3f"  # an error of 0.00 tells nothing
    return f"{value:{digits}} ± {error:{digits.replace('3g', '2g')}}"


def told(values: Tensor, pair: str, digits: str = ".2f") -> str:
    """Write the mean over all pairs of (pairs,) with its error, or the value of one."""
    return with_error(chosen(values, pair), digits)


def ratio_of(values: Tensor) -> str:
    """Write the mean over all pairs, (pairs,), with its error."""
    return told(values, "all")
