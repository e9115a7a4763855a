"""Round 2, in two dimensions: what becomes of a nudged elastic band that lacks one of its two parts."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from entropic_edu.figures.plots import BLACK, BLUE, RED, labelled
from entropic_edu.physics.connect import Sweeps
from entropic_edu.physics.methods import Springs
from entropic_edu.physics.path import Path
from entropic_edu.recorded.one_road import Bend
from entropic_edu.stream import connect
from entropic_edu.teaching import sheet
from entropic_edu.teaching.explorer import Explorer, slider, switch
from entropic_edu.teaching.sheet import GREY, end_label, moving
from entropic_edu.teaching.strings import option_text, text

from .common import Outlined

PARTS: dict[str, dict[str, Any]] = {"both": {}, "tangent": {"tangent": "central"}, "projection": {"projection": False}}
SETTINGS: dict[str, Any] = {
    "batch_size": None,
    "learning_rate": 0.01,
    "momentum": 0.0,
    "pivots": 18,
    "sweeps": 600,
}
ALL = SETTINGS | {"sweeps": Sweeps(600, change=0, scallop=math.inf)}  # to be looked at after each of these
SWEEPS = (0, 50, 100, 200, 400, 600)


@cache
def bands(parts: str) -> dict[int, Tensor]:
    """Return the pivots after each of ``SWEEPS``, by sweep."""
    land, generator = Bend(), torch.Generator()
    a, b = land.minima
    stream = connect(land, a, b, generator=generator, method=Springs(**PARTS[parts]), **ALL)
    pivots = {}
    while SWEEPS[-1] not in pivots:  # what comes after is measured, and says that such bands do not converge
        shot = next(stream)
        pivots[shot.done] = shot.result.pivots
    return {sweep: pivots[sweep] for sweep in SWEEPS}


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


class Mistakes:
    """The valley with the band, the loss along it, and its spacing."""

    def __init__(self) -> None:
        self.figure = sheet.figure()
        ax = self.figure.add_axes((0.085, 0.13, 0.42, 0.79))
        x, y = torch.linspace(-0.9, 1.7, 81).double(), torch.linspace(-1.4, 1.4, 81).double()
        grid = torch.stack(torch.meshgrid(y, x, indexing="ij"), -1).flip(-1)
        height = Bend().loss(grid).clamp(max=5.9).numpy()
        ax.contourf(x, y, height, levels=np.linspace(0, 6, 13), cmap="cividis_r")
        ax.plot([1], [0], "x", color=BLACK, ms=10, mew=2.5)
        box = {"facecolor": "white", "alpha": 0.85, "lw": 0, "pad": 1}
        ax.text(1.1, 0.0, text("04.label.saddle"), va="center", fontsize=sheet.SMALL, bbox=box)
        ax.plot([0, 0], [-1, 1], "o", color="white", mec=BLACK, ms=9, zorder=5)
        labelled(ax, text("04.axis.x"), text("04.axis.y"), text("04.panel.valley")).title.set_fontsize(11)
        ax.set(xlim=(-0.9, 1.7), ylim=(-1.4, 1.4))
        self.band = Outlined(ax, BLUE, marker="o")
        self.above = above = self.figure.add_axes((0.6, 0.6, 0.34, 0.32))
        labelled(above, text("04.axis.position"), "", text("04.panel.loss")).title.set_fontsize(11)
        above.set(xlim=(0, 1), ylim=(0, 2.6))
        above.axhline(Bend.height, color=BLACK, lw=1, ls=":")
        above.text(0.01, Bend.height + 0.06, text("04.label.saddle"), fontsize=sheet.SMALL, va="bottom")
        self.along = moving(above, colour=BLUE)
        self.pivots = moving(above, colour=BLUE, dash="", marker="o", ms=4.5)
        self.spaced = ax = self.figure.add_axes((0.6, 0.13, 0.34, 0.28))
        labelled(ax, text("04.axis.gap"), "", text("04.panel.gaps")).title.set_fontsize(11)
        ax.set(yscale="log", ylim=(0.05, 20), xlim=(0, 18))
        ax.set_yticks([0.1, 1, 10], ["0.1", "1", "10"])
        ax.minorticks_off()
        ax.axhline(1, color=GREY, lw=1)
        self.even = end_label(ax, text("04.label.even"), GREY)
        self.even.set_position((0.2, 1.9))
        self.gaps = moving(ax, colour=RED, dash="--", width=1.2, marker="o", ms=5)

    def show(self, pivots: Tensor) -> None:
        """Draw a band."""
        self.band.show(pivots)
        path = Path(pivots)
        fine = path.resample(201)
        self.along.set_data(fine.marks, Bend().loss(fine.pivots))
        self.pivots.set_data(path.marks, Bend().loss(pivots))
        distances = gaps(pivots)
        self.gaps.set_data(torch.arange(1, len(distances) + 1), distances)


def mistakes(seed: int) -> Explorer:
    """A band in two dimensions with both parts of NEB, or with one of them missing; nothing is drawn at random."""
    picture = Mistakes()
    for parts in PARTS:
        bands(parts)  # a few tenths of a second, now, so that no turn of a control waits for it

    def render(*, neb_parts: str, neb_sweeps: int) -> tuple[Figure, str]:
        pivots = bands(neb_parts)[neb_sweeps]
        picture.show(pivots)
        spacing = gaps(pivots)
        return picture.figure, text(
            "04.mistakes.sentence",
            parts=option_text(neb_parts, "04.mistakes.both", "04.mistakes.tangent", "04.mistakes.projection"),
            sweep=neb_sweeps,
            sweeps=SETTINGS["sweeps"],
            pivots=len(pivots),
            height=Bend.height,
            above=above_saddle(pivots) + 0.0,
            spacing=float(spacing.max() / spacing.min()),
            turning=turning(pivots),
        )

    def code(*, neb_parts: str, neb_sweeps: int) -> str:
        options = ", ".join(f"{name}={value!r}" for name, value in PARTS[neb_parts].items())
        settings = repr(ALL).replace("inf", "math.inf").replace("Sweeps", "ee.Sweeps")
        return (
            "from entropic_edu.recorded.one_road import Bend\n"
            f"land, settings = Bend(), {settings}\n"
            f"method = ee.methods.Springs({options})\n"
            "stream = ee.stream.connect(land, *land.minima, method=method, generator=torch.Generator(), **settings)\n"
            f"band = next(shot.result for shot in stream if shot.done == {neb_sweeps})"
        )

    return Explorer(
        render,
        [switch("neb_parts", tuple(PARTS)), slider("neb_sweeps", SWEEPS, SWEEPS[-1])],
        title=text("04.mistakes.title"),
        code=code,
    )
