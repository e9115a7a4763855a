"""Check an answer: right, one of the known slips, or what about it is not right. Whatever comes, nothing is raised."""

from __future__ import annotations

import html
import inspect
import math
import numbers
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from . import diagnose
from .calls import HandedIn, Unfit, Untouched, Value, copied, fitting, value_of
from .strings import composed_text, text


@dataclass(frozen=True)
class Exercise:
    """A task whose known wrong answers are told apart.

    An answer is a function of the values of a case, or, where ``cases`` is one empty tuple, a plain value. A function
    of one argument may come as a dictionary.
    ``strings.composed_text`` and ``strings.hints`` find the words.

    >>> heat = Exercise("heat", "2.1", truth=lambda rate: rate / 2, wrong={"twice": lambda rate: rate}, cases=[(0.1,)])
    >>> heat.truth(*heat.cases[0])
    0.05
    """

    name: str  # unique in its lesson
    number: str  # as the lesson prints it, such as "2.1"
    truth: Callable[..., Any]  # the answer: a number, an array of numbers, or a text
    wrong: Mapping[str, Callable[..., Any]]  # the answer that each known slip leads to
    cases: Sequence[tuple[Any, ...]] = ((),)  # arguments to compare at; each slip differs from the truth on one
    tolerance: float = 1e-3  # largest relative difference that counts as equal
    also: Sequence[Callable[..., Any]] = ()  # other right answers


@dataclass(frozen=True)
class Verdict:
    """What a check says; as the last line of a cell it shows itself."""

    exercise: str  # its number
    passed: int  # cases that the answer got right
    of: int  # cases in all
    message: str  # for the learner
    slip: str | None = None  # the known slip that the answer agrees with
    attempted: bool = True  # False for a stub that nobody touched
    named: str = ""  # without a known slip: what kind of slip, or which entry, the message names

    @property
    def right(self) -> bool:
        """Whether all cases passed."""
        return self.attempted and self.passed == self.of

    def __repr__(self) -> str:
        return self.message

    def _repr_html_(self) -> str:
        """Return a box whose symbol and first word say the same as its colour."""
        kind, colour = ("check.wrong", "#D55E00") if self.attempted else ("check.untouched", "#767676")
        if self.right:
            kind, colour = "check.right", "#009E73"
        message = html.escape(self.message).replace("\n", "<br>")
        return (
            f'<div class="ee-verdict" role="status" style="border:1px solid {colour}; border-left:6px solid {colour}; '
            'padding:6px 12px; margin:4px 0; max-width:760px; font-size:15px; line-height:1.4">'
            f"<b>{text(kind)}</b><br>{message}</div>"
        )


def check(lesson: str, exercise: Exercise, answer: object) -> Verdict:
    """Compare an answer, a function of the values of a case or a plain number or text, with truth and known slips.

    The number of the lesson is for the words.

    >>> scale = Exercise("scale", "2.1", truth=lambda batch_size: 1 / batch_size, wrong={}, cases=[(4,), (16,)])
    >>> check("02", scale, lambda batch_size: 2 / batch_size)
    0 of 2 checks of exercise 2.1 passed.
    Every result is 2 times the right one: look for a constant factor.
    """
    cases = _cases(exercise)
    truths = _values(exercise.truth, exercise)
    slips = {name: _values(wrong, exercise) for name, wrong in exercise.wrong.items()}
    options = sorted({each for known in (truths, *slips.values()) for each in known if isinstance(each, str)})

    def verdict(passed: int, why: object, slip: str | None = None, named: str = "") -> Verdict:
        known = {"number": exercise.number, "passed": passed, "of": len(cases)}
        counted = text("check.counted_one" if len(cases) == 1 else "check.counted", **known)
        return Verdict(exercise.number, passed, len(cases), f"{counted}\n{why}", slip, named=named)

    names = tuple(inspect.signature(exercise.truth).parameters)[: len(exercise.cases[0])]
    try:
        handed_in = HandedIn(answer, names, exercise.number, exercise.cases[0])
        given = handed_in.results(exercise.cases)
    except Untouched as untouched:
        return Verdict(exercise.number, 0, len(cases), str(untouched), attempted=False)
    except Unfit as problem:
        return verdict(0, problem.args[0], named="unfit")
    values = [fitting(*each, options) for each in zip(given, truths, cases, strict=True)]
    good = _agree(values, truths, exercise)
    others = (_values(other, exercise) for other in exercise.also)
    if all(good) or any(all(_agree(values, other, exercise)) for other in others):
        return verdict(len(cases), composed_text(lesson, "exercise", exercise.name, "right"))
    for slip, known in slips.items():
        if all(_agree(values, known, exercise)):
            return verdict(sum(good), composed_text(lesson, "exercise", exercise.name, "wrong", slip), slip)
    if any(isinstance(truth, str) for truth in truths):
        return verdict(sum(good), _entries(values, given, good, exercise, options), named="entries")
    first = good.index(False)
    missed = values[first]
    if isinstance(missed, Unfit):
        return verdict(sum(good), _partly(missed.args[0], good, cases), named="unfit")
    for slip, known in slips.items():  # right in some cases, and the slip in all others
        if any(good) and all(right or same for right, same in zip(good, _agree(values, known, exercise), strict=True)):
            words = composed_text(lesson, "exercise", exercise.name, "wrong", slip)
            return verdict(sum(good), _partly(words, good, cases), slip)
    story = diagnose.Story(exercise.truth, handed_in, names, exercise.cases, exercise.tolerance)
    numbers_given = [value for value in values if isinstance(value, np.ndarray)]
    found = diagnose.named(story, numbers_given, good) if len(numbers_given) == len(values) else None
    if found and found.kind == "whole":
        return verdict(sum(good), found.message, named=found.kind)
    words = _missed(missed, truths[first], cases[first])
    words = f"{words}\n{found.message}" if found else words
    entry = "entry" if np.ndim(truths[first]) else ""  # that ``_missed`` names
    return verdict(sum(good), _partly(words, good, cases), named=found.kind if found else entry)


