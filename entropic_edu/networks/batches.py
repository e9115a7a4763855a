"""What a step sees of the data: batches drawn with replacement, shuffled epochs, and label noise."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from numbers import Integral

import torch
import torch.nn.functional as F
from torch import Tensor

from entropic_edu.physics.landscape import Landscape

from .losses import Loss, shares

_TOGETHER = 2**16  # numbers of a shuffle's batches that are taken from the data at once, to lie in cache


@dataclass(frozen=True, eq=False)
class Batch:
    """What one step sees: inputs and targets, shared by all walkers (B, ...) or each one's ``own`` (P, B, ...)."""

    x: Tensor
    y: Tensor
    own: bool = False
    whole: bool = False  # all data or a part of them: batch norm takes the statistics re-estimated at θ
    clean: Tensor | None = None  # targets before their label noise; None where there is none

    @property
    def size(self) -> int:
        """Number of samples, of each walker."""
        return self.x.shape[int(self.own)]

    @property
    def ends(self) -> Batch:
        """The first sample and the last: two also of one, whose variance batch norm asks for."""
        return Batch(self.x[[0, -1]], self.y[[0, -1]])

    def split(self, rows: int) -> list[tuple[float, Batch]]:
        """Return parts of at most ``rows`` samples with their shares of them all."""
        if self.size <= rows:
            return [(1.0, self)]
        dim = int(self.own)
        x, y = self.x.split(rows, dim), self.y.split(rows, dim)
        clean = [None] * len(y) if self.clean is None else self.clean.split(rows, dim)
        parts = [Batch(a, b, self.own, self.whole, c) for a, b, c in zip(x, y, clean, strict=True)]
        return [(part.size / self.size, part) for part in parts]

    def of(self, walker: int) -> Batch:
        """Return what one walker sees."""
        if not self.own:
            return self
        return Batch(self.x[walker], self.y[walker], clean=None if self.clean is None else self.clean[walker])

    def among(self, walkers: slice) -> Batch:
        """Return what some walkers see."""
        if not self.own:
            return self
        clean = None if self.clean is None else self.clean[walkers]
        return Batch(self.x[walkers], self.y[walkers], True, self.whole, clean)

    def averaged(self, criterion: Loss, dtype: torch.dtype) -> Tensor:
        """Return targets whose loss is the mean over the batch's label noise, in the form that ``means`` takes."""
        if self.clean is None:
            return self.y
        lead = self.clean.shape[: 1 + self.own]
        return criterion.averaged(self.clean.flatten(0, int(self.own)), dtype).unflatten(0, lead)


class Sampled(Landscape):
    """A landscape whose loss is a mean over samples: how its batches are drawn."""

    x: Tensor  # training inputs (N, ...)
    y: Tensor  # training targets (N,) or (N, C)
    dtype: torch.dtype  # of parameters and outputs
    criterion: Loss

    @property
    def num_samples(self) -> int:  # type: ignore[override]
        """Number N of training samples."""
        return len(self.x)

    def draw(self, batch_size: int | None, generator: torch.Generator, rows: int | None = None) -> Batch:
        """Draw samples with replacement and, where the landscape has label noise, jitter their targets.

        A ``batch_size`` of None takes all data in order; label noise still acts.
        """
        if batch_size is None:
            return self._all(generator, rows if self.criterion.label_noise else None)
        self._check_batch_size(batch_size)
        lead = () if rows is None else (rows,)
        # batch first, so that with the same seed a smaller batch holds the first samples of a larger one
        index = torch.randint(len(self.x), (batch_size, *lead), generator=generator, device=generator.device)
        return self._pick(index.movedim(0, -1).contiguous(), generator)

    def draw_labels(self, batch_size: int, generator: torch.Generator, rows: int | None = None) -> Batch:
        """Draw label noise without sampling noise: all data in order, the jitter as strong as in batches of B.

        √(N/B) times the jitter of all N targets gives the gradient the covariance that it has in a batch of B. Of class
        numbers that is how far a drawn one lies from its mean: their targets become rows that add up to 1, some with
        negative entries, in which cross-entropy is linear.
        """
        factor = math.sqrt(len(self.x) / batch_size)
        batch = self._all(generator, rows, factor)
        if not self.criterion.classes:
            return batch
        mean = self.criterion.averaged(self.y, self.dtype)
        drawn = shares(batch.y, self.criterion.classes, 0.0, self.dtype, axis=1 + batch.own)
        return Batch(batch.x, torch.lerp(mean, drawn, factor), batch.own, clean=batch.clean)

    def steps_per_epoch(self, batch_size: int | None) -> int:
        if batch_size is None:
            return 1
        self._check_batch_size(batch_size)
        return len(self.x) // batch_size

    def epoch(
        self, batch_size: int | None, generator: torch.Generator, rows: int | None = None
    ) -> Iterator[Batch | None]:
        """Yield shuffled batches without replacement, one shuffle for each row; the incomplete last is dropped."""
        if batch_size is None:
            yield self.draw(None, generator, rows) if self.criterion.label_noise else None
            return
        shuffles = [torch.randperm(len(self.x), generator=generator, device=generator.device) for _ in range(rows or 1)]
        order = shuffles[0] if rows is None else torch.stack(shuffles)
        steps = self.steps_per_epoch(batch_size)
        index = order[..., : steps * batch_size].unflatten(-1, (steps, batch_size)).movedim(-2, 0)
        numbers = index[0].numel() * self.x[0].numel()  # of one batch
        for some in index.to(self.x.device).split(max(1, _TOGETHER // numbers)):
            for x, y in zip(self._rows(some), self.y[some], strict=True):
                yield self._noisy(x, y, rows is not None, generator)

    def _all(self, generator: torch.Generator, rows: int | None, factor: float = 1.0) -> Batch:
        x, y = (each if rows is None else each.expand(rows, *each.shape) for each in (self.x, self.y))
        return self._noisy(x, y, rows is not None, generator, factor)

    def _pick(self, index: Tensor, generator: torch.Generator) -> Batch:
        index = index.to(self.x.device)
        return self._noisy(self._rows(index), self.y[index], index.ndim == 2, generator)

    def _rows(self, index: Tensor) -> Tensor:
        return F.embedding(index, self.x) if self.x.ndim == 2 else self.x[index]  # of rows several times as fast

    def _noisy(self, x: Tensor, y: Tensor, own: bool, generator: torch.Generator, factor: float = 1.0) -> Batch:
        jittered = self.criterion.jitter(y, generator, factor)
        return Batch(x, jittered, own, clean=y if self.criterion.label_noise else None)

    def _check_batch_size(self, batch_size: int) -> None:
        if not isinstance(batch_size, Integral) or not 1 <= batch_size <= len(self.x):
            raise ValueError(
                f"A batch takes 1 to {len(self.x)} of the {len(self.x)} training samples, got batch_size={batch_size}; "
                "pass batch_size=None for all of them."
            )


def mean_over(
    parts: list[tuple[float, Batch]], compute: Callable[[Batch], tuple[Tensor, ...]], theta: Tensor
) -> tuple[Tensor, ...]:
    """Return the mean of losses (P,) and gradients (P, D) of the parts, each with its share; of one part just those.

    Zeros made before what the parts need lie below it: later ones let the heap shrink and grow with each part.
    """
    if len(parts) == 1:
        return compute(parts[0][1])
    total = theta.new_zeros(len(theta)), torch.zeros_like(theta)
    for share, part in parts:
        for one, other in zip(total, compute(part), strict=True):
            one += share * other
    return total
