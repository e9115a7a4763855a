"""Round 2: how many times sharper is the bad end? Three measures, as trained and with its layers resized."""

from __future__ import annotations

from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from entropic_edu import recorded
from entropic_edu.figures.plots import BLACK, BLUE, RED, labelled
from entropic_edu.physics.mean import Mean
from entropic_edu.recorded.bad_minima import COLUMNS
from entropic_edu.teaching import sheet
from entropic_edu.teaching.explorer import Explorer, slider, switch
from entropic_edu.teaching.sheet import GREY, moving
from entropic_edu.teaching.strings import option_text, text

from .common import FROM, boxed_label, kept, over, pairs

MEASURES = ("trace", "top", "adaptive")
NETWORKS = ("normed", "plain")
FACTORS: tuple[float, ...] = tuple(recorded.load("bad_minima").recipe["factors"])
AXIS = (0.08, 100.0)  # of the ratio
ROWS = torch.tensor([2.0, 1.0, 0.0], dtype=torch.float64)  # heights of the three measures


def times(network: str, measure: str, factor: float | None = None) -> Tensor:
    """Return how many times the good end's measure the bad end's is, (pairs,).

    Args:
        network: "normed" or "plain".
        measure: One of ``COLUMNS``.
        factor: What its layers are resized by: normalised ones have this many times the norm of the good end's, and in
            the plain network weights into the first hidden layer are multiplied, those out of it divided. None: as
            trained.
    """
    values = pairs(f"{network}/ends", "five")[..., COLUMNS.index(measure)]
    return values[:, 1 if factor is None else 2 + FACTORS.index(factor)] / values[:, 0]


def formula(factor: float) -> Mean:
    """Return what exercise 8.2 says of tr H, bad over good, at a factor, from the two parts of tr H at factor 1."""
    values, matched = pairs("normed/ends", "five"), 2 + FACTORS.index(1.0)
    trace, layers = (values[..., COLUMNS.index(name)] for name in ("trace", "layers"))
    rest = trace[:, matched] - layers[:, matched]
    return over((layers[:, matched] / factor**2 + rest) / trace[:, 0])


class Measures:
    """A row for each measure: bad over good as trained (open), and with layers resized (full), on one axis."""

    def __init__(self) -> None:
        self.figure = sheet.figure(height=350)
        self.ax = ax = self.figure.add_axes((0.15, 0.165, 0.82, 0.74))
        labelled(ax, text("08.axis.times"), "", "").set(xscale="log", xlim=AXIS, ylim=(-0.55, 2.55))
        ax.set_xticks([0.1, 1, 10, 100], ["0.1", "1", "10", "100"])
        ax.set_yticks(ROWS.tolist(), [text("08.measure.trace"), text("08.measure.top"), text("08.measure.adaptive")])
        ax.tick_params(axis="y", length=0)
        ax.grid(False, axis="y")
        ax.axvline(1, color=BLACK, lw=1)
        for x, words in ((0.3, text("08.label.flatter")), (7.0, text("08.label.sharper"))):
            ax.text(x, 2.65, words, ha="center", va="bottom", fontsize=11)
        self.single = [moving(ax, colour=colour, dash="", marker=".", ms=4) for colour in (RED, BLUE)]
        self.trained = [moving(ax, colour=RED, dash="", marker="o", ms=10, mfc="white", mew=2) for _ in MEASURES]
        self.resized = [moving(ax, colour=BLUE, dash="", marker="s", ms=9) for _ in MEASURES]
        self.bars = [(moving(ax, colour=RED, width=1.5), moving(ax, colour=BLUE, width=1.5)) for _ in MEASURES]
        self.names = [
            boxed_label(ax, text("08.label.trained"), RED, ha="center"),
            boxed_label(ax, "", BLUE, ha="center"),
        ]
        self.ghost = moving(ax, colour=GREY, dash="", marker="D", ms=11, mfc="none", mew=2.5)
        self.bet = boxed_label(ax, text("say.prediction"), GREY, ha="center")

    def show(self, network: str, factor: float) -> None:
        """Draw all measures of a network, its bad end as trained and resized."""
        found = [[times(network, name, which) for name in MEASURES] for which in (None, factor)]
        for dots, each, up in zip(self.single, found, (0.16, -0.16), strict=True):
            dots.set_data(torch.cat(each).numpy(), (ROWS + up).repeat_interleave(len(each[0])).numpy())
        for marks, each, up, side in ((self.trained, found[0], 0.16, 0), (self.resized, found[1], -0.16, 1)):
            for number, (mark, values) in enumerate(zip(marks, each, strict=True)):
                mean, height = over(values), float(ROWS[number]) + up
                mark.set_data([float(mean.value)], [height])
                ends = [float(mean.value - mean.error), float(mean.value + mean.error)]
                self.bars[number][side].set_data(ends, [height] * 2)
        self.names[1].set_text(option_text(network, "08.label.normed", "08.label.plain", factor=factor))
        for name, each, up in zip(self.names, found, (0.42, -0.42), strict=True):
            name.set_position((float(each[0].mean()), 2 + up))

    def predicted(self, ghost: float | None) -> None:
        """Draw a bet: how many times the good end's trace the bad end's is at the good end's norms."""
        for artist in (self.ghost, self.bet):
            artist.set_visible(ghost is not None)
        if ghost is not None:
            self.ghost.set_data([ghost], [1.84])
            self.bet.set_position((ghost, 1.58))


def measures(seed: int) -> Explorer:
    """Which end is flatter? It depends on the measure, and for two of three on the scale of the weights."""
    picture = Measures()

    def render(*, bad_network: str, bad_factor: float, ghost: float | None = None) -> tuple[Figure, str]:
        picture.show(bad_network, bad_factor)
        picture.predicted(ghost)
        trained, now = (over(times(bad_network, "trace", which)) for which in (None, bad_factor))
        adaptive = over(times(bad_network, "adaptive", bad_factor))
        return picture.figure, option_text(
            bad_network,
            "08.measures.normed",
            "08.measures.plain",
            factor=bad_factor,
            trained=float(trained.value),
            trained_error=float(trained.error),
            now=float(now.value),
            now_error=float(now.error),
            formula=float(formula(bad_factor).value),
            adaptive=float(adaptive.value),
            adaptive_error=float(adaptive.error),
        )

    def code(*, bad_network: str, bad_factor: float) -> str:
        row, column = 2 + FACTORS.index(bad_factor), COLUMNS.index("trace")
        return (
            FROM
            + f'ends = kept["{bad_network}/ends"][:5]  # pairs; good, bad as trained, bad at each factor; measures\n'
            f"as_trained, resized = (ends[:, row, {column}] / ends[:, 0, {column}] for row in (1, {row}))"
        )

    return Explorer(
        render,
        [slider("bad_factor", FACTORS, 1.0), switch("bad_network", NETWORKS)],
        title=text("08.measures.title"),
        code=code,
    )


def norms() -> Mean:
    """Return how many times the good end's the norm of the bad end's normalised layers is as trained, (L,)."""
    factors: Tensor = kept("factors")[:5].double()
    return over(factors)


def accuracy_of(network: str) -> list[Mean]:
    """Return the held-out accuracy of the good and of the bad ends of a network."""
    values: Any = pairs(f"{network}/ends", "five")[..., COLUMNS.index("test")]
    return [over(values[:, end]) for end in (0, 1)]
