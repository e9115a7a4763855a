"""Recorded walkers by name, as lessons ask for them: one run, one start, all pairs of minima or one."""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from entropic_edu import recorded
from entropic_edu.physics.mean import Mean
from entropic_edu.physics.noise import effective_temperature
from entropic_edu.physics.probe import Profile
from entropic_edu.physics.theory import Prediction, predict

from .floor import velocity

PLACES = torch.linspace(0, 1, 11, dtype=torch.float64)  # edges of the bins of the road in which speed is measured
FEWEST = 5  # moves in a bin from which a speed is told


@dataclass(frozen=True)
class Road:
    """The recorded roads of all pairs of minima, or of one.

    Attributes:
        recording: Such as "let_go".
        pair: Counted from 1; None is all, and then every curve is the mean over the pairs.
        on: Which of the recording's landscapes, where it has several.
    """

    recording: str
    pair: int | None = None
    on: str = ""

    def rows(self, key: str) -> Tensor:
        """Return a recorded tensor, of one pair as the only row, (P, ...), float64."""
        each: Tensor = recorded.load(self.recording)[key].double()
        return each if self.pair is None else each[self.pair - 1 : self.pair]

    @property
    def profiles(self) -> list[Profile]:
        return [_profile(self.recording, self.on, pair) for pair in self.pairs]

    @property
    def pairs(self) -> list[int]:
        """The pairs, counted from 0."""
        return _pairs(self.recording, self.on) if self.pair is None else [self.pair - 1]

    @property
    def position(self) -> Tensor:
        """Where the profiles were measured, (n,)."""
        return self.profiles[0].position.double()

    def along(self, field: str) -> Tensor:
        """Return a quantity of the profiles along the road, (n,)."""
        return torch.stack([getattr(each, field).double() for each in self.profiles]).mean(0)

    @property
    def length(self) -> float:
        return sum(each.length for each in self.profiles) / len(self.profiles)


