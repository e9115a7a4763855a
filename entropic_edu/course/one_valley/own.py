"""The learner's own walkers in a trough: the explorer that the walk of exercise 1.1 drives."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

from entropic_edu.physics.mean import Mean
from entropic_edu.teaching.explorer import Explorer, slider
from entropic_edu.teaching.sheet import CONTROL, FAINT, RUN, THEORY, TWIN, Panel, Sheet
from entropic_edu.teaching.strings import text
from entropic_edu.teaching.yours import Written, Yours, draws

from .exercises import walk as library

STEPS, WALKERS = 200, 256
BEGIN = 0.6  # x at first
PANELS = {
    "x": Panel((0.1, 0.13, 0.72, 0.77), "01.own.panel", "axis.step", xlim=(0, STEPS), ylim=(-1.2, 1.2), zero=True)
}


def run_of(seed: int, function: Written, batch_size: int | None, learning_rate: float) -> dict[str, Any]:
    """Return the learner's walkers at these controls, and the same without noise."""
    begin = torch.full((WALKERS,), BEGIN, dtype=torch.float64)
    kicks = draws(seed, STEPS, WALKERS) * (batch_size is not None)
    walk = Yours(function, library)
    places, still = (walk(begin, each, learning_rate, batch_size or 1, 1.0) for each in (kicks, 0 * kicks))
    square = Mean.over(places[STEPS // 2 :].square().mean(0))
    law = learning_rate / ((batch_size or float("inf")) * (2 - learning_rate))  # ηs²/(Bh(2 - ηh)), h = s = 1
    return {"places": places, "still": still, "square": square, "law": law, "whose": walk.whose}


def draw(sheet: Sheet, run: Any, pinned: Any) -> None:
    """Draw the spread over time, four walkers, the walk without noise, and the law."""
    pen, step = sheet["x"], torch.arange(1, STEPS + 1)
    for walker in run.places.T[:4]:
        pen.line(step, walker.clamp(-2, 2), FAINT)
    pen.line(step, run.still[:, 0], CONTROL)
    for side in (1, -1):
        pen.line(step[[0, -1]], [side * run.law**0.5] * 2, THEORY, None if side > 0 else "")
        for one, role in ((pinned, TWIN), (run, RUN)):
            if one is not None:
                deviation = one.places.square().mean(1).sqrt().clamp(max=2)
                pen.line(step, side * deviation, role, "" if side > 0 else "01.own.sd" if one is run else None)


def words(run: Any) -> str:
    """Say whose walkers these are, and what they measure."""
    return text("01.own.all" if run.batch_size is None else "01.own.some", run=run)


def own(seed: int, walk: Written = None) -> Explorer:
    """The learner's walk at other batch sizes and learning rates."""

    def code(run: Any) -> str:
        return text("01.own.quiet" if run.batch_size is None else "01.own.code", seed=seed, **vars(run))

    controls = [slider("batch_size", (1, 4, 16, 64, None), 4), slider("learning_rate", (0.05, 0.1, 0.2, 0.4), 0.2)]
    state = partial(run_of, seed, walk)
    return Explorer(draw, controls, PANELS, words, state=state, title="01.own.title", code=code)
