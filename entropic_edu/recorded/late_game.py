"""Children of one training run that part at step k, and the straight lines between them: what lesson 07 stands on.

One network on the first 600 digits, in five settings: labels as they are; 20 % or 40 % of them drawn anew at random;
and 40 % with weight decay, and with squared loss. Each has eight trunks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from entropic_edu.data import digits
from entropic_edu.networks.models import mlp
from entropic_edu.networks.network import Network
from entropic_edu.networks.per_sample import exact_trace, gradient_covariance
from entropic_edu.physics.spawn import Family, spawn

from ._common import seeded

RECIPE: dict[str, Any] = {
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
TINY: dict[str, Any] = {
    "widths": [64, 8, 10],
    "samples": 96,
    "trunks": 3,
    "points": 5,
    "train": {"batch_size": 16, "momentum": 0.9, "epochs": 4},
    "at": [0, 6, 12],
    "kept": 6,
}


def landscape(recipe: dict[str, Any], setting: str) -> Network:
    """Return the network of a setting; the held-out digits keep their labels.

    Pixels are shifted and scaled to mean 0 and variance 1 over all training digits, as in the other lessons. Of the
    labels a share ``redrawn`` is drawn anew, each class equally likely: one in ten of these comes out as it was.
    """
    data, chosen = digits().scaled(), recipe["settings"][setting]
    x, y = data.x[: recipe["samples"]], labels(recipe, chosen["redrawn"])
    given = {key: chosen[key] for key in ("weight_decay", "loss")}
    return Network(mlp(*recipe["widths"]), x, y, test=data.test, **given)


def settings(recipe: dict[str, Any], setting: str) -> dict[str, Any]:
    """Return what ``train`` and ``spawn`` are called with; squared loss has smaller gradients, and a larger η."""
    return recipe["train"] | {"learning_rate": recipe["settings"][setting]["learning_rate"]}


def labels(recipe: dict[str, Any], share: float) -> Tensor:
    """Return the training labels, this share of them drawn anew, (N,)."""
    y = digits().y[: recipe["samples"]]
    generator = seeded(recipe["label_seed"])
    redrawn = torch.rand(len(y), generator=generator) < share
    return torch.where(redrawn, torch.randint(10, (len(y),), generator=generator), y)


def make(recipe: dict[str, Any], say: Callable[[str], None]) -> dict[str, Any]:
    """Return for each setting the curves between siblings, and those between strangers.

    Keys, T trunks, K steps of parting, P points of a line:
        forty/family: Family of two children for each trunk and k, without their parameters.
        forty/noise: tr C, the variance of one sample's gradient, along the lines, (T, K, 1, P).
        forty/length: Length of the lines, (T, K).
        forty/wrong: Share of the training labels that are not the digit's own.
        forty/strangers: Along the lines between the first children of trunk t and of trunk t + 1, both parted at the
            last k: data loss, tr H, tr C, test accuracy, (4, T, P).
        forty/strangers_length: Their lengths, (T,).
        forty/pair: Both children of trunk 0 at the step ``kept``, (2, D).
    """
    results: dict[str, Any] = {}
    for setting in recipe["settings"]:
        land, start = landscape(recipe, setting), seeded(recipe["seeds"][0])
        given = settings(recipe, setting) | {key: recipe[key] for key in ("at", "trunks", "points")}
        family: Family = spawn(land, generator=start, **given)
        say(f"{setting}: {family.summary()}")
        first, second = family.ends.unbind(2)  # (T, K, D) each
        strangers = family.ends[:, -1, 0]
        others = strangers.roll(-1, 0)
        drawn = labels(recipe, recipe["settings"][setting]["redrawn"])
        found = {
            "noise": noise_between(land, first, second, family.positions)[:, :, None],
            "length": (first - second).norm(dim=-1),
            "strangers": between(land, strangers, others, family.positions),
            "strangers_length": (strangers - others).norm(dim=-1),
            "wrong": float((drawn != labels(recipe, 0.0)).double().mean()),
            "family": replace(family, ends=family.ends[..., :0].clone()),
        }
        if setting == "forty":
            found["pair"] = family.ends[0, recipe["at"].index(recipe["kept"])].clone()
        results |= {f"{setting}/{name}": value for name, value in found.items()}
    return results


def noise_between(land: Network, a: Tensor, b: Tensor, positions: Tensor) -> Tensor:
    """Return tr C at ``positions`` on the straight lines from a to b, (T, K, D) -> (T, K, P)."""
    lines = [_line(*ends, positions) for ends in zip(a.flatten(0, 1), b.flatten(0, 1), strict=True)]
    results = torch.stack([gradient_covariance(land, line).trace for line in lines])
    return results.unflatten(0, a.shape[:2])


def between(land: Network, a: Tensor, b: Tensor, positions: Tensor) -> Tensor:
    """Return data loss, tr H, tr C and test accuracy on straight lines, (T, D) -> (4, T, P)."""
    rows = []
    for ends in zip(a, b, strict=True):
        theta = _line(*ends, positions)
        with torch.no_grad():
            loss = land.data_loss(theta)
        trace = exact_trace(land, theta, weight_decay=False)
        rows.append(torch.stack([loss, trace, gradient_covariance(land, theta).trace, land.accuracy(theta, "test")]))
    return torch.stack(rows, 1)


def _line(a: Tensor, b: Tensor, positions: Tensor) -> Tensor:
    return torch.lerp(a, b, positions.to(a)[:, None])
