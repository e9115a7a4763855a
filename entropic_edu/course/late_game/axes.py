"""Axes of this lesson: steps of parting, and powers of ten."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from .measures import RAISED, STEPS

LAST = STEPS[-1]
POSITION: dict[str, Any] = {"x": "07.axis.position", "xticks": {0.0: "0", 0.5: "0.5", 1.0: "1"}}
AGAINST_K: dict[str, Any] = {"x": "07.axis.k", "xlim": (-30, LAST + 30), "xticks": (0, 480, 960, 1440)}


def power(value: float) -> str:
    """Write a power of ten in full, or as one where that is shorter."""
    exponent = round(math.log10(value))
    return f"{value:g}" if exponent >= -4 else f"10{str(exponent).translate(RAISED)}"


def logarithmic(low: float, high: float, ticks: Sequence[float], axis: str = "y") -> dict[str, Any]:
    """Return what makes an axis of a panel logarithmic, with few ticks."""
    return {f"{axis}scale": "log", f"{axis}lim": (low, high), f"{axis}ticks": {tick: power(tick) for tick in ticks}}


def decades(values: Tensor, axis: str = "y") -> dict[str, Any]:
    """Return a logarithmic axis of the powers of ten that hold these positive values."""
    low = math.floor(math.log10(float(values.min())))
    high = max(low + 1, math.ceil(math.log10(float(values.max()))))
    return logarithmic(10.0**low, 10.0**high, [10.0**number for number in range(low, high + 1)], axis)
