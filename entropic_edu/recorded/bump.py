"""What lesson 05 measures along the roads of ``roads``, and along the roads of a sceptic: one for each objection.

A kind of road is measured at even positions on every pair. ``string`` are the roads of ``roads``; ``line``, ``bezier``
and ``aligned`` join the same ends otherwise; the variants of the recipe train ends of their own.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor

from entropic_edu.networks.align import align
from entropic_edu.networks.network import Network
from entropic_edu.networks.per_sample import exact_trace, gradient_covariance
from entropic_edu.physics.connect import connect
from entropic_edu.physics.curvature import dense_hessian, extreme_eigenvalues
from entropic_edu.physics.mean import middle_over_ends
from entropic_edu.physics.path import Path
from entropic_edu.physics.probe import Profile, probe
from entropic_edu.physics.train import train
from entropic_edu.story import recipes as story

from . import roads
from ._common import Say, Values, all_sweeps, columns, seeded

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
        **dict.fromkeys(("decayed", "longer", "wide"), STRING),
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
    land, theta = roads.landscape(), torch.linspace(0, 1, recipe["points"])
    known = [roads.road(pair) for pair in range(len(recipe["seeds"]))]
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
        ends, given = enumerate(run.theta.unflatten(0, (-1, 2))), all_sweeps(recipe["connect"][kind])
        roads_of = [connect(there, *both, generator=seeded(400 + pair), **given) for pair, both in ends]
        yield kind, there, roads_of


def _joined(land: Network, road: Path, generator: torch.Generator, settings: Values) -> Path:
    """Return another road between the ends of one; ``align`` permutes the hidden units of the second end first."""
    a, b = road.pivots[[0, -1]]
    plain = {name: value for name, value in settings.items() if name != "align"}
    if "align" in settings:
        b = align(land, a, b, generator=generator).theta
    return connect(land, a, b, generator=generator, **all_sweeps(plain))


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
    tops = [[top(land, rescaled(land, ends, layer, alpha)) for alpha in recipe["alphas"]] for layer in (1, 2)]
    found["rescaled_top"] = torch.stack([torch.stack(each, -1) for each in tops], 2)
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


def measured(kind: str, land: Network, points: Tensor) -> Values:
    """Return the quantities of a kind of road at ``points`` (pairs, n, D), each (pairs, n): see docs/recordings.md."""
    return {f"{kind}/{name}": value for name, value in columns([_along(land, theta) for theta in points]).items()}


@torch.no_grad()
def _along(land: Network, theta: Tensor) -> dict[str, Tensor]:
    trace = partial(exact_trace, land, weight_decay=False)
    results = {
        "loss": land.loss(theta),
        "data_loss": land.data_loss(theta),
        "trace": trace(theta),
        "top": top(land, theta),
        "adaptive": trace(theta, scale=theta),
        "balanced": trace(balanced(land, theta)),
        "noise": gradient_covariance(land, theta).trace,
        "norm": theta.norm(dim=-1),
        "accuracy": land.accuracy(theta),
        "test_accuracy": land.accuracy(theta, "test"),
    }
    if land.loss_name != "mse":  # logits that grow without end have no squared loss to match
        squared = Network(land.model, land.x, land.y, loss="mse")
        data_loss = results["data_loss"]
        same = heated(land, theta, data_loss[[0, -1]].mean().expand(len(theta)))
        ends = [trace(heated(land, end.expand(len(theta), -1), data_loss)) for end in theta[[0, -1]]]
        results |= {
            "jacobian": exact_trace(squared, theta),
            "matched": trace(same),
            "matched_top": top(land, same),
            "matched_adaptive": trace(same, scale=same),
            "alone": torch.stack(ends).mean(0),
        }
    return results


def heated(land: Network, theta: Tensor, wanted: Tensor) -> Tensor:
    """Return points (n, D) with the last layer multiplied until their data loss is as wanted (n,), by bisection.

    Where the accuracy is 1 larger logits have a smaller loss; a factor stays between 1/16 and 16.
    """
    last = slice(list(land.layout.slices.values())[-2].start, land.dim)  # its weights and biases

    def turned(factor: Tensor) -> Tensor:
        theta_new = theta.clone()
        theta_new[:, last] *= factor[:, None]
        return theta_new

    low, high = (torch.full_like(wanted, each) for each in (1 / 16, 16.0))
    for _ in range(30):
        middle = (low * high).sqrt()
        higher = land.data_loss(turned(middle)) > wanted
        low, high = torch.where(higher, middle, low), torch.where(higher, high, middle)
    return turned((low * high).sqrt())


def rescaled(land: Network, theta: Tensor, layer: int, alpha: float | Tensor) -> Tensor:
    """Return points (..., D) with hidden layer 1 or 2 turned up by α and the next layer's weights down by α.

    A ReLU passes a positive factor on, so that the function stays as it was.
    """
    up = theta.new_zeros(land.dim)
    for name, sign in ((f"{2 * layer - 2}.weight", 1), (f"{2 * layer - 2}.bias", 1), (f"{2 * layer}.weight", -1)):
        up[land.layout.slices[name]] = sign
    return theta * torch.as_tensor(alpha, dtype=theta.dtype)[..., None] ** up


def balanced(land: Network, theta: Tensor, sweeps: int = 60) -> Tensor:
    """Return the points (n, D) of least norm with the same function.

    Each hidden unit is scaled so that the weights into it have as much norm as those out of it, sweep after sweep.
    """
    parts = {name: part.double().clone() for name, part in land.unflatten(theta).items()}
    layers = [name.removesuffix(".weight") for name in parts if name.endswith(".weight")]
    for _ in range(sweeps):
        for here, there in itertools.pairwise(layers):
            weight, bias, following = parts[f"{here}.weight"], parts[f"{here}.bias"], parts[f"{there}.weight"]
            into, out = weight.square().sum(2) + bias.square(), following.square().sum(1)  # (n, units)
            alive = (into > 1e-12) & (out > 1e-12)  # the others are at rest at zero
            factor = torch.where(alive, (out / into).clamp(1e-12, 1e12) ** 0.25, 1.0)
            weight *= factor[..., None]
            bias *= factor
            following /= factor[:, None]
    return land.layout.join(parts, lead=1).to(theta)


def top(land: Network, points: Tensor) -> Tensor:
    """Return λmax at points (..., D) by at most 40 steps of Lanczos, (...)."""
    flat = points.flatten(0, -2)
    largest = extreme_eigenvalues(land, flat, steps=40, generator=seeded(1), weight_decay=False).largest
    return largest.view(points.shape[:-1])


@torch.no_grad()
def rise(land: Network, theta: Tensor, steps: Tensor, sizes: list[float], scale: Tensor | None = None) -> Tensor:
    """Return how much the data loss rises on the mean over ``steps`` (V, D) and their opposites, (n, sizes).

    A step is size · u, or with ``scale`` (n, D) size · scale · u. The rise tends to size² tr H / 2D for unit steps, and
    to half size² times the adaptive trace for normal steps scaled by θ.
    """
    factor = torch.ones_like(theta) if scale is None else scale
    rows = []
    for t, s in zip(theta, factor, strict=True):
        moved = torch.stack([size * s * steps for size in sizes])  # (sizes, V, D)
        both = torch.cat([t + moved, t - moved], 1)
        losses = torch.stack([land.data_loss(each) for each in both])
        rows.append(losses.mean(1) - land.data_loss(t))
    return torch.stack(rows)


def blocks(land: Network, theta: Tensor) -> Tensor:
    """Return the trace of the weights that ``rescaled`` turns up and of those it turns down, (n, 2 layers, 2)."""
    rows = []
    for layer in (1, 2):
        sign = rescaled(land, torch.ones(land.dim), layer, 2.0)
        rows += [exact_trace(land, theta, weight_decay=False, scale=(sign == each).to(theta)) for each in (2.0, 0.5)]
    return torch.stack(rows, -1).unflatten(-1, (2, 2))
