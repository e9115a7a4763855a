"""Children of one training run that part at step k, and the straight lines between them: what lesson 07 stands on.

One network on the first 600 digits, in five settings: labels as they are; 20 % or 40 % of them drawn anew at random;
and 40 % with weight decay, and with squared loss. Each has eight trunks.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from entropic_edu.data import digits
from entropic_edu.networks.models import mlp
from entropic_edu.networks.network import Network
from entropic_edu.networks.per_sample import exact_trace, gradient_covariance
from entropic_edu.physics.spawn import Family, spawn

from ._common import Say, Values, seeded

RECIPE: Values = {
    "seeds": [0],
    "widths": [64, 64, 64, 10],
    "samples": 600,
    "label_seed": 77,
    "trunks": 8,
    "points": 11,
    "train": {"batch_size": 16, "momentum": 0.9, "epochs": 60},
    "at": [0, 60, 120, 240, 360, 480, 720, 960, 1440],
    "kept": 480,
    "settings": {
        "clean": {"redrawn": 0.0, "weight_decay": 0.0, "loss": "cross_entropy", "learning_rate": 0.05},
        "fifth": {"redrawn": 0.2, "weight_decay": 0.0, "loss": "cross_entropy", "learning_rate": 0.05},
        "forty": {"redrawn": 0.4, "weight_decay": 0.0, "loss": "cross_entropy", "learning_rate": 0.05},
        "decay": {"redrawn": 0.4, "weight_decay": 5e-4, "loss": "cross_entropy", "learning_rate": 0.05},
        "squared": {"redrawn": 0.4, "weight_decay": 0.0, "loss": "mse", "learning_rate": 0.3},
    },
}
TINY: Values = {
    "widths": [64, 8, 10],
    "samples": 96,
    "trunks": 3,
    "points": 5,
    "train": {"batch_size": 16, "momentum": 0.9, "epochs": 4},
    "at": [0, 6, 12],
    "kept": 6,
}


def landscape(recipe: Values, setting: str) -> Network:
    """Return the network of a setting; the held-out digits keep their labels.

    Pixels are shifted and scaled to mean 0 and variance 1 over all training digits, as in the other lessons. Of the
    labels a share ``redrawn`` is drawn anew, each class equally likely: one in ten of these comes out as it was.
    """
    data, chosen = digits().scaled(), recipe["settings"][setting]
    x, y = data.x[: recipe["samples"]], labels(recipe, chosen["redrawn"])
    model, loss = mlp(*recipe["widths"]), chosen["loss"]
    return Network(model, x, y, loss=loss, weight_decay=chosen["weight_decay"], test=data.test)


def settings(recipe: Values, setting: str) -> Values:
    """Return what ``train`` and ``spawn`` are called with; squared loss has smaller gradients, and a larger η."""
    return recipe["train"] | {"learning_rate": recipe["settings"][setting]["learning_rate"]}


def labels(recipe: Values, share: float) -> Tensor:
    """Return the training labels, this share of them drawn anew, (N,)."""
    y = digits().y[: recipe["samples"]]
    generator = seeded(recipe["label_seed"])
    redrawn = torch.rand(len(y), generator=generator) < share
    return torch.where(redrawn, torch.randint(10, (len(y),), generator=generator), y)


def make(recipe: Values, say: Say) -> Values:
    """Return for each setting the curves between siblings and between strangers (docs/recordings.md)."""
    results: Values = {}
    for setting in recipe["settings"]:
        land, start = landscape(recipe, setting), seeded(recipe["seeds"][0])
        given = settings(recipe, setting) | {key: recipe[key] for key in ("at", "trunks", "points")}
        family: Family = spawn(land, generator=start, **given)
        say(f"{setting}: {family.summary()}")
        first, second = family.ends.unbind(2)  # (T, K, D) each
        lines = _lines(first, second, family.positions).flatten(0, 1)
        noise = [gradient_covariance(land, line).trace for line in lines]
        strangers = family.ends[:, -1, 0]
        others = strangers.roll(-1, 0)
        drawn = labels(recipe, recipe["settings"][setting]["redrawn"])
        found: Values = {
            "noise": torch.stack(noise).unflatten(0, first.shape[:2])[:, :, None],
            "length": (first - second).norm(dim=-1),
            "strangers": between(land, strangers, others, family.positions),
            "strangers_length": (strangers - others).norm(dim=-1),
            "wrong": float((drawn != labels(recipe, 0.0)).double().mean()),
        }
        if setting == "forty":
            found["pair"] = family.ends[0, recipe["at"].index(recipe["kept"])].clone()
        found["family"] = replace(family, ends=family.ends[..., :0].clone())
        results |= {f"{setting}/{name}": value for name, value in found.items()}
    return results


def between(land: Network, a: Tensor, b: Tensor, positions: Tensor) -> Tensor:
    """Return data loss, tr H, tr C and test accuracy on straight lines, (T, D) -> (4, T, P)."""
    rows = []
    for theta in _lines(a, b, positions):
        with torch.no_grad():
            loss = land.data_loss(theta)
        trace = exact_trace(land, theta, weight_decay=False)
        rows.append(torch.stack([loss, trace, gradient_covariance(land, theta).trace, land.accuracy(theta, "test")]))
    return torch.stack(rows, 1)


def _lines(a: Tensor, b: Tensor, positions: Tensor) -> Tensor:
    """Return the points at ``positions`` on straight lines, (..., D) -> (..., P, D)."""
    return torch.lerp(a[..., None, :], b[..., None, :], positions.to(a)[:, None])
