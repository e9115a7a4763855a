"""Round 2: curvature along the road, matched against the loss; the button probes one point on a few hundred images."""

from __future__ import annotations

from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from entropic_edu.course import floor
from entropic_edu.figures.plots import BLACK, BLUE, GREEN, ORANGE, RED, labelled
from entropic_edu.physics.mean import Mean, exact
from entropic_edu.recorded import cifar10
from entropic_edu.teaching import sheet
from entropic_edu.teaching.explorer import Explorer, Work, slider, switch
from entropic_edu.teaching.sheet import GREY, Band, moving
from entropic_edu.teaching.strings import option_text, text

from . import live
from .both import first
from .common import (
    ALL,
    PAIRS,
    along,
    code,
    even,
    every,
    known,
    named,
    objective,
    on_digits,
    over_ends,
    over_pairs,
    sampled,
    with_error,
)
from .common import bump as ratio

LABEL_KEYS = (
    "09.label.trace",
    "09.label.top",
    "09.label.adaptive",
    "09.label.data_loss",
    "09.label.per_loss",
    "09.label.adaptive_per_loss",
    "09.label.objective",
)
QUANTITY_KEYS = (
    "09.quantity.trace",
    "09.quantity.top",
    "09.quantity.adaptive",
    "09.quantity.data_loss",
    "09.quantity.per_loss",
    "09.quantity.adaptive_per_loss",
    "09.quantity.objective",
)

POINTS = 13  # of the recorded profiles
WHERE = tuple(round(place / (POINTS - 1), 2) for place in range(POINTS))
QUANTITIES = {"trace": "trace", "top": "top_eigenvalue", "adaptive": "adaptive_trace", "data_loss": "data_loss"}
SHOWN = (*QUANTITIES, "per_loss", "adaptive_per_loss", "objective")
LIMITS = (0.5, 30.0)  # of the left panel


def values(name: str) -> Tensor:
    """Return a quantity at the points of the profiles, (pairs, n); the loss is that of all 5,000 images."""
    if name.endswith("per_loss"):
        return values("adaptive" if name.startswith("adaptive") else "trace") / values("data_loss")
    if name == "data_loss":
        return sampled(every("road_loss"), along("position")[0])
    if name == "objective":
        return sampled(objective(), along("position")[0])
    return along(QUANTITIES[name])


def digits_values(name: str) -> Tensor:
    """Return the same of the digits network, (5, 21)."""
    if name.endswith("per_loss"):
        return digits_values("adaptive" if name.startswith("adaptive") else "trace") / digits_values("data_loss")
    return on_digits("loss" if name == "objective" else QUANTITIES[name])


def explained() -> Tensor:
    """Return what share of the trace's rise a trace in proportion to the loss would show, by pair, (pairs,)."""
    return (ratio(values("data_loss")) - 1) / (ratio(values("trace")) - 1)


