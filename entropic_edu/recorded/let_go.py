"""Walkers let go on recorded roads (lesson 06): in the valley, where theory holds, and in the runaway.

"Valley" is the normalised network of ``recorded.valley``, "runaway" the plain one of ``recorded.roads`` with hard
labels. All runs are on the objective that the roads were made on. Runs of one pair share every draw: a smaller batch
holds the first samples of a larger one. Runs to be compared last equally long in flow time η/(1-m)·steps, and k, the
number of free steps between projections, is 15 unless its name says another.
"""

from __future__ import annotations

from functools import cache, partial

import torch
from torch import Tensor

from entropic_edu.networks.network import Network
from entropic_edu.physics.drift import drift
from entropic_edu.physics.mean import Mean
from entropic_edu.physics.path import Path
from entropic_edu.physics.probe import Profile, probe
from entropic_edu.physics.release import Release
from entropic_edu.physics.theory import Prediction, predict

from . import Work, load, roads, valley
from ._common import Values, arguments, seeded

_VALLEY: Values = {
    "on": "valley", "batch_size": 16, "learning_rate": 0.02, "momentum": 0.9, "project_every": 15, "steps": 6000,
}  # fmt: skip
_STILL = _VALLEY | {"batch_size": None, "learning_rate": 0.1, "steps": 1200, "walkers": 1}
_SHORT = _VALLEY | {"steps": 1500}  # a quarter of the flow time: what the sceptic asks
_RUNAWAY = _VALLEY | {"on": "runaway", "learning_rate": 0.2, "steps": 2000}
_UNDONE = _RUNAWAY | {"undo_excursions": True}

RECIPE: Values = {
    "seeds": [0, 1, 2, 3, 4],  # of the recorded roads: pair 0 has seed 0
    "probe": {"points": 25, "num_probes": 4, "lanczos_steps": 16},
    "records": 26,
    "shorten": 1,
    "grid": {  # in the valley
        "starts": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9],
        "walkers": {"16": 4, "32": 2, "64": 2, "128": 1},
        "steps": {"0.02": 6000, "0.04": 3000},  # by η
    },
    "check": {"rates": [0.05], "starts": [0.1, 0.7]},
    "starts": [0.3, 0.7],
    "walkers": 8,
    "runs": {
        "hot": _VALLEY | {"records": 80},
        "eta 0.01, B 8": _VALLEY | {"batch_size": 8, "learning_rate": 0.01, "steps": 12000},  # as hot as B 16 at 0.02
        "of the road": _VALLEY | {"of_the_road": True, "walkers": 2},
        **{f"k{k}": _SHORT | {"project_every": k} for k in (5, 45)},
        "free": _SHORT | {"project_every": None},
        "free_all": _STILL | {"project_every": None, "steps": 300},
        **{f"runaway, B {size}": _RUNAWAY | {"batch_size": size} for size in (8, 16, 32, 64, 128)},
        "runaway, of the road": _RUNAWAY | {"of_the_road": True, "walkers": 2},
        "runaway, undone": _UNDONE,
        **{f"runaway, undone past {radius:g}": _UNDONE | {"radius": radius} for radius in (1.0, 0.5)},
        "runaway, control": _RUNAWAY | {"batch_size": None, "walkers": 1},
    },
    "accuracy": ["hot", "free", "free_all"],
}
TINY: Values = {
    "seeds": [0],
    "probe": {"points": 5, "num_probes": 1, "lanczos_steps": 4},
    "records": 4,
    "shorten": 100,
    "walkers": 2,
}


def make(recipe: Values, work: Work) -> Values:
    """Return what walkers did, the runs of a name stacked over the pairs, as docs/recordings.md names it."""
    found: Values = {}
    lengths = {}
    for on in ("valley", "runaway"):
        land, going = landscape(on), [road(on, pair) for pair in range(len(recipe["seeds"]))]
        for pair, each in enumerate(going):
            values = work.part(f"{on}, pair {pair}, profile", partial(profile, land, each, pair, recipe))
            found[f"{on}/pair{pair}/profile"] = values["profile"]
        for name, setting in settings(recipe).items():
            if setting["on"] == on:
                found |= work.part(name, partial(walked, land, going, name, setting, work))
                if predictable(setting):
                    profiles = [found[f"{on}/pair{pair}/profile"] for pair in range(len(going))]
                    found[f"{name}/theory"] = torch.stack([expected(each, setting) for each in profiles])
        lengths[on] = torch.tensor([each.length for each in going])
    found["check"] = {str(rate): _check(recipe, rate) for rate in recipe["check"]["rates"]}
    return found | {f"{on}/length": each for on, each in lengths.items()}


def landscape(on: str) -> Network:
    """Return the landscape of the "valley" or of the "runaway", a new one each time."""
    return {"valley": valley, "runaway": roads}[on].landscape()


def road(on: str, pair: int) -> Path:
    """Return the recorded road of a pair on it, what the verbs go on."""
    return {"valley": valley, "runaway": roads}[on].road(pair)


def profile(land: Network, road: Path, pair: int, recipe: Values) -> dict[str, Profile]:
    """Return what ``probe`` finds along the road of a pair."""
    return {"profile": probe(land, road, generator=seeded(6000 + 1000 * pair + 3), **recipe["probe"])}


