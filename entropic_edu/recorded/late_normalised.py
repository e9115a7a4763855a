"""Children of one training run of the normalised digits network of lessons 05 and 06, on straight lines.

Each layer whose scale changes no output has the ends' norm along the line.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from entropic_edu.networks.network import Network
from entropic_edu.physics.path import Path
from entropic_edu.physics.spawn import Family, spawn

from . import Work, valley
from ._common import Values, seeded

RECIPE: Values = {
    "seeds": [0, 1, 2, 3, 4],  # one trunk each
    "points": 11,
    "at": [0, 15, 30, 60, 120, 240, 480, 960, 1920],
    "train": {"batch_size": 32, "learning_rate": 0.1, "momentum": 0.9, "schedule": "step", "epochs": 267},
}
TINY: Values = {
    "seeds": [0, 1],
    "points": 3,
    "at": [0, 15],
    "train": {"batch_size": 32, "learning_rate": 0.1, "momentum": 0.9, "schedule": "step", "epochs": 2},
}


def make(recipe: Values, work: Work) -> Values:
    """Return the curves between siblings, trunks stacked (docs/recordings.md)."""
    parts = []
    for seed in recipe["seeds"]:
        parts.append(work.part(f"trunk {seed}", partial(grown, seed, recipe)))
        work(f"trunk {seed}: {parts[-1]['family'].summary()}")
    stacked = {key: torch.stack([part[key] for part in parts]) for key in ("noise", "length")}
    return {"family": together([part["family"] for part in parts])} | stacked


def grown(seed: int, recipe: Values) -> Values:
    """Return the family of one trunk, and tr C along its lines; its children's weights are not kept."""
    land = valley.landscape()
    given = recipe["train"] | {"at": recipe["at"], "points": recipe["points"]}
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
    stacked: Values = {name: torch.cat([getattr(each, name) for each in families]) for name in curves}
    return replace(families[0], **stacked)


def _line(land: Network, a: Tensor, b: Tensor, positions: Tensor) -> Tensor:
    line = torch.lerp(a, b, positions.to(a)[:, None])
    return line if torch.equal(a, b) else Path(line).match_norms(land).pivots
