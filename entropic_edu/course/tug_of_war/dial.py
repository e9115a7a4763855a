"""Round 1: turn the batch size until the crowd turns round."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from matplotlib.figure import Figure

from entropic_edu.course import floor
from entropic_edu.course.crowd import SWITCH
from entropic_edu.course.floor import along, over_crowds
from entropic_edu.figures.plots import BLACK, BLUE, DASHES, PURPLE, RED, labelled
from entropic_edu.physics.mean import Mean
from entropic_edu.physics.release import Release
from entropic_edu.teaching import sheet
from entropic_edu.teaching.explorer import Explorer, Work, slider, switch
from entropic_edu.teaching.sheet import GREY, moving
from entropic_edu.teaching.strings import option_text, text

from .common import ACROSS, ALONG, SLOPE, TURNED, batch_of, boxed_label, setting_of, show_drift
from .threshold import (
    EACH,
    HEATS,
    RATES,
    REPEATS,
    SWEPT,
    TIME,
    Sweep,
    crossing,
    displacement,
    expected,
    sweep,
    threshold,
    tilted,
)

# --- round 1: break-even ---------------------------------------------------------------------------------------------

SHOWN = 96  # walkers on a plan
BATCHES = (8, 16, 32, 64, 128, 256, None)
COLDEST = 3.5e-5  # where the axis of η/B shows 0


class Dial:
    """Plan and triptych of the tilted valley; below the plan the displacement against η/B."""

    def __init__(self) -> None:
        self.scene = floor.Stage(tilted(RATES[0]).land, along=ALONG, across=ACROSS, drift=4.0, loss=(-0.04, 0.05))
        for rate in RATES:  # now, so that no turn of a control waits for it
            expected(rate, "on"), expected(rate, "late")
        self.ax = ax = self.scene.panel
        labelled(ax, text("03.axis.heat"), "", text("03.panel.moved")).title.set_fontsize(11)
        ax.set(xscale="log", xlim=(2e-5, 6e-3), ylim=(-0.15, 0.4))
        ax.set_xticks([COLDEST, 1e-4, 1e-3], ["0", "0.0001", "0.001"])
        ax.minorticks_off()
        ax.axhline(0, color=GREY, lw=1)
        self.theory = moving(ax, colour=PURPLE, dash=DASHES[2])
        self.edge = moving(ax, colour=BLACK, dash=":", width=1.5)
        self.ghost = moving(ax, colour=GREY, dash=(0, (3, 2)), width=4, alpha=0.8)
        self.points = sheet.Points(ax)
        self.twin = moving(ax, colour=RED, dash="", marker="o", ms=8, mfc="none", mew=1.5)
        beside = {"transform": ax.get_yaxis_transform(), "clip_on": False}
        self.names = {
            "theory": boxed_label(ax, text("say.theory"), BLACK, **beside),
            "run": boxed_label(ax, text("03.label.run"), BLUE, ha="center"),
            "sweep": boxed_label(ax, text("03.label.sweep"), BLUE, ha="right"),
            "edge": boxed_label(ax, text("03.dial.edge"), BLACK, ha="right"),
            "ghost": boxed_label(ax, text("say.prediction"), GREY, ha="center"),
            "twin": boxed_label(ax, text("say.pinned"), RED, ha="center"),
        }

    def threshold(self, learning_rate: float, noise: str) -> None:
        """Draw what theory says at this η."""
        curve, edge = expected(learning_rate, noise), threshold(learning_rate)
        self.theory.set_data(HEATS.numpy(), curve.numpy())
        seen = HEATS[curve < 0.39][-1], curve[curve < 0.39][-1]
        self.names["theory"].set_position((1.015, float(seen[1])))
        self.edge.set_data([edge, edge], [-0.15, 0.36])
        self.names["edge"].set_position((0.9 * edge, 0.3))

    def predicted(self, ghost: float | None, learning_rate: float) -> None:
        """Draw a bet: the batch size at which the crowd turns round, or infinity for never."""
        shown = ghost is not None
        self.ghost.set_visible(shown)
        self.names["ghost"].set_visible(shown)
        if ghost is None:
            return
        low, high = self.ax.get_xlim()
        if math.isinf(ghost):
            self.ghost.set_data([low, high], [-SLOPE * TIME] * 2)
            self.names["ghost"].set_position((1e-3, -SLOPE * TIME - 0.025))
        else:
            at = min(max(learning_rate / ghost, low), high)
            self.ghost.set_data([at, at], [-0.15, 0.11])
            self.names["ghost"].set_position((min(at, 2.5e-3), 0.145))

    def show(
        self, release: Release, moved: Mean, turned: Mapping[str, Any], twin: tuple[Release, Mean, float] | None
    ) -> None:
        """Draw a release and its pinned twin."""
        batch_size, learning_rate = batch_of(turned["batch_size"], turned["noise"]), turned["learning_rate"]
        self.scene.plan.show(floor.last(release)[:SHOWN], None if twin is None else floor.last(twin[0])[:SHOWN])
        self.threshold(learning_rate, turned["noise"])
        at = heat(turned)
        self.points.show(torch.tensor([at]), Mean(moved.value[None], moved.error.nan_to_num()[None]))
        height = min(0.33, float(moved.value))
        self.names["run"].set_position((at, height + 0.075))
        self.names["run"].set_visible(True)
        self.names["sweep"].set_visible(False)
        self.twin.set_data(([], []) if twin is None else ([twin[2]], [float(twin[1].value)]))
        self.names["twin"].set_visible(twin is not None)
        if twin is not None:
            self.names["twin"].set_position((twin[2], max(-0.08, min(0.33, float(twin[1].value))) - 0.085))
        show_drift(self.scene.triptych, release, turned["noise"], batch_size, learning_rate, 0.4)

    def sweep(self, points: Sweep, learning_rate: float) -> None:
        """Draw the points of a sweep and theory, and no single run."""
        self.scene.plan.show(torch.empty(0, 2))
        self.scene.triptych.show(None)
        self.predicted(None, learning_rate)
        self.threshold(learning_rate, "on")
        self.points.show(points.ratio, points.mean)
        self.twin.set_data([], [])
        for name in ("run", "twin"):
            self.names[name].set_visible(False)
        self.names["sweep"].set_visible(len(points.ratio) > 0)
        for at, height in zip(points.ratio[-1:], points.mean.value[-1:], strict=True):
            self.names["sweep"].set_position((0.9 * float(at), float(height) + 0.03))


def heat(turned: Mapping[str, Any]) -> float:
    """Return η/B as the axis shows it."""
    batch_size = batch_of(turned["batch_size"], turned["noise"])
    return COLDEST if batch_size is None else turned["learning_rate"] / batch_size


def dial(seed: int) -> Explorer:
    """Turn the batch size until the crowd turns round."""
    picture = Dial()

    def run(turned: Mapping[str, Any]) -> tuple[Release, Mean]:
        release = tilted(turned["learning_rate"]).run(seed, **{name: turned[name] for name in TURNED})
        y = along(release)[-1]
        one = y[: EACH // floor.CROWDS]
        alone = Mean(one.mean(), torch.tensor(math.nan, dtype=torch.float64))
        return release, {"eight": over_crowds(y), "one": alone}[turned["crowd"]]

    def render(
        *, pinned: dict[str, Any] | None = None, ghost: float | None = None, **turned: Any
    ) -> tuple[Figure, str]:
        release, moved = run(turned)
        twin = None if pinned is None else (*run(pinned), heat(pinned))
        picture.predicted(ghost, turned["learning_rate"])
        picture.show(release, moved, turned, twin)
        batch_size = batch_of(turned["batch_size"], turned["noise"])
        ratio = 0.0 if batch_size is None else turned["learning_rate"] / batch_size
        words = option_text(
            turned["crowd"],
            "03.dial.eight",
            "03.dial.one",
            setting=setting_of(turned),
            steps=int(release.step[-1]),
            moved=float(moved.value),
            error=float(moved.error),
            law=displacement(turned["learning_rate"], ratio, turned["noise"]),
            heat=ratio,
            edge=threshold(turned["learning_rate"]),
        )
        if twin is not None and pinned is not None:
            setting = setting_of(pinned)
            words += " " + text("03.dial.twin", setting=setting, moved=float(twin[1].value))
        return picture.scene.figure, words

    return Explorer(
        render,
        [
            slider("batch_size", BATCHES, 64),
            slider("learning_rate", RATES, 0.02),
            switch("noise", SWITCH),
            switch("crowd", ("eight", "one")),
        ],
        title=text("03.dial.title"),
        code=lambda crowd, **turned: tilted(turned["learning_rate"]).code(seed, **turned),
        work=Work(
            stream=lambda learning_rate, **turned: sweep(seed, learning_rate),
            show=partial(swept, picture),
            units=lambda **turned: len(SWEPT) * REPEATS,
        ),
    )


def swept(picture: Dial, points: Sweep, *, learning_rate: float, **turned: Any) -> tuple[Figure, str]:
    """Draw a sweep over batch sizes, and say where the crowd turned round."""
    picture.sweep(points, learning_rate)
    between = points.threshold
    law = crossing(HEATS, expected(learning_rate, "on"))
    return picture.scene.figure, text(
        "03.dial.sweep" if bool(between.value.isfinite()) else "03.dial.short",
        count=len(points.ratio),
        learning_rate=learning_rate,
        walkers=EACH // floor.CROWDS,
        found=1000 * float(between.value),
        error=1000 * float(between.error),
        law=1000 * law,
        edge=1000 * threshold(learning_rate),
        batch_size=learning_rate / law,
    )
