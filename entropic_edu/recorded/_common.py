"""What several recipes need."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from entropic_edu.networks.network import Network
from entropic_edu.physics.connect import Sweeps, connect, measured
from entropic_edu.physics.drift import Projections, Records
from entropic_edu.physics.mean import Mean
from entropic_edu.physics.noise import During, Minibatch
from entropic_edu.physics.path import Path

Values = dict[str, Any]  # by name: settings, or results
Say = Callable[[str], None]

CROWDS = 8  # walkers go in independent groups of equal size, whose scatter is the standard error of every mean


def seeded(seed: int) -> torch.Generator:
    """Return a generator with this seed."""
    return torch.Generator().manual_seed(seed)


def arguments(setting: Values) -> Values:
    """Return the arguments of ``drift``: three plain settings become what they mean there."""
    values = dict(setting)
    if values.pop("undo_excursions", False):
        values["project_every"] = Projections(values["project_every"], undo_excursions=True)
    if (noisy := values.pop("noisy_steps", None)) is not None:
        values["noise"] = During(Minibatch(values["batch_size"]), noisy)
    if values.pop("keep_theta", False):
        values["record_every"] = Records(values["record_every"], theta=True)
    return values


def all_sweeps(options: Values) -> Values:
    """Return arguments of ``connect`` with which a road takes all its sweeps, as when the recordings were made."""
    if "sweeps" not in options:
        return options
    given = {"batch_size": 256} | options
    most, tolerance = given.pop("sweeps"), given.pop("tolerance", Sweeps.scallop)
    return given | {"sweeps": Sweeps(most, change=0, scallop=tolerance)}


def whole(rounded: Path) -> Path:
    """Return a kept road with four points for each pivot."""
    return rounded.smooth(4 * len(rounded.pivots))


def accuracies(land: Network, theta: Tensor) -> Tensor:
    """Return training and held-out accuracy at (n, D), (2, n)."""
    return torch.stack([land.accuracy(theta, "train"), land.accuracy(theta, "test")]).cpu()


def columns(rows: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """Return the tensors of one name in all rows as one, rows first."""
    return {name: torch.stack([row[name] for row in rows]) for name in rows[0]}


def rounded(land: Network, a: Tensor, b: Tensor, seed: int, options: Values) -> Path:
    """Return the road between two minima, one point for each pivot, rounded to half precision and then measured."""
    made = connect(land, a, b, generator=seeded(seed), points=options["pivots"], **all_sweeps(options))
    return measured(land, replace(made, pivots=made.pivots.half().to(land.dtype)))


def over_crowds(values: Tensor) -> Mean:
    """Return mean and standard error over the independent crowds, (R, CROWDS · W) -> (R,) each."""
    each = values.unflatten(-1, (CROWDS, -1)).mean(-1)
    return Mean(each.mean(-1), each.std(-1) / CROWDS**0.5)