class Bump:
    """A quantity over its value at the ends, and beside it data loss, trace and λ_max in their own units."""

    def __init__(self) -> None:
        self.figure = sheet.figure()
        self.where = even(POINTS)
        objective()  # takes a second: now, and not at a step of the switch
        self.ax = ax = self.figure.add_axes((0.075, 0.125, 0.4, 0.79))
        labelled(ax, text("09.axis.position"), "", text("09.panel.ratio")).title.set_fontsize(11)
        ax.set(xlim=(0, 1), yscale="log", ylim=LIMITS)
        ax.set_yticks([0.5, 1, 2, 5, 10, 20], ["0.5", "1", "2", "5", "10", "20"])
        ax.minorticks_off()
        ax.axhline(1, color=GREY, lw=1)
        self.singles = [moving(ax, colour=GREY, width=1, alpha=0.6) for _ in PAIRS]
        self.bands = {
            "ghost": Band(ax, colour=GREY, dash=(0, (3, 2)), width=4, label=text("say.prediction")),
            "digits": Band(ax, colour=BLACK, dash=":", label=text("09.label.digits")),
            "loss": Band(ax, colour=BLUE, dash="--", label=text("09.label.data_loss")),
            "run": Band(ax, colour=RED),
        }
        self.point = moving(ax, colour=RED, dash="", marker="D", ms=9, mfc="white", mew=2)
        rows = zip(floor.RIGHT, ("data_loss", "trace", "top"), (BLUE, RED, ORANGE), strict=True)
        self.panels = {name: (self._panel(bottom, name), colour) for bottom, name, colour in rows}
        self.curves = {name: Band(ax, colour=colour) for name, (ax, colour) in self.panels.items()}
        self.now = {
            name: sheet.Points(self.panels[name][0], colour=GREEN, marker="D", size=7) for name in ("trace", "top")
        }
        axes = [ax, *(panel for panel, _ in self.panels.values())]
        self.marks = [(each, moving(each, colour=GREY, dash=":", width=1.5)) for each in axes]

    def _panel(self, bottom: float, name: str) -> Axes:
        ax = self.figure.add_axes((0.66, bottom, 0.315, 0.185))
        labelled(
            ax, "", "", option_text(name, "09.panel.data_loss", "09.panel.trace", "09.panel.top")
        ).title.set_fontsize(11)
        ax.set(xlim=(0, 1), ylim=(0, 1.3 * float(values(name).max())))
        if bottom == floor.RIGHT[-1]:
            ax.set_xlabel(text("09.axis.position"), fontsize=11)
        else:
            ax.tick_params(labelbottom=False)
        return ax

    def show(self, name: str, pair: int | None, place: float, ghost: float | None) -> None:
        """Draw a quantity of one pair or the mean of all, the loss and the digits beside, and the predicted bump."""
        each = over_ends(values(name))
        for number, (line, row) in enumerate(zip(self.singles, each, strict=True), start=1):
            line.set_data(self.where.numpy(), row.numpy())
            line.set_visible(number != pair)
        self.bands["run"].show(self.where, over_pairs(each, pair), option_text(name, *LABEL_KEYS))
        small = over_ends(digits_values(name)).mean(0)
        self.bands["digits"].show(even(len(small)), exact(small))
        loss = None if name == "data_loss" else over_pairs(over_ends(values("data_loss")), pair)
        self.bands["loss"].show(self.where, loss)
        self.bands["ghost"].show(
            self.where, None if ghost is None else exact(ghost ** torch.sin(torch.pi * self.where))
        )
        for curve, band in self.curves.items():
            band.show(self.where, over_pairs(values(curve), pair))
            if curve in self.now:
                self.now[curve].show(torch.empty(0), None)
        for panel, mark in self.marks:
            mark.set_data([place, place], panel.get_ylim())
        self._names(ghost)

    def _names(self, ghost: float | None) -> None:
        """Move the labels apart by factors, beside the right end; the prediction's stands at its top."""
        shown = [band for name, band in self.bands.items() if name != "ghost" and band.name.get_visible()]
        shown.sort(key=lambda band: float(torch.as_tensor(band.line.get_ydata()).mean()))
        for number, band in enumerate(shown):
            band.name.set_position((1.02, 1.3 ** (2 * number - len(shown) + 1)))
        if ghost is not None:
            self.bands["ghost"].name.set_position((0.5, ghost * (1.2 if ghost >= 1 else 0.84)))
            self.bands["ghost"].name.set_horizontalalignment("center")

    def show_live(self, result: live.Probed, place: float) -> None:
        """Draw what was measured now at a place: trace with its error over groups of images, and λ_max."""
        where = torch.tensor([place])
        mean = over_groups(result)
        self.now["trace"].show(where, Mean(mean.value[None], mean.error[None]))
        self.now["top"].show(where, exact(torch.tensor([result.top])))


def over_groups(result: live.Probed) -> Mean:
    """Return mean and standard error of the trace over the groups of images, NaN before the first."""
    count = len(result.trace)
    if count < 2:
        value = result.trace.mean() if count else torch.tensor(torch.nan)
        return Mean(value, torch.zeros(()))
    return Mean(result.trace.mean(), result.trace.std() / count**0.5)


