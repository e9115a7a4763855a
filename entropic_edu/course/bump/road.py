"""Round 1: the loss along the road, and the curvature across it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from entropic_edu import stream
from entropic_edu.course import floor
from entropic_edu.figures.plots import BLUE, PURPLE, RED, labelled
from entropic_edu.physics.mean import Mean, exact
from entropic_edu.physics.probe import Profile
from entropic_edu.physics.snapshot import Snapshot
from entropic_edu.teaching import sheet
from entropic_edu.teaching.explorer import Explorer, Work, slider, switch
from entropic_edu.teaching.sheet import GREY, Band, moving
from entropic_edu.teaching.strings import option_text, text

from .common import (
    COUNT,
    PAIRS,
    QUANTITIES,
    along,
    amid,
    bump,
    chosen,
    land,
    named,
    over_ends,
    positions,
    with_error,
)
from .common import road as recorded_road

LABEL_KEYS = (
    "05.label.objective",
    "05.label.data_loss",
    "05.label.trace",
    "05.label.top",
    "05.label.adaptive",
    "05.label.gradient_noise",
    "05.label.norm",
)
QUANTITY_KEYS = (
    "05.quantity.trace",
    "05.quantity.top",
    "05.quantity.adaptive",
    "05.quantity.objective",
    "05.quantity.data_loss",
    "05.quantity.gradient_noise",
    "05.quantity.norm",
)

POINTS = 21
PLACES = tuple(round(0.1 * place, 1) for place in range(11))
LIVE = {"points": POINTS, "num_probes": 1, "lanczos_steps": 12}  # of the button
TOP = 4.2  # of the left panel


class Road:
    """A quantity over its value at the ends, and beside it objective, trace and gradient noise in their own units."""

    def __init__(self) -> None:
        self.figure = sheet.figure()
        self.where = positions(POINTS)
        self.ax = ax = self.figure.add_axes((0.075, 0.125, 0.395, 0.78))
        labelled(ax, text("05.axis.position"), "", text("05.panel.ratio")).title.set_fontsize(11)
        ax.set(xlim=(0, 1), ylim=(0, TOP))
        ax.axhline(1, color=GREY, lw=1)
        self.singles = [moving(ax, colour=GREY, width=1, alpha=0.6) for _ in range(COUNT)]
        self.bands = {
            "ghost": Band(ax, colour=GREY, dash=(0, (3, 2)), width=4, label=text("say.prediction")),
            "twin": Band(ax, colour=RED, dash="--", label=text("say.pinned")),
            "live": Band(ax, colour=RED, dash="--", label=text("05.label.live")),
            "run": Band(ax),
        }
        self.bands["ghost"].name.set_bbox({"facecolor": "white", "lw": 0, "pad": 1})  # the dotted line crosses it
        tops = zip(floor.RIGHT, ("objective", "trace", "gradient_noise"), (0.7, 250, 200), strict=True)
        self.panels = {name: self._panel(bottom, name, high) for bottom, name, high in tops}
        colours = {"objective": BLUE, "trace": RED, "gradient_noise": PURPLE}
        self.curves = {name: Band(panel, colour=colours[name]) for name, panel in self.panels.items()}
        self.data_loss = Band(self.panels["objective"], colour=BLUE, dash="--", label="")
        top = self.panels["objective"]
        top.text(0.02, 0.61, text("05.label.objective"), fontsize=sheet.SMALL, color=BLUE)
        top.text(0.02, 0.38, text("05.label.data_loss"), fontsize=sheet.SMALL, color=BLUE)
        self.marks = [(each, moving(each, colour=GREY, dash=":", width=1.5)) for each in (ax, *self.panels.values())]

    def _panel(self, bottom: float, name: str, high: float) -> Axes:
        ax = self.figure.add_axes((0.66, bottom, 0.315, 0.185))
        labelled(
            ax, "", "", option_text(name, "05.panel.objective", "05.panel.trace", "05.panel.gradient_noise")
        ).title.set_fontsize(11)
        ax.set(xlim=(0, 1), ylim=(0, high))
        if bottom == floor.RIGHT[-1]:
            ax.set_xlabel(text("05.axis.position"), fontsize=11)
        else:
            ax.tick_params(labelbottom=False)
        return ax

    def show(self, quantity: str, pair: str, place: float, twin: Mean | None, ghost: float | None) -> None:
        """Draw a quantity of one pair or of all, with a pinned one and the bump that was predicted."""
        each = over_ends(along(quantity))
        for number, (line, values) in enumerate(zip(self.singles, each, strict=True)):
            line.set_data(self.where.numpy(), values.numpy())
            line.set_visible(str(number + 1) != pair)
        self.bands["run"].show(self.where, chosen(each, pair), option_text(quantity, *LABEL_KEYS))
        self.bands["twin"].show(self.where, twin)
        shape = None if ghost is None else exact(ghost ** (torch.sin(torch.pi * self.where)))
        self.bands["ghost"].show(self.where, shape)
        self.bands["live"].show(self.where, None)
        for name, band in self.curves.items():
            band.show(self.where, chosen(along(name), pair))
        self.data_loss.show(self.where, chosen(along("data_loss"), pair))
        for panel, mark in self.marks:
            mark.set_data([place, place], panel.get_ylim())
        if ghost is not None:  # at its top, where that is shown: at the end all lines meet
            height = min(ghost + 0.16, TOP - 0.1) if ghost >= 1 else ghost - 0.16
            self.bands["ghost"].name.set_position((0.5, height))
            self.bands["ghost"].name.set_horizontalalignment("center")
        self._part()

    def show_live(self, measured: Profile, quantity: str, pair: str) -> None:
        """Draw a profile that is being measured, over the recorded mean of the ends."""
        recorded = along(quantity)[int(pair) - 1]
        values = getattr(measured, QUANTITIES[quantity].field).double() / recorded[[0, -1]].mean()
        self.bands["live"].show(measured.position.double(), exact(values))
        self.bands["twin"].show(self.where, None)
        self._part()

    def _part(self) -> None:
        """Move the labels at the right end apart."""
        sheet.part(*(band for name, band in self.bands.items() if name != "ghost"), gap=0.07)


def road(seed: int) -> Explorer:
    """Height, width and noise along the recorded roads; the button measures one of them anew."""
    picture = Road()

    def render(
        *,
        pinned: dict[str, Any] | None = None,
        ghost: float | None = None,
        along_road: str,
        bump_pair: str,
        at_position: float,
    ) -> tuple[Figure, str]:
        words = sentence(along_road, bump_pair, at_position)
        twin = None
        if pinned is not None:
            quantity, pair = pinned["along_road"], pinned["bump_pair"]
            twin = chosen(over_ends(along(quantity)), pair)
            ratio = with_error(chosen(bump(along(quantity)), pair), pair)
            words += " " + text(
                "05.road.twin", ratio=ratio, quantity=option_text(quantity, *QUANTITY_KEYS), pair=amid(pair)
            )
        picture.show(along_road, bump_pair, at_position, twin, ghost)
        return picture.figure, words

    def show(measured: Profile, *, along_road: str, bump_pair: str, at_position: float) -> tuple[Figure, str]:
        one = first(bump_pair)
        picture.show(along_road, one, at_position, None, None)
        picture.show_live(measured, along_road, one)
        return picture.figure, live_sentence(measured, along_road, one)

    return Explorer(
        render,
        [slider("at_position", PLACES, 0.5), switch("along_road", tuple(QUANTITIES)), switch("bump_pair", PAIRS)],
        title=text("05.road.title"),
        code=code,
        work=Work(lambda **turned: live(seed, turned["bump_pair"]), show, lambda **_: POINTS, show),
    )


def first(pair: str) -> str:
    """Return the pair that the button measures: the first where all are shown."""
    return "1" if pair == "all" else pair


def live(seed: int, pair: str) -> Iterator[Snapshot[Profile]]:
    """Yield the profile of a recorded road as it is measured now."""
    generator = torch.Generator().manual_seed(seed)
    return stream.probe(land(), recorded_road(int(first(pair)) - 1), generator=generator, **LIVE)


def sentence(quantity: str, pair: str, place: float) -> str:
    """Say what was recorded: at the ends, at a place, and the ratio of the middle third to the ends."""
    values, digit = along(quantity), QUANTITIES[quantity].digits
    here = chosen(values[:, round(place * (POINTS - 1))], pair)
    return text(
        "05.road.sentence",
        pair=named(pair),
        quantity=option_text(quantity, *QUANTITY_KEYS),
        ends=with_error(chosen(values[:, [0, -1]].mean(1), pair), pair, digit),
        here=with_error(here, pair, digit),
        place=place,
        ratio=with_error(chosen(bump(values), pair), pair),
        loss=with_error(chosen(bump(along("objective")), pair), pair),
    )


def live_sentence(measured: Profile, quantity: str, pair: str) -> str:
    """Say what is measured now, beside the recorded ratio."""
    values: Tensor = getattr(measured, QUANTITIES[quantity].field).double()
    known = {"pair": pair, "quantity": option_text(quantity, *QUANTITY_KEYS), "count": len(values)}
    recorded_ratio = float(bump(along(quantity))[int(pair) - 1])
    if not measured.complete:
        return text("05.road.growing", of=POINTS, now=float(values[-1]), **known)
    return text("05.road.live", ratio=measured.bump(values), kept=recorded_ratio, **known)


def code(*, along_road: str, bump_pair: str, at_position: float) -> str:
    """Return lines that read the recording, and the verb that makes a profile anew."""
    number = int(first(bump_pair)) - 1
    field = QUANTITIES[along_road].field
    return (
        "from entropic_edu import recorded\n"
        f'profile = recorded.load("bump")["pair{number}/profile"]\n'
        f"print(profile.bump(profile.{field}))  # pair {number + 1}: middle third over the mean of the ends\n"
        f"# anew: land, road = recorded.valley.landscape(), recorded.valley.road({number})\n"
        f"# profile = ee.probe(land, road, generator=torch.Generator().manual_seed({100 + number}), points=21, "
        "num_probes=16, lanczos_steps=28)"
    )
