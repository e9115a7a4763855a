"""The recorded crowds of all cases, how a sentence says what was measured on them, and a case seen from above."""

from __future__ import annotations

import math
from typing import Any

import torch
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from torch import Tensor

from entropic_edu import recorded
from entropic_edu.course import floor
from entropic_edu.physics.mean import Mean
from entropic_edu.recorded.look_alikes.cases import BATCHES, RATES, Case, land
from entropic_edu.recorded.look_alikes.measure import WINDOWS, Measured
from entropic_edu.teaching.sheet import THEORY, Role
from entropic_edu.teaching.strings import text

ALONG, ACROSS = (0.6, 3.6), (-0.8, 0.8)
Y = torch.linspace(*ALONG, 121, dtype=torch.float64)
STORY = Role(THEORY.colour, THEORY.dash, label="10.label.story")
WALLS: dict[str, Any] = {"yscale": "log", "yticks": (1, 10)}
MAKES = """
from entropic_edu.recorded.look_alikes import cases, measure
land, generator = {land}, torch.Generator().manual_seed(0)
settings = cases.settings({settings})
release = ee.drift(land, ee.Path(land.floor(2)), generator=generator, **settings)
found = measure.measured(land, release)
"""  # code that lets crowds go anew, and measures them


def crowds(name: str, batch_size: int | None, learning_rate: float) -> Measured:
    """Return what was measured on a case."""
    recording = recorded.load("limits")
    place = RATES.index(learning_rate), BATCHES.index(batch_size)
    return Measured.unpacked(recording[f"{name}/measured"][place], recording[f"{name}/walkers"][place])


def hot(name: str) -> Measured:
    """Return what was measured at B = 16 and η = 0.04."""
    return crowds(name, 16, 0.04)


def halved(name: str) -> Measured:
    """Return what was measured at B = 8 and η = 0.02: half of B = 16 and η = 0.04, for twice as many steps."""
    row: Tensor = recorded.load("limits")[f"{name}/halved"]
    return Measured.unpacked(row, torch.empty(0, 2))


def story(name: str, batch_size: int, learning_rate: float) -> Tensor:
    """Return the walkers per length in ``measure.CELLS`` at the end, as the story has them, (20,)."""
    return _shares(name, batch_size, learning_rate)[3:63].unflatten(0, (20, 3)).sum(1) / 0.15


def story_narrow(name: str, batch_size: int, learning_rate: float) -> float:
    """Return the share of the walkers with y < 2 at the end, as the story has it."""
    return float(_shares(name, batch_size, learning_rate)[:31].sum())


def _shares(name: str, batch_size: int, learning_rate: float) -> Tensor:
    shares: Tensor = recorded.load("limits")[f"{name}/story"]
    return shares[RATES.index(learning_rate), BATCHES.index(batch_size)].double()


def story_push(case: Case, y: Tensor) -> Tensor:
    """Return the push of a heat bath over T, -½h'/h, the shape of ``y``."""
    return -0.5 * case.curvature_across(y, 1) / case.curvature_across(y)


def story_push_ends(case: Case) -> list[float]:
    """Return the mean of ``story_push`` over the narrow and the wide window."""
    places = torch.linspace(0, 1, 41, dtype=torch.float64)
    return [float(story_push(case, low + (high - low) * places).mean()) for low, high in WINDOWS.tolist()]


def with_error(mean: Mean) -> str:
    """Say a mean with its error, or that nobody was there."""
    value = float(mean.value)
    if not math.isfinite(value + float(mean.error)):
        return text("10.nobody")
    return f"{mean:,.0f}" if abs(value) >= 100 else f"{mean:.1f}" if abs(value) >= 10 else f"{mean:.2f}"


def signed(mean: Mean) -> str:
    """Say a displacement with its sign and its error."""
    return f"{float(mean.value):+.3f} ± {float(mean.error):.3f}"


def data_of(batch_size: int | None) -> str:
    """Name a batch size in a sentence."""
    return text("10.batch.all") if batch_size is None else text("10.batch.some", batch_size=batch_size)


def plan(letter: str, ax: Axes) -> tuple[Artist, ...]:
    """Draw the loss of a case, and its floor between y = 1 and y = 3; return the artists."""
    return floor.field(ax, land(letter), (0.4 / 3, 0.8))