def walked(land: Network, going: list[Path], name: str, setting: Values, work: Work) -> Values:
    """Return what walkers did on all roads in one of the runs."""
    releases = [release(land, road, pair, setting) for pair, road in enumerate(going)]
    starts = len(setting["start"])
    found = stacked(releases, starts)
    excess = torch.stack([each.excess_loss for each in releases if each.excess_loss is not None])
    found["excess"] = excess.unflatten(-1, (starts, -1)).mean(-1)
    if sharpness := [each.sharpness for each in releases if each.sharpness is not None]:
        found["sharpness"] = torch.stack(sharpness)
    if setting["keep_theta"]:
        found["accuracy"] = _accuracy(land, releases, starts).half()
    work(f"{name}: {releases[0].summary()}")
    return {f"{name}/{key}": value for key, value in found.items()}


def predictable(setting: Values) -> bool:
    """Return whether linear theory speaks of a run: projections, none of which is undone."""
    return setting["project_every"] is not None and "undo_excursions" not in setting


def theory(profile: Profile, setting: Values) -> Prediction:
    """Return linear theory for a run on a measured road."""
    names = ("batch_size", "learning_rate", "momentum", "project_every")
    return predict(profile, **{name: setting[name] for name in names})


def expected(profile: Profile, setting: Values) -> Tensor:
    """Return where linear theory says that walkers from each start stand at the end, (S,)."""
    until = torch.tensor([0, setting["steps"]])
    return torch.stack([theory(profile, setting).track(start, until)[-1] for start in setting["start"]])


def settings(recipe: Values = RECIPE) -> dict[str, Values]:
    """Return for each run by name where it is "on", and all arguments of ``drift`` but landscape, road, generator."""
    grid, accuracy = recipe["grid"], recipe["accuracy"]
    starts = {"start": grid["starts"]}
    plain = {
        f"eta {rate}, B {size}": _VALLEY
        | {"batch_size": int(size), "learning_rate": float(rate), "steps": steps, "walkers": walkers}
        | starts
        for rate, steps in grid["steps"].items()
        for size, walkers in grid["walkers"].items()
    }
    plain["control"] = _STILL | starts | {"records": 80}
    both = {"start": recipe["starts"], "walkers": recipe["walkers"]}
    plain |= {name: both | run for name, run in recipe["runs"].items()}
    return {name: _shortened(recipe, run) | {"keep_theta": name in accuracy} for name, run in plain.items()}


def _shortened(recipe: Values, run: Values) -> Values:
    """Return a run with its records at projections, shortened if the recipe is a miniature."""
    unit = run["project_every"] or 25
    records = min((recipe | run)["records"], 10**9 if recipe["shorten"] == 1 else recipe["records"])
    steps = max(run["steps"] // recipe["shorten"], 2 * unit)
    every = unit * max(1, round(steps / (records * unit)))
    changed: Values = {"steps": steps, "record_every": every}
    return {key: value for key, value in run.items() if key != "records"} | changed


def release(land: Network, road: Path, pair: int, setting: Values) -> Release:
    """Return one run: all runs of a pair draw from the same stream."""
    given = {name: value for name, value in setting.items() if name != "on"}
    return drift(land, road, generator=seeded(6000 + 1000 * pair + 4), **arguments(given))


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


def _check(recipe: Values, rate: float) -> float:
    """Return the largest difference of all data at this η from the control's η, on pair 0 of the valley, at the end."""
    ends = []
    for eta in (rate, _STILL["learning_rate"]):
        steps = round(_STILL["steps"] * _STILL["learning_rate"] / eta)
        run = _STILL | {"learning_rate": eta, "steps": steps, "start": recipe["check"]["starts"]}
        run = _shortened(recipe, run)
        ends.append(release(landscape("valley"), road("valley", 0), 0, run).position[-1])
    return float((ends[0] - ends[1]).abs().max())


def sides(name: str, start: float) -> tuple[int, int]:
    """Return which starts of a run are this far from either end."""
    starts = settings()[name]["start"]
    low, high = (next(i for i, one in enumerate(starts) if abs(one - s) < 1e-9) for s in (start, 1 - start))
    return low, high


@cache
def remaining(name: str, start: float) -> Tensor:
    """Return the distance from the own end at each record, by pair, both sides of the road together, (P, R, 2W)."""
    (low, high), position = sides(name, start), load("let_go")[f"{name}/position"].double()
    return torch.cat([position[:, :, low], 1 - position[:, :, high]], -1)


def remaining_by_theory(name: str, start: float) -> Tensor:
    """Return the mean distance from the own end that linear theory says for the end of a run, (P,)."""
    (low, high), ends = sides(name, start), load("let_go")[f"{name}/theory"].double()
    return 0.5 * (ends[:, low] + 1 - ends[:, high])


def shares(name: str, start: float) -> Tensor:
    """Return the share of the way home that walkers of each pair have gone at the end, (P,), in per cent."""
    return 100 * (1 - remaining(name, start).mean(-1)[:, -1] / start)


def gone(name: str, start: float) -> Mean:
    """Return the mean of ``shares`` with its error over the pairs."""
    each = shares(name, start)
    return Mean(each.mean(), each.std() / len(each) ** 0.5)
