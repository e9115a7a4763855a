"""Round 2: the same valley in a heat bath and in noise shaped like the curvature."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from entropic_edu.course import floor
from entropic_edu.course.crowd import SWITCH, Crowd
from entropic_edu.course.floor import along
from entropic_edu.figures.plots import BLACK, DASHES, PURPLE, labelled
from entropic_edu.physics.mean import Mean
from entropic_edu.physics.release import Release
from entropic_edu.physics.valleys import Valley
from entropic_edu.teaching import sheet
from entropic_edu.teaching.explorer import Explorer, slider, switch
from entropic_edu.teaching.sheet import GREY, moving
from entropic_edu.teaching.strings import option_text, text

from .common import ACROSS, ALONG, BINS, SLOPE, TURNED, WALLS, batch_of, boxed_label, setting_of, settled, show_drift

SHAPES = ("isotropic", "curvature")
PLACES = {"all": None, "narrow": 0.175, "mouth": 0.67}  # positions of release
NARROW, MOUTH = (-0.98, -0.58), (0.21, 0.61)  # round y = -0.78, where h = 16, and y = 0.41, where h = 1


@cache
def shaped(shape: str, release: str) -> Crowd:
    """Return the crowds of round 2."""
    return Crowd("Tilted", WALLS | {"noise": shape}, start=PLACES[release], steps=400, walkers=512, records=25)


def speed_between(
    release: Release,
    land: Valley,
    noise: str,
    batch_size: int | None,
    learning_rate: float,
    window: tuple[float, float],
) -> tuple[Mean, float]:
    """Return the drift in a stretch of the floor, length per 1,000 steps, and theory's mean at the same walkers."""
    rows = settled(release, noise)
    y = along(release)[rows]
    _, speed = floor.velocity(y, release.step[rows], torch.tensor(window, dtype=torch.float64))
    here = y[:-1][(y[:-1] > window[0]) & (y[:-1] <= window[1])]
    if len(here) == 0:
        return Mean(speed.value[0], speed.error[0]), math.nan
    law = 1000 * learning_rate * floor.force(land, here, batch_size, learning_rate).mean()
    return Mean(1000 * speed.value[0], 1000 * speed.error[0]), float(law)


