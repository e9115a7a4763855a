"""Where the bump and the way home hold: the digits network of the story, with one switch after another turned off.

The base is the story's: LayerNorm, a fifth of the labels wrong for good, fresh label noise, weight decay. A setting is
named after what is turned off in it, joined by "+": "calm" (ends trained without label noise, on the same objective),
"clean" (no label is wrong), "plain" (no normalisation), "undecayed" (no weight decay), all 16 of them. Beside these
stand other losses, batch norm, another road between the ends of the base, and a larger network on all training digits
with hard labels ("all"), some with switches off. Walkers are let go on each road with
label noise and without it, and of the base also on the road as it was built, norms not matched.
"""

from __future__ import annotations

import itertools
import warnings
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from entropic_edu.networks.models import mlp
from entropic_edu.networks.network import Network
from entropic_edu.networks.per_sample import gauss_newton_trace
from entropic_edu.physics.connect import UnconvergedWarning, connect
from entropic_edu.physics.drift import drift
from entropic_edu.physics.mean import middle_over_ends
from entropic_edu.physics.path import Path
from entropic_edu.physics.probe import Profile, probe
from entropic_edu.physics.release import Release
from entropic_edu.physics.steps import DivergenceError, StabilityWarning
from entropic_edu.physics.theory import predict
from entropic_edu.physics.train import train
from entropic_edu.story import recipes as story
from entropic_edu.sweeps.kept import Part

from ._common import Values, all_sweeps, columns, seeded
from ._work import Work

SWITCHES: dict[str, Values] = {  # what turns each of the four off
    "calm": {"noisy_ends": False},
    "clean": {"wrong": 0.0},
    "plain": {"norm": None},
    "undecayed": {"weight_decay": 0.0},
}
_ON: Values = {"noisy_ends": True, "wrong": 0.2, "norm": "layer", "weight_decay": 5e-4}
_ALL: Values = {"images": 1297, "widths": [64, 128, 128, 10], "label_noise": 0.0, "train": {"epochs": 488}}
_BATCH: Values = {"norm": "batch"}
_CHOICES = [off for number in range(5) for off in itertools.combinations(SWITCHES, number)]


def _off(names: tuple[str, ...]) -> Values:
    return {key: value for name in names for key, value in SWITCHES[name].items()}


RECIPE: Values = {
    "seeds": [0, 1, 2],
    "widths": [64, 96, 96, 10],
    "images": 500,
    "train": {"batch_size": 32, "learning_rate": 0.1, "momentum": 0.9, "epochs": 533, "schedule": "step"},
    "rest": {"batch_size": None, "learning_rate": 0.05, "momentum": 0.9, "epochs": 1000, "schedule": "constant"},
    "connect": {"pivots": 14, "sweeps": 900, "batch_size": 256, "tolerance": 1e9},
    "probe": {"points": 9, "num_probes": 2, "lanczos_steps": 12},
    "raw": {"points": 7, "num_probes": 2, "lanczos_steps": 12},
    "walk": {"batch_size": 16, "learning_rate": 0.02, "momentum": 0.9, "project_every": 15},
    "still": {"batch_size": None, "learning_rate": 0.1, "momentum": 0.9, "project_every": 15},
    "starts": [0.3, 0.7],
    "walkers": 4,
    "steps": {"walk": 3000, "still": 600},  # without noise only η · steps counts: it is the same
    "base": _ON | {"loss": "cross_entropy", "label_noise": 0.1, "method": "string"},
    "settings": {
        **{"+".join(off) or "base": _off(off) for off in _CHOICES},
        "hard": {"label_noise": 0.0},
        "squared": {
            "loss": "mse",
            "label_noise": 0.13,  # a jitter of the variance that replaced labels have
            "weight_decay": 5e-5,  # the loss is a mean over ten outputs
            "train": {"learning_rate": 0.2},  # at 0.5 outputs die
            "rest": {"learning_rate": 0.1},
            "connect": {"learning_rate": 0.2, "sweeps": 2700},
            "walk": {"learning_rate": 0.04},
            "still": {"learning_rate": 0.2},
        },
        "autoneb": {"method": "autoneb"},
        "batch": _BATCH,
        "all": _ALL,
        "all+plain": _ALL | SWITCHES["plain"],
        "all+clean+plain": _ALL | SWITCHES["clean"] | SWITCHES["plain"],
        "all+clean+batch": _ALL | SWITCHES["clean"] | _BATCH,
    },
}
TINY: Values = {
    "seeds": [0],
    "widths": [64, 10, 10],
    "images": 100,
    "train": RECIPE["train"] | {"epochs": 10},
    "rest": RECIPE["rest"] | {"epochs": 5},
    "connect": RECIPE["connect"] | {"pivots": 6, "sweeps": 30, "batch_size": 50},
    "probe": {"points": 4, "num_probes": 1, "lanczos_steps": 4},
    "raw": {"points": 4, "num_probes": 1, "lanczos_steps": 4},
    "walk": RECIPE["walk"] | {"batch_size": 8, "project_every": 3},
    "walkers": 2,
    "steps": {"walk": 12, "still": 3},
    "settings": {
        **{name: RECIPE["settings"][name] for name in ("base", "calm+plain", "autoneb", "batch")},
        "squared": RECIPE["settings"]["squared"] | {"connect": {}},
        "all": {"images": 120, "widths": [64, 12, 10], "label_noise": 0.0, "train": {"epochs": 8}},
    },
}
VERBS = ("train", "rest", "connect", "walk", "still")
FROM_BASE = ("autoneb",)  # another road between its ends
KEPT = (0.0, 0.5)  # positions of the base's first road whose weights stay in the file


