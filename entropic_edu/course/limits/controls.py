"""Round 2: one control, six suspects; which reading would have told."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from torch import Tensor

from entropic_edu.figures.plots import BLACK, BLUE
from entropic_edu.physics.mean import Mean, exact
from entropic_edu.recorded.look_alikes import cases
from entropic_edu.recorded.look_alikes.measure import WINDOWS
from entropic_edu.teaching.explorer import Explorer, switch
from entropic_edu.teaching.sheet import TWIN, Panel, Role, Sheet
from entropic_edu.teaching.strings import option_text, text

from .gallery import STORY
from .kept import MAKES, crowds, halved, with_error

SUSPECTS = {
    "healthy": "10.suspect.healthy",
    "slope": "10.suspect.slope",
    "constant": "10.suspect.constant",
    "steps": "10.suspect.steps",
    "along": "10.suspect.along",
    "scale": "10.suspect.scale",
}  # from the top of the picture
BASE = (16, 0.04)  # B and η of all readings but those that halve or switch off
HALVED = "batch_size=8, learning_rate=0.02, steps=1200"
SETTINGS = {  # what the lines of code set: of the second reading where two runs are compared
    "all_data": "batch_size=None, learning_rate=0.04",
    "halve": HALVED,
    "distance": HALVED,
}
SENTENCE_KEYS = ("10.controls.all_data.sentence", "10.controls.profile.sentence", "10.controls.halve.sentence",
                 "10.controls.kicks.sentence", "10.controls.double.sentence",
                 "10.controls.distance.sentence")  # fmt: skip


@dataclass(frozen=True)
class Control:
    """A control: two readings for each suspect, and the axis that they are drawn on.

    Attributes:
        words: Keys of the axis, of the first and of the second reading.
        first: The filled reading of a suspect.
        second: The open one, to compare with; None where there is one only.
        ticks: Of the axis; its ends are the first and the last.
        log: Whether the axis is logarithmic.
        story: What a heat bath on a healthy valley would read, or None.
    """

    words: tuple[str, ...]
    first: Callable[[str], Mean]
    second: Callable[[str], Mean] | None
    ticks: tuple[float, ...]
    log: bool = False
    story: float | None = None

    def place(self, value: Tensor | float) -> Tensor:
        """Return where a value stands on the axis, 0 to 1, or a little outside for what is off it."""
        scale: Callable[[float], float] = math.log if self.log else float
        value = max(float(value), 1e-9) if self.log else float(value)
        low, high = scale(self.ticks[0]), scale(self.ticks[-1])
        return torch.tensor(min(1.02, max(-0.02, (scale(value) - low) / (high - low))))


def _curvature(place: int) -> Callable[[str], Mean]:
    return lambda name: exact(cases.named(name).curvature_across(WINDOWS[place].mean()))


CONTROLS = {
    "all_data": Control(
        ("10.controls.all_data.axis", "10.controls.all_data.first", "10.controls.all_data.second"),
        lambda name: crowds(name, None, BASE[1]).moved,
        lambda name: crowds(name, *BASE).moved,
        (-0.4, -0.2, 0, 0.2, 0.4, 0.6),
    ),
    "profile": Control(
        ("10.controls.profile.axis", "10.controls.profile.first", "10.controls.profile.second"),
        _curvature(0),
        _curvature(1),
        (0.5, 1, 2, 5, 10, 20, 50),
        log=True,
    ),
    "halve": Control(
        ("10.controls.halve.axis", "10.controls.halve.first", "10.controls.halve.second"),
        lambda name: crowds(name, *BASE).spread_ends.at(0),
        lambda name: halved(name).spread_ends.at(0),
        (0.3, 0.5, 1, 2, 4, 6),
        log=True,
        story=1.0,
    ),
    "kicks": Control(
        ("10.controls.kicks.axis", "10.controls.kicks.first", "10.controls.kicks.second"),
        lambda name: crowds(name, *BASE).along_ends.at(0),
        lambda name: crowds(name, *BASE).along_ends.at(1),
        (0, 1, 2, 3),
        story=1.0,
    ),
    "double": Control(
        ("10.controls.double.axis", "10.controls.double.first"),
        lambda name: crowds(name, *BASE).doubled,
        None,
        (0.1, 1, 10, 100, 1000, 10000),
        log=True,
    ),
    "distance": Control(
        ("10.controls.distance.axis", "10.controls.distance.first", "10.controls.distance.second"),
        lambda name: crowds(name, *BASE).far * 100,
        lambda name: halved(name).far * 100,
        (0, 1, 2, 3),
        story=0.27,
    ),
}
ROWS = torch.arange(len(SUSPECTS)).flip(0)


def _rows(ax: Axes) -> None:
    for row in ROWS.tolist():
        ax.axhline(row, color="0.88", lw=1, zorder=0)
    ax.tick_params(axis="y", length=0)


PANELS = {
    "rows": Panel((0.24, 0.13, 0.72, 0.68), " ", " ", (-0.05, 1.05), (-0.6, 5.6), (),
                  dict(zip(ROWS.tolist(), SUSPECTS.values(), strict=True)), once=_rows),
}  # fmt: skip


def draw(sheet: Sheet, state: SimpleNamespace) -> None:
    """Draw the readings of a control on its axis; a suspect's row is marked."""
    what, pen = CONTROLS[state.control], sheet["rows"]
    row = int(ROWS[list(SUSPECTS).index(state.suspect)])
    pen.keep(pen.ax.add_patch(Rectangle((-0.05, row - 0.4), 1.1, 0.8, facecolor="#FFF3C4", edgecolor="0.5", zorder=0)))
    middle: dict[str, Any] = {"ha": "center", "va": "center"}
    for tick in what.ticks:
        pen.note(float(what.place(tick)), -0.82, f"{tick:,g}".replace("-", "−"), Role(BLACK), **middle)
    pen.note(0.5, -1.25, what.words[0], Role(BLACK), fontsize=11, **middle)
    if what.story is not None:
        at = float(what.place(what.story))
        pen.line([at, at], pen.panel.ylim, STORY, "")
        pen.note(at, 5.75, STORY.label, STORY, **middle)
    shown = ((what.first, Role(BLUE), "●", 0.16), (what.second, TWIN, "■", -0.16))
    for number, ((reading, role, symbol, up), key) in enumerate(zip(shown, what.words[1:], strict=False)):
        assert reading is not None
        pen.note(-0.31, 6.75 - 0.5 * number, f"{symbol} {text(key)}", role, fontsize=11, va="center")
        means = [reading(name) for name in SUSPECTS]
        pen.line(torch.stack([what.place(mean.value) for mean in means]), ROWS + up, Role(role.colour, ""), "",
                 marker=role.marker, ms=8)  # fmt: skip
        for mean, height in zip(means, (ROWS + up).tolist(), strict=True):
            bar = [float(what.place(mean.value + side * mean.error)) for side in (-1, 1)]
            pen.line(bar, [height, height], Role(role.colour, width=1.5), "")


def words(state: SimpleNamespace) -> str:
    """Say what a control reads on a suspect and on the healthy valley."""
    what = CONTROLS[state.control]
    values: dict[str, str] = {}
    for name, reading in (("first", what.first), ("second", what.second)):
        if reading is not None:
            values |= {name: with_error(reading(state.suspect)), f"healthy_{name}": with_error(reading("healthy"))}
    return option_text(f"{state.control}.sentence", *SENTENCE_KEYS, suspect=text(SUSPECTS[state.suspect]), **values)


def code(state: SimpleNamespace) -> str:
    """Return the lines that make a reading anew."""
    settings = SETTINGS.get(state.control, "batch_size=16, learning_rate=0.04")
    return MAKES.format(land=f'cases.named("{state.suspect}")', settings=settings)


def controls(seed: int) -> Explorer:
    """Return the explorer of controls: six suspects, and what a control reads on each of them."""
    turned = [switch("control", tuple(CONTROLS)), switch("suspect", tuple(SUSPECTS), "slope")]
    return Explorer(draw, turned, PANELS, words, title="10.controls.title", code=code)
