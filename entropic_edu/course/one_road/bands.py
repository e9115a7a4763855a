"""Bands of networks between two minima: recorded, and while a method or the learner's sweep relaxes them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor

from entropic_edu.course import digits
from entropic_edu.physics.connect import Sweeps
from entropic_edu.physics.methods import Springs
from entropic_edu.physics.path import Path
from entropic_edu.physics.results import Result
from entropic_edu.physics.snapshot import Snapshot
from entropic_edu.recorded import one_road
from entropic_edu.recorded.one_road import Bend
from entropic_edu.stream import connect
from entropic_edu.teaching.strings import option_text, text
from entropic_edu.teaching.yours import Yours

from .common import METHODS, ends, kept

NAME_KEYS = ("04.method.string", "04.method.neb", "04.method.autoneb", "04.method.bezier", "04.method.yours")
FRAMES = tuple(one_road.RECIPE["frames"])
POINTS, TOTAL = one_road.RECIPE["points"], one_road.RECIPE["connect"]["sweeps"]
STEP = 0.5  # of the learner's sweeps; a tenth of it in the second half
# in two dimensions
PARTS: dict[str, dict[str, Any]] = {"both": {}, "tangent": {"tangent": "central"}, "projection": {"projection": False}}
SETTINGS: dict[str, Any] = {"batch_size": None, "learning_rate": 0.01, "momentum": 0.0, "pivots": 18, "sweeps": 600}
ALL = SETTINGS | {"sweeps": Sweeps(600, change=0, scallop=math.inf)}  # to be looked at after each of these
SWEEPS = (0, 50, 100, 200, 400, 600)


@dataclass(frozen=True, eq=False)
class Bands(Result):
    """Bands under way or finished, by method, and the sweep of the last of them."""

    paths: dict[str, Path] = field(default_factory=dict)
    sweep: int = 0


def chosen(method: str) -> tuple[str, ...]:
    """Return the methods that are shown."""
    return METHODS if method == "all" else (method,)


def relax(method: str, guess: str) -> Iterator[Snapshot[Bands]]:
    """Yield the band of pair 0 while it relaxes, with the seeds of the recording; all methods one after another."""
    names, a_b = chosen(method), ends(0)
    total, paths = TOTAL * len(names), {}
    for number, name in enumerate(names):
        for snapshot in connect(digits.land(), *a_b, **one_road.settings(name, guess, 0)):
            paths[name] = snapshot.result
            complete = snapshot.result.complete and number == len(names) - 1
            make = partial(Bands, dict(paths), snapshot.done, complete=complete)
            note = text("04.band.note", method=option_text(name, *NAME_KEYS), pivots=len(snapshot.result.pivots))
            yield Snapshot(number * TOTAL + snapshot.done, total, note, make)


def relax_yours(sweep: Yours, guess: str) -> Iterator[Snapshot[Bands]]:
    """Yield the band of pair 0 while the learner's sweeps relax it, on batches of 256."""
    land, generator = digits.land(), torch.Generator().manual_seed(4)
    pivots = (one_road.guess(guess, 0) or Path(ends(0))).resample(one_road.RECIPE["connect"]["pivots"]).pivots
    for number in range(TOTAL + 1):
        make = partial(Bands, {"yours": Path(pivots)}, number, complete=number == TOTAL)
        yield Snapshot(number, TOTAL, text("04.method.yours"), make)
        slope = land.gradient(pivots, 256, generator, shared=True)
        pivots = sweep(pivots, slope, STEP if 2 * number < TOTAL else 0.1 * STEP)


def recorded_frame(method: str, guess: str, sweep: int) -> tuple[Tensor, Tensor]:
    """Return u, v and objective at even positions of a recorded band, (33, 3), and its numbers, ``COLUMNS``."""
    row = FRAMES.index(sweep)
    return kept(f"band/{method}/{guess}")[row], kept(f"table/{method}/{guess}")[row]


def ends_objective() -> float:
    """Return the objective at the higher end of pair 0."""
    return float(digits.line_loss(0)[[0, -1]].max())


@cache
def bands(parts: str) -> dict[int, Tensor]:
    """Return the pivots after each of ``SWEEPS``, by sweep."""
    land, generator = Bend(), torch.Generator()
    stream = connect(land, *land.minima, generator=generator, method=Springs(**PARTS[parts]), **ALL)
    pivots = {}
    while SWEEPS[-1] not in pivots:  # what comes after is measured, and says that such bands do not converge
        shot = next(stream)
        pivots[shot.done] = shot.result.pivots
    return {sweep: pivots[sweep] for sweep in SWEEPS}


def yours_bands(sweep: Yours) -> dict[int, Tensor]:
    """Return the pivots after each of ``SWEEPS`` of the learner's, from the straight line."""
    land = Bend()
    pivots, found = Path(land.minima).resample(SETTINGS["pivots"]).pivots, {}
    for number in range(SWEEPS[-1] + 1):
        if number in SWEEPS:
            found[number] = pivots
        pivots = sweep(pivots, land.gradient_on(pivots, None), SETTINGS["learning_rate"]).clamp(-5, 5)
    return found


def above_saddle(pivots: Tensor) -> float:
    """Return how far the highest point of a band, straight between its pivots, lies above the saddle."""
    return float(Bend().loss(Path(pivots).resample(401).pivots).max()) - Bend.height


def gaps(pivots: Tensor) -> Tensor:
    """Return the distances of neighbours over their mean, (P-1,)."""
    distances = (pivots[1:] - pivots[:-1]).norm(dim=1)
    return distances / distances.mean()


def turning(pivots: Tensor) -> float:
    """Return by how many degrees a band turns in all, left and right added up."""
    step = pivots[1:] - pivots[:-1]
    angle = torch.atan2(step[:, 1], step[:, 0]).diff()
    return math.degrees(float(((angle + math.pi) % (2 * math.pi) - math.pi).abs().sum()))
