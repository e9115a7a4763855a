"""What the explorers share: the recording, means over pairs of minima, and where a curve of the road stands."""

from __future__ import annotations

from functools import cache, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from entropic_edu import recorded
from entropic_edu.networks.network import Network
from entropic_edu.physics.mean import Mean
from entropic_edu.recorded import bad_minima
from entropic_edu.recorded.bad_minima import COLUMNS
from entropic_edu.teaching.strings import option_text

FROM = 'from entropic_edu import recorded\nkept = recorded.load("bad_minima")'
SHOWN = {"five": slice(0, 5), "held_out": slice(5, 8), "one": slice(0, 1)}  # rows of the recording
over = partial(Mean.over, dim=0)  # pairs of minima, or walkers; the error of one alone is NaN
WHERE = torch.linspace(0, 1, 15, dtype=torch.float64)  # of what was measured along a road


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


def at(curve: Tensor, position: float) -> float:
    """Return a curve that is given at even positions, on straight lines between them."""
    return float(np.interp(position, torch.linspace(0, 1, len(curve)), curve))


def shown_as(shown: str) -> str:
    """Name the pairs in a sentence."""
    return option_text(shown, "08.shown.five", "08.shown.held_out", "08.shown.one")
