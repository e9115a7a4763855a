"""Round 1: one run can lie. Eight runs from the same place that differ in their random numbers alone."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace
from typing import Any

from entropic_edu.course.crowd import Crowd
from entropic_edu.course.floor import field, over_crowds, places, stand
from entropic_edu.figures.plots import RED
from entropic_edu.physics.release import Release
from entropic_edu.teaching.explorer import Explorer, Work, slider, switch
from entropic_edu.teaching.sheet import FAINT, GHOST, RUN, Panel, Role, Sheet
from entropic_edu.teaching.strings import option_text, text

RUNS = 8
LONG = 20000  # steps of the live run: walkers cross the floor some twenty times
CROWD = Crowd("Waist", {"noise_scale": 3.0, "end_curvature": 20.0}, walkers=RUNS, records=60)
SETTINGS: dict[str, Any] = {"batch_size": 4, "learning_rate": 0.04}
EIGHT = Role(RED, "--", label="00.seeds.mean")
PANELS = {
    "plan": Panel(
        (0.1, 0.6, 0.73, 0.34), "axis.across", "axis.along", xlim=(-1.25, 1.25), ylim=(-0.9, 0.9),
        once=lambda ax: field(ax, CROWD.land),
    ),
    "y": Panel((0.1, 0.125, 0.73, 0.31), "axis.y", "axis.share", ylim=(-1.3, 1.3), zero=True),
}  # fmt: skip


def seen(release: Release, run: int) -> dict[str, Any]:
    """Return all walks y over time (R, 8), their mean, and what is said of them and of one."""
    theta = places(release)
    y = theta[..., 1]
    steps, mean = int(release.step[-1]), over_crowds(y)
    known = {"last": theta[-1], "walks": y, "means": mean, "when": release.step / steps, "steps": steps}
    known |= {"mean": mean.value[-1], "error": mean.error[-1], "right": int((y[-1] > 0).sum())}
    return known | {"y": y[-1, run - 1], "long": y[:, run - 1].mean()}


def draw(sheet: Sheet, state: Any, ghost: float | None = None) -> None:
    """Draw the plan, and y over time of the runs that are seen."""
    pen, mine, alone = sheet["y"], state.run - 1, state.runs_shown == "one"
    stand(sheet["plan"], state.last[[mine]] if alone else state.last)
    if not alone:
        for row in set(range(RUNS)) - {mine}:
            pen.line(state.when, state.walks[:, row], FAINT, lw=0.8)
        pen.line(state.when, state.means, EIGHT)
    pen.line(state.when, state.walks[:, mine], RUN, text("00.seeds.run", run=state.run))
    if ghost is not None:
        pen.line([0, 1], [ghost, ghost], GHOST)


def words(state: Any) -> str:
    """Say where one run ends, or all of them."""
    return option_text(state.runs_shown, "00.seeds.one", "00.seeds.eight", **vars(state))


def show(sheet: Sheet, release: Release, state: Any) -> str:
    """Draw the longer run, and say where it ends."""
    longer = SimpleNamespace(**vars(state) | seen(release, state.run))
    draw(sheet, longer)
    return words(longer)


def seeds(seed: int) -> Explorer:
    """Eight runs of one walker each, from the same place, with other random numbers."""

    def state(run: int, runs_shown: str) -> dict[str, Any]:
        return seen(CROWD.run(seed, **SETTINGS), run)

    def code(state: Any) -> str:
        return CROWD.code(seed, **SETTINGS) + f"\nrelease.theta[:, {state.run - 1}, 1]  # y of this run"

    stream = partial(CROWD.stream, seed, steps=LONG, record_every=100, **SETTINGS)
    work = Work(lambda state: stream(), show, lambda state: LONG)
    controls = [slider("run", tuple(range(1, RUNS + 1)), 1), switch("runs_shown", ("one", "eight"))]
    return Explorer(draw, controls, PANELS, words, state=state, title="00.seeds.title", code=code, work=work)
