"""A function that a learner wrote, where an explorer runs it: its result, or the solution's and why."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from entropic_edu.teaching.calls import HandedIn, Unfit, Untouched, fitting, value_of
from entropic_edu.teaching.check import Exercise
from entropic_edu.teaching.strings import text


def run(exercise: Exercise, function: Callable[..., Any] | None, case: Sequence[Any]) -> tuple[Tensor, str]:
    """Return what a learner's function makes of a case, right or wrong, and a sentence on whose result it is.

    Where the function is missing, not finished, or gives no numbers of the right shape, the solution's result comes.

    >>> from entropic_edu.course import chapter
    >>> walk = chapter("01").exercises[0]
    >>> still = [torch.ones(2), torch.zeros(3, 2), 0.1, 4, 1.0]  # x, kicks, learning rate, batch size, curvature
    >>> run(walk, lambda x, kicks, *rest: 0 * kicks, still)[1]
    'Your function made these walkers.'
    """
    names = tuple(inspect.signature(exercise.truth).parameters)
    truth = value_of(exercise.truth(*case))
    try:
        given = fitting(HandedIn(function, names, exercise.number, case).results([case])[0], truth, "", ())
    except (Untouched, Unfit) as problem:
        given = problem if isinstance(problem, Unfit) else Unfit(str(problem))
    if isinstance(given, Unfit):
        return torch.as_tensor(truth), text("mine.solution", reason=given.args[0])
    return torch.as_tensor(given), text("mine.yours")