def make(recipe: Values, work: Work) -> Values:
    """Return what was measured of each setting, by the names of docs/recordings.md."""
    wanted = {
        name: Part(partial(setting, recipe, name), ("base",) if name in FROM_BASE else ())
        for name in recipe["settings"]
    }
    found: Values = {}
    for name, made in work.parts(wanted).items():
        found |= {f"{name}/{key}": value for key, value in made.items() if key not in ("ends", "points")}
        if name == "base":
            found["base/points"] = made["points"]
    return found


def bump(values: Tensor) -> Tensor:
    """Return the mean over the middle third of a road over that of its ends, (pairs, n) -> (pairs,).

    Between the places where it was measured are straight lines, so that it hardly hangs on how many these are.
    """
    where, fine = torch.linspace(0, 1, values.shape[1]), torch.linspace(0, 1, 49, dtype=torch.float64)
    lines = [np.interp(fine.numpy(), where.numpy(), row.double().numpy()) for row in values]
    return middle_over_ends(fine, torch.as_tensor(np.stack(lines)))


def landscape(recipe: Values, name: str) -> Network:
    """Return the network of a setting, a new one each time; those of a calm one draw label noise too."""
    kind = recipe | recipe["base"] | recipe["settings"][name]
    plain = story.Valley(images=kind["images"], wrong=kind["wrong"]).landscape()
    model = batch_normed(kind["widths"]) if kind["norm"] == "batch" else mlp(*kind["widths"], norm=kind["norm"])
    given: dict[str, Any] = {key: kind[key] for key in ("loss", "label_noise", "weight_decay")}
    how: dict[str, Any] = {"batch_norm": "reestimate", "statistics": None} if kind["norm"] == "batch" else {}
    return Network(model, plain.x, plain.y, test=plain.test, **given, **how)


def batch_normed(widths: list[int]) -> nn.Sequential:
    """Return the normalised network with batch norm, without scale and shift, in place of layer norm."""
    layers = list(mlp(*widths, norm="layer"))
    return nn.Sequential(*(nn.BatchNorm1d(w.normalized_shape[0], affine=False) if isinstance(w, nn.LayerNorm) else w
                           for w in layers))  # fmt: skip


def of_its_own(recipe: Values, name: str) -> Values:
    """Return the recipe with what a setting changes in the arguments of verbs."""
    changes = recipe["settings"][name]
    return recipe | {key: recipe[key] | changes[key] for key in VERBS if key in changes}


def setting(recipe: Values, name: str, base: Values | None = None) -> Values:
    """Return the results of a setting by name, each over the pairs of minima."""
    kind, land = recipe["base"] | recipe["settings"][name], landscape(recipe, name)
    recipe = of_its_own(recipe, name)
    with warnings.catch_warnings():  # what is not stable or not flat is among what is found out
        warnings.simplefilter("ignore", StabilityWarning)
        warnings.simplefilter("ignore", UnconvergedWarning)
        ends = minima(recipe, land, kind["noisy_ends"]) if base is None else base["ends"]
        rows, kept = [], torch.empty(0)
        for pair, seed in enumerate(recipe["seeds"]):
            a, b = ends[2 * pair : 2 * pair + 2]
            line = connect(land, a, b, generator=seeded(0), method="linear", points=25)
            found = joined(recipe, land, a, b, kind, seed)
            road = found.match_norms(land)
            kept = road.at(torch.tensor(KEPT)).half() if pair == 0 else kept
            row = along(recipe, land, road, seed) | walked(recipe, land, road, seed)
            if kind["norm"] is not None:
                walks = walked(recipe, land, found, seed) if name == "base" else {}
                row |= {f"raw_{key}": value for key, value in (raw(recipe, land, found, seed) | walks).items()}
            rows.append(row | {"line": torch.tensor(line.barrier), "accuracy": accuracies(land, ends)[:, pair]})
    return columns(rows) | {"ends": ends, "points": kept}


