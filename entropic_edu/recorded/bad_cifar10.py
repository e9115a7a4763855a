"""Good and bad minima of one loss on CIFAR-10, the roads between them, and walkers let go on these (lesson 08).

The network and the images are those of ``cifar10``, the way is that of ``bad_minima``: a bad minimum is first trained
on the true images and on others with wrong labels (the poison), and then, without the poison, comes to rest like the
good one. There is no weight decay, so that both are minima of one objective. On the road each normalised layer has the
norm of the good end.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from entropic_edu.data import cifar10
from entropic_edu.networks.models import normed_cnn
from entropic_edu.networks.network import Network
from entropic_edu.sweeps.kept import Part

from . import Work
from ._common import Values, columns, seeded
from .bad_minima import joined, minima, released, walked

RECIPE: Values = {
    "seeds": [0, 1, 2, 3, 4],
    "images": 200,  # true ones, of each file
    "poison": 400,
    "side": 16,
    "channels": [24, 48, 96],
    "label_noise": 0.1,
    "good": {"batch_size": 32, "learning_rate": 0.1, "epochs": 161, "schedule": "step"},
    "poisoned": {"batch_size": 32, "learning_rate": 0.1, "epochs": 80, "schedule": "step"},
    "rest": {"batch_size": 64, "learning_rate": 0.05, "epochs": 167, "schedule": "step"},
    "connect": {"method": "string", "pivots": 12, "sweeps": 500, "batch_size": 128, "tolerance": 1e9},
    "points": 9,
    "num_probes": 3,
    "starts": [0.2, 0.5, 0.8, 0.95],
    "walkers": 8,
    "batch_size": 16,
    "noise": ["label", "none"],
    "drift": {"learning_rate": 0.1, "momentum": 0.9, "steps": 1500, "project_every": 15, "record_every": 150},
    "control": {"learning_rate": 0.5, "momentum": 0.95, "steps": 150, "record_every": 15},  # of the same flow time
}
TINY: Values = {
    "seeds": [0],
    "images": 4,
    "poison": 2,
    "side": 8,
    "channels": [2, 2, 4],
    "good": {"batch_size": 8, "learning_rate": 0.05, "epochs": 8},
    "poisoned": {"batch_size": 8, "learning_rate": 0.05, "epochs": 8},
    "rest": {"batch_size": 8, "learning_rate": 0.02, "epochs": 4},
    "connect": {"method": "string", "pivots": 4, "sweeps": 8, "batch_size": 8, "tolerance": 1e9},
    "points": 3,
    "num_probes": 2,
    "walkers": 2,
    "drift": {"learning_rate": 0.01, "momentum": 0.9, "steps": 12, "project_every": 3, "record_every": 6},
    "control": {"learning_rate": 0.01, "steps": 12, "record_every": 6},
}
COLUMNS = ("loss", "train", "test", "norm", "trace", "trace_error", "adaptive")


def make(recipe: Values, work: Work) -> Values:
    """Return what was measured, pairs stacked, by the names of docs/recordings.md."""
    wanted: dict[str, Part] = {}
    for seed in recipe["seeds"]:
        wanted[f"seed {seed}, ends"] = Part(partial(_ends, recipe, seed))
        wanted[f"seed {seed}"] = Part(partial(_measured, recipe, seed), (f"seed {seed}, ends",))
    made = work.parts(wanted)
    rows = [made[f"seed {seed}"] for seed in recipe["seeds"]]
    every, last = recipe["drift"]["record_every"], recipe["drift"]["steps"]
    return columns(rows) | {"step": torch.arange(0, last + 1, every)}


def landscape(recipe: Values = RECIPE) -> Network:
    """Return the network on the true images; see ``data.cifar10`` for errors."""
    return _networks(recipe, 0)[0]


def _networks(recipe: Values, seed: int) -> tuple[Network, Network]:
    """Return the network on the true images, and on these and others, each with a wrong label that the seed drew."""
    true, poison = recipe["images"], recipe["poison"]
    data = cifar10(first=true + poison, side=recipe["side"])
    (x, other), (y, wrong) = (
        [part.flatten(0, 1) for part in each.unflatten(0, (-1, true + poison)).split([true, poison], 1)]
        for each in data.train
    )
    wrong = (wrong + torch.randint(1, 10, wrong.shape, generator=seeded(1000 * seed))) % 10
    both = (x, y), (torch.cat([x, other]), torch.cat([y, wrong]))
    shape, noise = {"channels": recipe["channels"], "size": recipe["side"]}, recipe["label_noise"]
    first, second = (Network(normed_cnn(**shape), *given, test=data.test, label_noise=noise) for given in both)
    return first, second


def _ends(recipe: Values, seed: int) -> Values:
    return {"theta": minima(*_networks(recipe, seed), seed, recipe)}


def _measured(recipe: Values, seed: int, ends: Values) -> Values:
    """Return what is measured along the road of a pair, and what walkers do on it."""
    land, given = landscape(recipe), recipe["num_probes"]
    between, values = joined(land, ends["theta"], seed, recipe)
    good = values.pop("road").pivots[0].float()
    bad = ends["theta"][1]
    values["along"] = table(land, between.at(torch.linspace(0, 1, recipe["points"])), given)
    values["ends"] = table(land, torch.stack([good, bad]), given)
    values["length"] = torch.tensor(between.length)
    for noise in recipe["noise"]:
        release = released(land, between, noise, seed, recipe)
        values |= {f"{noise}/{key}": value for key, value in walked(land, release).items()}
    return values


def table(land: Network, theta: Tensor, num_probes: int) -> Tensor:
    """Return the ``COLUMNS`` at (P, D), (P, 7): the same probes everywhere; "adaptive" is Σθᵢ²Hᵢᵢ."""
    probe = partial(land.trace, theta, num_probes=num_probes, weight_decay=False)
    plain, adaptive = (probe(generator=seeded(8), scale=scale) for scale in (None, theta))
    with torch.no_grad():
        known = [land.data_loss(theta), land.accuracy(theta), land.accuracy(theta, "test"), theta.norm(dim=1)]
    return torch.stack([*known, plain.value, plain.error, adaptive.value], 1)
