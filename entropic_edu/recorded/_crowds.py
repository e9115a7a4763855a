"""Crowds: walkers in independent groups of equal size, whose scatter is the standard error of every mean."""

from __future__ import annotations

from torch import Tensor

from entropic_edu.physics.mean import Mean

CROWDS = 8


def over_crowds(values: Tensor) -> Mean:
    """Return mean and standard error over the independent crowds, (R, CROWDS · W) -> (R,) each."""
    each = values.unflatten(-1, (CROWDS, -1)).mean(-1)
    return Mean(each.mean(-1), each.std(-1) / CROWDS**0.5)
