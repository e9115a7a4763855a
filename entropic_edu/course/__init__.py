"""The course: for each lesson its explorers, players, questions and exercises. ``lesson.Lesson`` puts them on the page.

The words are in ``strings/en.toml``; here are the physics and the answers.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from entropic_edu.teaching.bet import Question
from entropic_edu.teaching.check import Exercise

if TYPE_CHECKING:
    from entropic_edu.teaching.explorer import Explorer
    from entropic_edu.teaching.player import Player
    from entropic_edu.teaching.stage import Stage

__all__ = ["MODULES", "Chapter", "Exercise", "Question", "chapter"]

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
class Chapter:
    """What one lesson has to show; explorers and players are made from a seed when they are asked for."""

    number: str
    questions: Sequence[Question] = ()
    exercises: Sequence[Exercise] = ()
    explorers: Mapping[str, Callable[..., Explorer]] = field(default_factory=dict)
    players: Mapping[str, Callable[[int], Player | Stage]] = field(default_factory=dict)


def chapter(number: str) -> Chapter:
    """Return the chapter of a lesson.

    Raises:
        ValueError: If there is no lesson of this number.
    """
    if number not in MODULES:
        raise ValueError(f"There is no lesson {number!r}; the lessons are {', '.join(MODULES)}.")
    lesson: Chapter = importlib.import_module(f".{MODULES[number]}", __name__).CHAPTER
    return lesson
