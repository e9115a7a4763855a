"""Round 1: the road from a good minimum to a bad one, and the straight line between them as its control."""

from __future__ import annotations

from typing import Any

import torch
from matplotlib.figure import Figure

from entropic_edu.figures.plots import BLACK, BLUE, DASHES, GREEN, RED, labelled
from entropic_edu.physics.mean import Mean
from entropic_edu.recorded.bad_minima import COLUMNS
from entropic_edu.teaching import sheet
from entropic_edu.teaching.explorer import Explorer, slider, switch
from entropic_edu.teaching.sheet import GREY, Band, moving
from entropic_edu.teaching.strings import text

from .common import SHOWN, apart, boxed_label, column, over, pairs, shown_as

PLACES = 15
WHERE = torch.linspace(0, 1, PLACES, dtype=torch.float64)
POSITIONS = tuple(round(float(place), 2) for place in WHERE)
FLOOR = 0.5003  # entropy of the smoothed label 0.91, 9 × 0.01: no network has a lower loss


def curve(shown: str, name: str, *, line: bool = False) -> Mean:
    """Return loss, training or held-out accuracy along the matched roads, or along the straight lines, (15,)."""
    return over(column(pairs("line" if line else "matched/along", shown), name))


class Road:
    """Training loss above, accuracies below, each of the road and of the straight line."""

    def __init__(self) -> None:
        self.figure = sheet.figure()
        self.top = self.figure.add_axes((0.075, 0.6, 0.76, 0.33))
        self.bottom = self.figure.add_axes((0.075, 0.12, 0.76, 0.36))
        labelled(self.top, "", "", text("08.panel.loss")).set(ylim=(0.4, 1.7), xlim=(-0.02, 1.02))
        labelled(self.bottom, text("08.axis.position"), "", text("08.panel.accuracy")).set(
            ylim=(0.3, 1.04), xlim=(-0.02, 1.02)
        )
        for ax in (self.top, self.bottom):
            ax.title.set_fontsize(11)
        self.top.axhline(FLOOR, color=GREY, lw=1, ls=":")
        self.bands = {
            ("loss", True): Band(self.top, colour=GREY, dash=DASHES[1], width=1.6),
            ("test", True): Band(self.bottom, colour=GREY, dash=DASHES[1], width=1.6),
            ("loss", False): Band(self.top, colour=RED),
            ("train", False): Band(self.bottom, colour=BLUE, dash=DASHES[2]),
            ("test", False): Band(self.bottom, colour=GREEN),
        }
        self.marks = [moving(ax, colour=BLACK, dash=":", width=1.5) for ax in (self.top, self.bottom)]
        self.points = [moving(ax, colour=BLACK, dash="", marker="o", ms=7) for ax in (self.top, self.bottom)]
        self.ghost = moving(self.bottom, colour=GREY, dash=(0, (3, 2)), width=4, alpha=0.8)
        self.bet = boxed_label(self.bottom, text("say.prediction"), GREY, ha="center")

    def show(self, shown: str, place: int) -> None:
        """Draw the roads and lines of the pairs, and mark one position."""
        names = {"loss": "08.label.loss", "train": "08.label.train", "test": "08.label.test"}
        for (name, line), band in self.bands.items():
            band.show(WHERE, curve(shown, name, line=line), text("08.label.line" if line else names[name]))
            band.name.set_x(1.03)  # clear of the mark at the end
        self.bands["test", True].name.set_position((0.22, float(curve(shown, "test", line=True).value[6])))
        self.bands["loss", True].name.set_position((0.67, float(curve(shown, "loss", line=True).value[9])))
        apart([self.bands["train", False].name, self.bands["test", False].name], 0.06)
        for mark in self.marks:
            mark.set_data([POSITIONS[place]] * 2, mark.axes.get_ylim())  # type: ignore[union-attr]
        for point, name in zip(self.points, ("loss", "test"), strict=True):
            point.set_data([float(WHERE[place])], [float(curve(shown, name).value[place])])

    def predicted(self, ghost: list[float] | None) -> None:
        """Draw a bet: test accuracy at positions 0, ¼, ½, ¾, 1."""
        for artist in (self.ghost, self.bet):
            artist.set_visible(ghost is not None)
        if ghost is not None:
            self.ghost.set_data(torch.linspace(0, 1, len(ghost)).numpy(), ghost)
            self.bet.set_position((0.3, ghost[len(ghost) // 3] - 0.06))


def road(seed: int) -> Explorer:
    """From a good minimum to a bad one: the loss stays low, the held-out accuracy does not."""
    picture = Road()

    def render(*, bad_position: float, bad_shown: str, ghost: list[float] | None = None) -> tuple[Figure, str]:
        place = POSITIONS.index(bad_position)
        picture.show(bad_shown, place)
        picture.predicted(ghost)
        loss, train, test = (curve(bad_shown, name) for name in ("loss", "train", "test"))
        return picture.figure, text(
            "08.road.sentence",
            shown=shown_as(bad_shown),
            position=float(WHERE[place]),
            loss=float(loss.value[place]),
            line=float(curve(bad_shown, "loss", line=True).value[place]),
            train=float(train.value[place]),
            test=float(test.value[place]),
            error=float(test.error[place]),
            good=float(test.value[0]),
            bad=float(test.value[-1]),
        )

    def code(*, bad_shown: str, **turned: Any) -> str:
        rows = SHOWN[bad_shown]
        return (
            'from entropic_edu import recorded\nalong = recorded.load("bad_minima")["matched/along"]\n'
            f"loss, train, test = along[{rows.start}:{rows.stop}, :, :3].unbind(-1)  # pairs, positions\n"
            f"# the columns are {', '.join(COLUMNS[:7])}"
        )

    return Explorer(
        render,
        [slider("bad_position", POSITIONS, POSITIONS[7]), switch("bad_shown", tuple(SHOWN))],
        title=text("08.road.title"),
        code=code,
    )
