"""Eight crowds released on a valley: ``Crowd.run`` does it, ``Crowd.code`` writes down the call that does the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

import torch

from entropic_edu.physics import valleys
from entropic_edu.physics.drift import Records, drift
from entropic_edu.physics.path import Path
from entropic_edu.physics.release import Release
from entropic_edu.physics.snapshot import Stream
from entropic_edu.stream import drift as stream

from .floor import CROWDS

BENT = 65  # pivots of a floor that bends; a straight one has two


@dataclass(frozen=True, eq=False)
class Crowd:
    """A release on a valley, whatever the learner turns.

    Attributes:
        valley: Name of the class in ``valleys``.
        walls: Its arguments.
        start: Position of release in [0, 1]; None releases each crowd evenly over the whole floor.
        steps: Steps of each walker.
        walkers: All walkers; ``floor.CROWDS`` crowds of equal size.
        records: About how many records in time.
    """

    valley: str
    walls: Mapping[str, Any] = field(default_factory=dict)
    start: float | None = 0.5
    steps: int = 480
    walkers: int = 256
    records: int = 40

    @cached_property
    def land(self) -> valleys.Valley:
        """The valley."""
        made: valleys.Valley = getattr(valleys, self.valley)(**self.walls)
        return made

    @property
    def pivots(self) -> int:
        """Points that its floor takes as a path."""
        return BENT if isinstance(self.land, valleys.Hyperbola) else 2

    @cached_property
    def road(self) -> Path:
        """Its floor as a path."""
        return Path(self.land.floor(self.pivots))

    def run(self, seed: int, **turned: Any) -> Release:
        """Return the release at what the learner turned; the same seed means the same draws, so runs are twins.

        The last ones are kept: a pinned run is drawn beside each of its twins, and some controls change the view alone.

        Args:
            seed: Of all draws.
            turned: ``batch_size`` and ``learning_rate``, and any other argument of ``drift``.
        """
        return _released(self, seed, **turned)

    def stream(self, seed: int, **turned: Any) -> Stream[Release]:
        """Yield snapshots of the same release."""
        generator = torch.Generator().manual_seed(seed)
        return stream(self.land, self.road, generator=generator, **self.settings(**turned))

    def code(self, seed: int, **turned: Any) -> str:
        """Return the lines that make the same release."""
        walls = ", ".join(f"{name}={value!r}" for name, value in self.walls.items())
        arguments = {name: repr(value) for name, value in self.settings(**turned).items()}
        arguments["record_every"] = f"ee.{arguments['record_every']}"
        if self.start is None:
            arguments["start"] = f"((torch.arange({self.walkers}) % {self._each} + 0.5) / {self._each}).tolist()"
        settings = ["generator=generator", *(f"{name}={value}" for name, value in arguments.items())]
        return (
            f"land = ee.valleys.{self.valley}({walls})\n"
            f"road = ee.Path(land.floor({self.pivots}))\n"
            f"generator = torch.Generator().manual_seed({seed})\n"
            f"release = ee.drift(land, road,\n{_lines(settings)})"
        )

    @property
    def _each(self) -> int:
        return self.walkers // CROWDS

    @property
    def _even(self) -> list[float]:
        return ((torch.arange(self.walkers) % self._each + 0.5) / self._each).tolist()

    def settings(self, *, batch_size: int | None, learning_rate: float, **others: Any) -> dict[str, Any]:
        """Return the arguments of ``drift``."""
        settings: dict[str, Any] = {
            "start": self._even if self.start is None else self.start,
            "batch_size": batch_size,
            "learning_rate": learning_rate,
            "momentum": 0.0,
            "walkers": 1 if self.start is None else self.walkers,
            "steps": self.steps,
            "project_every": None,
        } | others
        every = settings.pop("record_every", max(1, round(settings["steps"] / self.records)))
        settings["record_every"] = Records(every, theta=True)
        return settings


@lru_cache(maxsize=64)
def _released(crowd: Crowd, seed: int, **turned: Any) -> Release:
    generator = torch.Generator().manual_seed(seed)
    return drift(crowd.land, crowd.road, generator=generator, **crowd.settings(**turned))


def _lines(settings: list[str], width: int = 76) -> str:
    """Return arguments in indented lines; one argument is never broken."""
    lines = [""]
    for number, setting in enumerate(settings, 1):
        word = setting + (", " if number < len(settings) else "")
        if lines[-1] and len(lines[-1] + word) > width:
            lines.append("")
        lines[-1] += word
    return "\n".join("    " + line.rstrip() for line in lines)
