"""Round 2: one control, six suspects; which reading would have told."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from entropic_edu.figures.plots import BLACK, BLUE, DASHES, PURPLE, RED, labelled
from entropic_edu.physics.mean import Mean, exact
from entropic_edu.recorded.look_alikes import cases
from entropic_edu.recorded.look_alikes.measure import WINDOWS, Measured
from entropic_edu.teaching import sheet
from entropic_edu.teaching.explorer import Explorer, switch
from entropic_edu.teaching.sheet import moving
from entropic_edu.teaching.strings import option_text, text

from .kept import crowds, halved, with_error

SUSPECT_KEYS = (
    "10.suspect.healthy",
    "10.suspect.slope",
    "10.suspect.constant",
    "10.suspect.steps",
    "10.suspect.along",
    "10.suspect.scale",
)
AXIS_KEYS = (
    "10.controls.all_data.axis",
    "10.controls.profile.axis",
    "10.controls.halve.axis",
    "10.controls.kicks.axis",
    "10.controls.double.axis",
    "10.controls.distance.axis",
)
READING_KEYS = (
    "10.controls.all_data.first",
    "10.controls.all_data.second",
    "10.controls.profile.first",
    "10.controls.profile.second",
    "10.controls.halve.first",
    "10.controls.halve.second",
    "10.controls.kicks.first",
    "10.controls.kicks.second",
    "10.controls.double.first",
    "10.controls.distance.first",
    "10.controls.distance.second",
)
SENTENCE_KEYS = (
    "10.controls.all_data.sentence",
    "10.controls.profile.sentence",
    "10.controls.halve.sentence",
    "10.controls.kicks.sentence",
    "10.controls.double.sentence",
    "10.controls.distance.sentence",
)

SUSPECTS = ("healthy", "slope", "constant", "steps", "along", "scale")  # from the top of the picture
BASE = (16, 0.04)  # B and η of all readings but those that halve or switch off


# what the lines of code set: of the second reading where two runs are compared
SETTINGS = {
    "all_data": "batch_size=None, learning_rate=0.04",
    "halve": "batch_size=8, learning_rate=0.02, steps=1200",
    "distance": "batch_size=8, learning_rate=0.02, steps=1200",
}


def _end(mean: Mean, place: int) -> Mean:
    return Mean(mean.value[place], mean.error[place])


def _base(name: str) -> Measured:
    return crowds(name, *BASE)


def _curvature(name: str, place: int) -> Mean:
    return exact(cases.named(name).curvature_across(WINDOWS[place].mean()))


@dataclass(frozen=True)
class Control:
    """A control: two readings for each suspect, and the axis that they are drawn on.

    Attributes:
        first: The filled reading of a suspect.
        second: The open one, to compare with; None where there is one only.
        ticks: Of the axis; its ends are the first and the last.
        log: Whether the axis is logarithmic.
        story: What a heat bath on a healthy valley would read, or None.
    """

    first: Callable[[str], Mean]
    second: Callable[[str], Mean] | None
    ticks: tuple[float, ...]
    log: bool = False
    story: float | None = None

    def place(self, value: float) -> float:
        """Return where a value stands on the axis, 0 to 1, or a little outside for what is off it."""
        scale = math.log if self.log else float
        value = max(value, 1e-9) if self.log else value
        low, high = scale(self.ticks[0]), scale(self.ticks[-1])
        return min(1.02, max(-0.02, (scale(value) - low) / (high - low)))


CONTROLS = {
    "all_data": Control(
        lambda name: crowds(name, None, BASE[1]).moved, lambda name: _base(name).moved, (-0.4, -0.2, 0, 0.2, 0.4, 0.6)
    ),
    "profile": Control(
        lambda name: _curvature(name, 0), lambda name: _curvature(name, 1), (0.5, 1, 2, 5, 10, 20, 50), log=True
    ),
    "halve": Control(
        lambda name: _end(_base(name).spread_ends, 0),
        lambda name: _end(halved(name).spread_ends, 0),
        (0.3, 0.5, 1, 2, 4, 6),
        log=True,
        story=1.0,
    ),
    "kicks": Control(
        lambda name: _end(_base(name).along_ends, 0),
        lambda name: _end(_base(name).along_ends, 1),
        (0, 1, 2, 3),
        story=1.0,
    ),
    "double": Control(lambda name: _base(name).doubled, None, (0.1, 1, 10, 100, 1000, 10000), log=True),
    "distance": Control(
        lambda name: _base(name).far * 100, lambda name: halved(name).far * 100, (0, 1, 2, 3), story=0.27
    ),
}


class Bench:
    """A row for each suspect, and the readings of one control on an axis that changes with it."""

    def __init__(self) -> None:
        self.figure = sheet.figure()
        ax = self.ax = self.figure.add_axes((0.24, 0.13, 0.72, 0.68))
        labelled(ax, "", "")
        ax.set(xlim=(-0.05, 1.05), ylim=(-0.6, len(SUSPECTS) - 0.4))
        ax.set_xticks([])
        ax.set_yticks(
            range(len(SUSPECTS)), [option_text(name, *SUSPECT_KEYS) for name in reversed(SUSPECTS)], fontsize=11
        )
        ax.tick_params(axis="y", length=0)
        for row in range(len(SUSPECTS)):
            ax.axhline(row, color="0.88", lw=1, zorder=0)
        self.chosen = Rectangle((-0.05, 0), 1.1, 0.8, facecolor="#FFF3C4", edgecolor="0.5", animated=True, zorder=0)
        ax.add_patch(self.chosen)
        self.story = moving(ax, colour=PURPLE, dash=DASHES[2])
        self.first, self.second = sheet.Points(ax, size=8), sheet.Points(ax, colour=RED, marker="s", size=7)
        across: dict[str, Any] = {"ha": "center", "va": "center", "animated": True, "clip_on": False}
        self.ticks = [ax.text(0, -0.82, "", fontsize=sheet.SMALL, color=BLACK, **across) for _ in range(7)]
        self.axis = ax.text(0.5, -1.25, "", fontsize=11, **across)
        top = len(SUSPECTS) - 0.25
        self.name = ax.text(0.5, top, text("10.label.bath"), color=sheet.INK[PURPLE], fontsize=sheet.SMALL, **across)
        self.keys = [
            self.figure.text(0.02, y, "", fontsize=11, color=colour, animated=True, va="center")
            for y, colour in ((0.955, BLUE), (0.9, sheet.INK[RED]))
        ]

    def show(self, control: str, suspect: str) -> None:
        """Draw the readings of a control; a suspect's row is marked."""
        what = CONTROLS[control]
        self.chosen.set_y(len(SUSPECTS) - 1 - SUSPECTS.index(suspect) - 0.4)
        for mark in self.ticks:
            mark.set_visible(False)
        for mark, tick in zip(self.ticks, what.ticks, strict=False):
            mark.set_text(f"{tick:,g}".replace("-", "−"))
            mark.set_x(what.place(tick))
            mark.set_visible(True)
        self.axis.set_text(option_text(f"{control}.axis", *AXIS_KEYS))
        self.story.set_visible(what.story is not None)
        self.name.set_visible(what.story is not None)
        if what.story is not None:
            self.story.set_data([what.place(what.story)] * 2, [-0.6, len(SUSPECTS) - 0.4])
            self.name.set_x(what.place(what.story))
        for key, word, symbol in zip(self.keys, ("first", "second"), ("●", "■"), strict=True):
            shown = word == "first" or what.second is not None
            key.set_visible(shown)
            if shown:
                words = option_text(f"{control}.{word}", *READING_KEYS)
                key.set_text(f"{symbol} {words}")
        self._points(self.first, what, what.first, 0.16)
        self._points(self.second, what, what.second, -0.16)

    @staticmethod
    def _points(points: sheet.Points, what: Control, reading: Callable[[str], Mean] | None, up: float) -> None:
        if reading is None:
            points.show(torch.empty(0), None)
            return
        means = [reading(name) for name in SUSPECTS]
        middle = torch.tensor([what.place(float(mean.value)) for mean in means])
        rows = torch.arange(len(SUSPECTS)).flip(0) + up
        points.points.set_data(middle.numpy(), rows.numpy())
        ends = [
            [(what.place(float(mean.value + side * mean.error)), float(row)) for side in (-1, 1)]
            for mean, row in zip(means, rows, strict=True)
        ]
        points.bars.set_verts(ends, closed=False)


