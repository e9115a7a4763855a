"""Settings of a release as plain values, as recipes hold them, made into the arguments of ``drift``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from entropic_edu.physics.drift import Projections, Records
from entropic_edu.physics.noise import During, Minibatch


def arguments(setting: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of ``drift``: three plain settings become what they mean there."""
    values = dict(setting)
    if values.pop("undo_excursions", False):
        values["project_every"] = Projections(values["project_every"], undo_excursions=True)
    if (noisy := values.pop("noisy_steps", None)) is not None:
        values["noise"] = During(Minibatch(values["batch_size"]), noisy)
    if values.pop("keep_theta", False):
        values["record_every"] = Records(values["record_every"], theta=True)
    return values
