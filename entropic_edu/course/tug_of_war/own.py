"""The learner's own walkers on a floor that slopes: exercises 3.1, 3.2 and 3.4, and the explorer of the first two.

The walls widen as h falls by one rate, so that slope and entropy balance at the same temperature everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from entropic_edu.course import Exercise
from entropic_edu.physics.mean import Mean
from entropic_edu.teaching.explorer import Explorer, slider
from entropic_edu.teaching.sheet import CONTROL, RUN, THEORY, TWIN, Panel, Sheet
from entropic_edu.teaching.strings import text
from entropic_edu.teaching.yours import Yours, told

WALKERS, STEPS, RATE, SCALE, FALL = 2048, 150, 0.02, 2.0, 1.5
BATCHES = (16, 8, 4, 3, 2, 1)
HEATS = tuple(RATE * SCALE**2 / (2 * batch) for batch in BATCHES)
PANELS = {
    "moved": Panel(
        (0.11, 0.13, 0.68, 0.77), "03.own.panel", "03.own.axis", xlim=(0, 0.045), ylim=(-0.08, 0.1), zero=True
    )
}
Slope = Callable[[Tensor], Tensor]


def wall(y: Tensor) -> Tensor:
    """Return h at y."""
    return torch.exp(-FALL * y)


def wall_slope(y: Tensor) -> Tensor:
    """Return h' at y."""
    return -FALL * wall(y)


def _shift(walls: float = 0.5, floor: float = 1.0, batch: float = 0.5, begin: float = 1.0, power: float = 0.5) -> Any:
    """Return the answer to exercise 3.1 with these factors and powers, by default the right ones."""

    def shift(
        x: Tensor, y: Tensor, kicks: Tensor, learning_rate: float, batch_size: int, h: Slope, h_slope: Slope,
        f_slope: float,
    ) -> list[Tensor]:  # fmt: skip
        start = y
        for kick_x, kick_y in kicks / batch_size**batch:
            along = floor * f_slope + walls * h_slope(y) * x**2 + kick_y
            x, y = x - learning_rate * (h(y) * x + kick_x), y - learning_rate * along
        moved = y - begin * start
        return [moved.mean(), moved.std() / len(moved) ** power]

    return shift


def crossing(temperature: Sequence[float], moved: Sequence[float]) -> float:
    """Return where the line through the points first crosses zero from below; NaN where it does not."""
    return _crossing(temperature, moved, lambda low, high: -low / (high - low))


def _crossing(temperature: Sequence[float], moved: Sequence[float], part: Callable[[float, float], float]) -> float:
    for i in range(len(moved) - 1):
        if moved[i] < 0 <= moved[i + 1]:
            return temperature[i] + part(moved[i], moved[i + 1]) * (temperature[i + 1] - temperature[i])
    return math.nan


def _label(new_u: Callable[..., float], new_v: Callable[..., float]) -> Callable[..., list[float]]:
    def label_step(u: float, v: float, epsilon: float, learning_rate: float) -> list[float]:
        return [new_u(u, v, epsilon, learning_rate), new_v(u, v, epsilon, learning_rate)]

    return label_step


def _u(u: float, v: float, e: float, rate: float) -> float:
    return u - rate * (u * v - 1 - e) * v


def _v(u: float, v: float, e: float, rate: float) -> float:
    return v - rate * (u * v - 1 - e) * u