def _values(function: Callable[..., Any], exercise: Exercise) -> list[Value]:
    return [value_of(function(*copied(case))) for case in exercise.cases]


def _agree(values: Sequence[Value | Unfit], known: Sequence[Value], exercise: Exercise) -> list[bool]:
    """Return for each case whether two values are equal within the exercise's tolerance."""
    sizes = [np.abs(value).max(initial=0.0) for value in known if not isinstance(value, str)]
    scale = max((size for size in sizes if math.isfinite(size)), default=1.0) or 1.0
    return [_equal(value, other, exercise.tolerance, scale) for value, other in zip(values, known, strict=True)]


def _equal(value: Value | Unfit, known: Value, tolerance: float, scale: float) -> bool:
    if isinstance(value, Unfit):
        return False
    if isinstance(value, str) or isinstance(known, str):
        return isinstance(value, str) and isinstance(known, str) and value == known
    size = np.where(known == 0, scale, np.abs(known))  # a zero has no relative difference
    return value.shape == known.shape and bool((np.abs(value - known) <= tolerance * size).all())


def _cases(exercise: Exercise) -> list[str]:
    """Say what went in, case by case; empty where a plain value was asked for."""
    names = inspect.signature(exercise.truth).parameters
    pairs = [zip(names, case, strict=False) for case in exercise.cases]
    return [", ".join(f"{name} = {_said(value)}" for name, value in pair) for pair in pairs]


def _said(value: object) -> str:
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, Tensor | np.ndarray) and value.ndim > 0:
        if value.ndim == 1 and len(value) <= 6:
            return f"[{', '.join(f'{float(v):.4g}' for v in value)}]"
        return text("check.shape", shape=tuple(value.shape))
    if callable(value):
        return str(getattr(value, "__name__", value))
    return f"{float(value):.4g}" if isinstance(value, numbers.Real | Tensor | np.ndarray) else str(value)


def _partly(words: str, good: Sequence[bool], cases: Sequence[str]) -> str:
    """Add for which cases the answer is right, where it is for some."""
    if not any(good):
        return words
    right = "; ".join(case for case, fine in zip(cases, good, strict=True) if fine)
    return f"{words}\n{text('check.partly', right=right)}"


def _entries(
    values: Sequence[Value | Unfit],
    given: Sequence[object],
    good: Sequence[bool],
    exercise: Exercise,
    options: list[str],
) -> str:
    """Say of an answer in words which entries are right, which are not, and which are still open."""
    if not exercise.cases[0]:
        return text("check.other_option", given=values[0])
    named = [case[0] if len(case) == 1 else ", ".join(map(_said, case)) for case in exercise.cases]
    empty = [each is None or each is Ellipsis for each in given]
    kinds: dict[str, list[str]] = {"right": [], "wrong": [], "open": [], "unknown": []}
    for name, value, right, absent in zip(named, values, good, empty, strict=True):
        kind = "right" if right else "open" if absent else "unknown" if isinstance(value, Unfit) else "wrong"
        kinds[kind].append(str(name))
    keys = {"right": "check.entries_right", "wrong": "check.entries_wrong"}
    keys |= {"open": "check.entries_open", "unknown": "check.entries_unknown"}
    known = {"options": ", ".join(f'"{option}"' for option in options)}
    return "\n".join(text(keys[kind], entries=", ".join(each), **known) for kind, each in kinds.items() if each)


def _missed(value: Value, truth: Value, case: str) -> str:
    """Say how a wrong value differs in kind from the right one, without telling the right one."""
    assert not isinstance(value, str)
    assert not isinstance(truth, str)
    far = np.abs(value - truth)
    worst = int(far.argmax())
    given, wanted = float(value.flat[worst]), float(truth.flat[worst])
    came = f"{given:.4g}" if truth.ndim == 0 else text("check.entry", index=worst, value=given)
    return text("check.missed" if case else "check.missed_value", case=case, came=came, how=_how(given, wanted))


def _how(given: float, wanted: float) -> str:
    if wanted == 0:
        return text("check.how.above" if given > 0 else "check.how.below")
    ratio = given / wanted
    if ratio == 0:
        return text("check.how.zero")
    if ratio < 0:
        return text("check.how.sign" if 0.99 < -ratio < 1.01 else "check.how.sign_and_size")
    if 0.9 < ratio < 1.1:
        return text("check.how.near", percent=100 * abs(ratio - 1))
    factor = max(ratio, 1 / ratio)
    times = f"{factor:.1f}" if factor < 10 else f"{factor:.0f}" if factor < 1e4 else f"{factor:.0e}"
    return text("check.how.large" if ratio > 1 else "check.how.small", times=times)