@dataclass(frozen=True)
class Run:
    """Recorded walkers of one run, released at one start.

    Attributes:
        recording: Such as "let_go"; the module of this name in ``recorded`` has the settings.
        name: Of the run.
        start: Position of release.
        pair: Counted from 1; None is all: then errors are over the pairs, else over the walkers of the one.
        paced: Learning rate in whose steps time is told, for the run without noise, which serves all; None is its own.

    >>> run = Run("let_go", "eta 0.02, B 16", start=0.3)
    >>> f"{run.end:.2f} after {run.steps:,} steps; without noise {run.control.end:.2f}"
    '0.10 ± 0.01 after 6,000 steps; without noise 0.30 ± 0.00'
    """

    recording: str
    name: str
    start: float
    pair: int | None = None
    paced: float | None = None

    @property
    def setting(self) -> Mapping[str, Any]:
        """The arguments of ``drift``."""
        return _settings(self.recording)[self.name]

    @property
    def batch_size(self) -> int | None:
        return self.setting["batch_size"]

    @property
    def learning_rate(self) -> float:
        return self.paced or self.setting["learning_rate"]

    @property
    def temperature(self) -> float:
        return effective_temperature(self.batch_size, self.learning_rate, self.setting["momentum"])

    @property
    def road(self) -> Road:
        return Road(self.recording, self.pair, self.setting.get("on", ""))

    @property
    def control(self) -> Run:
        """The same without noise, told in steps of this run."""
        return replace(self, name="control", paced=self.learning_rate)

    @property
    def steps(self) -> int:
        return round(self.setting["steps"] / self._pace)

    @property
    def step(self) -> Tensor:
        """Steps at the records, (R,)."""
        steps: Tensor = recorded.load(self.recording)[f"{self.name}/step"].double()
        return steps / self._pace

    @property
    def _pace(self) -> float:
        return self.learning_rate / self.setting["learning_rate"]

    def each(self, key: str) -> Tensor:
        """Return what was recorded of each walker from this start, (P, ..., W)."""
        return self.road.rows(f"{self.name}/{key}")[..., self.setting["start"].index(self.start), :]

    def mean(self, each: Tensor) -> Mean:
        """Return the mean over pairs and walkers, (P, ..., W) -> (...)."""
        return Mean.over(each.mean(-1), 0) if self.pair is None else Mean.over(each[0])

    @property
    def position(self) -> Mean:
        """Mean position at the records, (R,)."""
        return self.mean(self.each("position"))

    def at(self, step: Tensor) -> Mean:
        """Return the mean position after some steps, (n,), on straight lines between the records."""
        known, found = self.step.numpy(), self.position
        return Mean(*(torch.from_numpy(np.interp(step.numpy(), known, part.numpy())) for part in found))

    @property
    def end(self) -> Mean:
        """Mean position at the end."""
        return self.position.at(-1)

    @property
    def distance(self) -> Tensor:
        """Mean distance from the road at the records, (R,), length; the last is between two projections."""
        return self.each("distance").mean((0, -1))

    @property
    def outside(self) -> float:
        """Share of the projections that were from outside the valley, in per cent."""
        return 100 * float(self.each("outside").mean())

    @property
    def walkers(self) -> int:
        """How many there are on each road."""
        return self.each("outside").shape[-1]

    @property
    def speed(self) -> tuple[Tensor, Mean]:
        """Centres of the bins of the road, (10,), and the velocity there of the walkers from all starts."""
        return speed(self.step, self.road.rows(f"{self.name}/position"))

    @property
    def laws(self) -> list[Prediction]:
        """Linear theory on each road."""
        return [_law(self.recording, self.name, pair) for pair in self.road.pairs]

    @property
    def speed_by_law(self) -> Tensor:
        """What theory says the velocity is along the road, road lengths per 1,000 steps, (n,)."""
        return torch.stack([1000 * self._pace * law.velocity / law.length for law in self.laws]).mean(0)

    @property
    def track(self) -> tuple[Tensor, Tensor]:
        """Steps, and where theory says the mean walker is then, (21,) each."""
        steps = torch.linspace(0, self.setting["steps"], 21, dtype=torch.float64).round()
        return steps / self._pace, torch.stack([law.track(self.start, steps) for law in self.laws]).mean(0)

    @property
    def law(self) -> float:
        """Where theory says the mean walker ends."""
        return float(self.track[1][-1])


def at(values: Tensor, place: float) -> float:
    """Return a value at a place, on straight lines between even positions from 0 to 1, (n,) -> number."""
    return float(np.interp(place, np.linspace(0, 1, len(values)), values))


def speed(step: Tensor, position: Tensor) -> tuple[Tensor, Mean]:
    """Return centres of the bins ``PLACES``, (10,), and the velocity measured there, road lengths per 1,000 steps.

    Args:
        step: Steps at the records, (R,).
        position: (P, R, S, W).

    Returns:
        Of the velocity the mean over the pairs with its error, 0 where one pair alone was there; a bin in which fewer
        than ``FEWEST`` moves were made on each pair but one is NaN.
    """
    where, mean = velocity(position.flatten(2), step, PLACES, FEWEST)
    return where, 1000 * mean


@cache
def _settings(recording: str) -> Mapping[str, Mapping[str, Any]]:
    found: Mapping[str, Mapping[str, Any]] = importlib.import_module(f"entropic_edu.recorded.{recording}").settings()
    return found


@cache
def _profile(recording: str, on: str, pair: int) -> Profile:
    measured: Profile = recorded.load(recording)["/".join(filter(None, (on, f"pair{pair}", "profile")))]
    return measured


@cache
def _pairs(recording: str, on: str) -> list[int]:
    there = recorded.load(recording)
    prefix = f"{on}/" if on else ""
    return list(itertools.takewhile(lambda pair: f"{prefix}pair{pair}/profile" in there, itertools.count()))


@cache
def _law(recording: str, name: str, pair: int) -> Prediction:
    setting = _settings(recording)[name]
    known = {key: setting[key] for key in ("batch_size", "learning_rate", "momentum", "project_every")}
    return predict(_profile(recording, setting.get("on", ""), pair), **known)
