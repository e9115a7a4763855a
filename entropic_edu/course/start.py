"""Lesson 00: a thing that moves, one run against eight, and twins that share every random draw."""

from __future__ import annotations

import math
from statistics import mean, pstdev, stdev
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from entropic_edu.course import floor
from entropic_edu.figures.plots import BLUE, RED, labelled
from entropic_edu.physics.mean import exact
from entropic_edu.physics.release import Release
from entropic_edu.teaching import sheet
from entropic_edu.teaching.explorer import Explorer, Work, slider, switch
from entropic_edu.teaching.sheet import GREY
from entropic_edu.teaching.strings import option_text, text

from . import Chapter, Exercise, Question, stages
from .crowd import Crowd
from .floor import over_crowds

WAIST = {"noise_scale": 3.0, "end_curvature": 20.0}
RUNS = 8
LONG = 20000  # steps of the live run: walkers cross the floor some twenty times


# --- round 1: one run can lie ----------------------------------------------------------------------------------------


def seeds(seed: int) -> Explorer:
    """Eight runs of one walker each, from the same place, with other random numbers."""
    runs = Crowd("Waist", WAIST, walkers=RUNS, records=60)
    settings: dict[str, Any] = {"batch_size": 4, "learning_rate": 0.04}
    scene = _SeedsScene(runs)

    def render(*, run: int, runs_shown: str, ghost: float | None = None) -> tuple[Figure, str]:
        return scene.show(runs.run(seed, **settings), run, runs_shown, ghost)

    def show(release: Release, *, run: int, runs_shown: str) -> tuple[Figure, str]:
        return scene.show(release, run, runs_shown, None)

    work = Work(
        stream=lambda **_: runs.stream(seed, steps=LONG, record_every=100, **settings),
        show=show,
        units=lambda **_: LONG,
    )
    return Explorer(
        render,
        [slider("run", tuple(range(1, RUNS + 1)), 1), switch("runs_shown", ("one", "eight"))],
        title=text("00.seeds.title"),
        code=lambda run, runs_shown: (
            runs.code(seed, **settings) + f"\nrelease.theta[:, {run - 1}, 1]  # y of run {run}"
        ),
        work=work,
    )


class _SeedsScene:
    """The plan, and y of every run over time."""

    def __init__(self, runs: Crowd) -> None:
        self.figure = sheet.figure()
        self.plan = floor.Plan(self.figure.add_axes((0.1, 0.6, 0.73, 0.34)), runs.land, (-1.25, 1.25), (-0.9, 0.9))
        self.plan.ax.set_xlabel(text("axis.along"), fontsize=11)
        track = labelled(self.figure.add_axes((0.1, 0.125, 0.73, 0.31)), text("axis.share"), text("axis.y"))
        track.set(xlim=(0, 1), ylim=(-1.3, 1.3))
        track.axhline(0, color=GREY, lw=1)
        self.ghost = sheet.Band(track, colour=GREY, dash=(0, (3, 2)), width=4)
        self.others = [sheet.moving(track, colour=GREY, width=0.8) for _ in range(RUNS)]
        self.mean = sheet.Band(track, colour=RED, dash="--")
        self.one = sheet.Band(track, colour=BLUE)

    def show(self, release: Release, run: int, runs_shown: str, ghost: float | None) -> tuple[Figure, str]:
        assert release.theta is not None
        y = release.theta[..., 1].double()
        when = release.step / release.step[-1]
        mine = y[:, run - 1]
        together = over_crowds(y)
        views = {"one": ([run - 1], None), "eight": (list(range(RUNS)), together)}
        seen, average = views[runs_shown]
        self.plan.show(release.theta[-1][seen])
        for number, line in enumerate(self.others):
            line.set_data((when, y[:, number]) if number in seen else ([], []))
        self.one.show(when, exact(mine), text("00.seeds.run", run=run))
        self.mean.show(when, average, text("00.seeds.mean"))
        level = None if ghost is None else exact(torch.full((2,), ghost))
        self.ghost.show(when[[0, -1]], level, text("say.prediction"))
        sheet.part(self.one, self.mean, self.ghost)
        words = option_text(
            runs_shown,
            "00.seeds.one",
            "00.seeds.eight",
            steps=int(release.step[-1]),
            run=run,
            y=mine[-1],
            long=mine.mean(),
            mean=together.value[-1],
            error=together.error[-1],
            right=int((y[-1] > 0).sum()),
        )
        return self.figure, words