def controls(seed: int) -> Explorer:
    """Return the explorer of controls: six suspects, and what a control reads on each of them."""
    picture = Bench()

    def render(*, control: str, suspect: str) -> tuple[Figure, str]:
        picture.show(control, suspect)
        what = CONTROLS[control]
        readings = {"first": what.first} | ({} if what.second is None else {"second": what.second})
        values = {name: with_error(read(suspect)) for name, read in readings.items()}
        values |= {f"healthy_{name}": with_error(read("healthy")) for name, read in readings.items()}
        name = option_text(suspect, *SUSPECT_KEYS)
        return picture.figure, option_text(f"{control}.sentence", *SENTENCE_KEYS, suspect=name, **values)

    return Explorer(
        render,
        [switch("control", tuple(CONTROLS)), switch("suspect", SUSPECTS, "slope")],
        title=text("10.controls.title"),
        code=lambda control, suspect: (
            "from entropic_edu.recorded.look_alikes import cases, measure\n"
            f'land, generator = cases.named("{suspect}"), torch.Generator().manual_seed(0)\n'
            f"settings = cases.settings({SETTINGS.get(control, 'batch_size=16, learning_rate=0.04')})  # 768 walkers\n"
            "release = ee.drift(land, ee.Path(land.floor(2)), generator=generator, **settings)\n"
            "found = measure.measured(land, release)"
        ),
    )
