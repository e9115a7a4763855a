"""Means with their standard errors: of independent measurements, and over random probes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor


class Mean(NamedTuple):
    """A mean over the crowds and its standard error, of one shape."""

    value: Tensor
    error: Tensor

    def __mul__(self, factor: Any) -> Mean:
        """Return the mean in other units."""
        return Mean(self.value * factor, self.error * abs(factor))


def exact(values: Tensor) -> Mean:
    """Return values that are known, with an error of zero."""
    return Mean(values, torch.zeros_like(values))


@dataclass(frozen=True, eq=False)
class Estimate:
    """A mean over random probes.

    Attributes:
        value: The estimate, shape ().
        error: Its standard error, same shape; infinite for a single probe, which cannot tell.
        samples: What each probe gave, (..., V). With the same probes at two points, the spread of the differences of
            ``samples`` is the error of the difference, far smaller than either ``error``.
    """

    value: Tensor
    error: Tensor
    samples: Tensor

    @classmethod
    def of(cls, samples: Tensor) -> Estimate:
        """Return the mean over the last dimension and its standard error."""
        count = samples.shape[-1]
        mean = samples.mean(-1)
        error = samples.std(-1) / count**0.5 if count > 1 else torch.full_like(mean, torch.inf)
        return cls(mean, error, samples)
