"""What the explorers share: the recording, means over pairs of minima, and labels that stay readable."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.text import Text
from torch import Tensor

from entropic_edu import recorded
from entropic_edu.networks.network import Network
from entropic_edu.physics.mean import Mean
from entropic_edu.recorded import bad_minima
from entropic_edu.recorded.bad_minima import COLUMNS
from entropic_edu.teaching import sheet
from entropic_edu.teaching.strings import option_text

FROM = 'from entropic_edu import recorded\nkept = recorded.load("bad_minima")\n'
SHOWN = {"five": slice(0, 5), "held_out": slice(5, 8), "one": slice(0, 1)}  # rows of the recording


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


def over(values: Tensor) -> Mean:
    """Return mean and standard error over the first axis: pairs of minima, or walkers; no error for one alone."""
    error = values.std(0) / len(values) ** 0.5 if len(values) > 1 else torch.zeros_like(values[0])
    return Mean(values.mean(0), error)


def shown_as(shown: str) -> str:
    """Name the pairs in a sentence."""
    return option_text(shown, "08.shown.five", "08.shown.held_out", "08.shown.one")


def boxed_label(ax: Axes, words: str, colour: str, **where: Any) -> Text:
    """Return a label on a white box; ``set_position`` puts it where it belongs."""
    ink = sheet.INK.get(colour, colour)
    name: Text = ax.text(0, 0, words, color=ink, fontsize=sheet.SMALL, va="center", animated=True, zorder=5, **where)
    name.set_bbox({"facecolor": "white", "alpha": 0.8, "lw": 0, "pad": 1})  # readable where it crosses a line
    return name


def apart(labels: Sequence[Text], gap: float) -> None:
    """Move labels that share an x up, the lowest first, so that none covers another."""
    above = -float("inf")
    for label in sorted((one for one in labels if one.get_visible()), key=lambda one: one.get_position()[1]):
        height = max(label.get_position()[1], above + gap)
        label.set_y(height)
        above = height