def bump(seed: int) -> Explorer:
    """Loss, trace, λ_max and adaptive trace along the recorded roads."""
    picture = Bump()

    def render(
        *, ghost: float | None = None, point: float, cifar_pair: int | None, cifar_quantity: str
    ) -> tuple[Figure, str]:
        picture.show(cifar_quantity, cifar_pair, point, ghost)
        return picture.figure, sentence(cifar_quantity, cifar_pair, point)

    def show(result: Any, *, point: float, cifar_pair: int | None, cifar_quantity: str) -> tuple[Figure, str]:
        if isinstance(result, live.Absent):
            picture.show(cifar_quantity, cifar_pair, point, None)
            return picture.figure, live.missing(result, sentence(cifar_quantity, cifar_pair, point))
        picture.show(cifar_quantity, first(cifar_pair), point, None)
        picture.show_live(result, point)
        return picture.figure, probed(result, first(cifar_pair), point)

    def stream(*, point: float, cifar_pair: int | None, **_: Any) -> Any:
        return live.with_images(lambda land: live.probe(land, first(cifar_pair) - 1, exactly(point)))

    return Explorer(
        render,
        [slider("point", WHERE, 0.5), slider("cifar_pair", ALL, None), switch("cifar_quantity", SHOWN)],
        title=text("09.bump.title"),
        code=lines,
        work=Work(stream, show, lambda **_: live.units(live.GROUPS + 5)),
    )


def exactly(point: float) -> float:
    """Return the position of a recorded point, which the slider rounds."""
    return WHERE.index(point) / (POINTS - 1)


def sentence(name: str, pair: int | None, point: float) -> str:
    """Say the bump of a quantity with its error, beside those of the loss and of digits."""
    curves, here = values(name), WHERE.index(point)
    return text(
        "09.bump.sentence",
        **known(pairs=named(pair), quantity=option_text(name, *QUANTITY_KEYS), place=point),
        images=along_images(),
        ends=with_error(over_pairs(curves[:, [0, -1]].mean(1), pair), ".3g"),
        here=with_error(over_pairs(curves[:, here], pair), ".3g"),
        ratio=with_error(over_pairs(ratio(curves), pair)),
        digits=with_error(over_pairs(ratio(digits_values(name)))),
        loss=with_error(over_pairs(ratio(values("data_loss")), pair)),
        share=with_error(over_pairs(100 * explained(), pair), ".0f"),
    )


def along_images() -> int:
    """Return on how many images curvature was recorded."""
    return int(cifar10.RECIPE["profile"]["images"])


def probed(result: live.Probed, pair: int, point: float) -> str:
    """Say what was measured now, and what was recorded there."""
    here, mean = WHERE.index(point), over_groups(result)
    recorded: dict[str, Any] = {
        "pair": pair,
        "place": point,
        "kept": float(values("trace")[pair - 1, here]),
        "kept_top": float(values("top")[pair - 1, here]),
        "images": along_images(),
    }
    if not result.complete:
        return text("09.bump.growing", **recorded, done=len(result.trace), of=live.GROUPS)
    return text(
        "09.bump.live",
        **recorded,
        few=live.GROUPS * live.SIZE,
        trace=with_error(mean, ".3g"),
        groups=live.GROUPS,
        top=result.top,
    )


def lines(*, point: float, cifar_pair: int | None, cifar_quantity: str) -> str:
    """Return code that reads the bump of a pair, and the verb that measures it."""
    pair = first(cifar_pair) - 1
    field = QUANTITIES.get(cifar_quantity, "trace")
    return code(
        f'profile = kept["pair{pair}/profile"]  # curvature on {along_images():,} of the images',
        f"values = profile.{field}",
        f"print(values[4:9].mean() / values[[0, -1]].mean())  # pair {pair + 1}: middle third over the ends",
    )
