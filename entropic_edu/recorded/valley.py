"""Five pairs of minima of the story and the roads between them: what lessons 05 and 06 stand on.

Network, ends and roads are those of ``make story``: hidden layers are normalised, a fifth of the labels is wrong and
memorised, and drawn labels are noisy. The pivots of a road are kept as it was built, in half precision. There the norms
of the layers sag; ``road`` gives them those of the ends, which changes no output.
"""

from __future__ import annotations

from functools import partial

from entropic_edu.networks.network import Network
from entropic_edu.physics.path import Path
from entropic_edu.physics.train import train
from entropic_edu.story.recipes import Valley

from . import Work, load, roads
from ._common import Values, seeded, whole

RECIPE: Values = {
    "seeds": [0, 1, 2, 3, 4],
    "widths": [64, 96, 96, 10],
    "images": 500,
    "wrong": 0.2,
    "label_noise": 0.1,
    "weight_decay": 5e-4,
    "train": {"batch_size": 32, "learning_rate": 0.1, "momentum": 0.9, "epochs": 533, "schedule": "step"},
    "rest": {"batch_size": None, "learning_rate": 0.05, "momentum": 0.9, "epochs": 1000, "schedule": "constant"},
    "connect": {"method": "string", "pivots": 14, "sweeps": 1200, "tolerance": 1e9},
}
TINY: Values = {
    "seeds": [0],
    "widths": [64, 10, 10],
    "images": 100,
    "train": {"batch_size": 32, "learning_rate": 0.1, "momentum": 0.9, "epochs": 10, "schedule": "step"},
    "rest": {"batch_size": None, "learning_rate": 0.05, "momentum": 0.9, "epochs": 5, "schedule": "constant"},
    "connect": {"method": "string", "pivots": 6, "sweeps": 60, "batch_size": 50, "tolerance": 1e9},
}


def make(recipe: Values, work: Work) -> Values:
    """Return for each seed the road, and what was measured at its ends and along the line (docs/recordings.md)."""
    return roads.in_pairs(recipe, work, partial(joined, landscape(recipe)))


def joined(land: Network, seed: int, recipe: Values) -> Values:
    """Return the results for a seed: it draws from the streams of the story."""
    run = train(land, generator=seeded(1000 * seed), runs=2, **recipe["train"])
    run = train(land.without_label_noise(), start=run.theta, generator=seeded(1000 * seed + 5), **recipe["rest"])
    return roads.between(land, run, seed, recipe)


def landscape(recipe: Values = RECIPE) -> Network:
    """Return the normalised network of a recipe and its digits, a new one each time."""
    plain = {name: recipe[name] for name in ("images", "wrong", "label_noise", "weight_decay")}
    return Valley(widths=tuple(recipe["widths"]), **plain).landscape()


def road(pair: int, *, matched: bool = True) -> Path:
    """Return the recorded road of a pair with four points for each pivot: what the verbs go on.

    Each normalised layer has the ends' norm along it; with ``matched=False`` it is as it was built.
    """
    raw = whole(load("valley")[f"pair{pair}/road"])
    return raw.match_norms(landscape()) if matched else raw
