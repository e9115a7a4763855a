"""A small CNN on 5,000 real images of CIFAR-10: three pairs of minima, their roads, and walkers on them (lesson 09).

The recording notes on what device it was made: on another, and between two runs on a GPU, sums are added in another
order, and after thousands of steps the numbers differ as they do between seeds. The points of a road are rounded to
half precision; all else was measured after rounding. Images are not kept. All of it is some 85 million gradients on one
image each: 8 h on a CPU core that does 3,000 in a second. Over a third of them is the full-batch control.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path as File
from typing import Any

import torch
from torch import nn

from entropic_edu.data import Data
from entropic_edu.data import cifar10 as images
from entropic_edu.networks.devices import device
from entropic_edu.networks.models import small_cnn
from entropic_edu.networks.network import Network
from entropic_edu.physics.connect import connect
from entropic_edu.physics.drift import drift
from entropic_edu.physics.path import Path
from entropic_edu.physics.probe import Profile, probe
from entropic_edu.physics.release import Release
from entropic_edu.physics.train import train
from entropic_edu.story.recipes import Cifar10
from entropic_edu.story.report import device_name

from . import Part, Work, load
from ._common import Values, accuracies, arguments, rounded, seeded, whole
from .let_go import stacked

_STORY = Cifar10()  # the story on CIFAR-10 has the same networks, roads and profiles
_SWEEPS = _STORY.connect["sweeps"]


def _run(batch_size: int | None, learning_rate: float, project_every: int, steps: int, **more: Any) -> Values:
    """Return a run by B, η, k and its length."""
    given = {"batch_size": batch_size, "learning_rate": learning_rate, "project_every": project_every, "steps": steps}
    return {"momentum": _STORY.settings[0].momentum, "walkers": 8} | given | more


RECIPE: Values = {
    "seeds": [0],
    "pairs": 3,
    "first": _STORY.images,  # of each of the five training files, and of the test file
    "channels": list(_STORY.widths),
    "weight_decay": _STORY.weight_decay,
    "train": _STORY.train,
    "connect": _STORY.connect | {"sweeps": _SWEEPS.most, "tolerance": _SWEEPS.scallop},
    "profile": {"images": _STORY.probed, "points": _STORY.points, **_STORY.probe},
    "starts": list(_STORY.starts),
    "records": _STORY.records,
    "runs": {
        "eta 0.05, B 16": _run(16, 0.05, 15, 6000),
        "eta 0.05, B 256": _run(256, 0.05, 15, 2000, walkers=1),
        # hot: a walker outside is put back
        "eta 0.06, B 16": _run(16, 0.06, 14, 3330, walkers=4, undo_excursions=True),
        "eta 0.1, B 64": _run(64, 0.1, 11, 3000, walkers=4),
        "eta 0.1, B 256": _run(256, 0.1, 11, 3000, walkers=3),
        # without noise only η times the steps counts, as long as η is small against 2(1+m)/λ_max
        "control": _run(None, 0.2, 8, 1000, walkers=1),
    },
}
TINY: Values = {
    "pairs": 1,
    "first": 40,
    "channels": [4, 8],
    "train": {"batch_size": 32, "learning_rate": 0.05, "momentum": 0.9, "epochs": 5},
    "connect": {"method": "string", "pivots": 5, "sweeps": 10, "batch_size": 32, "tolerance": 1e9},
    "profile": {"images": 100, "points": 3, "num_probes": 1, "lanczos_steps": 4},
    "records": 3,
    "runs": {
        "eta 0.05, B 16": _run(16, 0.05, 5, 20, walkers=2),
        "control": _run(None, 0.1, 5, 20, walkers=1),
    },
}


def make(recipe: Values, work: Work) -> Values:
    """Return for each pair the road and what was measured on it, and the walkers' runs (docs/recordings.md).

    Each training, road, profile and release is a part, and training is kept at each epoch too: a stop costs at most one
    road or one release.
    """
    _built.cache_clear()  # it may be of other images
    land, pairs = _built(json.dumps(recipe), device()), range(recipe["pairs"])
    work(f"{2 * len(pairs)} networks are trained first, on {device_name(land)}")
    made = work.parts(parts(recipe, work.store.checkpoint("minima")))

    results: Values = {}
    for pair in pairs:
        values = made[f"pair {pair}, road"] | made[f"pair {pair}, profile"]
        results |= {f"pair{pair}/{name}": value for name, value in values.items() if name != "device"}
    length = torch.tensor([going(land, results[f"pair{pair}/road"]).length for pair in pairs])
    for name in settings(recipe):
        releases = [made[f"pair {pair}, {name}"]["release"] for pair in pairs]
        together = stacked(releases, len(recipe["starts"]))
        together |= {"length": length.clone(), "temperature": torch.tensor(releases[0].temperature)}
        results |= {f"{name}/{key}": value for key, value in together.items()}
    _built.cache_clear()
    return results | {"device": devices(made)}


def parts(recipe: Values, checkpoint: File | None = None) -> dict[str, Part]:
    """Return what can be made at the same time, each after what it needs; the longest come first, to end together."""

    def part(make: Callable[..., Values], *needs: str, **chosen: Any) -> Part:
        return Part(partial(_made, recipe, make, chosen), needs)

    pairs = range(recipe["pairs"])
    wanted = {"minima": part(_minima, checkpoint=checkpoint)}
    wanted |= {f"pair {pair}, road": part(_road, "minima", pair=pair) for pair in pairs}
    wanted |= {f"pair {pair}, profile": part(_profile, f"pair {pair}, road") for pair in pairs}

    def cost(name: str) -> int:
        run = recipe["runs"][name]
        return -run["walkers"] * run["steps"] * (run["batch_size"] or 5 * recipe["first"])

    for name in sorted(settings(recipe), key=cost):
        wanted |= {f"pair {pair}, {name}": part(_release, f"pair {pair}, road", pair=pair, name=name) for pair in pairs}
    return wanted


def _made(recipe: Values, make: Callable[..., Values], chosen: Values, *needed: Values) -> Values:
    """Return a part, and on what it was made."""
    land = _built(json.dumps(recipe), device())
    return {"device": device_name(land)} | make(land, recipe, *needed, **chosen)


def _minima(land: Network, recipe: Values, checkpoint: File | None) -> Values:
    """Return the ends of all pairs, rounded to half precision, (pairs, 2, D)."""
    runs = 2 * recipe["pairs"]
    run = train(land, generator=seeded(90_000), runs=runs, checkpoint=checkpoint, resume=True, **recipe["train"])
    return {"theta": run.theta.half().to(land.dtype).unflatten(0, (-1, 2))}


def _road(land: Network, recipe: Values, ends: Values, pair: int) -> Values:
    """Return the road between the ends of a pair, and losses and accuracies along it and along the straight line."""
    a, b = ends["theta"][pair].to(land.device)
    kept = rounded(land, a, b, 90_100 + pair, recipe["connect"])
    line = connect(land, a, b, generator=seeded(90_000), method="linear", points=25)
    fine = going(land, kept).resample(8 * len(kept.pivots) - 1)
    return {
        "road": replace(kept, pivots=kept.pivots.half().cpu()),
        "road_loss": land.data_loss(fine.pivots).detach().cpu(),
        "road_accuracy": accuracies(land, fine.pivots),
        "accuracy": accuracies(land, kept.pivots[[0, -1]]),
        "line_loss": land.data_loss(line.pivots).detach().cpu(),
        "line_accuracy": accuracies(land, line.pivots),
    }


def _profile(land: Network, recipe: Values, joined: Values) -> Values:
    return {"profile": profile(land, going(land, joined["road"]), recipe)}


def _release(land: Network, recipe: Values, joined: Values, pair: int, name: str) -> Values:
    return {"release": released(land, going(land, joined["road"]), pair, settings(recipe)[name])}


@lru_cache(maxsize=1)
def _built(recipe: str, on: torch.device) -> Network:
    """Return the landscape of a recipe in JSON; a process builds it once for all parts that it makes."""
    return landscape(json.loads(recipe))


def devices(made: Mapping[str, Mapping[str, Any]]) -> str:
    """Return on what most parts were made, and which on something else."""
    made_on: dict[str, list[str]] = {}
    for name, values in made.items():
        made_on.setdefault(values["device"], []).append(name)
    first, *others = sorted(made_on, key=lambda device: -len(made_on[device]))
    return "; ".join([first, *(f"on {device}: {', '.join(made_on[device])}" for device in others)])


def landscape(recipe: Values = RECIPE, data: Data | None = None) -> Network:
    """Return the CNN and its images, or others, on the fastest device at hand.

    Raises:
        FileNotFoundError: If no copy of CIFAR-10 is found.
    """
    data = data or images(first=recipe["first"])
    model = small_cnn(tuple(recipe["channels"]), activation=nn.ReLU).to(device())
    return Network(model, *data.train, weight_decay=recipe["weight_decay"], test=data.test)


def settings(recipe: Values = RECIPE) -> dict[str, Values]:
    """Return for each run by name the arguments of ``drift``, all but landscape, road and generator."""
    given = {}
    for name, run in recipe["runs"].items():
        k = run["project_every"]
        every = k * max(1, round(run["steps"] / (recipe["records"] * k)))  # at projections
        given[name] = run | {"start": recipe["starts"], "record_every": every}
    return given


def road(pair: int) -> Path:
    """Return the recorded road of a pair with four points for each pivot: what the verbs go on."""
    return whole(load("cifar10")[f"pair{pair}/road"])


def going(land: Network, kept: Path) -> Path:
    """Return a kept road as the verbs go on it, where the landscape computes."""
    return whole(replace(kept, pivots=kept.pivots.to(land.device, land.dtype)))


def profile(land: Network, road: Path, recipe: Values) -> Profile:
    """Return what ``probe`` finds along a road, on some of the training images: each product costs four gradients."""
    options = {name: value for name, value in recipe["profile"].items() if name != "images"}
    return probe(sample(land, recipe), road, generator=seeded(90_003), **options)


def sample(land: Network, recipe: Values = RECIPE) -> Network:
    """Return the landscape of those training images on which curvature is measured."""
    return land.subset(torch.randperm(len(land.x), generator=seeded(90_002))[: recipe["profile"]["images"]])


def released(land: Network, road: Path, pair: int, setting: Values) -> Release:
    """Return what walkers did on the road of a pair: they draw from the same stream in all settings."""
    return drift(land, road, generator=seeded(90_010 + pair), **arguments(setting))
