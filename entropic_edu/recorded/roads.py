"""Five pairs of minima of the story and the roads between them: what lessons 04 to 06 stand on.

The pivots of a road are rounded to half precision; all else was measured after rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from entropic_edu.networks.network import Network
from entropic_edu.physics.connect import connect, measured
from entropic_edu.physics.path import Path
from entropic_edu.physics.train import Run, train
from entropic_edu.story import recipes as story

from . import Work, load
from ._common import Values, accuracies, rounded, seeded, whole

RECIPE: Values = {
    "seeds": [0, 1, 2, 3, 4],
    "widths": [64, 32, 32, 10],
    "weight_decay": 5e-4,
    "train": {"batch_size": 16, "learning_rate": 0.05, "momentum": 0.9, "epochs": 120},
    "connect": {"method": "string", "pivots": 40, "sweeps": 1500},
}
TINY: Values = {
    "seeds": [0],
    "widths": [64, 8, 10],
    "train": {"batch_size": 64, "learning_rate": 0.05, "momentum": 0.9, "epochs": 5},
    "connect": {"method": "string", "pivots": 8, "sweeps": 60},
}


def make(recipe: Values, work: Work) -> Values:
    """Return for each seed the road, and what was measured along it and along the line (docs/recordings.md)."""
    return in_pairs(recipe, work, partial(joined, landscape(recipe)))


def joined(land: Network, seed: int, recipe: Values) -> Values:
    """Return the results for a seed: it draws from the streams of the story."""
    return between(land, train(land, generator=seeded(1000 * seed), runs=2, **recipe["train"]), seed, recipe)


def in_pairs(recipe: Values, work: Work, make_one: Callable[[int, Values], Values]) -> Values:
    """Return the results for each seed of a recipe, each kept as a part and named by its pair."""
    results: Values = {}
    for number, seed in enumerate(recipe["seeds"]):
        values = work.part(f"pair {number}", partial(make_one, seed, recipe))
        results |= {f"pair{number}/{name}": value for name, value in values.items()}
        work(f"pair {number} (seed {seed}): {values['road'].summary()}")
    return results


def between(land: Network, run: Run, seed: int, recipe: Values) -> Values:
    """Return the road between two minima, rounded to half precision, and what was measured along it and the line."""
    a, b = run.theta.half().float()
    road = rounded(land, a, b, 1000 * seed + 2, recipe["connect"])
    line = measured(land, connect(land, a, b, generator=seeded(1000 * seed + 1), method="linear", points=25))
    assert line.losses is not None
    return {
        "road": replace(road, pivots=road.pivots.half()),
        "line_loss": line.losses,
        "accuracy": accuracies(land, road.pivots[[0, -1]]),
        "line_accuracy": accuracies(land, line.pivots),
    }


def landscape(recipe: Values = RECIPE) -> Network:
    """Return the digits network of a recipe, a new one each time."""
    return story.Recipe(widths=tuple(recipe["widths"]), weight_decay=recipe["weight_decay"]).landscape()


def road(pair: int) -> Path:
    """Return the recorded road of a pair with four points for each pivot: what the verbs go on."""
    return whole(load("roads")[f"pair{pair}/road"])
