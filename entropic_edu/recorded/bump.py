"""What lesson 05 measures along the roads of ``roads``, and along the roads of a sceptic: one for each objection.

A kind of road is measured at even positions on every pair. ``string`` are the roads of ``roads``; ``line``, ``bezier``
and ``aligned`` join the same ends otherwise; the variants of the recipe train ends of their own.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from entropic_edu.networks.align import align
from entropic_edu.networks.network import Network
from entropic_edu.physics.connect import connect
from entropic_edu.physics.curvature import dense_hessian
from entropic_edu.physics.mean import middle_over_ends
from entropic_edu.physics.path import Path
from entropic_edu.physics.probe import Profile, probe
from entropic_edu.physics.train import train
from entropic_edu.story import recipe as story

from . import roads
from ._bump import blocks, measured, rescaled, rise, top
from ._common import Say, Values, seeded

TRAIN = {"batch_size": 16, "learning_rate": 0.05, "momentum": 0.9, "epochs": 120}
STRING = {"method": "string", "pivots": 24, "sweeps": 1200, "tolerance": 1e9}

RECIPE: Values = {
    "seeds": [0, 1, 2, 3, 4],
    "widths": [64, 32, 32, 10],
    "points": 21,
    "num_probes": 4,
    "lanczos_steps": 40,
    "radii": [0.02, 0.2, 2.0],  # of isotropic noise, lengths in θ
    "shares": [0.002, 0.02, 0.2],  # of noise in proportion to each weight; ‖θ‖ is about 10
    "directions": 48,
    "exact": [0.0, 0.5, 1.0],  # where all eigenvalues are found from the whole Hessian
    "largest": 600,  # of these are kept
    "alphas": [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0],
    "bezier": {"method": "bezier", "pivots": 24, "sweeps": 2400},
    "aligned": STRING | {"align": True},
    "variants": {
        "squared": {"loss": "mse", "weight_decay": 1e-4, "train": TRAIN | {"learning_rate": 0.3}},
        "undecayed": {"weight_decay": 0.0, "train": TRAIN},
        "decayed": {"weight_decay": 2e-3, "train": TRAIN},
        "longer": {"weight_decay": 5e-4, "train": TRAIN | {"epochs": 400}},
        "wide": {"widths": [64, 64, 64, 10], "weight_decay": 5e-4, "train": TRAIN | {"epochs": 300}},
    },
    "connect": {  # of a variant's pairs; the step is η = 0.3 for squared loss, whose gradients are smaller
        "squared": STRING | {"learning_rate": 0.3},
        "undecayed": STRING | {"sweeps": 2400},
        "decayed": STRING,
        "longer": STRING,
        "wide": STRING,
    },
}
_QUICK = {"method": "string", "pivots": 6, "sweeps": 30, "tolerance": 1e9}
TINY: Values = {
    "seeds": [0],
    "points": 3,
    "num_probes": 1,
    "lanczos_steps": 4,
    "directions": 2,
    "exact": [],
    "alphas": [1.0, 2.0],
    "bezier": {"method": "bezier", "pivots": 6, "sweeps": 30},
    "aligned": _QUICK | {"align": True},
    "variants": {
        "squared": {"loss": "mse", "weight_decay": 1e-4, "widths": [64, 8, 8, 10], "train": TRAIN | {"epochs": 2}},
        "wide": {"weight_decay": 5e-4, "widths": [64, 16, 16, 10], "train": TRAIN | {"epochs": 2}},
    },
    "connect": {"squared": _QUICK, "wide": _QUICK},
}
KEPT = (0.0, 0.5)  # positions whose weights stay in the file, for the first pair of each kind


def make(recipe: Values, say: Say) -> Values:
    """Return what was measured, by the names of docs/recordings.md."""
    found: Values = {}
    pairs = range(len(recipe["seeds"]))
    land, theta = roads.landscape(), torch.linspace(0, 1, recipe["points"])
    known = [roads.road(pair) for pair in pairs]
    for pair, road in enumerate(known):
        found[f"pair{pair}/profile"] = profile(recipe, land, road, pair)
        say(f"pair {pair}: {found[f'pair{pair}/profile'].summary()}")
    points = torch.stack([road.at(theta) for road in known])
    found |= measured("string", land, points) | _closer(recipe, land, points, say)
    for kind, there, built in _others(recipe, land, known, say):
        rounded = torch.stack([road.at(theta) for road in built]).half().float()
        found |= measured(kind, there, rounded)
        found[f"{kind}/points"] = rounded[0, [round(place * (len(theta) - 1)) for place in KEPT]].half()
        found[f"{kind}/scallop"] = torch.tensor([road.scallop for road in built])
        say(f"{kind}: trace {_bump(found[f'{kind}/trace'])}, data loss {_bump(found[f'{kind}/data_loss'])}")
    return found


def landscape(recipe: Values, kind: str) -> Network:
    """Return the network on which roads of this kind lie, a new one each time."""
    made = recipe["variants"].get(kind)
    if made is None:
        return roads.landscape()
    plain = story.Recipe(widths=tuple(made.get("widths", recipe["widths"]))).landscape()
    loss = made.get("loss", "cross_entropy")
    return Network(plain.model, plain.x, plain.y, loss=loss, weight_decay=made["weight_decay"], test=plain.test)


def profile(recipe: Values, land: Network, road: Path, pair: int) -> Profile:
    """Return what the verb probe says of a road."""
    some = {name: recipe[name] for name in ("points", "num_probes", "lanczos_steps")}
    return probe(land, road, generator=seeded(100 + pair), **some)


def _others(recipe: Values, land: Network, known: list[Path], say: Say) -> Iterator[tuple[str, Network, list[Path]]]:
    """Yield kind, landscape and roads of all kinds but ``string``."""
    line = {"method": "linear", "points": recipe["points"]}
    for kind, settings in (("line", line), ("bezier", recipe["bezier"]), ("aligned", recipe["aligned"])):
        yield kind, land, [_joined(land, road, seeded(200 + pair), settings) for pair, road in enumerate(known)]
    for number, (kind, variant) in enumerate(recipe["variants"].items()):
        there = landscape(recipe, kind)
        run = train(there, generator=seeded(300 + number), runs=2 * len(known), **variant["train"])
        say(f"{kind}: {run.summary()}")
        ends, given = enumerate(run.theta.unflatten(0, (-1, 2))), recipe["connect"][kind]
        yield kind, there, [connect(there, *both, generator=seeded(400 + pair), **given) for pair, both in ends]


def _joined(land: Network, road: Path, generator: torch.Generator, settings: Values) -> Path:
    """Return another road between the ends of one; ``align`` permutes the hidden units of the second end first."""
    a, b = road.pivots[[0, -1]]
    plain = {name: value for name, value in settings.items() if name != "align"}
    if "align" in settings:
        b = align(land, a, b, generator=generator).theta
    return connect(land, a, b, generator=generator, **plain)


def _closer(recipe: Values, land: Network, points: Tensor, say: Say) -> Values:
    """Return what is measured on the roads of ``roads`` only."""
    double, theta = land.to(torch.float64), points.double()
    steps = torch.randn(recipe["directions"], land.dim, generator=seeded(2), dtype=torch.float64)
    unit = steps / steps.norm(dim=1, keepdim=True)
    found = {
        "rise": torch.stack([rise(double, each, unit, recipe["radii"]) for each in theta]),
        "share_rise": torch.stack([rise(double, each, steps, recipe["shares"], each) for each in theta]),
        "blocks": torch.stack([blocks(land, each) for each in points]),
    }
    say("finite steps and blocks measured")
    ends = points[:, [0, points.shape[1] // 2, -1]]  # (pairs, 3, D)
    tops = [
        torch.stack([top(land, rescaled(land, ends, layer, alpha)) for alpha in recipe["alphas"]], -1)
        for layer in (1, 2)
    ]
    found["rescaled_top"] = torch.stack(tops, 2)
    say("rescaled")
    found = {f"string/{name}": value.float() for name, value in found.items()}
    exact = [round(place * (points.shape[1] - 1)) for place in recipe["exact"]]
    if exact:
        hessians = (dense_hessian(land, each, weight_decay=False) for each in points[:, exact].flatten(0, 1))
        values = torch.stack([torch.linalg.eigvalsh(hessian).flip(0) for hessian in hessians])  # descending
        values = values.unflatten(0, (-1, len(exact)))
        found["string/eigenvalues"] = values[..., : recipe["largest"]].half()
        found["string/negative"] = values.clamp(max=0).sum(-1)
        say("whole spectra found")
    return found


def _bump(values: Tensor) -> str:
    each = middle_over_ends(torch.linspace(0, 1, values.shape[1]), values)
    return " ".join(f"{ratio:.2f}" for ratio in each.tolist())
