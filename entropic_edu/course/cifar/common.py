"""What the explorers share: the recording beside that of digits, means over the pairs, and theory's tracks."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache
from typing import Self

import numpy as np
import torch
from torch import Tensor

from entropic_edu import recorded
from entropic_edu.course.runs import Run
from entropic_edu.figures.plots import GREEN
from entropic_edu.physics.mean import Mean, exact
from entropic_edu.physics.noise import effective_temperature
from entropic_edu.recorded import cifar10, let_go
from entropic_edu.story.digits import Setting
from entropic_edu.teaching.explorer import slider, switch
from entropic_edu.teaching.sheet import GREY, Role
from entropic_edu.teaching.strings import text
from entropic_edu.teaching.yours import Yours

from .exercises import by_noise

PAIRS = tuple(cifar10.PAIRS)  # of minima, counted from 0
PAIR = slider("cifar_pair", (None, *(pair + 1 for pair in PAIRS)), None)  # None is all of them
RUNS = ("no noise", "cold", "warm", "hot")  # by rising temperature
NOISY, NOISE = RUNS[1:], switch("cifar_run", RUNS, "hot")
STARTS: tuple[float, ...] = cifar10.STORY.starts
DIGITS = Role(GREY, ":", 1.8, "09.label.digits", "s")
FROM = "from entropic_edu.recorded import cifar10"  # the first line of all printed code
NOW = Role(GREEN, "-", 1.6, "", "D")  # what is computed on the learner's machine


@dataclass(frozen=True)
class Road:
    """What the learner looks at: all pairs of minima, or one."""

    cifar_pair: int | None

    def mean(self, each: Tensor) -> Mean:
        """Return mean and standard error over the pairs, (P, ...) -> (...), or the values of one, whose error is 0."""
        return Mean.over(each, 0) if self.cifar_pair is None else exact(each[self.first])

    @property
    def named(self) -> str:
        """The pairs in words."""
        several = text("09.pairs.all", count=len(PAIRS))
        return several if self.cifar_pair is None else text("09.pairs.one", pair=self.cifar_pair)

    @property
    def first(self) -> int:
        """The pair that a button works on, counted from 0: the first where all are shown."""
        return (self.cifar_pair or 1) - 1

    @property
    def alone(self) -> Self:
        """The same of this pair alone."""
        return replace(self, cifar_pair=self.first + 1)


@cache
def times(name: str) -> Tensor:
    """Return the flow time η/(1-m)·steps at the records of a setting, (R,)."""
    time: Tensor = recorded.load("cifar10")[f"pair0/{name}"].time
    return time.double()


@cache
def of_start(name: str, start: float) -> Tensor:
    """Return the mean position of the walkers of a start on each pair, (P, R)."""
    return cifar10.stacked(name)[:, :, STARTS.index(start)].mean(-1)


@cache
def track(name: str, start: float) -> Tensor:
    """Return where linear theory has the mean walker of each pair at the records, (P, R)."""
    step = recorded.load("cifar10")[f"pair0/{name}"].step
    return torch.stack([cifar10.theory(pair, name).track(start, step) for pair in PAIRS])


def by_theory(name: str) -> Tensor:
    """Return the share of the way home that theory says for the end of a setting, both starts together, (P,)."""
    left = [(track(name, start)[:, -1] - round(start)).abs() / abs(start - round(start)) for start in STARTS]
    return 1 - torch.stack(left).mean(0)


def temperature(name: str) -> float:
    """Return T = η/((1-m)B) of a setting of this lesson, or of a run of lesson 06."""
    law = cifar10.STORY.step(cifar10.setting(name)) if name in RUNS else let_go.settings()[name]
    return effective_temperature(law["batch_size"], law["learning_rate"], law["momentum"])


@cache
def digits_home(name: str) -> Tensor:
    """Return the share of the way home of a run of lesson 06 after the flow time of this lesson, (5,)."""
    run, left = Run("let_go", name, 0.3), let_go.remaining(name, 0.3).mean(-1)  # (P, R)
    when = run.step * run.learning_rate / (1 - run.setting["momentum"])
    then = [np.interp(float(times("hot")[-1]), when, each) for each in left]  # on straight lines between the records
    return 1 - torch.tensor(then) / 0.3


@dataclass(frozen=True)
class Walk(Road):
    """Walkers of a setting from one start; times, positions and theory's track are at its records, (R,)."""

    cifar_run: str
    released_at: float
    share: Yours = field(default_factory=lambda: Yours(None, by_noise))  # what noise adds, by the learner's function

    @property
    def run(self) -> str:
        """The setting in words."""
        return NOISE.shown(self.cifar_run)

    @property
    def setting(self) -> Setting:
        return cifar10.setting(self.cifar_run)

    @property
    def position(self) -> Mean:
        return self.mean(of_start(self.cifar_run, self.released_at))

    @property
    def control(self) -> Mean:
        return self.mean(of_start("no noise", self.released_at))

    @property
    def law(self) -> Mean:
        return self.mean(track(self.cifar_run, self.released_at))

    @property
    def outside(self) -> float:
        """Share of the projections from outside the valley, in per cent."""
        each = [recorded.load("cifar10")[f"pair{pair}/{self.cifar_run}"].outside.mean() for pair in PAIRS]
        return 100 * float(self.mean(torch.stack(each)).value)
