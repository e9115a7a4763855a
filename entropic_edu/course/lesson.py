"""A lesson on the page: what it plays, asks, checks and hints at."""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import os
import sys
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import torch

from entropic_edu import course
from entropic_edu.teaching.answers import here
from entropic_edu.teaching.bet import Bet
from entropic_edu.teaching.calibration import Calibration
from entropic_edu.teaching.check import Verdict, check
from entropic_edu.teaching.hints import Hints
from entropic_edu.teaching.strings import composed_text, text

from . import Exercise

if TYPE_CHECKING:
    from entropic_edu.teaching.explorer import Explorer
    from entropic_edu.teaching.player import Player
    from entropic_edu.teaching.stage import Stage


class Said(str):
    """Words that show themselves, without quotes, as the last line of a cell."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


class Lesson:
    """What a learner's setup cell makes.

    Args:
        number: Such as "02".
        class_code: Gives the class seeds of its own, so that its answers can be pooled: the same code and seat give
            the same numbers on any machine, another seat another crowd. By default the environment variable
            ENTROPIC_EDU_CLASS, "code" or "code:seat"; without that all see the numbers of the printed lesson.
        seat: Number of the learner in the class.

    Attributes:
        seed: Of everything that is drawn in this lesson; 0 without a class code.

    Raises:
        ValueError: If there is no such lesson, the seat is no number, or there is a seat but no class.

    >>> import entropic_edu as ee
    >>> lesson = ee.Lesson("02", class_code="Team A", seat=3)
    >>> bet = lesson.predict("where")
    >>> explorer = lesson.explore("drain", after="where")  # covered until the bet is locked or skipped
    >>> explorer.covered
    True
    >>> bet.skip()
    >>> explorer.covered
    False
    >>> lesson.check("2.1", None)
    Exercise 2.1: not attempted yet.
    """

    def __init__(self, number: str, *, class_code: str | None = None, seat: int | None = None) -> None:
        self.chapter = course.chapter(number)
        self.number = number
        self.class_code, self.seat = _class(class_code, seat)
        self.seed = 0 if self.class_code is None else _seed(self.class_code, self.seat)
        self._answers = here()
        self._bets: dict[str, Bet] = {}
        self._lock = threading.Lock()
        self._answers.passed(number)  # reads the file, so that what is wrong with it is told before the lesson begins
        self._tell()

    def __repr__(self) -> str:
        known = {"number": self.number, "title": composed_text("lesson", "title", self.number), "seed": self.seed}
        if self.class_code is None:
            return text("lesson.line", **known)
        seat = text("lesson.no_seat") if self.seat is None else self.seat
        return text("lesson.class_line", **known, code=self.class_code, seat=seat)

    def generator(self) -> torch.Generator:
        """Return a fresh generator with this lesson's seed."""
        return torch.Generator().manual_seed(self.seed)

    def environment(self) -> Said:
        """Return whether what the lessons need is there: one sentence, or a line for each thing that is wrong."""
        from entropic_edu.teaching import doctor  # only here: it looks at the machine

        failed = [str(check) for check in doctor.checks() if check.state == "fail"]
        return Said("\n".join(failed) or text("lesson.environment"))

    def explore(self, name: str, after: str | None = None, *, yours: Callable[..., Any] | None = None) -> Explorer:
        """Return a new explorer.

        Args:
            name: Of the explorer.
            after: Question whose bet must be locked or skipped before the explorer can be seen.
            yours: A function of the learner's, which the explorer then uses in place of the library's.

        Raises:
            ValueError: If the lesson has no such explorer or question, or the explorer uses no function.
        """
        make = _named(self.chapter.explorers, name, "explorer", self.number)
        if yours is not None and "yours" not in inspect.signature(make).parameters:
            raise ValueError(f"The explorer {name!r} uses no function of yours; leave out yours=.")
        explorer: Explorer = make(self.seed) if yours is None else make(self.seed, yours=yours)
        if after is not None:
            explorer.cover(self.predict(after))
        return explorer

    def play(self, name: str, after: str | None = None) -> Player | Stage:
        """Return a new player, or a live stage.

        Args:
            name: Of the player.
            after: Question whose bet must be locked or skipped before a stage can be seen.

        Raises:
            ValueError: If the lesson has no such player or question, or a film is to wait for a bet.
        """
        made = _named(self.chapter.players, name, "player", self.number)(self.seed)
        if after is None:
            return made
        bet = self.predict(after)
        if not hasattr(made, "cover"):
            raise ValueError(f"{name!r} is a film, which waits for no bet; leave out after={after!r}.")
        covered: Stage = made.cover(bet)
        return covered

    def source(self, name: str) -> Said:
        """Return the code that an explorer is made of, the whole module.

        Raises:
            ValueError: If the lesson has no such explorer.
        """
        make = _named(self.chapter.explorers, name, "explorer", self.number)
        return Said(inspect.getsource(sys.modules[make.__module__]))

    def predict(self, name: str) -> Bet:
        """Return the bet on a question, the same one each time.

        Raises:
            ValueError: If the lesson has no such question.
        """
        question = _named({q.name: q for q in self.chapter.questions}, name, "question", self.number)
        with self._lock:
            if name not in self._bets:
                self._bets[name] = Bet(self.number, question, self._answers)
            return self._bets[name]

    def check(self, name: str | float, answer: object) -> Verdict:
        """Return what is right or wrong about an answer.

        Args:
            name: Number of the exercise, such as "2.1", or its name.
            answer: A function, or a plain value, as the exercise says.

        Raises:
            ValueError: If the lesson has no such exercise; never for a wrong answer.
        """
        exercise = self._exercise(name)
        verdict = check(self.number, exercise, answer)
        if verdict.right:
            self._answers.add_passed(self.number, exercise.number)
        news = self._answers.news()
        return dataclasses.replace(verdict, message=f"{verdict.message}\n{news}") if news else verdict

    def hint(self, name: str | float, layer: int | None = None) -> Hints | None:
        """Return the hints of an exercise, to be opened one by one; or print the hint of one layer.

        Raises:
            ValueError: If the lesson has no such exercise, or the exercise no such hint.
        """
        hints = Hints(self.number, self._exercise(name))
        if layer is None:
            return hints
        print(hints.layer(layer))
        return None

    def calibration(self) -> Calibration:
        """Return how sure the learner was against how often right, over the bets of all lessons."""
        return Calibration(self._answers.bets)

    def progress(self) -> Said:
        """Return which checks were passed and which predictions made."""
        passed = self._answers.passed(self.number)
        made = {bet.question for bet in self._answers.bets if bet.lesson == self.number}
        checks = [exercise.number for exercise in self.chapter.exercises if exercise.number in passed]
        bets = [question.name for question in self.chapter.questions if question.name in made]
        known: dict[str, Any] = {"checks": _listed(checks), "passed": len(checks)}
        known |= {"bets": _listed(bets), "made": len(bets)}
        counts = {"exercises": len(self.chapter.exercises), "questions": len(self.chapter.questions)}
        return Said(text("lesson.progress", number=self.number, **known, **counts))

    def forget(self) -> Said:
        """Delete what is kept of this lesson, and say what that was."""
        bets = sum(made.lesson == self.number for made in self._answers.bets)
        checks = len(self._answers.passed(self.number))
        self._answers.forget(self.number)
        with self._lock:
            self._bets = {}
        self._tell()
        return Said(text("lesson.forgotten", number=self.number, bets=bets, checks=checks))

    def _exercise(self, name: str | float) -> Exercise:
        known = {e.name: e for e in self.chapter.exercises} | {e.number: e for e in self.chapter.exercises}
        return _named(known, str(name), "exercise", self.number)

    def _tell(self) -> None:
        if news := self._answers.news():
            print(news)


