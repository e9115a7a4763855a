"""What lesson 10 answers from: the five look-alike valleys at all settings, and five roads of the learner's network."""

from __future__ import annotations

import torch

from entropic_edu.data import digits
from entropic_edu.networks.models import mlp
from entropic_edu.networks.network import Network
from entropic_edu.physics.connect import connect
from entropic_edu.physics.drift import drift
from entropic_edu.physics.probe import probe
from entropic_edu.physics.train import train

from ._common import Say, Values, all_sweeps, seeded
from .look_alikes import cases
from .look_alikes.measure import measured

RECIPE: Values = {
    "case_seed": 0,
    "batch_sizes": [4, 16, 64, 256, None],
    "learning_rates": [0.01, 0.02, 0.04],
    "steps": cases.STEPS,
    "halved": {"batch_size": 8, "learning_rate": 0.02, "steps": 2 * cases.STEPS},
    "seeds": [0, 1, 2, 3, 4],
    "width": 24,
    "weight_decay": 5e-4,
    "train": {"batch_size": 32, "epochs": 40},
    "connect": {"pivots": 12, "sweeps": 500, "batch_size": 128, "points": 24},
    "probe": {"points": 13, "num_probes": 1, "lanczos_steps": 6},
    "drift": {"learning_rate": 0.15, "momentum": 0.9, "steps": 720, "record_every": 45},
    "starts": [0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8],
    "walkers": 8,
    "varied": {
        "still": {"batch_size": None},
        "base": {},
        "warm": {"batch_size": 8},
        "cool": {"batch_size": 32},
        "often": {"project_every": 5},
        "seldom": {"project_every": 45},
        "free": {"project_every": None},
    },
}
TINY: Values = {
    "batch_sizes": [16, None],
    "learning_rates": [0.04],
    "steps": 48,
    "halved": {"batch_size": 8, "learning_rate": 0.02, "steps": 96},
    "seeds": [0],
    "width": 6,
    "train": {"batch_size": 64, "epochs": 4},
    "connect": {"pivots": 5, "sweeps": 30, "batch_size": 64, "points": 8},
    "probe": {"points": 7, "num_probes": 1, "lanczos_steps": 3},
    "drift": {"learning_rate": 0.05, "momentum": 0.9, "steps": 90, "record_every": 45},
    "starts": [0.3, 0.7],
    "walkers": 2,
}
CELLS = torch.arange(0.45, 4.46, 0.05, dtype=torch.float64)  # fine ones, of which 3 make one of ``measure.CELLS``


def make(recipe: Values, say: Say) -> Values:
    """Return for each case what was measured, and for each pair its profile and drift (docs/recordings.md)."""
    results: Values = {}
    for name in cases.NAMES:
        results |= _case(name, recipe)
        say(f"case {name}: done")
    land = landscape(recipe)
    for number, seed in enumerate(recipe["seeds"]):
        results |= _pair(land, number, seed, recipe)
        say(f"pair {number} (seed {seed}): {results[f'pair{number}/profile'].summary()}")
    return results


def landscape(recipe: Values | None = None) -> Network:
    """Return the network of the lesson's ten lines on the digits."""
    recipe, data = recipe or RECIPE, digits()
    chain = mlp(64, recipe["width"], recipe["width"], 10)
    return Network(chain, *data.train, weight_decay=recipe["weight_decay"], test=data.test, strategy="stacked")


def _case(name: str, recipe: Values) -> Values:
    land, seed, steps = cases.named(name), recipe["case_seed"], recipe["steps"]
    grid = [(batch, rate) for rate in recipe["learning_rates"] for batch in recipe["batch_sizes"]]
    rows = [measured(land, cases.release(land, seed, batch, rate, steps)) for batch, rate in grid]
    noisy = [{"batch_size": batch, "learning_rate": rate} for batch, rate in grid if batch is not None]
    stories = [cases.story(land, CELLS, steps=steps, **setting) for setting in noisy]
    rates = len(recipe["learning_rates"])
    halved = measured(land, cases.release(land, seed, **recipe["halved"]))
    return {
        f"{name}/measured": torch.stack([row.packed() for row in rows]).unflatten(0, (rates, -1)),
        f"{name}/walkers": torch.stack([row.walkers for row in rows]).unflatten(0, (rates, -1)).half(),
        f"{name}/story": torch.stack(stories).unflatten(0, (rates, -1)).float(),
        f"{name}/halved": halved.packed(),
    }


def _pair(land: Network, number: int, seed: int, recipe: Values) -> Values:
    key, generator = f"pair{number}", seeded(seed)
    a, b = train(land, runs=2, generator=generator, **recipe["train"]).theta
    road = connect(land, a, b, method="string", generator=generator, **all_sweeps(recipe["connect"]))
    profile = probe(land, road, generator=generator, **recipe["probe"])
    assert road.losses is not None
    highest = [float(some.max()) for some in (road.losses, road.losses[[0, -1]])]
    results: Values = {f"{key}/profile": profile, f"{key}/losses": highest}
    for name, changed in recipe["varied"].items():
        settings = {"batch_size": 16} | changed
        walkers = 1 if settings["batch_size"] is None else recipe["walkers"]
        given = {"start": recipe["starts"], "walkers": walkers} | recipe["drift"] | settings
        release = drift(land, road, generator=seeded(seed), **given)
        results["step"] = release.step
        results[f"{key}/{name}"] = release.mean_position.float()
        away = release.distance[-1].unflatten(0, (len(recipe["starts"]), walkers)).mean(1)
        results[f"{key}/{name}_away"] = (away / road.length).float()
    return results
