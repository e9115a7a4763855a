"""Means with their standard errors: of independent measurements, and over random probes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor


class Mean(NamedTuple):
    """A mean and its standard error, of one shape: 0 belongs to an exact value, NaN to one of a single sample.

    >>> mean = Mean.over(torch.tensor([0.27, 0.28, 0.29]))
    >>> f"{mean:.3f}", f"{100 * mean:.0f} %"
    ('0.280 ± 0.006', '28 ± 1 %')
    >>> f"{Mean.over(torch.tensor([0.28])):.3f}"
    '0.280'
    """

    value: Tensor
    error: Tensor

    @classmethod
    def over(cls, each: Tensor, dim: int = -1) -> Mean:
        """Return the mean over independent samples along one dimension, (..., n, ...) -> (..., ...)."""
        count = each.shape[dim]
        mean = each.mean(dim)
        return cls(mean, each.std(dim) / count**0.5 if count > 1 else torch.full_like(mean, torch.nan))

    def at(self, index: Any) -> Mean:
        """Return the means at an index of both tensors."""
        return Mean(self.value[index], self.error[index])

    def __format__(self, form: str) -> str:
        """Write a single mean with its error, or alone where that is 0 or unknown, both as ``form`` says."""
        if not form:
            return str(self)
        error = f" ± {float(self.error):{form}}" if 0 < self.error < torch.inf else ""
        return f"{float(self.value):{form}}{error}"

    def __mul__(self, factor: Any) -> Mean:
        """Return the mean in other units."""
        return Mean(self.value * factor, self.error * abs(factor))

    def __rmul__(self, factor: Any) -> Mean:
        return self * factor


def exact(values: Tensor) -> Mean:
    """Return values that are known, with an error of zero."""
    return Mean(values, torch.zeros_like(values))


def ratio(above: Tensor, below: Tensor) -> Mean:
    """Return the ratio of the means over the last dimension, (n, V) each, and its standard error, (n,).

    A single column tells nothing of its error, which is then 0: so where the one is exact.

    >>> ratio(torch.tensor([[1.0, 3.0]]), torch.tensor([[2.0, 6.0]]))  # half in every column
    Mean(value=tensor([0.5000]), error=tensor([0.]))
    """
    value, count = above.mean(1) / below.mean(1), above.shape[1]
    if count == 1:
        return exact(value)
    return Mean(value, (above - value[:, None] * below).std(1) / count**0.5 / below.mean(1).abs())


def over_columns(values: Tensor) -> Mean:
    """Return the mean over the last dimension and its standard error, (n, V) -> (n,), as ``ratio`` has them."""
    return ratio(values, torch.ones_like(values))


def middle_over_ends(position: Tensor, values: Tensor) -> Tensor:
    """Return the mean of ``values`` (..., n) over the middle third of a road, over the mean of its two ends, (...).

    Points at 1/3 and 2/3 belong to the middle, whatever the precision of ``position`` (n,), which lies in [0, 1]. Where
    there are none in the middle the ratio is NaN.

    >>> middle_over_ends(torch.tensor([0.0, 1 / 3, 2 / 3, 1.0]), torch.tensor([1.0, 3.0, 5.0, 3.0]))
    tensor(2.)
    """
    if position.ndim != 1 or values.shape[-1:] != position.shape:
        raise ValueError(
            f"Each of the positions (n,) needs a value (..., n), got shapes {tuple(position.shape)} and "
            f"{tuple(values.shape)}; give positions and values of the same points."
        )
    middle = (3 * position.double() - 1.5).abs() <= 0.5 + 1e-5  # float32 misses 1/3 by 1e-8, float64 2/3 by 1e-16
    return values[..., middle].mean(-1) / values[..., [0, -1]].mean(-1)


@dataclass(frozen=True, eq=False)
class Estimate:
    """A mean over random probes.

    Attributes:
        value, error: The estimate, and its standard error, infinite for a single probe, which cannot tell.
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
