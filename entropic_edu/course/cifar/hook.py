"""Before round 1: what the digits network showed, as three curves: height, width, and which way walkers go."""

from __future__ import annotations

from functools import cache

import torch
from matplotlib.figure import Figure
from torch import Tensor

from entropic_edu.course.bump import common as valley
from entropic_edu.course.let_go.common import run_of
from entropic_edu.course.let_go.film import ROAD, draw_road
from entropic_edu.figures.plots import BLUE, RED, labelled
from entropic_edu.physics.mean import exact
from entropic_edu.teaching import sheet
from entropic_edu.teaching.explorer import Explorer, slider
from entropic_edu.teaching.sheet import GREY, Band, moving
from entropic_edu.teaching.strings import text

from .common import PLACES, at, even, on_digits, with_error

RATE, SIZE = 0.02, 16  # of the walkers


@cache
def line_loss() -> Tensor:
    """Return the data loss along the straight lines of the digits network, (5, 25), float64."""
    rows = []
    for pair in range(valley.COUNT):
        a, b = valley.road(pair).pivots[[0, -1]]
        with torch.no_grad():
            rows.append(valley.land().data_loss(torch.lerp(a, b, torch.linspace(0, 1, 25)[:, None])))
    return torch.stack(rows).double()


def key(figure: Figure) -> None:
    """Write what is what on the lowest panel of a triptych, beside it."""
    figure.text(0.48, 0.31, text("09.label.key"), fontsize=sheet.SMALL, va="top", linespacing=1.25)


class Three:
    """Line and road at the left, and the triptych of the road."""

    def __init__(self) -> None:
        self.sheet = sheet.Sheet(ROAD)
        self.figure = self.sheet.figure
        self.ax = ax = self.figure.add_axes((0.085, 0.125, 0.37, 0.79))
        labelled(ax, text("09.axis.between"), "", text("09.panel.both")).title.set_fontsize(11)
        ax.set(xlim=(0, 1), ylim=(0, 1.7))
        self.line = Band(ax, colour=RED, dash="--", label=text("09.label.line"))
        self.road = Band(ax, colour=BLUE, label=text("09.label.road"))
        axes = (ax, *(pen.ax for pen in self.sheet.pens.values()))
        self.marks = [(each, moving(each, colour=GREY, dash=":", width=1.5)) for each in axes]
        key(self.figure)

    def show(self, place: float) -> None:
        """Draw the means over five pairs, and a place on them."""
        line, flat = line_loss().mean(0), on_digits("data_loss").mean(0)
        self.line.show(even(len(line)), exact(line))
        self.line.name.set_position((0.6, 1.05 * float(line.max())))
        self.road.show(even(len(flat)), exact(flat))
        self.road.name.set_position((0.6, 0.85 * float(flat.min())))
        run = run_of(SIZE, RATE)
        with self.sheet:
            draw_road(self.sheet, run)
            self.sheet["drift"].points(*run.speed, ms=4)
        for ax, mark in self.marks:
            mark.set_data([place, place], ax.get_ylim())


def three(seed: int) -> Explorer:
    """The three curves of the digits network, as lessons 04 to 06 left them."""
    picture = Three()

    def render(*, at_position: float) -> tuple[Figure, str]:
        picture.show(at_position)
        return picture.figure, sentence(at_position)

    return Explorer(render, [slider("at_position", PLACES, 0.5)], title=text("09.hook.title"), code=code)


def sentence(place: float) -> str:
    """Say what stands on the line and on the road at a place, and where walkers ended."""
    gone = {size: with_error(run_of(size, RATE).end, ".2f") for size in (SIZE, None)}
    return text(
        "09.hook.sentence",
        place=place,
        line=float(at(line_loss(), place).mean()),
        road=float(at(on_digits("data_loss"), place).mean()),
        trace=float(at(on_digits("trace"), place).mean()),
        ends=float(on_digits("trace")[:, [0, -1]].mean()),
        noisy=gone[SIZE],
        still=gone[None],
    )


def code(*, at_position: float) -> str:
    """Return lines that read the trace of the digits network at this place."""
    return (
        "from entropic_edu import recorded\n"
        'profile = recorded.load("bump")["pair0/profile"]  # of five pairs\n'
        f"print(profile.trace[{round(20 * at_position)}], profile.data_loss[{round(20 * at_position)}])"
    )
