"""What the explorers share: the recording, means over pairs of minima, and where a curve of the road stands."""

from __future__ import annotations

from functools import cache, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from entropic_edu import recorded
from entropic_edu.course.runs import at
from entropic_edu.networks.network import Network
from entropic_edu.physics.mean import Mean
from entropic_edu.recorded import bad_minima
from entropic_edu.recorded.bad_minima import COLUMNS
from entropic_edu.teaching.strings import option_text

FROM = 'from entropic_edu import recorded\nkept = recorded.load("bad_minima")'
STARTS: tuple[float, ...] = tuple(recorded.load("bad_minima").recipe["starts"])
FACTORS: tuple[float, ...] = tuple(recorded.load("bad_minima").recipe["factors"])
SHOWN = {"five": slice(0, 5), "held_out": slice(5, 8), "one": slice(0, 1)}  # rows of the recording
over = partial(Mean.over, dim=0)  # pairs of minima, or walkers; the error of one alone is NaN
WHERE = torch.linspace(0, 1, 15, dtype=torch.float64)  # of what was measured along a road
WIDE: dict[str, Any] = {"xlim": (-0.02, 1.02)}  # of a panel along it


def kept(name: str) -> Any:
    """Return a result of the recording."""
    return recorded.load("bad_minima")[name]


def pairs(name: str, shown: str) -> Tensor:
    """Return a tensor of the recording, the pairs that are shown first, in float64."""
    rows: Tensor = kept(name)[SHOWN[shown]].double()
    return rows


@cache
def land() -> Network:
    """Return the normalised network on the 400 true digits."""
    return bad_minima.landscape()


def column(values: Tensor, name: str) -> Tensor:
    """Return one of the measured ``COLUMNS``, the last axis."""
    return values[..., COLUMNS.index(name)]


def records() -> Tensor:
    """Return the steps of the recorded positions, (R,)."""
    step: Tensor = kept("step").double()
    return step


def track(which: str, noise: str, start: float, shown: str) -> Mean:
    """Return the position of one start's walkers at each record, (R,); of one pair alone the error is over walkers."""
    each = pairs(f"{which}/{noise}/position", shown)[:, :, STARTS.index(start)]
    return over(each[0].T) if shown == "one" else over(each.mean(-1))


def law(which: str, noise: str, start: float, shown: str) -> Tensor | None:
    """Return where theory has the walkers, (R,); None where the recorded profile has not their noise."""
    if noise == "batch":
        return None
    return pairs(f"{which}/{noise}/law", shown)[..., STARTS.index(start)].mean(0)


def velocity(which: str, noise: str, shown: str) -> tuple[Tensor, Tensor]:
    """Return places on the road, ascending, and how far theory moves a walker there in a step, (n,) each."""
    laws = pairs(f"{which}/{noise}/law", shown).mean(0)  # (R, starts)
    place, speed = 0.5 * (laws[1:] + laws[:-1]), laws.diff(dim=0) / records().diff()[:, None]
    order = place.flatten().argsort()
    return place.flatten()[order], speed.flatten()[order]


def tracked(start: float, position: Tensor, speed: Tensor, steps: int) -> Tensor:
    """Return where a walker is after 0, 1, ... steps, if each moves it by the speed at its place, (steps + 1,)."""
    where, places, speeds = [float(start)], position.numpy(), speed.numpy()
    for _ in range(steps):
        where.append(where[-1] + float(np.interp(where[-1], places, speeds)))
    return torch.tensor(where, dtype=torch.float64)


def along(which: str, shown: str, name: str) -> Mean:
    """Return one of ``COLUMNS`` along "matched" or "trained" roads, or along the straight "line", (15,)."""
    return over(column(pairs("line" if which == "line" else f"{which}/along", shown), name))


def accuracy_at(which: str, shown: str, position: float) -> float:
    """Return the held-out accuracy of the roads at a position, on straight lines between the measured ones."""
    return at(along(which, shown, "test").value, position)


def times(network: str, measure: str, factor: float | None = None) -> Tensor:
    """Return how many times the good end's measure, one of ``COLUMNS``, the bad end's is, (pairs,).

    Its layers are as trained, or resized by a factor: normalised ones have this many times the norm of the good end's;
    in the plain network weights into the first hidden layer are multiplied, those out of it divided.
    """
    values = column(pairs(f"{network}/ends", "five"), measure)
    return values[:, 1 if factor is None else 2 + FACTORS.index(factor)] / values[:, 0]


def shown_as(shown: str) -> str:
    """Name the pairs in a sentence."""
    return option_text(shown, "08.shown.five", "08.shown.held_out", "08.shown.one")
