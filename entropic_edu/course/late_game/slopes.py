"""Round 2: loss and curvature in one unit, and how far both lift the middle of the line above its ends."""

from __future__ import annotations

import math
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from entropic_edu.figures.plots import BLACK, BLUE, DASHES, PURPLE, labelled
from entropic_edu.physics.mean import Mean, exact
from entropic_edu.teaching import sheet
from entropic_edu.teaching.explorer import Explorer, slider, switch
from entropic_edu.teaching.sheet import GREY, Band, Points, moving
from entropic_edu.teaching.strings import text

from .axes import BESIDE, LAST, against_k, logarithmic, raised
from .measures import (
    BATCH,
    MOMENTUM,
    STEPS,
    TASKS,
    family,
    heights,
    opening,
    over_trunks,
    rates,
    ratio,
    rise,
    rises,
    setting_of,
    with_error,
)

BATCHES = (4, 8, 16, 64, None)
LOWEST = 1e-6  # of the logarithmic axis
MOST = 3.0  # of the axes that show shares


class Slopes:
    """Left: both heights along the line, in units of the loss rise. Right: both rises against k, and their ratio."""

    def __init__(self) -> None:
        self.figure = sheet.figure()
        ax = self.figure.add_axes((0.085, 0.125, 0.30, 0.76))
        labelled(ax, text("07.axis.position"), "", text("07.panel.heights")).title.set_fontsize(11)
        ax.set(xlim=(0, 1), ylim=(-0.4, MOST + 0.5))
        ax.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
        ax.axhline(0, color=GREY, lw=1)
        ax.text(0.03, 3.32, text("07.label.solid"), color=BLUE, fontsize=sheet.SMALL, va="center")
        ax.text(0.03, 3.08, text("07.label.dotted"), color=sheet.INK[PURPLE], fontsize=sheet.SMALL, va="center")
        self.lines = {
            "loss": Band(ax, colour=BLUE),
            "entropic": Band(ax, colour=PURPLE, dash=DASHES[2]),
        }
        top = self.figure.add_axes((0.485, 0.58, 0.365, 0.355))
        labelled(top, "", "", text("07.panel.rises")).title.set_fontsize(11)
        logarithmic(top, LOWEST, 3, (1e-6, 1e-4, 1e-2, 1))
        against_k(top)
        top.set_xlabel("")
        self.rises = {
            "loss": Band(top, colour=BLUE, label=text("07.label.loss_rise")),
            "entropic": Band(top, colour=PURPLE, dash=DASHES[2], label=text("07.label.entropic_rise")),
        }
        bottom = self.figure.add_axes((0.485, 0.125, 0.365, 0.30))
        labelled(bottom, "", "", text("07.panel.ratio")).title.set_fontsize(11)
        bottom.set_ylim(0, MOST)
        against_k(bottom)
        bottom.axhline(1, color=BLACK, lw=1.2, ls=":")
        bottom.text(BESIDE, 1, text("07.label.even"), fontsize=sheet.SMALL, va="center")
        self.points = Points(bottom, colour=PURPLE)
        self.ghost = Band(bottom, colour=GREY, dash=(0, (3, 2)), width=4, label=text("say.prediction"))
        self.here = [moving(ax, colour=GREY, dash=":", width=1.2) for ax in (top, bottom)]

    def along(self, loss: Tensor, entropic: Tensor, positions: Tensor) -> None:
        """Draw both heights along the line, (T, P) each, in units of the mean rise of the objective."""
        mean = over_trunks(rise(loss))
        unit = float(mean.value) if float(mean.value) > 3 * float(mean.error) else 0.0
        for name, height in (("loss", loss), ("entropic", entropic)):
            self.lines[name].show(positions, over_trunks(height / unit) if unit > 0 else None)
            self.lines[name].name.set_visible(False)

    def against(self, means: dict[str, Mean], share: Mean, k: int) -> None:
        """Draw both rises and their ratio against k."""
        steps = torch.tensor(STEPS, dtype=torch.float64)
        for name, mean in means.items():
            seen = mean.value > max(LOWEST, 0.0)
            shown = Mean(mean.value[seen], mean.error[seen]) if bool(seen.any()) else None
            self.rises[name].show(steps[seen], shown)
            if shown is not None:
                raised(self.rises[name], steps[seen], shown)
        self.points.show(steps, share)
        for line in self.here:
            line.set_data([k, k], [LOWEST, MOST])
        self._part()

    def _part(self) -> None:
        """Put both names beside the panel, at the height where their lines end, apart from each other."""
        shown = [band for band in self.rises.values() if band.name.get_visible()]
        placed = -math.inf
        for band in sorted(shown, key=lambda band: band.name.get_position()[1]):
            end = math.log10(max(band.name.get_position()[1], LOWEST))
            placed = max(end, placed + 0.95)
            band.name.set_position((BESIDE, 10**placed))

    def predicted(self, ghost: tuple[float, float] | None) -> None:
        """Draw a bet: the ratio at the first and at the last k."""
        ends = torch.tensor([STEPS[0], LAST], dtype=torch.float64)
        self.ghost.show(ends, None if ghost is None else exact(torch.tensor(ghost, dtype=torch.float64)))
        if ghost is not None:
            self.ghost.name.set_x(BESIDE)
            self.ghost.name.set_y(min(2.7, max(0.3, ghost[1])) + 0.35 * (abs(ghost[1] - 1) < 0.3))


