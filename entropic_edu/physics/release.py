"""What walkers did on a road, and how long they took to go home."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from .mean import Mean, over_columns
from .results import Result
from .steps import batch_limit


class Relaxation(NamedTuple):
    """Relaxation time in steps and its standard error, (S,) each."""

    steps: Tensor
    error: Tensor


@dataclass(frozen=True, eq=False)
class Release(Result):
    """What the walkers did; columns are walkers, rows are records in time.

    Attributes:
        step: Steps taken at each record, (R,).
        position, start: Nearest position on the path in [0, 1], (R, W), and where each walker began, (W,).
        distance, loss: Distance from the path just before the record's projection, and the objective there, (R, W).
        outside: Share of a walker's projections at which it was further from the path than ``valley_radius``, (W,).
        temperature: η/((1-m)B), or T of the Langevin noise.
        valley_radius: The distance past which a walker is outside.
        length, recipe: Arc length of the path, and the settings as plain values.
        theta: Where the walkers stood just before the record's projection, (R, W, D), if ``drift`` was to keep it.
        excess_loss: Mean, since the record before, of the data loss that a walker's batch had before the step, averaged
            over label noise, less that of the road beside it, (R, W). A batch is fresh before its step, so the mean
            over draws is that of all data. 0 in the first row; None in files of former versions, and where batch norm's
            own statistics shift a batch's loss.
        sharpness, sharpness_error: Batch sharpness, mean gᵀHg over mean ‖g‖² of a few batches (gradient g, Hessian H),
            at positions 0, ½ and 1 of the road, and its standard error, (3,) each; None without batches.
        threshold: T* = L / tr C of these places together, () by the same batches, a rough estimate; ``Profile`` has it
            along the road.

    Example:
        >>> land, g = ee.valleys.Tilted(), torch.Generator().manual_seed(0)
        >>> release = ee.drift(land, ee.Path(land.floor(21)), batch_size=None, steps=300, generator=g, walkers=1)
        >>> release.position.shape == release.loss.shape, release.left_valley.tolist()  # down the slope, inside
        (True, [False])
    """

    retired: ClassVar[tuple[str, ...]] = ("predicted",)  # ``drift`` was once given the profile

    step: Tensor
    position: Tensor
    distance: Tensor
    loss: Tensor
    start: Tensor
    outside: Tensor
    temperature: float
    valley_radius: float
    length: float
    recipe: dict[str, Any] = field(default_factory=dict)
    theta: Tensor | None = None
    excess_loss: Tensor | None = None
    sharpness: Tensor | None = None
    sharpness_error: Tensor | None = None
    threshold: Tensor | None = None

    @property
    def left_valley(self) -> Tensor:
        """Whether a walker was outside at over a twentieth of its projections, (W,): its position means nothing."""
        return self.outside > 0.05

    @property
    def time(self) -> Tensor:
        """Flow time η/(1-m)·step at each record, (R,): without noise only it counts, however it is cut into steps."""
        return self.step * (self.recipe["learning_rate"] / (1 - self.recipe["momentum"]))

    @property
    def sharpness_limit(self) -> float:
        """2(1-m)/η, past which steps along the batches' own gradients grow; infinite for Adam."""
        return batch_limit(self.recipe["optimizer"], self.recipe["learning_rate"], self.recipe["momentum"])

    @property
    def starts(self) -> Tensor:
        """The different starts, ascending, (S,)."""
        return self.start.unique()

    @property
    def mean_position(self) -> Tensor:
        """Mean over the walkers of each start that stayed, (R, S); where none stayed, over all of them."""
        return torch.stack([self.of(s, self.position).mean(1) for s in self.starts], 1)

    @property
    def position_error(self) -> Tensor:
        """Standard error of ``mean_position`` over walkers, (R, S)."""
        columns = [self.of(s, self.position) for s in self.starts]
        errors = [c.std(1) / c.shape[1] ** 0.5 if c.shape[1] > 1 else torch.zeros(len(c)) for c in columns]
        return torch.stack(errors, 1)

    @property
    def mean_excess_loss(self) -> Mean | None:
        """Mean excess loss over the walkers of each start that stayed, and its standard error, (R, S) each, or None."""
        if self.excess_loss is None:
            return None
        each = [over_columns(self.of(s, self.excess_loss)) for s in self.starts]
        return Mean(*(torch.stack(part, 1) for part in zip(*each, strict=True)))

    def relaxation_steps(self) -> Relaxation:
        """Return, per start, the steps after which the mean distance from the own end has fallen to 1/e.

        The own end is the nearer one. The time is interpolated between records, and infinite where the mean has not
        come so far; the error is the jackknife's over walkers, and infinite where leaving one out decides.
        """
        times, errors = [], []
        for start in self.starts:
            mine = self.of(start, self.position)
            remaining = (mine - (start > 0.5).to(mine)).abs()  # (R, W)
            level, walkers = float(remaining[0].mean()) / math.e, remaining.shape[1]
            times.append(first_below(self.step, remaining.mean(1), level))
            rest = [remaining[:, torch.arange(walkers) != w] for w in range(walkers)]  # of one walker none, and NaN
            spread = torch.tensor([first_below(self.step, r.mean(1), level) for r in rest], dtype=torch.float64)
            known = bool(spread.isfinite().all())
            variance = float((spread - spread.mean()).square().sum()) * (walkers - 1) / walkers if known else math.inf
            errors.append(math.sqrt(variance))
        return Relaxation(torch.tensor(times), torch.tensor(errors))

    def of(self, start: Tensor, values: Tensor) -> Tensor:
        """Return the columns of ``values`` (R, W) of a start's walkers that stayed; where none did, of all of them."""
        mine = self.start == start
        stayed = mine & ~self.left_valley
        return values[:, stayed if bool(stayed.any()) else mine]

    def summary(self) -> str:
        final, error = self.mean_position[-1], self.position_error[-1]
        moves = "; ".join(
            f"from {s:.2f} to {p:.3f} ± {e:.3f}" for s, p, e in zip(self.starts, final, error, strict=True)
        )
        left, share = int(self.left_valley.sum()), 100 * float(self.outside.mean())
        valley = f"{left} of {len(self.start)} left the valley ({share:.1f} % of all projections were from outside)"
        stopped = "" if self.complete else " (stopped early)"
        over = "" if self.threshold is None else over_threshold(self.temperature, self.threshold[None], about="about ")
        flow = f" (flow time {float(self.time[-1]):.4g})" if self.recipe and not self.temperature else ""
        return (
            f"{len(self.start)} walkers, {int(self.step[-1])} steps{flow} at temperature {self.temperature:.3g}"
            f"{over}{stopped}: {moves}; {valley}.{self._sharpness_in_words()}"
        )

    def _sharpness_in_words(self) -> str:
        if self.sharpness is None or self.sharpness_error is None or not bool(self.sharpness.isfinite().all()):
            return ""
        each = [f"{s:.2g} ± {e:.1g}" for s, e in zip(self.sharpness, self.sharpness_error, strict=True)]
        past = "past" if float(self.sharpness.max()) > self.sharpness_limit else "below"
        return (
            f" Batch sharpness {each[0]} and {each[2]} at the ends of the road and {each[1]} in its middle, {past} the "
            f"limit 2(1-m)/η = {self.sharpness_limit:.3g}."
        )


def over_threshold(temperature: float, threshold: Tensor, about: str = "") -> str:
    """Say how many times T* (n,) a temperature is along the road; nothing where there is no T*, as on a valley's floor.

    >>> over_threshold(0.125, torch.tensor([0.03, 0.04]))
    ' (3.1 to 4.2 T*)'
    """
    times = temperature / threshold[(threshold > 0) & threshold.isfinite()]
    if not len(times) or not temperature:
        return ""
    low, high = (f"{float(each):.2g}" for each in times.aminmax())
    return f" ({about}{low if low == high else f'{low} to {high}'} T*)"


def first_below(step: Tensor, values: Tensor, level: float) -> float:
    """Return the step at which ``values`` (R,) first fall to ``level``, by linear interpolation; infinite if never."""
    below = (values <= level).nonzero()
    if len(below) == 0:
        return math.inf
    row = int(below[0])
    if row == 0:
        return float(step[0])
    a, b = float(values[row - 1]), float(values[row])
    return float(step[row - 1]) + (a - level) / (a - b) * float(step[row] - step[row - 1])
