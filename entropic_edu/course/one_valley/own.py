"""The learner's own walkers in a trough: what exercises 1.1 to 1.3 ask for, and the explorer that the walk drives."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from entropic_edu.course import Exercise
from entropic_edu.physics.mean import Mean
from entropic_edu.teaching.explorer import Explorer, slider
from entropic_edu.teaching.sheet import CONTROL, FAINT, RUN, THEORY, TWIN, Panel, Sheet
from entropic_edu.teaching.strings import text
from entropic_edu.teaching.yours import Yours

STEPS, WALKERS = 200, 256
BEGIN = 0.6  # x at first
PANELS = {
    "x": Panel((0.1, 0.13, 0.72, 0.77), "01.own.panel", "axis.step", xlim=(0, STEPS), ylim=(-1.2, 1.2), zero=True)
}


def right_walk(x: Tensor, kicks: Tensor, learning_rate: float, batch_size: int, curvature: float) -> Tensor:
    """Return where walkers stand after each step of SGD, (S, W).

    Args:
        x: Where they start, (W,).
        kicks: Gradient noise of one sample, a row for each step, (S, W).
        learning_rate, batch_size, curvature: η, B and h.
    """
    places = []
    for kick in kicks:
        x = x - learning_rate * (curvature * x + kick / batch_size**0.5)
        places.append(x)
    return torch.stack(places)


def _walk(step: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Return a walk of wrong steps."""

    def walked(x: Tensor, kicks: Tensor, learning_rate: float, batch_size: int, curvature: float) -> Tensor:
        places = []
        for kick in kicks:
            x = step(x, kick, learning_rate, batch_size, curvature)
            places.append(x)
        return torch.stack(places)

    return walked


def heat(places: Tensor, curvature: float) -> list[Tensor]:
    """Return h times the mean of x² over the second half of a walk, and its standard error over walkers."""
    return _heat(places[len(places) // 2 :], curvature)


def _heat(late: Tensor, curvature: float, power: float = 0.5, correction: int = 1) -> list[Tensor]:
    each = curvature * late.square().mean(0)
    return [each.mean(), each.std(correction=correction) / len(each) ** power]


def edge(curvature: float) -> float:
    """Return the learning rate beyond which a walk without noise ends further away than it began."""
    return 2 / curvature


def _made(number: int, steps: int, walkers: int) -> Tensor:
    return torch.randn(steps, walkers, generator=torch.Generator().manual_seed(number), dtype=torch.float64)


WALK = Exercise(
    "walk",
    "1.1",
    right_walk,
    {
        "no_batch": _walk(lambda x, kick, rate, batch, h: x - rate * (h * x + kick)),
        "batch": _walk(lambda x, kick, rate, batch, h: x - rate * (h * x + kick / batch)),
        "no_rate": _walk(lambda x, kick, rate, batch, h: x - rate * h * x - kick / batch**0.5),
        "no_wall": _walk(lambda x, kick, rate, batch, h: x - rate * kick / batch**0.5),
        "no_noise": _walk(lambda x, kick, rate, batch, h: x - rate * h * x),
        "uphill": _walk(lambda x, kick, rate, batch, h: x + rate * (h * x + kick / batch**0.5)),
        "from_start": lambda x, kicks, rate, batch, h: torch.stack(
            [x - rate * (h * x + kick / batch**0.5) for kick in kicks]
        ),
        "late": lambda x, kicks, rate, batch, h: torch.cat([x[None], right_walk(x, kicks, rate, batch, h)[:-1]]),
    },
    cases=(
        (torch.tensor([0.5, -0.2, 1.0]), _made(1, 4, 3), 0.1, 4, 2.0),
        (torch.tensor([0.1, 0.4]), _made(2, 3, 2), 0.3, 16, 0.5),
    ),
)
HEAT = Exercise(
    "heat",
    "1.2",
    heat,
    {
        "deviation": lambda places, h: _heat(places[len(places) // 2 :], h, power=0),
        "count": lambda places, h: _heat(places[len(places) // 2 :], h, power=1),
        "population": lambda places, h: _heat(places[len(places) // 2 :], h, correction=0),
        "no_curvature": lambda places, h: heat(places, 1.0),
        "whole": _heat,
        "early": lambda places, h: _heat(places[: len(places) // 2], h),
        "half": lambda places, h: [0.5 * value for value in heat(places, h)],
        "mean": lambda places, h: [h * places[len(places) // 2 :].mean() ** 2, heat(places, h)[1]],
    },
    cases=((_made(3, 8, 5), 2.0), (_made(4, 10, 4), 0.5)),
)
EDGE = Exercise(
    "largest",
    "1.3",
    edge,
    {
        "one_step": lambda h: 1 / h,
        "upside_down": lambda h: 2 * h,
        "half": lambda h: 1 / (2 * h),
        "root": lambda h: (2 / h) ** 0.5,
        "no_curvature": lambda h: 2.0,
    },
    cases=((0.5,), (4.0,), (25.0,)),
    tolerance=0.01,
)


def run_of(seed: int, function: Callable[..., Any] | None, batch_size: int | None, learning_rate: float) -> Any:
    """Return the learner's walkers at these controls, and the same without noise."""
    begin = torch.full((WALKERS,), BEGIN, dtype=torch.float64)
    kicks = _made(seed, STEPS, WALKERS) * (batch_size is not None)
    setting = (learning_rate, batch_size or 1, 1.0)
    walk = Yours(function, WALK.truth)
    places, still = (walk(begin, each, *setting) for each in (kicks, 0 * kicks))
    half = places[STEPS // 2 :].square().mean(0)
    law = learning_rate / ((batch_size or float("inf")) * (2 - learning_rate))  # ηs²/(Bh(2 - ηh)), h = s = 1
    known = {"batch_size": batch_size, "learning_rate": learning_rate, "whose": walk.whose, "law": law}
    return SimpleNamespace(**known, places=places, still=still, square=Mean.over(half))


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


def words(run: Any, pinned: Any) -> str:
    """Say whose walkers these are, and what they measure."""
    return text("01.own.all" if run.batch_size is None else "01.own.some", run=run)


def own(seed: int, walk: Callable[..., Any] | None = None) -> Explorer:
    """The learner's walk at other batch sizes and learning rates."""
    controls = [slider("batch_size", (1, 4, 16, 64, None), 4), slider("learning_rate", (0.05, 0.1, 0.2, 0.4), 0.2)]
    return Explorer(
        draw,
        controls,
        PANELS,
        words,
        state=lambda batch_size, learning_rate: run_of(seed, walk, batch_size, learning_rate),
        title="01.own.title",
        code=lambda run: _code(seed, run),
    )


def _code(seed: int, run: Any) -> str:
    if run.batch_size is None:
        return text("01.own.quiet", learning_rate=run.learning_rate)
    return text("01.own.code", seed=seed, batch_size=run.batch_size, learning_rate=run.learning_rate)
