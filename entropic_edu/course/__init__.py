"""The course: for each lesson its explorers, players, questions and exercises. ``lesson.Lesson`` puts them on the page.

The words are in ``strings/en.toml``; here are the physics and the answers.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from entropic_edu.player import Player
    from entropic_edu.widgets import Explorer

MODULES = {
    "00": "start",
    "01": "one_valley",
    "02": "flat_floor",
    "03": "tug_of_war",
    "04": "one_road",
    "05": "bump",
    "06": "let_go",
    "07": "late_game",
    "08": "bad_valleys",
    "09": "cifar",
    "10": "limits",
}


@dataclass(frozen=True)
class Question:
    """A prediction to make before playing.

    Attributes:
        name: Unique in its lesson; the words are at ``<lesson>.question.<name>``: ``ask``, and for each option
            ``option.<key>`` (what it says) and ``reply.<key>`` (what to tell who chose it, when the result is known).
        options: Keys of the options, in the order of the page; all but the right one are named misconceptions.
        right: Key of the option that the result bears out.
        ghosts: What an option predicts, for the explorer to draw beside the result.
    """

    name: str
    options: Sequence[str]
    right: str
    ghosts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Exercise:
    """A task whose known wrong answers are told apart.

    An answer is a function of the values of a case, or, where ``cases`` is one empty tuple, a plain value.

    Attributes:
        name: Unique in its lesson; the words are at ``<lesson>.exercise.<name>``: ``ask`` (one line), ``hint.1``,
            ``hint.2``, ..., ``right``, and for each known slip ``wrong.<slip>``.
        number: As the lesson prints it, such as "2.1".
        truth: The answer.
        wrong: The answer that each known slip leads to.
        cases: Arguments to compare at; each slip must differ from the truth on one of them at least.
        tolerance: Largest relative difference that counts as equal.
    """

    name: str
    number: str
    truth: Callable[..., float | str]
    wrong: Mapping[str, Callable[..., float | str]]
    cases: Sequence[tuple[Any, ...]] = ((),)
    tolerance: float = 1e-3


@dataclass(frozen=True)
class Chapter:
    """What one lesson has to show; explorers and players are made from a seed when they are asked for."""

    number: str
    questions: Sequence[Question] = ()
    exercises: Sequence[Exercise] = ()
    explorers: Mapping[str, Callable[[int], Explorer]] = field(default_factory=dict)
    players: Mapping[str, Callable[[int], Player]] = field(default_factory=dict)


def chapter(number: str) -> Chapter:
    """Return the chapter of a lesson.

    Raises:
        ValueError: If there is no lesson of this number.
    """
    if number not in MODULES:
        raise ValueError(f"There is no lesson {number!r}; the lessons are {', '.join(MODULES)}.")
    found: Chapter = importlib.import_module(f".{MODULES[number]}", __name__).CHAPTER
    return found
