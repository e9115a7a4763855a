"""What pictures of explorers are made of: means with their bands, points, labels.

What never changes is drawn once; what a control changes is an animated artist, which ``pixels.png`` draws on top.
"""

from __future__ import annotations

from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from torch import Tensor

from entropic_edu.figures.plots import BLUE, GREEN, ORANGE, PURPLE, RED, SKY
from entropic_edu.physics.mean import Mean

WIDTH, HEIGHT = 760, 460  # CSS pixels
GREY = "#595959"  # 7:1 on white
# darker, for words: 4.5:1 or more on white
INK = {PURPLE: "#8E4470", RED: "#A84A00", GREEN: "#00664B", ORANGE: "#8A5A00", SKY: "#1F6690"}
SMALL = 10.5


def figure(width: int = WIDTH, height: int = HEIGHT) -> Figure:
    """Return an empty figure of this many CSS pixels."""
    return Figure(figsize=(width / 96, height / 96))


def moving(ax: Axes, *, colour: str = BLUE, dash: Any = "-", width: float = 2.0, **kwargs: Any) -> Line2D:
    """Return an empty line on ``ax`` that is drawn anew for each state."""
    (line,) = ax.plot([], [], color=colour, ls=dash, lw=width, animated=True, **kwargs)
    return line


def end_label(ax: Axes, words: str, colour: str) -> Text:
    """Return a label for the end of a line; ``set_position`` puts it there."""
    ink = INK.get(colour, colour)
    return ax.text(0, 0, words, color=ink, fontsize=SMALL, va="center", animated=True, clip_on=False)


class Band:
    """A mean with its band of one standard error; moved, not drawn anew."""

    def __init__(self, ax: Axes, *, colour: str = BLUE, dash: Any = "-", label: str = "", width: float = 2.0) -> None:
        self.ax, self.line = ax, moving(ax, colour=colour, dash=dash, width=width)
        self.area = PolyCollection([], facecolor=colour, alpha=0.25, lw=0, animated=True)
        ax.add_collection(self.area, autolim=False)
        self.name = end_label(ax, label, colour)
        self.show(torch.empty(0), None)

    def show(self, x: Tensor, mean: Mean | None, label: str | None = None) -> None:
        """Draw a mean over ``x``, with a label at its end; None takes it off the picture."""
        for artist in (self.line, self.area, self.name):
            artist.set_visible(mean is not None)
        if mean is None:
            return
        low, high = mean.value - mean.error, mean.value + mean.error
        self.line.set_data(x.numpy(), mean.value.numpy())
        outline = torch.stack([torch.cat([x, x.flip(0)]), torch.cat([low, high.flip(0)])], 1)
        self.area.set_verts([outline.numpy()])
        if label is not None:
            self.name.set_text(label)
        self.name.set_position((float(x[-1]) + 0.015 * float(x[-1] - x[0]), float(mean.value[-1])))


def part(*bands: Band, gap: float = 0.15) -> None:
    """Move the end labels of the bands that are shown on one axes apart, ``gap`` of the axis at least.

    None covers another or leaves the axes.
    """
    names = [band.name for band in bands if band.name.get_visible()]
    names.sort(key=lambda name: name.get_position()[1])
    low, high = bands[0].ax.get_ylim()
    least = gap * (high - low)
    for name in names:  # upwards
        name.set_y(max(name.get_position()[1], low))
        low = name.get_position()[1] + least
    for name in reversed(names):  # and down from the top
        name.set_y(min(name.get_position()[1], high))
        high = name.get_position()[1] - least


class Points:
    """Measured points with error bars, moved."""

    def __init__(self, ax: Axes, *, colour: str = BLUE, marker: str = "o", size: float = 6) -> None:
        self.points = moving(ax, colour=colour, dash="", marker=marker, ms=size)
        self.bars = PolyCollection([], edgecolor=colour, facecolor="none", lw=1.5, animated=True)
        ax.add_collection(self.bars, autolim=False)

    def show(self, x: Tensor, mean: Mean | None) -> None:
        """Draw means at ``x``, (n,) each; None takes them off the picture."""
        if mean is None:
            self.points.set_data([], [])
            self.bars.set_verts([])
            return
        seen = mean.value.isfinite()
        at, value, error = x[seen], mean.value[seen], mean.error[seen]
        self.points.set_data(at.numpy(), value.numpy())
        ends = torch.stack([torch.stack([at, value - error], 1), torch.stack([at, value + error], 1)], 1)
        self.bars.set_verts(list(ends.numpy()), closed=False)
