"""Round 2: one control, six suspects; which reading would have told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from matplotlib.axes import Axes

from entropic_edu.figures.plots import BLUE
from entropic_edu.physics.mean import Mean, exact
from entropic_edu.recorded.look_alikes import cases
from entropic_edu.recorded.look_alikes.measure import WINDOWS
from entropic_edu.teaching.explorer import Explorer, switch
from entropic_edu.teaching.sheet import TWIN, Panel, Role, Sheet
from entropic_edu.teaching.strings import text

from .kept import MAKES, STORY, crowds, halved, hot, with_error

SUSPECTS = {  # from the top of the picture
    "healthy": "10.suspect.healthy", "slope": "10.suspect.slope", "constant": "10.suspect.constant",
    "steps": "10.suspect.steps", "along": "10.suspect.along", "scale": "10.suspect.scale",
}  # fmt: skip


class Control(NamedTuple):
    """A control: what it reads on a suspect, and the axis that its readings are drawn on."""

    words: tuple[str, ...]  # keys: what it says, its readings
    readings: tuple[Callable[[str], Mean], ...]  # drawn as circles; as squares, to compare with
    axis: dict[str, Any]
    story: float | None = None  # what a heat bath on a healthy valley would read
    settings: str = "batch_size=16, learning_rate=0.04"  # of the printed code; of the second reading, if it has its own


HALF = "batch_size=8, learning_rate=0.02, steps=1200"  # half of both, for twice as many steps
CONTROLS = {
    "all_data": Control(
        ("10.controls.all_data.sentence", "10.controls.all_data.first", "10.controls.all_data.second"),
        (lambda name: crowds(name, None, 0.04).moved, lambda name: hot(name).moved),
        {"x": "10.controls.all_data.axis", "xlim": (-0.45, 0.65), "xticks": (-0.4, -0.2, 0, 0.2, 0.4, 0.6)},
        settings="batch_size=None, learning_rate=0.04",
    ),
    "profile": Control(
        ("10.controls.profile.sentence", "10.controls.profile.first", "10.controls.profile.second"),
        (lambda name: exact(cases.named(name).curvature_across(WINDOWS[0].mean())),
         lambda name: exact(cases.named(name).curvature_across(WINDOWS[1].mean()))),
        {"x": "10.controls.profile.axis", "xscale": "log", "xlim": (0.4, 63), "xticks": (0.5, 1, 2, 5, 10, 20, 50)},
    ),
    "halve": Control(
        ("10.controls.halve.sentence", "10.controls.halve.first", "10.controls.halve.second"),
        (lambda name: hot(name).spread_ends.at(0), lambda name: halved(name).spread_ends.at(0)),
        {"x": "10.controls.halve.axis", "xscale": "log", "xlim": (0.26, 7), "xticks": (0.3, 0.5, 1, 2, 4, 6)},
        story=1.0, settings=HALF,
    ),
    "kicks": Control(
        ("10.controls.kicks.sentence", "10.controls.kicks.first", "10.controls.kicks.second"),
        (lambda name: hot(name).along_ends.at(0), lambda name: hot(name).along_ends.at(1)),
        {"x": "10.controls.kicks.axis", "xlim": (-0.15, 3.15), "xticks": (0, 1, 2, 3)}, story=1.0,
    ),
    "double": Control(
        ("10.controls.double.sentence", "10.controls.double.first"),
        (lambda name: hot(name).doubled,),
        {"x": "10.controls.double.axis", "xscale": "log", "xlim": (0.056, 18e3), "xticks": (0.1, 1, 10, 100, 1e3, 1e4)},
    ),
    "distance": Control(
        ("10.controls.distance.sentence", "10.controls.distance.first", "10.controls.distance.second"),
        (lambda name: 100 * hot(name).far, lambda name: 100 * halved(name).far),
        {"x": "10.controls.distance.axis", "xlim": (-0.15, 3.15), "xticks": (0, 1, 2, 3)}, story=0.27, settings=HALF,
    ),
}  # fmt: skip
ROWS = dict(zip(SUSPECTS, reversed(range(len(SUSPECTS))), strict=True))


def _rows(ax: Axes) -> None:
    for row in ROWS.values():
        ax.axhline(row, color="0.88", lw=1, zorder=0)
    ax.tick_params(axis="y", length=0)


PANELS = {
    "rows": Panel((0.24, 0.13, 0.72, 0.68), " ", " ", ylim=(-0.6, 5.6), once=_rows,
                  yticks=dict(zip(ROWS.values(), SUSPECTS.values(), strict=True))),
}  # fmt: skip


def draw(sheet: Sheet, state: Any) -> None:
    """Draw the readings of a control on its axis; a suspect's row is marked."""
    what, pen, row = CONTROLS[state.control], sheet["rows"], ROWS[state.suspect]
    pen.reframe(**{"xscale": "linear"} | what.axis)
    pen.keep(pen.ax.axhspan(row - 0.4, row + 0.4, facecolor="#FFF3C4", edgecolor="0.5", zorder=0))
    if what.story is not None:
        pen.line([what.story] * 2, pen.panel.ylim, STORY, "")
        pen.note(what.story, 5.75, STORY.label, STORY, ha="center", va="center")
    looks = (("●", Role(BLUE), 1.19, 0.16), ("■", TWIN, 1.11, -0.16))
    for key, reading, (symbol, role, height, up) in zip(what.words[1:], what.readings, looks, strict=False):
        pen.note(-0.24, height, f"{symbol} {text(key)}", role, fontsize=11, va="center", transform=pen.ax.transAxes)
        for suspect, row in ROWS.items():
            pen.across(reading(suspect), row + up, role, ms=8)


def words(state: Any) -> str:
    """Say what a control reads on a suspect and on the healthy valley."""
    what, values = CONTROLS[state.control], {"suspect": text(SUSPECTS[state.suspect])}
    for name, reading in zip(("first", "second"), what.readings, strict=False):
        values |= {name: with_error(reading(state.suspect)), f"healthy_{name}": with_error(reading("healthy"))}
    return text(what.words[0], **values)


def code(state: Any) -> str:
    """Return the lines that make a reading anew."""
    return MAKES.format(land=f'cases.named("{state.suspect}")', settings=CONTROLS[state.control].settings)


def controls(seed: int) -> Explorer:
    """Return the explorer of controls: six suspects, and what a control reads on each of them."""
    turned = [switch("control", tuple(CONTROLS)), switch("suspect", tuple(SUSPECTS), "slope")]
    return Explorer(draw, turned, PANELS, words, title="10.controls.title", code=code)
