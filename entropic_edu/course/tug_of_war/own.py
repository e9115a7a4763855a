"""The learner's own walkers on a floor that slopes: the explorer that the functions of exercises 3.1 and 3.2 drive."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import torch

from entropic_edu.physics.mean import Mean
from entropic_edu.teaching.explorer import Explorer, slider
from entropic_edu.teaching.sheet import CONTROL, RUN, THEORY, TWIN, Panel, Sheet
from entropic_edu.teaching.strings import text
from entropic_edu.teaching.yours import Written, Yours, draws, told

from . import exercises
from .exercises import FALL

WALKERS, STEPS, RATE, SCALE = 2048, 150, 0.02, 2.0
BATCHES = (16, 8, 4, 3, 2, 1)
HEATS = [RATE * SCALE**2 / (2 * batch) for batch in BATCHES]
HOTTEST = 0.045
PANELS = {
    "moved": Panel((0.11, 0.13, 0.68, 0.77), "03.own.panel", "03.own.axis", (0, HOTTEST), (-0.08, 0.1), zero=True)
}


def run_of(seed: int, shift: Written, turn: Written, floor_slope: float) -> dict[str, Any]:
    """Return how far the learner's crowds move at each temperature, without noise, and where they turn round."""
    spread = (RATE * SCALE**2 / 2) ** 0.5  # of x at y = 0, T and h = 1: the cloud begins settled
    x, kicks = spread * draws(seed, WALKERS), SCALE * draws(seed + 1, STEPS, 2, WALKERS)
    start, land = torch.zeros(WALKERS, dtype=torch.float64), (exercises.wall, exercises.wall_slope, floor_slope)
    moves, crosses = Yours(shift, exercises.shift), Yours(turn, exercises.break_even)
    moved = Mean(*torch.stack([moves(x / b**0.5, start, kicks, RATE, b, *land) for b in BATCHES]).T)
    still, _ = moves(0 * x, start, 0 * kicks, RATE, 1, *land)
    found = {"moved": moved, "still": float(still), "turn": float(crosses(HEATS, moved.value.tolist()))}
    return found | {"slope": floor_slope, "law": 2 * floor_slope / FALL, "whose": told(shift=moves, break_even=crosses)}


def draw(sheet: Sheet, run: Any, pinned: Any) -> None:
    """Draw displacement against temperature, the run without noise, theory, and where the crowd turns round."""
    pen = sheet["moved"]
    pen.line([0, HOTTEST], [run.still] * 2, CONTROL, "03.own.still")
    pen.line([0, HOTTEST], [-RATE * STEPS * (run.slope - 0.5 * FALL * heat) for heat in (0, HOTTEST)], THEORY)
    for one, role in ((pinned, TWIN), (run, RUN)):
        if one is not None:
            pen.line(HEATS, one.moved.value, role, "03.own.mine" if one is run else None)
            pen.points(HEATS, one.moved, role)
    pen.points([run.turn], torch.zeros(1), RUN, ms=13, mfc="none", mew=2)


def words(run: Any) -> str:
    """Say whose walkers these are, and where they turn round."""
    return text("03.own.sentence" if math.isfinite(run.turn) else "03.own.nowhere", run=run, count=len(BATCHES))


def own(seed: int, shift: Written = None, break_even: Written = None) -> Explorer:
    """The learner's crowds on floors of other slopes."""
    controls, state = [slider("floor_slope", (0.005, 0.01, 0.015), 0.01)], partial(run_of, seed, shift, break_even)
    return Explorer(draw, controls, PANELS, words, state=state, title="03.own.title", code="03.own.code")