def minima(recipe: Values, land: Network, noisy: bool) -> Tensor:
    """Return two minima for each pair, at rest on the objective, (2 · pairs, D)."""
    seed, calm = 1000 * recipe["seeds"][0], land.without_label_noise()
    run = train(land if noisy else calm, generator=seeded(seed), runs=2 * len(recipe["seeds"]), **recipe["train"])
    return train(calm, start=run.theta, generator=seeded(seed + 1), **recipe["rest"]).theta


def accuracies(land: Network, ends: Tensor) -> Tensor:
    """Return training and held-out accuracy of both ends of each pair, (2, pairs, 2)."""
    return torch.stack([land.accuracy(ends, split).view(-1, 2) for split in ("train", "test")])


def joined(recipe: Values, land: Network, a: Tensor, b: Tensor, kind: Values, seed: int) -> Path:
    """Return the road as it was built, points rounded to half precision."""
    options = all_sweeps(recipe["connect"] | {"method": kind["method"]})
    made = connect(land, a, b, generator=seeded(1000 * seed + 2), **options)
    return made.through(made.pivots.half().float())


def along(recipe: Values, land: Network, road: Path, seed: int) -> dict[str, Tensor]:
    """Return what is measured along a road with its norms matched, each (points,)."""
    found = probe(land, road, generator=seeded(1000 * seed + 3), **recipe["probe"])
    return measured(found) | {
        "loss": found.loss,
        "data_loss": found.data_loss,
        "fisher": gauss_newton_trace(land, road.at(found.position), weight_decay=False),
        "highest": highest(land, road),
        "predicted": predictions(recipe, found),
    }


@torch.no_grad()
def highest(land: Network, road: Path) -> Tensor:
    """Return the highest objective and the highest data loss on a road, each over that of its higher end, (2,)."""
    theta = road.at(torch.linspace(0, 1, 101))
    both = torch.stack([land.loss(theta), land.data_loss(theta)])
    return both.amax(1) / both[:, [0, -1]].amax(1)


def measured(found: Profile) -> dict[str, Tensor]:
    return {
        "trace": found.trace,
        "top": found.top_eigenvalue,
        "adaptive": found.adaptive_trace,
        "noise": found.noise,
        "norm": found.norm,
    }


def predictions(recipe: Values, found: Profile) -> Tensor:
    """Return where linear theory has walkers of each start at the end, with noise and without, (2, starts).

    NaN where steps are past its stability limit.
    """
    rows = []
    for name in ("walk", "still"):
        until = torch.tensor([recipe["steps"][name]])
        try:
            law = predict(found, **recipe[name])
            rows.append([float(law.track(start, until)[-1]) for start in recipe["starts"]])
        except ValueError:
            rows.append([torch.nan] * len(recipe["starts"]))
    return torch.tensor(rows)


def walked(recipe: Values, land: Network, road: Path, seed: int) -> dict[str, Tensor]:
    """Return where walkers end, with noise (starts, walkers) and without (starts,), and how they fared.

    NaN where they diverged.
    """
    starts, walkers = len(recipe["starts"]), recipe["walkers"]
    noisy, still = (released(recipe, land, road, seed, name) for name in ("walk", "still"))
    nothing = torch.full((starts, walkers), torch.nan)
    sharpness = None if noisy is None else noisy.sharpness
    return {
        "walked": nothing if noisy is None else noisy.position[-1].view(starts, walkers),
        "still": nothing[:, 0] if still is None else still.position[-1],
        "outside": nothing[0, 0] if noisy is None else noisy.outside.mean(),
        "sharpness": torch.full((3,), torch.nan) if sharpness is None else sharpness,
    }


def released(recipe: Values, land: Network, road: Path, seed: int, name: str) -> Release | None:
    """Return the release "walk" or "still"; None if walkers diverged."""
    settings = recipe[name] | {"start": recipe["starts"], "steps": recipe["steps"][name]}
    settings |= {"walkers": recipe["walkers"] if name == "walk" else 1, "record_every": recipe["steps"][name]}
    try:
        return drift(land, road, generator=seeded(1000 * seed + 4), **settings)
    except DivergenceError:
        return None


def raw(recipe: Values, land: Network, road: Path, seed: int) -> dict[str, Tensor]:
    """Return what is measured along a road as it was built."""
    found = probe(land, road, generator=seeded(1000 * seed + 3), **recipe["raw"])
    return measured(found) | {"loss": found.loss, "predicted": predictions(recipe, found)}
