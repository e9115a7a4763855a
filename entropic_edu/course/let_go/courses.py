"""What walkers of a recorded run did from 0.3 and from 0.7, both sides of the road together."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache, cached_property

import torch
from torch import Tensor

from entropic_edu import recorded
from entropic_edu.course.runs import Run
from entropic_edu.physics.mean import Mean
from entropic_edu.recorded import let_go

from .force import LEFT, flow_time

NEARLY = 95  # per cent of the way home: past it the rate is that of the end, which stops walkers


@dataclass(frozen=True)
class Course:
    """What the walkers of one run did, both sides of the road together, as far as a flow time."""

    name: str
    pair: int | None = None  # counted from 1; None is the mean over all
    until: float = math.inf  # flow time

    @property
    def run(self) -> Run:
        return Run("let_go", self.name, 0.3, self.pair)

    @cached_property
    def count(self) -> int:
        """How many records there are."""
        return int((flow_time(self.run) <= self.until + 1e-6).sum())

    @property
    def share(self) -> Tensor:
        """Share of the run at the records, (R,)."""
        step = self.run.step[: self.count]
        return step / step[-1]

    @cached_property
    def left(self) -> Mean:
        """Distance from the own end, in lengths of the road, (R,)."""
        each = let_go.remaining(self.name, 0.3)[:, : self.count]
        return self.run.mean(each if self.pair is None else each[self.pair - 1 : self.pair])

    @property
    def end(self) -> Mean:
        return self.left.at(-1)

    @property
    def far(self) -> float:
        """Distance from the road at the end."""
        return float(self.away[-1])

    @cached_property
    def away(self) -> Tensor:
        """Distance from the road just before the projection, at the records but the first, (R-1,)."""
        sides = list(let_go.sides(self.name, 0.3))
        away = self.run.road.rows(f"{self.name}/distance")[:, 1 : self.count, sides].mean((0, 2, 3))
        every, steps = (self.run.setting[key] for key in ("project_every", "steps"))
        between = self.count == len(self.run.step) and every and steps % every  # the last record is no projection
        return away[:-1] if between else away

    @cached_property
    def outside(self) -> float:
        """Projections from outside the valley, in per cent."""
        return 100 * float(self.run.road.rows(f"{self.name}/outside").mean())

    @property
    def lost(self) -> bool:
        """Whether walkers were outside so often, and not put back, that their position means little."""
        return self.outside > 100 * LEFT and not self.run.setting.get("undo_excursions")

    @property
    def accuracy(self) -> float | None:
        """On the held-out digits at the end, in per cent; None where the recipe did not ask for it."""
        key = f"{self.name}/accuracy"
        known = key in recorded.load("let_go")
        return 100 * float(self.run.road.rows(key)[:, self.count - 1].mean()) if known else None

    @cached_property
    def theory(self) -> float | None:
        """Distance from the own end by linear theory, at the end; None where it says nothing."""
        run = self.run
        if not let_go.predictable(dict(run.setting)):
            return None
        return float(_theory(self.name, int(run.step[self.count - 1]))[run.road.pairs].mean())

    @property
    def times(self) -> float:
        """T over T* at the start."""
        limits = [each.threshold for each in self.run.road.profiles]
        at = [float(each[round(0.3 * (len(each) - 1))]) for each in limits if each is not None]
        return self.run.temperature * len(at) / sum(at)


@cache
def _theory(name: str, step: int) -> Tensor:
    """Return the distance that theory says before the end of a run, by pair, (P,)."""
    laws, steps = Run("let_go", name, 0.3).laws, torch.tensor([0, step])
    return torch.stack([0.5 * (law.track(0.3, steps)[-1] + 1 - law.track(0.7, steps)[-1]) for law in laws])


@cache
def measured(name: str, measure: str, start: float) -> tuple[Mean, float]:
    """Return what walkers of a setting did, and what theory says: the way home in per cent, or the rate."""
    if measure == "gone":
        return let_go.gone(name, start), float(expected(name, start).mean())
    run = Run("let_go", name, start)
    heat = run.setting["steps"] * run.learning_rate * run.temperature
    found = rate(let_go.shares(name, start), let_go.shares("control", start), heat)
    return Mean.over(found), float(rate(expected(name, start), expected("control", start), heat).mean())


def expected(name: str, start: float) -> Tensor:
    """Return the share of the way home that theory says for each pair, both sides together, (P,), in per cent."""
    return 100 * (1 - let_go.remaining_by_theory(name, start) / start)


def rate(home: Tensor, still: Tensor, heat: float) -> Tensor:
    """Return -ln of what is left of the way over what is left without noise, over η·steps·T; shares in per cent."""
    left = ((100 - home) / (100 - still)).masked_fill(home > NEARLY, torch.nan)
    return -left.log() / heat