def slopes(seed: int) -> Explorer:
    """Compare how far the loss lifts the middle with what SGD's noise makes of the curvature."""
    picture = Slopes()

    def render(
        *, parted: int, task: str, batch_size: int | None, rate_at: str, ghost: tuple[float, float] | None = None
    ) -> tuple[Figure, str]:
        place = STEPS.index(parted)
        rate = rates(task, rate_at)
        loss, entropic = heights(task)
        heat = 0.0 if batch_size is None else float(rate[place]) / batch_size
        picture.along(loss[:, place], entropic[:, place] * heat, family(task).positions)
        means = dict(zip(("loss", "entropic"), map(over_trunks, rises(task, batch_size, rate_at)), strict=True))
        share = ratio(task, batch_size, rate_at)
        picture.against(means, share, parted)
        picture.predicted(ghost)
        return picture.figure, sentence(parted, task, batch_size, rate_at)

    return Explorer(
        render,
        [
            slider("parted", STEPS, 480),
            slider("batch_size", BATCHES, BATCH),
            switch("task", TASKS),
            switch("rate_at", ("start", "now")),
        ],
        title=text("07.slopes.title"),
        code=code,
    )


def sentence(parted: int, task: str, batch_size: int | None, rate_at: str) -> str:
    """Say both rises and their ratio at this k."""
    place = STEPS.index(parted)
    loss, entropic = (over_trunks(values) for values in rises(task, batch_size, rate_at))
    share = ratio(task, batch_size, rate_at)
    known: dict[str, Any] = {
        "loss": with_error(loss, place),
        "entropic": with_error(entropic, place),
        "rate": float(rates(task, rate_at)[place]),
        "momentum": MOMENTUM,
        "batch": text("07.batch.all") if batch_size is None else text("07.batch.some", batch_size=batch_size),
    }
    words = text("07.slopes.begin", setting=setting_of(task), parted=parted, steps=family(task).steps, **known)
    if batch_size is None:
        return words + " " + text("07.slopes.none")
    if not bool(share.value[place].isfinite()):
        return words + " " + text("07.slopes.flat")
    return words + " " + text("07.slopes.ratio", ratio=with_error(share, place))


def code(*, parted: int, task: str, batch_size: int | None, rate_at: str) -> str:
    """Return lines that compute both rises from the recording, (T,) each."""
    place = STEPS.index(parted)
    heat = 0.0 if batch_size is None else float(rates(task, rate_at)[place]) / batch_size
    return (
        f"{opening(task)}\n"
        f"place = family.at.tolist().index({parted})\n"
        "trace = family.trace[:, place, 0].double()\n"
        f'noise = kept["{task}/noise"][:, place, 0].double()\n'
        f"heat = {heat:.6g} / (2 * (1 - {MOMENTUM:g})) * noise / trace  # T along the line\n"
        "steps = 0.5 * 0.5 * (heat[:, 1:] + heat[:, :-1]) * trace.diff()  # (T/2) d tr H\n"
        "middle = steps.shape[1] // 2\n"
        "entropic = 0.5 * (steps[:, :middle].sum(1) - steps[:, middle:].sum(1))\n"
        "height = family.loss[:, place, 0].double()\n"
        "loss = height[:, middle] - 0.5 * (height[:, 0] + height[:, -1])"
    )
