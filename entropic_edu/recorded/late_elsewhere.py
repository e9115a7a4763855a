"""Children of one training run on larger networks: the normalised digits network of lesson 05, and three on CIFAR-10.

Lines between siblings are straight; where layers are normalised each has the ends' norm along the line. The images are
the first 1,000 of CIFAR-10, pooled to 16 x 16.
"""

from __future__ import annotations

from dataclasses import fields, replace
from functools import partial

import torch
from torch import Tensor, nn

from entropic_edu.data import cifar10
from entropic_edu.networks.models import normed_cnn
from entropic_edu.networks.network import Network
from entropic_edu.physics.path import Path
from entropic_edu.physics.spawn import Family, spawn

from . import Work, valley
from ._common import Values, seeded

_TRAIN = {"batch_size": 32, "learning_rate": 0.1, "momentum": 0.9, "schedule": "step"}
_CIFAR = {"images": 200, "weight_decay": 5e-4, "epochs": 129, "at": [0, 60, 150, 300, 600, 1200, 1600, 2000, 2400]}

RECIPE: Values = {
    "seeds": [0, 1, 2, 3, 4],  # one trunk each
    "points": 11,
    "train": _TRAIN,
    "settings": {
        "digits": {"epochs": 267, "at": [0, 15, 30, 60, 120, 240, 480, 960, 1920]},
        "plain": _CIFAR | {"normalised": False, "label_noise": 0.0},
        "hard": _CIFAR | {"normalised": True, "label_noise": 0.0, "at": [0, 15, 30, 60, 150, 300, 600, 1200]},
        "noisy": _CIFAR | {"normalised": True, "label_noise": 0.1, "at": [0, 15, 30, 60, 150, 300, 600, 1200]},
    },
}
TINY: Values = {
    "seeds": [0, 1],
    "points": 3,
    "settings": {
        "digits": {"epochs": 2, "at": [0, 15]},
        "plain": _CIFAR | {"normalised": False, "label_noise": 0.0, "images": 10, "epochs": 2, "at": [0, 1]},
        "noisy": _CIFAR | {"normalised": True, "label_noise": 0.1, "images": 10, "epochs": 2, "at": [0, 1]},
    },
}


def make(recipe: Values, work: Work) -> Values:
    """Return for each setting the curves between siblings, trunks stacked (docs/recordings.md)."""
    results: Values = {}
    for name, setting in recipe["settings"].items():
        parts = []
        for seed in recipe["seeds"]:
            parts.append(work.part(f"{name}, trunk {seed}", partial(grown, name, setting, seed, recipe)))
            work(f"{name}, trunk {seed}: {parts[-1]['family'].summary()}")
        results[f"{name}/family"] = together([part["family"] for part in parts])
        results |= {f"{name}/{key}": torch.stack([part[key] for part in parts]) for key in ("noise", "length")}
    return results


def landscape(name: str, setting: Values) -> Network:
    """Return the network of a setting and its data, a new one each time."""
    if name == "digits":
        return valley.landscape()
    data, model = cifar10(first=setting["images"]), normed_cnn()
    if not setting["normalised"]:
        model = nn.Sequential(*(layer for layer in model if not isinstance(layer, nn.GroupNorm)))
    pooled = partial(nn.functional.avg_pool2d, kernel_size=2)
    (x, y), (held, labels) = data.train, data.test
    noise, decay = setting["label_noise"], setting["weight_decay"]
    return Network(model, pooled(x), y, weight_decay=decay, label_noise=noise, test=(pooled(held), labels))


def grown(name: str, setting: Values, seed: int, recipe: Values) -> Values:
    """Return the family of one trunk, and tr C along its lines; its children's weights are not kept."""
    land = landscape(name, setting)
    given = recipe["train"] | {"epochs": setting["epochs"], "at": setting["at"], "points": recipe["points"]}
    family: Family = spawn(land, generator=seeded(seed), match_norms=True, **given)
    first, second = family.ends[0].unbind(1)  # (K, D) each
    lines = [_line(land, *ends, family.positions) for ends in zip(first, second, strict=True)]
    noise = torch.stack([land.noise_trace(line) for line in lines])
    return {
        "family": replace(family, ends=family.ends[..., :0].clone()),
        "noise": noise,
        "length": (first - second).norm(dim=-1),
    }


def together(families: list[Family]) -> Family:
    """Return the families of single trunks as one."""
    curves = ("ends", "loss", "data_loss", "trace", "trace_error", "top_eigenvalue", "test_accuracy")
    known = {field.name for field in fields(Family)}
    stacked = {name: torch.cat([getattr(each, name) for each in families]) for name in curves if name in known}
    return replace(families[0], **stacked)


def _line(land: Network, a: Tensor, b: Tensor, positions: Tensor) -> Tensor:
    line = torch.lerp(a, b, positions.to(a)[:, None])
    return line if torch.equal(a, b) else Path(line).match_norms(land).pivots
