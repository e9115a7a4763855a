"""Round 2: the learner's own walkers on the road between two networks, beside the recorded ones."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeAlias

import torch
from torch import Tensor

from entropic_edu.course.runs import Run
from entropic_edu.physics.mean import Mean
from entropic_edu.physics.snapshot import Snapshot
from entropic_edu.teaching.declared import Found, one_by_one
from entropic_edu.teaching.explorer import Explorer, Work, slider
from entropic_edu.teaching.sheet import CONTROL, TWIN, Panel, Sheet
from entropic_edu.teaching.strings import text

from .common import BATCHES, RATES, K, run_of, setting_of, walkers_named
from .walk import valley_of

Written: TypeAlias = Callable[[Tensor, Tensor, Callable[[Tensor], Tensor], float, float, int, int], Any]
WALKERS, TIME, START = 6, 30, 0.3  # of the learner's run: how many, η·steps, and where they begin
PANELS = {"where": Panel((0.085, 0.13, 0.7, 0.79), "06.panel.position", "axis.step", ylim=(0.1, 0.32))}


def steps_of(run: Run) -> int:
    """Return how many steps the learner's walkers take, a multiple of k."""
    return round(TIME / run.learning_rate / K) * K


def going(release: Written | None, seed: int, run: Run) -> Iterator[Snapshot[Found]]:
    """Let the learner's walkers go, one after another: where each was put back, (R,)."""
    (land, road), steps = valley_of(0), steps_of(run)
    generator = torch.Generator().manual_seed(seed)

    def walk(number: int) -> Tensor:
        seen, asked = list[Tensor](), itertools.count()  # weights every k steps, and how many gradients were asked for

        def gradient(theta: Tensor) -> Tensor:
            if next(asked) % K == 0:
                seen.append(theta.detach().clone())
            batch = None if run.batch_size is None else land.draw(run.batch_size, generator)
            return land.gradient_on(theta.detach(), batch)

        if release is None or (wrong := problem(release)):
            raise ValueError(text("06.own.missing") if release is None else wrong)
        end = release(road.at(START), road.pivots, gradient, run.learning_rate, 0.9, steps, K)
        if (count := next(asked)) != steps:
            raise ValueError(text("06.own.asked", asked=count, steps=steps))
        return road.project(torch.stack([*seen, end])).position

    return one_by_one(walk, range(1 if run.batch_size is None else WALKERS))


def problem(release: Written) -> str:
    """Say what keeps a learner's function from being run; empty if nothing does."""
    pivots = torch.tensor([[0.0, 0.0], [1.0, 0.0]])
    try:
        end = release(pivots[0], pivots, lambda theta: theta, 0.1, 0.5, 2, 2)
    except Exception as error:
        return text("06.own.raised", error=f"{type(error).__name__}: {error}")
    if end is ...:
        return text("06.own.unwritten")
    fits = isinstance(end, Tensor) and end.shape == (2,) and bool(end.isfinite().all())
    return "" if fits else text("06.own.unfit", given=type(end).__name__)


def draw(sheet: Sheet, run: Run) -> None:
    """Draw the recorded walkers on pair 1, with noise and without, as long as the learner's go."""
    pen, last = sheet["where"], steps_of(run)
    pen.reframe(xlim=(0, last), xticks=(0, last / 2, last))
    step = torch.linspace(0, last, 31)
    if run.batch_size is not None:
        pen.line(step, run.control.at(step), CONTROL)
    pen.line(step, run.at(step), TWIN, "06.label.recorded")


def show(sheet: Sheet, found: Found, run: Run) -> str:
    """Draw the learner's walkers beside them, and say where they are."""
    draw(sheet, run)
    position = torch.stack(found.each, 1) if found.each else torch.full((1, 1), START)  # (R, W)
    end = sheet["where"].walkers(K * torch.arange(len(position)), position, "06.label.own", lw=0.8, alpha=0.6)
    known = {"setting": setting_of(run), "walkers": walkers_named(position.shape[1]), "start": START}
    return text("06.own.live", end=end, steps=K * (len(position) - 1), recorded=recorded(run), **known)


def recorded(run: Run) -> Mean:
    """Return where the recorded walkers were after as many steps."""
    return run.at(torch.tensor([steps_of(run)])).at(0)


def words(run: Run) -> str:
    """Say where the recorded walkers were."""
    return text("06.own.some", setting=setting_of(run), start=START, steps=steps_of(run), recorded=recorded(run))


def code(run: Run) -> str:
    """Return the lines by which the library lets the same walkers go."""
    return f"""
from entropic_edu.recorded import valley
release = ee.drift(valley.landscape(), valley.road(0), generator=torch.Generator().manual_seed(0),
    start={START}, walkers={WALKERS}, batch_size={run.batch_size}, learning_rate={run.learning_rate:g},
    momentum=0.9, steps={steps_of(run)}, project_every={K})
print(release.summary())
"""


def own(seed: int, release: Written | None = None) -> Explorer:
    """Let the learner's walkers go, at any batch size and learning rate of the grid."""
    controls = [slider("batch_size", BATCHES, 16), slider("learning_rate", RATES, 0.02)]
    work = Work(partial(going, release, seed), show, lambda run: 1 if run.batch_size is None else WALKERS, show)
    state = partial(run_of, released_at=START, road_pair=1)
    return Explorer(draw, controls, PANELS, words, state=state, title="06.own.title", code=code, work=work)