def draws(number: int, *shape: int) -> Tensor:
    """Return normal draws in float64."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(number), dtype=torch.float64)


SHIFT = Exercise(
    "shift",
    "3.1",
    _shift(),
    {
        "no_slope": _shift(floor=0),
        "no_push": _shift(walls=0),
        "whole": _shift(walls=1),
        "uphill": _shift(floor=-1),
        "no_batch": _shift(batch=0),
        "place": _shift(begin=0),
        "deviation": _shift(power=0),
    },
    cases=(
        (draws(1, 4), draws(2, 4), draws(3, 3, 2, 4), 0.1, 4, wall, wall_slope, 0.5),
        (draws(4, 3), draws(5, 3), draws(6, 5, 2, 3), 0.05, 9, wall, wall_slope, -0.8),
    ),
)
BREAK_EVEN = Exercise(
    "break_even",
    "3.2",
    crossing,
    {
        "nearest": lambda temperature, moved: min(zip(temperature, moved, strict=True), key=lambda pair: abs(pair[1]))[
            0
        ],
        "middle": lambda temperature, moved: _crossing(temperature, moved, lambda low, high: 0.5),
        "first": lambda temperature, moved: _crossing(temperature, moved, lambda low, high: 0.0),
        "turned": lambda temperature, moved: _crossing(temperature, moved, lambda low, high: high / (high - low)),
    },
    cases=(
        ([0.01, 0.02, 0.04, 0.08], [-0.3, -0.1, 0.2, 0.9]),
        ([0.1, 0.3, 0.4], [-0.2, 0.6, 0.7]),
        ([0.5, 1.0, 1.5, 2.5], [-4.0, -3.0, -1.0, 0.5]),
    ),
)
LABEL_STEP = Exercise(
    "label_step",
    "3.4",
    _label(_u, _v),
    {
        "one_after_other": _label(_u, lambda u, v, e, rate: _v(_u(u, v, e, rate), v, e, rate)),
        "swapped": _label(
            lambda u, v, e, rate: u - rate * (u * v - 1 - e) * u, lambda u, v, e, rate: v - rate * (u * v - 1 - e) * v
        ),
        "same": _label(
            lambda u, v, e, rate: u - rate * (u * v - 1 - e), lambda u, v, e, rate: v - rate * (u * v - 1 - e)
        ),
        "no_label": _label(lambda u, v, e, rate: _u(u, v, 0, rate), lambda u, v, e, rate: _v(u, v, 0, rate)),
        "plus": _label(lambda u, v, e, rate: _u(u, v, -e, rate), lambda u, v, e, rate: _v(u, v, -e, rate)),
        "uphill": _label(lambda u, v, e, rate: _u(u, v, e, -rate), lambda u, v, e, rate: _v(u, v, e, -rate)),
    },
    cases=((2.5, 0.4, 0.6, 0.1), (0.5, 1.5, -0.8, 0.2), (1.2, 2.0, 0.3, 0.05)),
)


def run_of(seed: int, shift: Callable[..., Any] | None, turn: Callable[..., Any] | None, slope: float) -> Any:
    """Return how far the learner's crowds move at each temperature, without noise, and where they turn round."""
    spread = (RATE * SCALE**2 / 2) ** 0.5  # of x at y = 0, T and h = 1: the cloud begins settled
    x, kicks = spread * draws(seed, WALKERS), SCALE * draws(seed + 1, STEPS, 2, WALKERS)
    start = torch.zeros(WALKERS, dtype=torch.float64)
    moves, crosses, land = Yours(shift, SHIFT.truth), Yours(turn, BREAK_EVEN.truth), (wall, wall_slope, slope)
    rows = torch.stack([moves(x / batch**0.5, start, kicks, RATE, batch, *land) for batch in BATCHES])
    still = moves(0 * x, start, 0 * kicks, RATE, 1, *land)
    moved = Mean(rows[:, 0], rows[:, 1])
    turned = crosses(list(HEATS), rows[:, 0].tolist())
    whose = told(shift=moves, break_even=crosses)
    known = {"whose": whose, "moved": moved, "still": float(still[0]), "turn": float(turned), "slope": slope}
    return SimpleNamespace(**known, law=2 * slope / FALL)


def draw(sheet: Sheet, run: Any, pinned: Any) -> None:
    """Draw displacement against temperature, the run without noise, theory, and where the crowd turns round."""
    pen, heats = sheet["moved"], torch.tensor(HEATS)
    pen.line([0, 0.045], [run.still] * 2, CONTROL, "03.own.still")
    pen.line([0, 0.045], [-RATE * STEPS * (run.slope - 0.5 * FALL * heat) for heat in (0, 0.045)], THEORY)
    for one, role in ((pinned, TWIN), (run, RUN)):
        if one is not None:
            pen.line(heats, one.moved.value, role, "03.own.mine" if one is run else None)
            pen.points(heats, one.moved, role)
    if math.isfinite(run.turn):
        pen.points([run.turn], torch.zeros(1), RUN, ms=13, mfc="none", mew=2)


def words(run: Any, pinned: Any) -> str:
    """Say whose walkers these are, and where they turn round."""
    if not math.isfinite(run.turn):
        return text("03.own.nowhere", run=run)
    return text("03.own.sentence", run=run, count=len(BATCHES))


def own(seed: int, shift: Callable[..., Any] | None = None, break_even: Callable[..., Any] | None = None) -> Explorer:
    """The learner's crowds on floors of other slopes."""
    return Explorer(
        draw,
        [slider("floor_slope", (0.005, 0.01, 0.015), 0.01)],
        PANELS,
        words,
        state=lambda floor_slope: run_of(seed, shift, break_even, floor_slope),
        title="03.own.title",
        code=lambda run: text("03.own.code", slope=run.slope),
    )
