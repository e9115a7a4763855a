"""What the explorers of rounds 2 and 3 share: the trough, what is read from its walkers, and how numbers are told."""

from __future__ import annotations

import math
from functools import cache

from torch import Tensor

from entropic_edu.course import floor
from entropic_edu.course.crowd import Crowd
from entropic_edu.physics.mean import Mean
from entropic_edu.physics.release import Release
from entropic_edu.teaching.strings import text

STEPS, WALKERS = 400, 256
LATE = 0.75  # the spread is measured in the last quarter of a run: it has settled by then at all settings


@cache
def trough(curvature: float) -> Crowd:
    """Return the crowds of this lesson: walls of one curvature h, isotropic noise with s = 1, released on the floor."""
    return Crowd(
        "Waist", {"g_wide": curvature, "g_narrow": curvature}, steps=STEPS, walkers=WALKERS, records=STEPS // 8
    )


def across(release: Release) -> Tensor:
    """Return the distance x from the floor, (R, W), in float64."""
    assert release.theta is not None  # Crowd asks for it
    return release.theta[..., 0].double()


def late(release: Release) -> Tensor:
    """Return x in the last quarter of the steps, (records, W)."""
    return across(release)[release.step > LATE * int(release.step[-1])]


def spread(x: Tensor) -> Mean:
    """Return the mean of x² over records and walkers, with the error over the crowds."""
    return floor.over_crowds(x.square().mean(0))


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
