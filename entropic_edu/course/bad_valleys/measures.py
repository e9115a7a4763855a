"""Round 2: how flat is it? Four measures of both ends, through training, and with the good network rescaled."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.text import Text
from torch import Tensor

from entropic_edu import recorded
from entropic_edu.figures.plots import BLUE, DASHES, RED, labelled
from entropic_edu.physics.mean import Mean
from entropic_edu.recorded.bad_minima import COLUMNS
from entropic_edu.teaching import sheet
from entropic_edu.teaching.explorer import Explorer, slider, switch
from entropic_edu.teaching.sheet import GREY, Points, moving
from entropic_edu.teaching.strings import option_text, text

from .common import FROM, boxed_label, column, kept, over

MEASURES = ("trace", "top", "norm", "adaptive")
OBJECTIVES = ("cross_entropy", "mse")
ALPHAS = (0.25, 0.5, 1.0, 2.0, 4.0)


class Tracks(NamedTuple):
    """Training loss and a measure at each stage of training, (stages, R) each, of both ends."""

    good_loss: Tensor
    good: Tensor
    bad_loss: Tensor
    bad: Tensor


def tracks(objective: str, measure: str, alpha: float = 1.0) -> Tracks:
    """Return both ends through training; the good one is rescaled by α, which leaves its function alone."""
    values = kept(f"{objective}/rescaled")
    good, bad = values[ALPHAS.index(alpha), 0], values[ALPHAS.index(1.0), 1]
    return Tracks(column(good, "loss"), column(good, measure), column(bad, "loss"), column(bad, measure))


def times(runs: Tracks, stage: int) -> Mean:
    """Return how many times the good one's measure the bad one's is at a stage: mean over the pairs and its error."""
    return over(runs.bad[stage] / runs.good[stage])


def times_at_equal_loss(runs: Tracks) -> tuple[float, Mean] | None:
    """Return the same where both have one training loss, on straight lines in logarithms; and the loss.

    The loss is the middle, in logarithms, of those that all runs of both kinds come by. None where there is none.
    """
    low = max(float(losses.min(0).values.max()) for losses in (runs.good_loss, runs.bad_loss))
    high = min(float(losses.max(0).values.min()) for losses in (runs.good_loss, runs.bad_loss))
    if low > high:
        return None
    loss = math.sqrt(low * high)
    each = [
        _at(runs.bad_loss[:, run], runs.bad[:, run], loss) / _at(runs.good_loss[:, run], runs.good[:, run], loss)
        for run in range(runs.good.shape[1])
    ]
    return loss, over(torch.tensor(each, dtype=torch.float64))


def _at(losses: Tensor, values: Tensor, loss: float) -> float:
    order = losses.argsort()
    return math.exp(np.interp(math.log(loss), losses[order].log().numpy(), values[order].log().numpy()))


class Measures:
    """A measure against the training loss, both ends, from the first stage of training (right) to the last (left)."""

    def __init__(self) -> None:
        self.figure = sheet.figure()
        self.ax = ax = self.figure.add_axes((0.1, 0.13, 0.76, 0.78))
        labelled(ax, text("08.axis.loss"), "", "").set(xscale="log", yscale="log", xlim=(5e-7, 2e-2), ylim=(1e-3, 5e2))
        self.title = ax.text(0, 1.04, "", transform=ax.transAxes, fontsize=12, animated=True)
        self.lines = {"good": moving(ax, colour=BLUE), "bad": moving(ax, colour=RED, dash=DASHES[1])}
        self.points = {"good": Points(ax, colour=BLUE), "bad": Points(ax, colour=RED, marker="s")}
        self.runs = {
            "good": moving(ax, colour=BLUE, dash="", marker=".", ms=3),
            "bad": moving(ax, colour=RED, dash="", marker=".", ms=3),
        }
        self.names = {
            "good": boxed_label(ax, text("08.label.good"), BLUE),
            "bad": boxed_label(ax, text("08.label.bad"), sheet.INK[RED]),
        }
        self.same = moving(ax, colour=BLUE, dash=":", width=1.5)
        self.equal = moving(ax, colour=GREY, dash=DASHES[3], width=1.5)
        self.equal_name = boxed_label(ax, text("08.label.equal"), GREY, ha="center")
        self.ghost = moving(ax, colour=GREY, dash="", marker="s", ms=11, mfc="none", mew=2.5)
        self.bet = boxed_label(ax, text("say.prediction"), GREY)

    def show(self, objective: str, measure: str, alpha: float) -> None:
        """Draw both ends of all pairs through training: each run a dot, the mean of five a symbol on a line."""
        runs, plain = tracks(objective, measure, alpha), tracks(objective, measure)
        self.title.set_text(
            option_text(measure, "08.measure.trace", "08.measure.top", "08.measure.norm", "08.measure.adaptive")
        )
        self.same.set_data(*_means(plain.good_loss, plain.good) if alpha != 1 else ([], []))
        for name, losses, values in (("good", runs.good_loss, runs.good), ("bad", runs.bad_loss, runs.bad)):
            x, y = _means(losses, values)
            self.lines[name].set_data(x, y)
            self.points[name].show(torch.as_tensor(x), over(values.T))
            self.runs[name].set_data(losses.flatten().numpy(), values.flatten().numpy())
            right = float(losses.max())
            self.names[name].set_position((1.25 * right, float(y[0])))
        apart_log(list(self.names.values()), 1.6)
        equal = times_at_equal_loss(runs)
        for artist in (self.equal, self.equal_name):
            artist.set_visible(equal is not None)
        if equal is not None:
            self.equal.set_data([equal[0]] * 2, [1e-3, 200])
            self.equal_name.set_position((equal[0], 300))

    def predicted(self, ghost: float | None, objective: str, measure: str) -> None:
        """Draw a bet: how many times the good one's measure the bad one's is at the joined stage."""
        for artist in (self.ghost, self.bet):
            artist.set_visible(ghost is not None)
        if ghost is not None:
            runs, at = tracks(objective, measure), joined(objective)
            x, y = float(runs.bad_loss[at].mean()), ghost * float(runs.good[at].mean())
            self.ghost.set_data([x], [y])
            self.bet.set_position((x * 0.8, y / 1.9))


def joined(objective: str) -> int:
    """Return the stage of training whose ends the roads of round 1 join."""
    stages: Mapping[str, int] = recorded.load("bad_minima").recipe["stage"]
    return stages[objective]


def apart_log(labels: list[Text], factor: float) -> None:
    """Move the higher of two labels up until it stands at this many times the height of the lower."""
    low, high = sorted(labels, key=lambda one: one.get_position()[1])
    if abs(math.log(high.get_position()[0] / low.get_position()[0])) < 1.5:
        high.set_y(max(high.get_position()[1], factor * low.get_position()[1]))


def _means(losses: Tensor, values: Tensor) -> tuple[Any, Any]:
    return losses.mean(1).numpy(), values.mean(1).numpy()


def measures(seed: int) -> Explorer:
    """Which end is flatter? It depends on the measure, on the loss it was taken at, and on a rescaling."""
    picture = Measures()

    def render(
        *, bad_measure: str, bad_objective: str, bad_alpha: float, ghost: float | None = None
    ) -> tuple[Figure, str]:
        picture.show(bad_objective, bad_measure, bad_alpha)
        picture.predicted(ghost, bad_objective, bad_measure)
        runs, at = tracks(bad_objective, bad_measure, bad_alpha), joined(bad_objective)
        good, bad, ratio, equal = (
            over(runs.good[at]),
            over(runs.bad[at]),
            times(runs, at),
            times_at_equal_loss(runs),
        )
        words = text(
            "08.measures.sentence",
            objective=option_text(bad_objective, "08.objective.cross_entropy", "08.objective.mse"),
            measure=option_text(
                bad_measure, "08.measured.trace", "08.measured.top", "08.measured.norm", "08.measured.adaptive"
            ),
            scaled=text("08.measures.plain" if bad_alpha == 1 else "08.measures.scaled", alpha=bad_alpha),
            good=float(good.value),
            good_error=float(good.error),
            bad=float(bad.value),
            bad_error=float(bad.error),
            good_loss=float(runs.good_loss[at].mean()),
            bad_loss=float(runs.bad_loss[at].mean()),
            ratio=float(ratio.value),
            error=float(ratio.error),
        )
        if equal is None:
            return picture.figure, words + " " + text("08.measures.never")
        return picture.figure, words + " " + text(
            "08.measures.equal", loss=equal[0], ratio=float(equal[1].value), error=float(equal[1].error)
        )

    def code(*, bad_measure: str, bad_objective: str, bad_alpha: float) -> str:
        row = COLUMNS.index(bad_measure)
        return (
            FROM
            + f'values = kept["{bad_objective}/rescaled"]  # alphas, (good, bad), stages of training, runs, measures\n'
            f"good, bad = values[{ALPHAS.index(bad_alpha)}, 0, ..., {row}], values[{ALPHAS.index(1.0)}, 1, ..., {row}]"
        )

    return Explorer(
        render,
        [
            switch("bad_measure", MEASURES),
            switch("bad_objective", OBJECTIVES),
            slider("bad_alpha", ALPHAS, 1.0),
        ],
        title=text("08.measures.title"),
        code=code,
    )
