"""Walkers let go on the five recorded roads: batch size, learning rate, start, optimizer, projection (lesson 06).

All runs are on the objective that the roads were made on. Runs of one pair share every draw: a smaller batch holds the
first samples of a larger one. The number of free steps k goes with η and m so that a free walker spreads by the same
variance between two projections (``theory.sustained_variance`` at h = 0), and runs to be compared last equally long in
η/(1-m) times the steps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache, partial

import torch
from torch import Tensor

from entropic_edu.networks.network import Network
from entropic_edu.physics.drift import drift
from entropic_edu.physics.mean import Mean
from entropic_edu.physics.noise import effective_temperature
from entropic_edu.physics.path import Path
from entropic_edu.physics.probe import Profile, probe
from entropic_edu.physics.release import Release, first_below

from . import Work, load, roads
from ._common import Values, arguments, seeded

_HOT: Values = {"batch_size": 16, "learning_rate": 0.2, "momentum": 0.9, "project_every": 15, "steps": 2000}
_FREE = _HOT | {"project_every": None}
_SLOW = _HOT | {"learning_rate": 0.05, "project_every": 29, "steps": 8000}
_SHORT = _HOT | {"learning_rate": 0.4, "momentum": 0.8, "project_every": 10}

RECIPE: Values = {
    "seeds": [0, 1, 2, 3, 4],  # of the recorded roads: pair 0 has seed 0
    "points": 25,
    "records": 26,
    "shorten": 1,
    "grid": {
        "starts": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9],
        "walkers": {"16": 3, "32": 3, "64": 3, "128": 1, "256": 1},
        "rates": {"0.1": [21, 4000], "0.2": [15, 2000], "0.4": [11, 1000]},  # η: k, steps
        "control": 0.4,  # η of the full batch: without noise only η times the steps counts, which "check" checks
    },
    "check": {"rates": [0.1, 0.2], "starts": [0.1, 0.3, 0.6, 0.9]},
    "starts": [0.3, 0.7],
    "walkers": 8,
    "runs": {
        "hot": _HOT | {"records": 133},
        "undone": _HOT | {"undo_excursions": True},
        "late": _HOT | {"noisy_steps": [1001, 2001]},
        "early": _HOT | {"noisy_steps": [1, 1001]},
        "plain": _HOT | {"momentum": 0.0},
        "plain_hot": _HOT | {"momentum": 0.0, "learning_rate": 0.5, "project_every": 23, "steps": 8000},
        "nesterov": _HOT | {"optimizer": "nesterov"},
        "nesterov_32": _HOT | {"optimizer": "nesterov", "batch_size": 32},
        "adam": _HOT | {"optimizer": "adam", "learning_rate": 0.005},
        "adam_large": _HOT | {"optimizer": "adam", "learning_rate": 0.01},
        **{f"k{k}": _HOT | {"project_every": k} for k in (5, 10, 20, 45)},
        "free": _FREE,
        **{f"free_{size}": _FREE | {"batch_size": size} for size in (32, 64)},
        "free_all": _FREE | {"batch_size": None, "walkers": 1},
        "eta 0.1, B 8": _HOT | {"batch_size": 8, "learning_rate": 0.1, "project_every": 21, "steps": 4000},
        **{f"eta 0.05, B {size}": _SLOW | {"batch_size": size} for size in (4, 8, 16)},
        **{f"m 0.8, B {size}": _SHORT | {"batch_size": size} for size in (16, 32, 64)},
        **{f"long, B {size}": _HOT | {"batch_size": size, "steps": 10000, "walkers": 1} for size in (64, 256)},
        "long, all": _HOT | {"batch_size": None, "learning_rate": 0.8, "project_every": 7, "steps": 2500, "walkers": 1},
    },
    "accuracy": ["hot", "free", "free_32", "free_64", "free_all"],
}
TINY: Values = {"seeds": [0], "points": 5, "records": 4, "shorten": 40, "walkers": 2}


def make(recipe: Values, work: Work) -> Values:
    """Return what walkers did, the runs of a name stacked over the pairs, as docs/recordings.md names it."""
    land = roads.landscape()
    going = [roads.road(seed) for seed in recipe["seeds"]]
    found: Values = {}
    for pair, road in enumerate(going):
        values = work.part(f"pair {pair}, profile", partial(profile, land, road, pair, recipe))
        found[f"pair{pair}/profile"] = values["profile"]
    for name, setting in settings(recipe).items():
        found |= work.part(name, partial(walked, land, going, name, setting, work))
    found["check"] = {str(rate): _check(land, going[0], recipe, rate) for rate in recipe["check"]["rates"]}
    found["length"] = torch.tensor([road.length for road in going])
    found["radius"] = 0.1 * found["length"]
    return found


def profile(land: Network, road: Path, pair: int, recipe: Values) -> dict[str, Profile]:
    """Return what ``probe`` finds along the road of a pair."""
    return {"profile": probe(land, road, generator=seeded(6000 + 1000 * pair + 3), points=recipe["points"])}


def walked(land: Network, going: list[Path], name: str, setting: Values, work: Work) -> Values:
    """Return what walkers did on all roads in one of the runs."""
    releases = [release(land, road, pair, setting) for pair, road in enumerate(going)]
    starts = len(setting["start"])
    found = stacked(releases, starts)
    if setting["keep_theta"]:
        found["accuracy"] = _accuracy(land, releases, starts).half()
    work(f"{name}: {releases[0].summary()}")
    return {f"{name}/{key}": value for key, value in found.items()}


def settings(recipe: Values = RECIPE) -> dict[str, Values]:
    """Return for each run by name the arguments of ``drift``, all but landscape, road and generator."""
    grid, accuracy = recipe["grid"], recipe["accuracy"]
    plain = {
        f"eta {rate}, B {size}": _on_grid(grid, rate, int(size), walkers)
        for rate in grid["rates"]
        for size, walkers in grid["walkers"].items()
    }
    plain["control"] = _on_grid(grid, str(grid["control"]), None, 1)
    both = {"start": recipe["starts"], "walkers": recipe["walkers"]}
    plain |= {name: both | run for name, run in recipe["runs"].items()}
    return {name: _arguments(recipe, run) | {"keep_theta": name in accuracy} for name, run in plain.items()}


def _on_grid(grid: Values, rate: str, size: int | None, walkers: int) -> Values:
    k, steps = grid["rates"][rate]
    changed = {"batch_size": size, "learning_rate": float(rate), "project_every": k, "steps": steps}
    return _HOT | changed | {"walkers": walkers, "start": grid["starts"]}


def _arguments(recipe: Values, run: Values) -> Values:
    """Return a run with its records at projections, shortened if the recipe is a miniature."""
    unit = run["project_every"] or 25
    records = min((recipe | run)["records"], 10**9 if recipe["shorten"] == 1 else recipe["records"])
    steps = max(run["steps"] // recipe["shorten"], 2 * unit)
    every = unit * max(1, round(steps / (records * unit)))
    changed: Values = {"steps": steps, "record_every": every}
    if "noisy_steps" in run:
        first, end = (1 + (step - 1) // recipe["shorten"] for step in run["noisy_steps"])
        changed["noisy_steps"] = range(first, end)
    return {key: value for key, value in run.items() if key != "records"} | changed


def release(land: Network, road: Path, pair: int, setting: Values) -> Release:
    """Return one run: all runs of a pair draw from the same stream."""
    return drift(land, road, generator=seeded(6000 + 1000 * pair + 4), **arguments(setting))


def stacked(releases: list[Release], starts: int) -> dict[str, Tensor]:
    """Return releases of one setting as tensors over pairs, in half precision where that is enough."""

    def every(field: str) -> Tensor:
        return torch.stack([getattr(each, field).unflatten(-1, (starts, -1)) for each in releases])

    return {
        "step": releases[0].step,
        "position": every("position").half(),
        "distance": every("distance").clamp(max=6e4).half(),
        "loss": every("loss").mean(-1).clamp(max=6e4).half(),
        "outside": every("outside").float(),
    }


def _accuracy(land: Network, releases: list[Release], starts: int) -> Tensor:
    theta = torch.stack([each.theta for each in releases if each.theta is not None])  # (P, R, SW, D)
    rows = [land.accuracy(each.flatten(0, 1), "test") for each in theta]
    return torch.stack(rows).unflatten(1, (theta.shape[1], starts, -1)).mean(-1)


def _check(land: Network, road: Path, recipe: Values, rate: float) -> float:
    """Return the largest difference of a full batch at this η from one at the control's η, at the end."""
    ends = []
    for eta in (rate, recipe["grid"]["control"]):
        run = _on_grid(recipe["grid"], str(eta), None, 1) | {"start": recipe["check"]["starts"]}
        ends.append(release(land, road, 0, _arguments(recipe, run)).position[-1])
    return float((ends[0] - ends[1]).abs().max())