# --- round 2: fair comparisons ---------------------------------------------------------------------------------------

TROUGH = {"g_wide": 2.0, "g_narrow": 2.0, "noise_scale": 3.0}
BESIDE = 16  # batch size of the run that stays in the picture
TWIN_RATE = 0.04


def twins(seed: int) -> Explorer:
    """One walker in a trough, beside the run at B = 16: with the same random draws, or with new ones."""
    walk = Crowd("Waist", TROUGH, walkers=1, steps=240, records=80)
    fig = sheet.figure(height=400)
    ax = labelled(fig.add_axes((0.1, 0.15, 0.72, 0.74)), text("axis.step"), text("axis.across"), text("00.twins.panel"))
    ax.set(xlim=(0, walk.steps), ylim=(-1.1, 1.1))
    ax.axhline(0, color=GREY, lw=1)
    first, other = sheet.Band(ax, colour=RED, dash="--"), sheet.Band(ax, colour=BLUE)

    def x(batch_size: int | None, own: int) -> tuple[Tensor, Tensor]:
        release = walk.run(own, batch_size=batch_size, learning_rate=TWIN_RATE)
        assert release.theta is not None
        return release.step, release.theta[:, 0, 0].double()

    def render(*, batch_size: int | None, draws: str) -> tuple[Figure, str]:
        step, reference = x(BESIDE, seed)
        _, here = x(batch_size, {"same": seed, "new": seed + 1}[draws])
        first.show(step, exact(reference), text("00.twins.first", batch_size=BESIDE))
        name = text("say.all_data") if batch_size is None else text("00.twins.other", batch_size=batch_size)
        other.show(step, exact(here), name)
        sheet.part(first, other, gap=0.07)
        size = here.square().mean().sqrt()
        alike = (here * reference).mean() / (size * reference.square().mean().sqrt()) if size > 0 else math.nan
        words = text(
            "00.twins.all" if batch_size is None else "00.twins.sentence",
            batch_size=batch_size,
            beside=BESIDE,
            draws=option_text(draws, "00.twins.same", "00.twins.new"),
            ratio=size / reference.square().mean().sqrt(),
            alike=alike,
        )
        return fig, words

    def code(*, batch_size: int | None, draws: str) -> str:
        own = {"same": seed, "new": seed + 1}[draws]
        return walk.code(own, batch_size=batch_size, learning_rate=TWIN_RATE) + "\nx = release.theta[:, 0, 0]"

    controls = [slider("batch_size", (1, 4, 16, 64, 256, None), 64), switch("draws", ("new", "same"))]
    return Explorer(render, controls, title=text("00.twins.title"), code=code)


EXERCISES = [
    Exercise(
        "standard_error",
        "0.1",
        truth=lambda values: stdev(values) / math.sqrt(len(values)),
        wrong={
            "deviation": stdev,
            "plain": pstdev,
            "count": lambda values: stdev(values) / len(values),
            "variance": lambda values: stdev(values) ** 2 / len(values),
            "population": lambda values: stdev(values) * math.sqrt(len(values) - 1) / len(values),
            "mean": mean,
            "range": lambda values: max(values) - min(values),
        },
        cases=[
            ([0.9, -0.7, 0.8, 0.6, -0.9, 0.2, -0.4, 0.7],),
            ([1.0, 3.0, 4.0],),
            ([2.0, 2.5, 1.0, 4.0, 3.5],),
        ],
    ),
    Exercise(
        "shrink",
        "0.2",
        truth=lambda before, after: math.sqrt(before / after),
        wrong={
            "root": lambda before, after: before / after,
            "inverse": lambda before, after: math.sqrt(after / before),
            "both": lambda before, after: after / before,
            "unchanged": lambda before, after: 1.0,
            "square": lambda before, after: (before / after) ** 2,
        },
        cases=[(16.0, 64.0), (1.0, 100.0), (256.0, 4.0)],
    ),
]

CHAPTER = Chapter(
    "00",
    questions=[
        Question("again", ("right", "left", "open", "middle"), "open", {"right": 0.9, "left": -0.9, "middle": 0.0}),
        Question("twin", ("unrelated", "scaled", "identical"), "scaled"),
    ],
    exercises=EXERCISES,
    explorers={"seeds": seeds, "twins": twins},
    players={"crowd": lambda seed: stages.stage(stages.waist(seed))},
)
