"""Round 2: the spread at all settings against η/B, on one line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import torch
from matplotlib.figure import Figure
from matplotlib.text import Text
from torch import Tensor

from entropic_edu.figures.plots import BLACK, PURPLE, RED, labelled
from entropic_edu.physics.mean import Mean
from entropic_edu.physics.release import Release
from entropic_edu.physics.results import Result
from entropic_edu.physics.snapshot import Snapshot, Stream
from entropic_edu.teaching import sheet
from entropic_edu.teaching.explorer import Explorer, Work, slider, switch
from entropic_edu.teaching.sheet import GREY, INK, moving
from entropic_edu.teaching.strings import text

from .common import (
    STEPS,
    Cloud,
    compared,
    exact_at,
    how_many,
    late,
    let_go,
    rounded,
    run_of,
    sentence,
    shown,
    spread,
    trough,
)

GRID_BATCHES, GRID_RATES, GRID_CURVATURES = (1, 2, 4, 8, 16, 32, 64), (0.05, 0.1, 0.2, 0.4), (0.5, 1.0, 2.0)
MEASURED_BATCHES = (1, 4, 16, 64)  # of the whole grid, so that the button answers in a few seconds
DOUBLED = {"wider": 2.0, "narrower": 0.5}  # what a misconception expects of the variance when η and B double


@dataclass(frozen=True, eq=False)
class Grid(Result):
    """The mean of x² at many settings.

    Attributes:
        batch_size: B, (n,).
        learning_rate: η, (n,).
        curvature: h, (n,).
        variance: Mean of x² over walkers and late steps, (n,).
        error: Standard error over eight crowds, (n,).
    """

    batch_size: Tensor
    learning_rate: Tensor
    curvature: Tensor
    variance: Tensor
    error: Tensor

    @property
    def ratio(self) -> Tensor:
        """η/B, (n,)."""
        return self.learning_rate / self.batch_size

    @property
    def exact(self) -> Tensor:
        """The exact law ηs²/(Bh(2 - ηh)) with s = 1, (n,)."""
        return self.ratio / (self.curvature * (2 - self.learning_rate * self.curvature))


def measure(seed: int, settings: Sequence[tuple[int, float, float]]) -> Stream[Grid]:
    """Yield what was measured so far, one setting (B, η, h) after the other, each with draws of its own."""
    rows: list[list[float]] = []

    def snapshot(note: str) -> Snapshot[Grid]:
        points = torch.tensor(rows, dtype=torch.float64).reshape(-1, 5)
        done = len(points)
        return Snapshot(done, len(settings), note, lambda: Grid(*points.unbind(1), complete=done == len(settings)))

    yield snapshot("")
    for number, (batch_size, learning_rate, curvature) in enumerate(settings):
        release = trough(curvature).run(seed + number, batch_size=batch_size, learning_rate=learning_rate)
        variance = spread(late(release))
        rows.append([batch_size, learning_rate, curvature, float(variance.value), float(variance.error)])
        yield snapshot(
            text("01.collapse.note", batch_size=batch_size, learning_rate=learning_rate, curvature=curvature)
        )


class Collapse:
    """h·⟨x²⟩ against η/B at the left, the cloud of the present settings at the right."""

    def __init__(self) -> None:
        self.figure = sheet.figure()
        self.ax = ax = self.figure.add_axes((0.105, 0.125, 0.5, 0.8))
        ax.set(xscale="log", yscale="log", xlim=(5e-4, 0.8), ylim=(1.5e-4, 0.8))
        labelled(ax, text("01.axis.ratio"), text("01.axis.product"), text("01.panel.collapse"))
        ratio = torch.tensor([5e-4, 0.8])
        ax.plot(ratio, ratio / 2, color=PURPLE, lw=2, ls="--", zorder=1)
        ax.text(0.0045, 0.0011, text("01.label.line"), color=INK.get(PURPLE, PURPLE), fontsize=sheet.SMALL, ha="left")
        self.guess = moving(ax, colour=GREY, dash="", marker="s", ms=13, mfc="none", mew=3)
        self.guessed = sheet.end_label(ax, text("01.label.ghost"), GREY)
        self.grid = [moving(ax, colour=BLACK, dash="", marker=marker, ms=5, mfc="none") for marker in "ovs"]
        self.grid_names = [sheet.end_label(ax, text("01.label.curvature", h=h), BLACK) for h in GRID_CURVATURES]
        self.error = moving(ax, width=2)
        self.twin = moving(ax, colour=RED, dash="", marker="o", ms=15, mfc="none", mew=2)
        self.twin_name = sheet.end_label(ax, text("01.label.twin"), RED)
        self.point = moving(ax, dash="", marker="o", ms=8)
        self.cloud = Cloud(self.figure.add_axes((0.735, 0.125, 0.245, 0.8)), 0.8)

    def show(
        self, ratio: float, product: Mean, twin: tuple[float, float] | None, ghost: tuple[float, float] | None
    ) -> None:
        """Draw the present point, the pinned one and the predicted one, each as (η/B, h·⟨x²⟩)."""
        value, error = float(product.value), float(product.error.nan_to_num(0.0))
        self.point.set_data([ratio], [value])
        self.error.set_data([ratio, ratio], [max(value - error, 1e-6), value + error])
        self._mark(self.twin, self.twin_name, twin)
        self._mark(self.guess, self.guessed, ghost)
        self.show_grid(None)

    def _mark(self, mark: Any, name: Text, at: tuple[float, float] | None) -> None:
        mark.set_visible(at is not None)
        name.set_visible(at is not None)
        if at is not None:
            mark.set_data([at[0]], [at[1]])
            above = at[1] > 0.8 * at[0]  # the label goes to the side where the line is not
            name.set(ha="right" if above else "left")
            name.set_position((at[0] * (0.72 if above else 1.4), at[1] * (1 if above else 0.85)))

    def show_grid(self, grid: Grid | None) -> None:
        """Draw all measured settings, each curvature with a mark of its own; None takes them off."""
        marks = zip(self.grid, self.grid_names, GRID_CURVATURES, (0.5, 0.36, 0.26), strict=True)
        for mark, name, curvature, height in marks:
            mark.set_visible(grid is not None)
            name.set_visible(grid is not None)
            name.set_position((0.0011, height))
            if grid is not None:
                mine = grid.curvature == curvature
                product = (curvature * grid.variance)[mine]
                key = torch.tensor([0.0008], dtype=torch.float64), torch.tensor([height], dtype=torch.float64)
                mark.set_data(torch.cat([grid.ratio[mine], key[0]]).numpy(), torch.cat([product, key[1]]).numpy())


def collapse(seed: int) -> Explorer:
    """All settings on one line: only η/B counts, as a temperature."""
    picture = Collapse()
    start: dict[str, Any] = {"batch_size": 8, "learning_rate": 0.1, "bowl_curvature": 1.0}

    def point(release: Release, **turned: Any) -> tuple[float, Mean]:
        product = spread(shown(late(release), turned["crowd"])) * turned["bowl_curvature"]
        return turned["learning_rate"] / turned["batch_size"], product

    def render(*, pinned: dict[str, Any] | None = None, ghost: str | None = None, **turned: Any) -> tuple[Figure, str]:
        release, variance = let_go(seed, **run_of(turned)), exact_at(**turned)
        twin = None if pinned is None else let_go(seed, **run_of(pinned))
        beside = None if twin is None else point(twin, **(pinned or {}) | {"crowd": "eight"})
        guess = DOUBLED.get(ghost or "")
        expected = None if guess is None else (start["learning_rate"] / start["batch_size"], guess * exact_at(**start))
        picture.show(
            *point(release, **turned), None if beside is None else (beside[0], float(beside[1].value)), expected
        )
        picture.cloud.show(shown(late(release), turned["crowd"]), variance, None if twin is None else late(twin))
        words = sentence("01.collapse.point", late(release), release, variance, **turned)
        if expected is not None:
            words = f"{words} {text('01.collapse.guess', guess=rounded(expected[1]))}"
        return (
            picture.figure,
            words if beside is None else f"{words} {compared('01.collapse.pinned', beside[1], pinned or {})}",
        )

    settings = list(product(MEASURED_BATCHES, GRID_RATES, GRID_CURVATURES))

    def show(grid: Grid, **turned: Any) -> tuple[Figure, str]:
        render(**turned)
        picture.show_grid(grid)
        off = (grid.variance / grid.exact - 1).abs()
        return picture.figure, text(
            "01.collapse.grid" if len(off) else "01.collapse.nothing",
            settings=len(off),
            walkers=how_many(256),
            steps=STEPS,
            off=100 * float(off.mean()) if len(off) else 0.0,
            near=int((off * grid.exact < 2 * grid.error).sum()),
            above=100 * float((grid.variance * grid.curvature / grid.ratio * 2).max() - 1) if len(off) else 0.0,
        )

    return Explorer(
        render,
        [
            slider("batch_size", GRID_BATCHES, start["batch_size"]),
            slider("learning_rate", GRID_RATES, start["learning_rate"]),
            slider("bowl_curvature", GRID_CURVATURES, start["bowl_curvature"]),
            switch("crowd", ("eight", "one")),
        ],
        title=text("01.collapse.title"),
        code=lambda *, bowl_curvature, crowd, **turned: trough(bowl_curvature).code(seed, **turned),
        work=Work(lambda **turned: measure(seed, settings), show, lambda **turned: len(settings)),
    )
