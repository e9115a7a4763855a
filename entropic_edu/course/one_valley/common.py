"""What the explorers of rounds 2 and 3 share: the trough, what is read from its walkers, and how numbers are told."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import product
from typing import Any

from torch import Tensor

from entropic_edu.course import floor
from entropic_edu.course.crowd import Crowd
from entropic_edu.physics.mean import Mean
from entropic_edu.physics.snapshot import Snapshot
from entropic_edu.teaching.declared import Found, one_by_one
from entropic_edu.teaching.strings import text

STEPS, WALKERS = 400, 256
RATES, CURVATURES = (0.05, 0.1, 0.2, 0.4), (0.5, 1.0, 2.0)
SETTINGS = tuple(product((1, 4, 16, 64), RATES, CURVATURES))  # B, η, h: so many that the button answers in seconds
LATE = 0.75  # the spread is measured in the last quarter of a run: it has settled by then at all settings


@cache
def trough(curvature: float) -> Crowd:
    """Return the crowds of this lesson: walls of one curvature h, isotropic noise with s = 1, released on the floor."""
    return Crowd(
        "Waist", {"g_wide": curvature, "g_narrow": curvature}, steps=STEPS, walkers=WALKERS, records=STEPS // 8
    )


def cloud(seed: int, batch_size: int | None, learning_rate: float, curvature: float) -> Tensor:
    """Return x of the walkers in the last quarter of their steps, (records, W)."""
    release = trough(curvature).run(seed, batch_size=batch_size, learning_rate=learning_rate)
    return floor.places(release)[release.step > LATE * STEPS, :, 0]


def exact(batch_size: Any, learning_rate: Any, curvature: Any) -> Any:
    """Return the variance of x that settles, ηs² / (B h (2 - ηh)) with s = 1, for steps of any size."""
    return learning_rate / (batch_size * curvature * (2 - learning_rate * curvature))


def spread(x: Tensor) -> Mean:
    """Return the mean of x² over records and walkers, with the error over the crowds."""
    return floor.over_crowds(x.square().mean(0))


def measure(seed: int, settings: Sequence[tuple[int, float, float]] = SETTINGS) -> Iterator[Snapshot[Found]]:
    """Yield the mean of x² at the first settings (B, η, h), each with draws of its own."""

    def ask(number: int) -> Mean:
        return spread(cloud(seed + number, *settings[number]))

    def note(number: int) -> str:
        names = ("batch_size", "learning_rate", "curvature")
        return text("01.collapse.note", **dict(zip(names, settings[number], strict=True)))

    return one_by_one(ask, range(len(settings)), note)


def measured(mean: Mean) -> str:
    """Return a mean with its error, both to the digit that is in doubt: the error's first, or second after a 1."""
    value, error = float(mean.value), float(mean.error)
    power = 0 if 1e-3 <= abs(value) < 1e4 else math.floor(math.log10(abs(value)))
    scale = 10.0**power
    digits = max(0, -math.floor(math.log10(error / scale / 2)))
    both = text("01.measured", value=f"{value / scale:.{digits}f}", error=f"{error / scale:.{digits}f}")
    return both if power == 0 else f"({both}){_tenth(power)}"


def rounded(value: float) -> str:
    """Return a number to three digits, with a power of ten where it is far from 1."""
    mantissa, _, power = f"{value:.3g}".partition("e")
    return f"{mantissa}{_tenth(int(power))}" if power else mantissa


def _tenth(power: int) -> str:
    """Return a power of ten as a factor."""
    return " · 10" + str(power).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
