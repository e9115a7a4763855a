"""Axes of this lesson: steps of parting, fixed powers of ten, and powers of ten that change with the task."""

from __future__ import annotations

import math

import torch
from matplotlib.axes import Axes
from torch import Tensor

from entropic_edu.figures.plots import BLACK
from entropic_edu.physics.mean import Mean
from entropic_edu.teaching.sheet import Band, moving
from entropic_edu.teaching.strings import text

from .measures import RAISED, STEPS

LAST = STEPS[-1]
BESIDE = LAST + 55  # where names of lines begin
SMALLEST = 1e-6  # what stands for 0 on a logarithmic axis


def against_k(ax: Axes) -> None:
    """Give the horizontal axis the steps of parting."""
    ax.set_xlim(-30, LAST + 30)
    ax.set_xticks([0, 480, 960, 1440], ["0", "480", "960", "1,440"])
    ax.set_xlabel(text("07.axis.k"), fontsize=11)


def logarithmic(ax: Axes, low: float, high: float, ticks: tuple[float, ...]) -> None:
    """Make the vertical axis logarithmic, with few ticks."""
    ax.set(yscale="log", ylim=(low, high))
    ax.set_yticks(ticks, [power(tick) for tick in ticks])
    ax.minorticks_off()


def power(value: float) -> str:
    """Write a power of ten in full, or as one where that is shorter."""
    exponent = round(math.log10(value))
    return f"{value:g}" if exponent >= -4 else f"10{str(exponent).translate(RAISED)}"


def raised(band: Band, x: Tensor, mean: Mean) -> None:
    """Keep the lower edge of a band above 0, so that a logarithmic axis can show it."""
    low, high = (mean.value - mean.error).clamp(min=SMALLEST), mean.value + mean.error
    band.area.set_verts([torch.stack([torch.cat([x, x.flip(0)]), torch.cat([low, high.flip(0)])], 1).numpy()])


class Decades:
    """A logarithmic scale from 0 to 1 on an axis, whose numbers move: axes that change are slow to draw anew.

    Args:
        ax: Its axis from 0 to 1 gets the scale.
        along: "x" or "y".
        most: Largest number of decades.
    """

    def __init__(self, ax: Axes, along: str, most: int = 5) -> None:
        self.along, self.low, self.high = along, 0, 1
        sides = {"x": {"ha": "center", "va": "top"}, "y": {"ha": "right", "va": "center"}}[along]
        self.names = [
            ax.text(0, 0, "", fontsize=10, transform=ax.transAxes, animated=True, clip_on=False, **sides)  # type: ignore[arg-type]
            for _ in range(most + 1)
        ]
        mark = {"x": 3, "y": 2}[along]  # matplotlib's ticks down and left
        self.ticks = moving(ax, colour=BLACK, dash="", marker=mark, ms=3.5, clip_on=False)
        if along == "x":
            ax.set_xlim(0, 1)
            ax.set_xticks([])
        else:
            ax.set_ylim(0, 1)
            ax.set_yticks([])

    def fit(self, values: Tensor) -> None:
        """Take the powers of ten that hold these positive values."""
        self.low = math.floor(math.log10(float(values.min())))
        self.high = max(self.low + 1, math.ceil(math.log10(float(values.max()))))
        count = self.high - self.low
        places = [number / count for number in range(count + 1)]
        zeros = [0.0] * len(places)
        self.ticks.set_data(*{"x": (places, zeros), "y": (zeros, places)}[self.along])
        for number, name in enumerate(self.names):
            name.set_visible(number <= count)
            if number <= count:
                name.set_text(power(10.0 ** (self.low + number)))
                at = places[number]
                name.set_position({"x": (at, -0.07), "y": (-0.03, at)}[self.along])

    def place(self, values: Tensor) -> Tensor:
        """Return where positive values stand on the axis."""
        return (values.log10() - self.low) / (self.high - self.low)

    def mean(self, mean: Mean) -> Mean:
        """Return where a mean stands, with the error that is right to first order."""
        error = mean.error / (mean.value * math.log(10) * (self.high - self.low))
        return Mean(self.place(mean.value), error)