def spread_across(release: Release, noise: str, edges: Tensor = BINS) -> tuple[Tensor, Mean]:
    """Return ⟨x²⟩ in bins of y, with its error over the crowds."""
    assert release.theta is not None
    late = release.theta[settled(release, noise)].double()
    x, y = late.unbind(-1)
    where = torch.bucketize(y.contiguous(), edges) - 1
    count = len(edges) - 1
    inside = (where >= 0) & (where < count)
    crowd = torch.arange(floor.CROWDS).repeat_interleave(y.shape[1] // floor.CROWDS).expand_as(where)
    cell = (crowd * count + where)[inside]
    total = torch.zeros(floor.CROWDS * count, dtype=torch.float64).index_add_(0, cell, x[inside].square())
    seen = torch.zeros_like(total).index_add_(0, cell, torch.ones(len(cell), dtype=torch.float64))
    each = (total / seen).unflatten(0, (floor.CROWDS, count))
    full = (seen.unflatten(0, (floor.CROWDS, count)) > 0).all(0)  # bins that every crowd has seen
    centres = 0.5 * (edges[1:] + edges[:-1])
    hidden = ~full
    return centres, Mean(
        each.mean(0).masked_fill(hidden, torch.nan), (each.std(0) / floor.CROWDS**0.5).masked_fill(hidden, torch.nan)
    )


class Shape:
    """Plan and triptych of the tilted valley; below the plan the spread ⟨x²⟩ along the floor."""

    def __init__(self) -> None:
        self.scene = floor.Stage(
            shaped("isotropic", "all").land, along=ALONG, across=ACROSS, drift=5.5, loss=(-0.04, 0.05)
        )
        self.ax = ax = self.scene.panel
        labelled(ax, text("axis.along"), "", text("03.panel.spread")).title.set_fontsize(11)
        ax.set(xlim=ALONG, yscale="log", ylim=(1e-4, 1))
        ax.set_yticks([1e-4, 1e-2, 1])
        ax.minorticks_off()
        self.laws = {shape: moving(ax, width=1.5) for shape in SHAPES}
        self.points = sheet.Points(ax)
        self.names = {
            shape: boxed_label(
                ax, option_text(f"{shape}_law", "03.shape.isotropic_law", "03.shape.curvature_law"), BLACK
            )
            for shape in SHAPES
        }
        bottom = self.scene.triptych.axes[2]
        self.ghost = moving(bottom, colour=GREY, dash=(0, (3, 2)), width=4, alpha=0.8)
        self.bet = boxed_label(bottom, text("say.prediction"), GREY)
        self.bet.set_position((-1.5, -3.9))

    def show(self, release: Release, turned: Mapping[str, Any], ghost: int | None, twin: Release | None) -> None:
        """Draw a release, a pinned one, and the push that was predicted for shaped noise."""
        batch_size, learning_rate = batch_of(turned["batch_size"], turned["noise"]), turned["learning_rate"]
        lands = {shape: shaped(shape, "all").land for shape in SHAPES}
        triptych = self.scene.triptych
        triptych.land = lands[turned["noise_shape"]]
        self.scene.plan.show(floor.last(release)[::5], None if twin is None else floor.last(twin)[::5])
        show_drift(triptych, release, turned["noise"], batch_size, learning_rate, 1.2)
        for shape, line in self.laws.items():
            mine = shape == turned["noise_shape"]
            line.set_visible(batch_size is not None)
            self.names[shape].set_visible(batch_size is not None)
            line.set(color=PURPLE if mine else GREY, linestyle=DASHES[2] if mine else DASHES[3])
            self.names[shape].set_color(BLACK if mine else GREY)
            if batch_size is not None:
                variance = lands[shape].stationary_variance(triptych.y, batch_size, learning_rate)
                line.set_data(triptych.y.numpy(), variance.numpy())
                self.names[shape].set_position((ALONG[0] + 0.05, 3.2 * float(variance[0])))
        where, spread = spread_across(release, turned["noise"])
        self.points.show(where, None if batch_size is None else spread)
        self.predicted(ghost, batch_size, learning_rate)

    def predicted(self, ghost: int | None, batch_size: int | None, learning_rate: float) -> None:
        """Draw the bet: the isotropic push times this power of h, and the slope."""
        shown = ghost is not None and batch_size is not None
        self.ghost.set_visible(shown)
        self.bet.set_visible(shown)
        if ghost is None or batch_size is None:
            return
        y, land = self.scene.triptych.y, shaped("isotropic", "all").land
        push = floor.force(land, y, batch_size, learning_rate) + SLOPE
        law = push * land.curvature_across(y) ** ghost - SLOPE
        self.ghost.set_data(y.numpy(), (1000 * learning_rate * law).numpy())


def shape(seed: int) -> Explorer:
    """The same valley in a heat bath and in noise shaped like the curvature."""
    picture = Shape()

    def run(turned: Mapping[str, Any]) -> Release:
        crowd = shaped(turned["noise_shape"], turned["release"])
        return crowd.run(seed, **{name: turned[name] for name in TURNED})

    def render(*, pinned: dict[str, Any] | None = None, ghost: int | None = None, **turned: Any) -> tuple[Figure, str]:
        release, twin = run(turned), None if pinned is None else run(pinned)
        picture.show(release, turned, ghost, twin)
        words = text(
            "03.shape.sentence",
            setting=setting_of(turned, turned["noise_shape"]),
            place=option_text(turned["release"], "03.place.all", "03.place.narrow", "03.place.mouth"),
            steps=int(release.step[-1]),
            narrow=measured(release, turned, NARROW),
            mouth=measured(release, turned, MOUTH),
        )
        if twin is not None and pinned is not None:
            setting = setting_of(pinned, pinned["noise_shape"])
            words += " " + text("03.shape.twin", setting=setting, narrow=measured(twin, pinned, NARROW))
        return picture.scene.figure, words

    def measured(release: Release, turned: Mapping[str, Any], window: tuple[float, float]) -> str:
        batch_size = batch_of(turned["batch_size"], turned["noise"])
        land = shaped(turned["noise_shape"], "all").land
        speed, law = speed_between(release, land, turned["noise"], batch_size, turned["learning_rate"], window)
        _, spread = spread_across(release, turned["noise"], torch.tensor(window, dtype=torch.float64))
        met = bool((speed.error + spread.error[0]).isfinite())
        return text(
            "03.shape.measured" if met else "03.shape.nobody",
            speed=float(speed.value),
            error=float(speed.error),
            law=law,
            spread=float(spread.value[0]),
        )

    def code(*, noise_shape: str, release: str, **turned: Any) -> str:
        return shaped(noise_shape, release).code(seed, **turned)

    return Explorer(
        render,
        [
            switch("noise_shape", SHAPES, "curvature"),
            slider("batch_size", (16, 32, 64, 128, None), 32),
            slider("learning_rate", (0.01, 0.02), 0.02),
            switch("release", tuple(PLACES)),
            switch("noise", SWITCH),
        ],
        title=text("03.shape.title"),
        code=code,
    )
