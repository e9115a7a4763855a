"""Round 1: loss and test accuracy along the roads from a good minimum to a bad one."""

from __future__ import annotations

from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from entropic_edu.figures.plots import BLACK, BLUE, DASHES, PURPLE, RED, labelled
from entropic_edu.physics.mean import Mean
from entropic_edu.teaching import sheet
from entropic_edu.teaching.explorer import Explorer, slider, switch
from entropic_edu.teaching.sheet import GREY, Band, moving
from entropic_edu.teaching.strings import option_text, text

from .common import FROM, apart, boxed_label, column, kept, over

KINDS = ("poison", "squared", "large")
POINTS = 13
WHERE = torch.linspace(0, 1, POINTS, dtype=torch.float64)
POSITIONS = tuple(round(float(where), 2) for where in WHERE)


def curves(kind: str, shown: str, name: str) -> Mean:
    """Return a quantity along the roads, (P,): mean over five pairs with its error, or pair 0 alone."""
    values = column(kept(f"{kind}/road"), name)
    return over(values if shown == "five" else values[:1])


class Road:
    """The training loss above; below it training and test accuracy; one position marked on all."""

    def __init__(self) -> None:
        self.figure = sheet.figure()
        self.top = self.figure.add_axes((0.1, 0.66, 0.72, 0.27))
        self.bottom = self.figure.add_axes((0.1, 0.125, 0.72, 0.4))
        for ax in (self.top, self.bottom):
            ax.set_xlim(-0.02, 1.02)
        labelled(self.top, "", "", text("08.panel.loss")).set(yscale="log", ylim=(1e-5, 1))
        labelled(self.bottom, text("08.axis.position"), "", text("08.panel.accuracy")).set_ylim(0.35, 1.05)
        self.loss = Band(self.top, colour=BLUE)
        self.train = Band(self.bottom, colour=PURPLE, dash=DASHES[1])
        self.test = Band(self.bottom, colour=RED)
        self.marks = [moving(ax, colour=BLACK, dash=":", width=1.5) for ax in (self.top, self.bottom)]
        self.points = [moving(ax, colour=BLACK, dash="", marker="o", ms=7) for ax in (self.top, self.bottom)]
        self.ghost = moving(self.bottom, colour=GREY, dash=(0, (3, 2)), width=4, alpha=0.8)
        self.bet = boxed_label(self.bottom, text("say.prediction"), GREY, ha="center")

    def show(self, kind: str, shown: str, place: int) -> None:
        """Draw the roads of a kind, and mark one of their points."""
        loss, train, test = (curves(kind, shown, name) for name in ("loss", "train", "test"))
        self.loss.show(WHERE, loss, text("08.label.loss"))
        self.train.show(WHERE, train, text("08.label.train"))
        self.test.show(WHERE, test, text("08.label.test"))
        for band in (self.loss, self.train, self.test):
            band.name.set_x(1.03)  # clear of the mark at the end
        apart([self.train.name, self.test.name], 0.07)
        for line in self.marks:
            line.set_data([POSITIONS[place]] * 2, line.axes.get_ylim())  # type: ignore[union-attr]
        for point, mean in zip(self.points, (loss, test), strict=True):
            point.set_data([float(WHERE[place])], [float(mean.value[place])])

    def predicted(self, ghost: list[float] | None) -> None:
        """Draw a bet: test accuracy at positions 0, ¼, ½, ¾, 1."""
        for artist in (self.ghost, self.bet):
            artist.set_visible(ghost is not None)
        if ghost is not None:
            self.ghost.set_data(torch.linspace(0, 1, len(ghost)).numpy(), ghost)
            self.bet.set_position((0.3, ghost[len(ghost) // 3] - 0.06))


def with_error(mean: Mean, place: int, shown: str, form: str) -> str:
    """Return a value, with its error where there are five."""
    value = format(float(mean.value[place]), form)
    return value if shown == "one" else f"{value} ± {format(float(mean.error[place]), form)}"


def road(seed: int) -> Explorer:
    """From a good minimum to a bad one: the loss stays low, the test accuracy does not."""
    picture = Road()

    def render(
        *, bad_kind: str, bad_position: float, bad_shown: str, ghost: list[float] | None = None
    ) -> tuple[Figure, str]:
        place = POSITIONS.index(bad_position)
        picture.show(bad_kind, bad_shown, place)
        picture.predicted(ghost)
        loss, train, test = (curves(bad_kind, bad_shown, name) for name in ("loss", "train", "test"))
        return picture.figure, option_text(
            bad_shown,
            "08.road.five",
            "08.road.one",
            kind=option_text(bad_kind, "08.kind.poison", "08.kind.squared", "08.kind.large"),
            position=float(WHERE[place]),
            loss=with_error(loss, place, bad_shown, ".1e"),
            train=float(train.value[place]),
            test=with_error(test, place, bad_shown, ".3f"),
            good=float(test.value[0]),
            bad=float(test.value[-1]),
            highest=float(loss.value.max()),
        )

    def code(*, bad_kind: str, **turned: Any) -> str:
        return FROM + f'loss, train, test = kept["{bad_kind}/road"][..., :3].unbind(-1)  # pairs, positions'

    return Explorer(
        render,
        [
            slider("bad_position", POSITIONS, POSITIONS[6]),
            switch("bad_kind", KINDS),
            switch("bad_shown", ("five", "one")),
        ],
        title=text("08.road.title"),
        code=code,
    )


def largest_step(values: Tensor) -> float:
    """Return the largest fall between neighbouring points of a road as a share of the fall along all of it."""
    return float((values[:-1] - values[1:]).max() / (values[0] - values[-1]))
