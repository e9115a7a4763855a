"""What the explorers share: the tilted floor, settings in a sentence, and the drift beside its theory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.text import Text
from torch import Tensor

from entropic_edu.course import floor
from entropic_edu.course.floor import along
from entropic_edu.physics.mean import Mean
from entropic_edu.physics.release import Release
from entropic_edu.teaching import sheet
from entropic_edu.teaching.strings import option_text, text

NOISE_KEYS = (
    "03.noise.isotropic.on",
    "03.noise.isotropic.late",
    "03.noise.isotropic.off",
    "03.noise.curvature.on",
    "03.noise.curvature.late",
    "03.noise.curvature.off",
    "03.noise.label.on",
    "03.noise.label.late",
    "03.noise.label.off",
)

SLOPE = 0.0215
WALLS = {
    "slope": SLOPE,
    "g_wide": 0.375,
    "g_narrow": 24.0,  # ηh stays below 0.72
    "width": 0.7,
    "half_length": 1.2,
    "noise_scale": 6.0,
}
ALONG, ACROSS = (-1.6, 1.6), (-1.0, 1.0)
BINS = torch.linspace(-1.5, 1.5, 13, dtype=torch.float64)
TURNED = ("batch_size", "learning_rate", "noise")


def batch_of(batch_size: int | None, noise: str) -> int | None:
    """Return B where there is noise; None where the learner has none of it."""
    return None if noise == "off" else batch_size


def settled(release: Release, noise: str) -> Tensor:
    """Return the records, (R,), from which the cloud across the floor has had a quarter of the run to settle."""
    share = {"on": 0.25, "late": 0.75, "off": 0.0}[noise]
    return release.step >= share * int(release.step[-1])


def setting_of(turned: Mapping[str, Any], shape: str = "isotropic") -> str:
    """Name the settings in a sentence, with noise of this shape."""
    batch_size, noise = turned["batch_size"], turned["noise"]
    data = text("03.batch.all") if batch_size is None else text("03.batch.some", batch_size=batch_size)
    kind = "off" if batch_size is None else noise
    noise = option_text(f"{shape}.{kind}", *NOISE_KEYS)
    return text("03.setting", data=data, learning_rate=turned["learning_rate"], noise=noise)


def trusted(mean: Mean, largest: float) -> Mean:
    """Leave out points that too few walkers made: their errors would fill the panel."""
    return Mean(mean.value.masked_fill(mean.error > largest, torch.nan), mean.error)


def boxed_label(ax: Axes, words: str, colour: str, **where: Any) -> Text:
    """Return a label on a white box; ``set_position`` puts it where it belongs."""
    ink = sheet.INK.get(colour, colour)
    name: Text = ax.text(0, 0, words, color=ink, fontsize=sheet.SMALL, va="center", animated=True, zorder=5, **where)
    name.set_bbox({"facecolor": "white", "alpha": 0.95, "lw": 0, "pad": 1})  # readable where it crosses a line
    return name


def show_drift(
    triptych: floor.Triptych, release: Release, noise: str, batch_size: int | None, learning_rate: float, largest: float
) -> None:
    """Draw the drift along a straight floor: theory, and what the walkers did once their cloud had settled."""
    rows = settled(release, noise)
    where, speed = floor.velocity(along(release)[rows], release.step[rows], BINS)
    law = 1000 * learning_rate * floor.force(triptych.land, triptych.y, batch_size, learning_rate)
    triptych.show(law, where, trusted(speed * 1000, largest))