def _named(known: Any, name: str, kind: str, number: str) -> Any:
    if name not in known:
        there = ", ".join(known) or "none"
        raise ValueError(f"Lesson {number} has no {kind} {name!r}; there is {there}.")
    return known[name]


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or text("lesson.none")


def _class(code: str | None, seat: int | None) -> tuple[str | None, int | None]:
    """Return code and seat, from the environment where they are not given."""
    if code is None:
        code, colon, named = os.environ.get("ENTROPIC_EDU_CLASS", "").partition(":")
        if colon and seat is None:
            if not named.strip().isdecimal():
                raise ValueError(f'ENTROPIC_EDU_CLASS is "code" or "code:seat" with a number as seat; got {named!r}.')
            seat = int(named)
    code = " ".join(code.split()).casefold()  # "Team A" and "team a " are one class
    if not code and seat is not None:
        raise ValueError(f"Seat {seat} of which class? Give class_code, or set ENTROPIC_EDU_CLASS to code:seat.")
    return code or None, seat


def _seed(code: str, seat: int | None) -> int:
    """Return a seed below 2³², the same for the same code and seat on any machine."""
    digest = hashlib.sha256(f"entropic_edu:{code}:{'' if seat is None else seat}".encode()).digest()
    return int.from_bytes(digest[:4], "big")
