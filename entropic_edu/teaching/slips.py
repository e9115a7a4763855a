"""Exercises whose known wrong answers are the solution with a few words changed."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .check import Exercise

Answer = Callable[..., Any]


def solved(
    number: str,
    solution: Answer,
    cases: Sequence[tuple[Any, ...]],
    *,
    name: str = "",
    wrong: Mapping[str, Answer] | None = None,
    tolerance: float = 1e-3,
    **changes: tuple[str, ...],
) -> Exercise:
    """Return an exercise from its solution.

    Args:
        number: Such as "2.1".
        solution: A function of a module; a slip sees what it sees there.
        cases: Arguments at which answers are compared.
        name: In its lesson; that of the solution if empty.
        wrong: Slips that are functions of their own.
        tolerance: Largest relative difference that counts as equal.
        changes: For each slip what stands in the code and what a learner has there instead; more such pairs may follow.

    Raises:
        ValueError: If the code of the solution lacks words that a slip changes.

    >>> from entropic_edu.course.limits.roads import noise_share
    >>> list(solved("10.3", noise_share, [], of_still=("/ (noisy - start)", "/ (still - start)")).wrong)
    ['of_still']
    """
    code = inspect.getsource(solution)
    slips = {slip: _changed(solution, code, slip, change) for slip, change in changes.items()}
    name = name or solution.__name__
    return Exercise(name, number, solution, slips | dict(wrong or {}), cases, tolerance)


def _changed(solution: Answer, code: str, slip: str, change: tuple[str, ...]) -> Answer:
    for before, after in zip(change[::2], change[1::2], strict=True):
        if before not in code:
            raise ValueError(f"Slip {slip!r} changes {before!r}, which {solution.__name__} has not; give words of it.")
        code = code.replace(before, after)
    made: dict[str, Any] = {}
    exec("from __future__ import annotations\n" + code, solution.__globals__, made)
    answer: Answer = made[solution.__name__]
    return answer
