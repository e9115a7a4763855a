"""Round 1: loss and curvature between two siblings, and how high both barriers are against the step of parting."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from entropic_edu.figures.plots import BLACK, BLUE, RED, labelled
from entropic_edu.physics.mean import Mean, exact
from entropic_edu.teaching import sheet
from entropic_edu.teaching.explorer import Explorer, Work, slider, switch
from entropic_edu.teaching.sheet import GREY, Band, moving
from entropic_edu.teaching.strings import option_text, text

from .axes import BESIDE, LAST, SMALLEST, Decades, against_k, logarithmic, raised
from .live import Live, live
from .measures import (
    LEVELS,
    SCALES,
    STEPS,
    TASKS,
    barrier,
    chosen,
    fallen,
    family,
    kept,
    number,
    opening,
    setting_of,
    with_error,
)

TASK_KEYS = ("07.task.forty", "07.task.fifth", "07.task.clean", "07.task.decay", "07.task.squared")
BARRIERS_KEYS = (
    "07.barriers.share.loss",
    "07.barriers.share.trace",
    "07.barriers.ends.loss",
    "07.barriers.ends.trace",
    "07.barriers.raw.loss",
    "07.barriers.raw.trace",
)

COLOURS = {"loss": BLUE, "trace": RED}
STROKES = {"loss": "-", "trace": "--"}
HEIGHTS = (1e-4, 200.0)  # of barriers, on any scale


class Barriers:
    """Left: loss and tr H along the line. Right: both barriers against k, and tr H against the loss."""

    def __init__(self) -> None:
        self.figure = sheet.figure()
        self.scales: dict[str, list[Decades]] = {"loss": [], "trace": []}
        self.lines = {
            "loss": self._along("loss", (0.085, 0.61, 0.30, 0.325)),
            "trace": self._along("trace", (0.085, 0.125, 0.30, 0.325)),
        }
        self.lines["trace"].ax.set_xlabel(text("07.axis.position"), fontsize=11)
        self.ax = ax = self.figure.add_axes((0.485, 0.56, 0.375, 0.375))
        labelled(ax, "", "", "")
        against_k(ax)
        logarithmic(ax, *HEIGHTS, (1e-4, 1e-2, 1, 100))
        self.title = ax.text(0, 1.04, "", transform=ax.transAxes, fontsize=11, animated=True, clip_on=False)
        self.level = moving(ax, colour=BLACK, dash=":", width=1.2)
        self.here = moving(ax, colour=GREY, dash=":", width=1.2)
        self.ghost = Band(ax, colour=GREY, dash=(0, (3, 2)), width=4, label=text("say.prediction"))
        self.bands = {name: Band(ax, colour=COLOURS[name], dash=STROKES[name]) for name in COLOURS}
        self.fresh = {
            name: moving(ax, colour=COLOURS[name], dash="", marker="D", ms=9, mfc="none", mew=1.8) for name in COLOURS
        }
        self._against_loss()

    def _along(self, quantity: str, where: tuple[float, float, float, float]) -> Band:
        ax = self.figure.add_axes(where)
        labelled(ax, "", "", option_text(quantity, "07.panel.loss", "07.panel.trace")).title.set_fontsize(11)
        ax.set_xlim(0, 1)
        ax.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
        self.scales[quantity].append(Decades(ax, "y"))
        return Band(ax, colour=COLOURS[quantity], dash=STROKES[quantity])

    def _against_loss(self) -> None:
        ax = self.figure.add_axes((0.485, 0.135, 0.375, 0.205))
        labelled(ax, text("07.axis.loss"), "", text("07.panel.against")).title.set_fontsize(11)
        ax.xaxis.labelpad = 18  # beneath the numbers, which are no ticks
        self.scales["loss"].append(Decades(ax, "x"))
        self.scales["trace"].append(Decades(ax, "y"))
        self.all = moving(ax, colour=GREY, dash="", marker="o", ms=2.5, alpha=0.5)
        self.some = moving(ax, colour=RED, dash="", marker="o", ms=5, mfc="white", mew=1.3)
        beside: dict[str, Any] = {"transform": ax.transAxes, "fontsize": sheet.SMALL, "va": "center", "clip_on": False}
        ax.text(1.03, 0.72, text("07.label.all"), color=GREY, **beside)
        ax.text(1.03, 0.24, text("07.label.some"), color=sheet.INK[RED], **beside)

    def scale(self, task: str) -> None:
        """Give the axes of loss and tr H the powers of ten that the task takes."""
        children = family(task)
        for name, curve in (("loss", children.data_loss), ("trace", children.trace)):
            for scale in self.scales[name]:
                scale.fit(curve)

    def along(self, curves: Mapping[str, Mean], positions: Tensor) -> None:
        """Draw loss and tr H along the line."""
        for name, band in self.lines.items():
            mean = curves.get(name)
            band.show(positions, None if mean is None else self.scales[name][0].mean(mean))
            band.name.set_visible(False)

    def against(self, loss: Tensor, trace: Tensor, place: int | None) -> None:
        """Draw tr H against the loss: all points of all k, and those of one, (K, N) each."""
        x, y = self.scales["loss"][1].place(loss), self.scales["trace"][1].place(trace)
        self.all.set_data(x.flatten().numpy(), y.flatten().numpy())
        shown = slice(0, 0) if place is None else slice(place, place + 1)
        self.some.set_data(x[shown].flatten().numpy(), y[shown].flatten().numpy())

    def heights(self, means: Mapping[str, Mean | None], scale: str, k: int) -> None:
        """Draw both barriers against k, on one scale."""
        steps = torch.tensor(STEPS, dtype=torch.float64)
        self.title.set_text(option_text(scale, "07.panel.share", "07.panel.ends", "07.panel.raw"))
        level = LEVELS.get(scale)
        self.level.set_data(([], []) if level is None else ([0, LAST], [level, level]))
        self.here.set_data([k, k], HEIGHTS)
        for name, band in self.bands.items():
            mean = means[name]
            if mean is not None:  # a barrier of 0 has no place on this axis
                mean = Mean(mean.value.clamp(min=SMALLEST), mean.error)
            band.show(steps, mean, option_text(name, "07.label.loss", "07.label.trace"))
            if mean is not None:
                raised(band, steps, mean)
            self.fresh[name].set_data([], [])

    def predicted(self, power: float | None, loss: Tensor, trace: Tensor | None) -> None:
        """Draw a bet: the curvature barrier goes as this power of the share of the loss barrier, (K,) each."""
        if power is None or trace is None:
            self.ghost.show(loss, None)
            return
        share = (loss / loss[0]).clamp(min=0)
        self.ghost.show(torch.tensor(STEPS, dtype=torch.float64), exact(trace[0] * share**power))

    def part(self) -> None:
        """Put labels at the right edge, where their lines end or leave the panel, none on another."""
        low, high = (math.log10(height) for height in HEIGHTS)
        ends = {}
        for band in (*self.bands.values(), self.ghost):
            if band.name.get_visible():
                y = torch.as_tensor(band.line.get_ydata())
                ends[band] = min(high, max(low, math.log10(max(float(y[-1]), 1e-12))))
        placed, gap = low - 1.0, 0.13 * (high - low)
        for band, end in sorted(ends.items(), key=lambda item: item[1]):
            placed = max(end, placed + gap)
            band.name.set_position((BESIDE, 10**placed))


def barriers(seed: int) -> Explorer:
    """Tell which barrier goes first, and on which scale."""
    picture = Barriers()

    def render(*, parted: int, task: str, divided: str, trunks: str, ghost: float | None = None) -> tuple[Figure, str]:
        scene(parted, task, divided, trunks, ghost)
        return picture.figure, sentence(parted, task, divided, trunks)

    def scene(parted: int, task: str, divided: str, trunks: str, ghost: float | None) -> None:
        picture.scale(task)
        children, place = family(task), STEPS.index(parted)
        curves = {"loss": children.data_loss[:, :, 0].double(), "trace": children.trace[:, :, 0].double()}
        picture.along({name: chosen(curve[:, place], trunks) for name, curve in curves.items()}, children.positions)
        first = slice(None) if trunks == "all" else slice(0, 1)
        loss, trace = (curve[first].transpose(0, 1).flatten(1) for curve in curves.values())
        picture.against(loss, trace, place)
        heights = {name: _chosen(barrier(task, name, divided), trunks) for name in COLOURS}
        picture.heights(heights, divided, parted)
        shown = heights["trace"]
        assert heights["loss"] is not None
        picture.predicted(ghost, heights["loss"].value, None if shown is None else shown.value)
        picture.part()

    def show(result: Live, *, parted: int, task: str, divided: str, trunks: str) -> tuple[Figure, str]:
        scene(parted, task, divided, "all", None)
        known = {"setting": option_text(task, *TASK_KEYS, wrong=100 * kept()[f"{task}/wrong"]), "parted": parted}
        known |= {"step": result.step, "steps": family(task).steps, "seed": seed}
        if len(result.trace) == 0:
            picture.along({}, family(task).positions)
            picture.some.set_data([], [])
            return picture.figure, text("07.live.early", **known)
        curves = {"loss": result.data_loss.double(), "trace": result.trace.double()}
        picture.along({name: exact(curve) for name, curve in curves.items()}, family(task).positions)
        picture.some.set_data(
            picture.scales["loss"][1].place(curves["loss"]).numpy(),
            picture.scales["trace"][1].place(curves["trace"]).numpy(),
        )
        high = {name: _above(curve) for name, curve in curves.items()}
        for name, mark in picture.fresh.items():
            height = _scaled(task, name, divided, high[name], curves[name])
            mark.set_data(([], []) if height is None else ([parted], [height]))
        return picture.figure, text("07.live.sentence", loss=number(high["loss"]), trace=number(high["trace"]), **known)

    return Explorer(
        render,
        [
            slider("parted", STEPS, 480),
            switch("task", TASKS),
            switch("divided", SCALES),
            switch("trunks", ("all", "one")),
        ],
        title=text("07.barriers.title"),
        code=code,
        work=Work(
            stream=lambda parted, task, **turned: live(seed, task, parted),
            show=show,
            frame=show,
            units=lambda task, **turned: family(task).steps,
        ),
    )


CURVES = {"loss": "data_loss", "trace": "trace"}
CALLS = {
    "share": "family.relative_to_first(family.{0}_barrier)",
    "ends": "family.relative_to_end(family.{1})",
    "raw": "family.{0}_barrier",
}


def code(*, parted: int, task: str, divided: str, trunks: str) -> str:
    """Return lines that read the recorded barriers, mean over trunks, with the call that makes them anew."""
    rows = {"all": "mean(0)", "one": "[0]"}[trunks]
    lines = [opening(task), f"place = family.at.tolist().index({parted})"]
    for name, curve in CURVES.items():
        if barrier(task, name, divided) is not None:
            call = CALLS[divided].format(name, curve)
            lines.append(f"{name} = {call}{'.' if trunks == 'all' else ''}{rows}[place]")
    return "\n".join(lines)


def _chosen(values: Tensor | None, trunks: str) -> Mean | None:
    return None if values is None else chosen(values, trunks)


def _above(curve: Tensor) -> float:
    return float(curve.max() - curve[[0, -1]].max())


def _scaled(task: str, quantity: str, scale: str, height: float, curve: Tensor) -> float | None:
    """Return a live barrier on the scale of the recorded ones."""
    if scale == "raw":
        return height
    if scale == "ends":
        return height / float(curve[[0, -1]].max())
    first = float(barrier(task, quantity, "raw")[:, 0].mean())  # type: ignore[index]
    return None if first <= 0 else height / first


def sentence(parted: int, task: str, divided: str, trunks: str) -> str:
    """Say how high both barriers are at this k, and where each has fallen."""
    place = STEPS.index(parted)
    words = text("07.barriers.begin", setting=setting_of(task, trunks), parted=parted, steps=family(task).steps)
    for name in COLOURS:
        values = _chosen(barrier(task, name, divided), trunks)
        if values is None:
            words += " " + text("07.barriers.none")
            continue
        unit = 100.0 if divided == "share" else 1.0
        words += " " + option_text(f"{divided}.{name}", *BARRIERS_KEYS, value=with_error(values * unit, place))
    return words + (" " + _verdict(task, divided) if trunks == "all" and divided in LEVELS else "")


def _verdict(task: str, scale: str) -> str:
    """Say from which k on each barrier stays below the level of the scale."""
    loss, trace = (fallen(task, name, scale) for name in COLOURS)
    if loss is None or trace is None or not bool((loss.value + trace.value).isfinite()):
        return option_text(f"{scale}.open", "07.barriers.share.open", "07.barriers.ends.open")
    return option_text(
        f"{scale}.verdict",
        "07.barriers.share.verdict",
        "07.barriers.ends.verdict",
        loss=with_error(loss),
        trace=with_error(trace),
    )
