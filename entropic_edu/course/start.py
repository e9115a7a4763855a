"""Lesson 00: a thing that moves, one run against eight, and twins that share every random draw."""

from __future__ import annotations

import math
from statistics import mean, pstdev, stdev
from types import SimpleNamespace
from typing import Any

import torch

from entropic_edu.figures.plots import RED
from entropic_edu.physics.release import Release
from entropic_edu.teaching.explorer import Explorer, Work, slider, switch
from entropic_edu.teaching.sheet import FAINT, GHOST, RUN, Panel, Role, Sheet
from entropic_edu.teaching.strings import option_text, text

from . import Chapter, Exercise, Question, stages
from .crowd import Crowd
from .floor import field, over_crowds, stand

# --- round 1: one run can lie ----------------------------------------------------------------------------------------

RUNS = 8
LONG = 20000  # steps of the live run: walkers cross the floor some twenty times
CROWD = Crowd("Waist", {"noise_scale": 3.0, "end_curvature": 20.0}, walkers=RUNS, records=60)
SETTINGS: dict[str, Any] = {"batch_size": 4, "learning_rate": 0.04}
EIGHT = Role(RED, "--", label="00.seeds.mean")
SEEDS = {
    "plan": Panel(
        (0.1, 0.6, 0.73, 0.34), "axis.across", "axis.along", xlim=(-1.25, 1.25), ylim=(-0.9, 0.9),
        once=lambda ax: field(ax, CROWD.land),
    ),
    "y": Panel((0.1, 0.125, 0.73, 0.31), "axis.y", "axis.share", ylim=(-1.3, 1.3), zero=True),
}  # fmt: skip


def seen(release: Release, run: int, runs_shown: str) -> Any:
    """Return what is seen of a release: one run of eight, or all."""
    assert release.theta is not None
    y = release.theta[..., 1].double()
    rows = [run - 1] if runs_shown == "one" else list(range(RUNS))
    known = {"when": release.step / release.step[-1], "steps": int(release.step[-1]), "last": release.theta[-1]}
    return SimpleNamespace(run=run, runs_shown=runs_shown, rows=rows, y=y, mean=over_crowds(y), **known)


def draw_seeds(sheet: Sheet, state: Any, ghost: float | None = None) -> None:
    """Draw the plan, and y over time of the runs that are seen."""
    stand(sheet["plan"], state.last[state.rows])
    pen, mine = sheet["y"], state.run - 1
    for row in (row for row in state.rows if row != mine):
        pen.line(state.when, state.y[:, row], FAINT, lw=0.8)
    if state.runs_shown == "eight":
        pen.line(state.when, state.mean, EIGHT)
    pen.line(state.when, state.y[:, mine], RUN, text("00.seeds.run", run=state.run))
    if ghost is not None:
        pen.line([0, 1], [ghost, ghost], GHOST)


def say_seeds(state: Any) -> str:
    """Say where one run ends, or all of them."""
    mine, end = state.y[:, state.run - 1], state.mean.at(-1)
    known = {"y": mine[-1], "long": mine.mean(), "mean": end.value, "error": end.error, "run": state.run}
    known |= {"steps": state.steps, "right": int((state.y[-1] > 0).sum())}
    return option_text(state.runs_shown, "00.seeds.one", "00.seeds.eight", **known)


def show_seeds(sheet: Sheet, release: Release, state: Any) -> str:
    """Draw the longer run, and say where it ends."""
    longer = seen(release, state.run, state.runs_shown)
    draw_seeds(sheet, longer)
    return say_seeds(longer)


def seeds(seed: int) -> Explorer:
    """Eight runs of one walker each, from the same place, with other random numbers."""
    work = Work(
        stream=lambda state: CROWD.stream(seed, steps=LONG, record_every=100, **SETTINGS),
        show=show_seeds,
        units=lambda state: LONG,
    )
    return Explorer(
        draw_seeds,
        [slider("run", tuple(range(1, RUNS + 1)), 1), switch("runs_shown", ("one", "eight"))],
        SEEDS,
        say_seeds,
        state=lambda **turned: seen(CROWD.run(seed, **SETTINGS), **turned),
        title="00.seeds.title",
        code=lambda state: CROWD.code(seed, **SETTINGS) + f"\nrelease.theta[:, {state.run - 1}, 1]  # y of this run",
        work=work,
    )


# --- round 2: fair comparisons ---------------------------------------------------------------------------------------

TROUGH = Crowd("Waist", {"g_wide": 2.0, "g_narrow": 2.0, "noise_scale": 3.0}, walkers=1, steps=240, records=80)
BESIDE, TWIN_RATE = 16, 0.04  # batch size of the run that stays in the picture; η of both
FIRST = Role(RED, "--")
TWINS = {
    "x": Panel(
        (0.1, 0.15, 0.72, 0.74), "00.twins.panel", "axis.step", xlim=(0, TROUGH.steps), ylim=(-1.1, 1.1), zero=True
    )
}


def pair(seed: int, batch_size: int | None, draws: str) -> Any:
    """Return the run at B = 16 and that at another batch size, with the same draws or new ones."""
    other_seed = {"same": seed, "new": seed + 1}[draws]
    wanted = ((seed, BESIDE), (other_seed, batch_size))
    both = [TROUGH.run(own, batch_size=batch, learning_rate=TWIN_RATE) for own, batch in wanted]
    known = {"batch_size": batch_size, "draws": draws, "seed": other_seed, "step": both[0].step}
    first, other = (torch.as_tensor(run.theta)[:, 0, 0].double() for run in both)
    size, width = other.square().mean().sqrt(), first.square().mean().sqrt()
    alike = (other * first).mean() / (size * width) if size > 0 else math.nan
    return SimpleNamespace(**known, first=first, other=other, ratio=size / width, alike=alike)


def draw_twins(sheet: Sheet, state: Any) -> None:
    """Draw both walks."""
    name = "say.all_data" if state.batch_size is None else text("00.twins.other", batch_size=state.batch_size)
    sheet["x"].line(state.step, state.first, FIRST, text("00.twins.first", batch_size=BESIDE))
    sheet["x"].line(state.step, state.other, RUN, name)


def say_twins(state: Any) -> str:
    """Say how wide the second walk is beside the first, and how alike they are."""
    known = {"batch_size": state.batch_size, "beside": BESIDE, "ratio": state.ratio, "alike": state.alike}
    draws = option_text(state.draws, "00.twins.same", "00.twins.new")
    return text("00.twins.all" if state.batch_size is None else "00.twins.sentence", draws=draws, **known)


def code_of_twins(state: Any) -> str:
    """Return the lines that make the second walk."""
    made = TROUGH.code(state.seed, batch_size=state.batch_size, learning_rate=TWIN_RATE)
    return made + "\nx = release.theta[:, 0, 0]"


def twins(seed: int) -> Explorer:
    """One walker in a trough, beside the run at B = 16: with the same random draws, or with new ones."""
    controls = [slider("batch_size", (1, 4, 16, 64, 256, None), 64), switch("draws", ("new", "same"))]
    return Explorer(
        draw_twins,
        controls,
        TWINS,
        say_twins,
        state=lambda **turned: pair(seed, **turned),
        title="00.twins.title",
        code=code_of_twins,
    )


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