_NEAR = 1e-9  # two starts that differ by less are one


@dataclass(frozen=True)
class Point:
    """One setting of the collapse: the name of its run, B, η and m."""

    name: str
    batch_size: int | None
    learning_rate: float
    momentum: float

    @property
    def temperature(self) -> float:
        """T = η/((1-m)B)."""
        return effective_temperature(self.batch_size, self.learning_rate, self.momentum)

    @property
    def clock(self) -> float:
        """Time for each step, η/(1-m)."""
        return self.learning_rate / (1 - self.momentum)


def points(start: float) -> list[Point]:
    """Return all recorded settings of heavy ball whose walkers began this far from an end of the road."""

    def near(run: Values) -> bool:
        return any(abs(one - start) < _NEAR for one in run["start"])

    runs = settings()
    names = [name for name, run in runs.items() if name.startswith(("eta ", "m ")) and near(run)]
    given = ("batch_size", "learning_rate", "momentum")
    return [Point(name, *(runs[name][key] for key in given)) for name in [*names, "control"]]


@cache
def remaining(name: str, start: float) -> Tensor:
    """Return the distance from the own end at each record, by pair, both sides of the road together, (P, R, 2W)."""
    starts, position = settings()[name]["start"], load("let_go")[f"{name}/position"].double()
    low, high = (next(i for i, one in enumerate(starts) if abs(one - s) < _NEAR) for s in (start, 1 - start))
    return torch.cat([position[:, :, low], 1 - position[:, :, high]], -1)


@cache
def gone(name: str, start: float) -> Mean:
    """Return the share of the way home that walkers have gone at the end, in per cent, with its error over pairs."""
    each = remaining(name, start).mean(-1)
    share = 100 * (1 - each[:, -1] / each[:, 0])
    return Mean(share.mean(), share.std() / len(share) ** 0.5)


@cache
def half(name: str, start: float) -> Mean:
    """Return the steps after which the mean distance from the own end has halved, with its error; infinite if never.

    The mean is over the pairs, and the jackknife over the pairs gives the error: infinite where leaving out one pair
    decides whether the half is reached.
    """
    each = remaining(name, start).mean(-1)  # (P, R)
    step, count = load("let_go")[f"{name}/step"].double(), len(each)
    curves = [each.mean(0), *((each.sum(0) - one) / (count - 1) for one in each)]
    times = torch.tensor([first_below(step, curve, 0.5 * float(curve[0])) for curve in curves], dtype=torch.float64)
    spread = (times[1:] - times[1:].mean()).square().sum() * (count - 1) / count
    return Mean(times[0], spread.sqrt().nan_to_num(math.inf))
