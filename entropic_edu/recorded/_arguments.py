"""Settings of a release as plain values, as recipes hold them, made into the arguments of ``drift``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from entropic_edu.physics.drift import Projections
from entropic_edu.physics.noise import During, Minibatch


def arguments(setting: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of ``drift``: ``undo_excursions`` and ``noisy_steps`` become what they mean there."""
    values = dict(setting)
    if values.pop("undo_excursions", False):
        values["project_every"] = Projections(values["project_every"], undo_excursions=True)
    if (noisy := values.pop("noisy_steps", None)) is not None:
        values["noise"] = During(Minibatch(values["batch_size"]), noisy)
    return values
