"""Known wrong answers of an exercise: the solution with a few words changed."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable
from typing import Any


def slips(solution: Callable[..., Any], **changes: tuple[str, ...]) -> dict[str, Callable[..., Any]]:
    """Return wrong answers by name, each made from the code of a solution.

    Args:
        solution: A function of a module; a slip sees what it sees there.
        changes: For each slip what stands in the code and what a learner has there instead; more such pairs may follow.

    Raises:
        ValueError: If the code has no such words.

    >>> from entropic_edu.course.limits.roads import noise_share
    >>> list(slips(noise_share, of_still=("/ (noisy - start)", "/ (still - start)")))
    ['of_still']
    """
    return {name: _changed(solution, name, change) for name, change in changes.items()}


def _changed(solution: Callable[..., Any], name: str, change: tuple[str, ...]) -> Callable[..., Any]:
    code = textwrap.dedent(inspect.getsource(solution))
    for before, after in zip(change[::2], change[1::2], strict=True):
        if before not in code:
            raise ValueError(f"Slip {name!r} changes {before!r}, which {solution.__name__} has not; give words of it.")
        code = code.replace(before, after)
    made: dict[str, Any] = {}
    exec("from __future__ import annotations\n" + code, solution.__globals__, made)
    answer: Callable[..., Any] = made[solution.__name__]
    return answer
