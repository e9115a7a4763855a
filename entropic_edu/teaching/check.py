"""Check an answer: right, one of the known slips, or what about it is not right. Whatever comes, nothing is raised."""

from __future__ import annotations

import copy
import html
import inspect
import math
import numbers
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from .strings import composed_text, text


@dataclass(frozen=True)
class Exercise:
    """A task whose known wrong answers are told apart.

    An answer is a function of the values of a case, or, where ``cases`` is one empty tuple, a plain value.
    ``strings.composed_text`` and ``strings.hints`` find the words.

    >>> heat = Exercise("heat", "2.1", truth=lambda rate: rate / 2, wrong={"twice": lambda rate: rate}, cases=[(0.1,)])
    >>> heat.truth(*heat.cases[0])
    0.05
    """

    name: str  # unique in its lesson
    number: str  # as the lesson prints it, such as "2.1"
    truth: Callable[..., float | str]  # the answer
    wrong: Mapping[str, Callable[..., float | str]]  # the answer that each known slip leads to
    cases: Sequence[tuple[Any, ...]] = ((),)  # arguments to compare at; each slip differs from the truth on one
    tolerance: float = 1e-3  # largest relative difference that counts as equal


Value: TypeAlias = str | NDArray[np.float64]  # of an answer, ready to be compared


@dataclass(frozen=True)
class Verdict:
    """What a check says; as the last line of a cell it shows itself."""

    exercise: str  # its number
    passed: int  # cases that the answer got right
    of: int  # cases in all
    message: str  # for the learner
    slip: str | None = None  # the known slip that the answer agrees with in all cases
    attempted: bool = True  # False for a stub that nobody touched

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


class _Unfit(Exception):  # noqa: N818 - the learner's error, which is told and not raised
    """An answer that cannot be compared; the message says why."""


def check(lesson: str, exercise: Exercise, answer: object) -> Verdict:
    """Compare an answer, a function of the values of a case or a plain number or text, with truth and known slips.

    The number of the lesson is for the words.

    >>> scale = Exercise("scale", "2.1", truth=lambda batch_size: 1 / batch_size, wrong={}, cases=[(4,), (16,)])
    >>> check("02", scale, lambda batch_size: 2 / batch_size)
    0 of 2 checks of exercise 2.1 passed.
    For batch_size = 4 your function returns 0.5, which is about 2.0 times too large.
    """
    cases = _cases(exercise)
    truths = [_value(exercise.truth(*_copied(case))) for case in exercise.cases]
    slips = {name: [_value(wrong(*_copied(case))) for case in exercise.cases] for name, wrong in exercise.wrong.items()}
    options = sorted({each for known in (truths, *slips.values()) for each in known if isinstance(each, str)})

    def verdict(passed: int, why: object, slip: str | None = None) -> Verdict:
        known = {"number": exercise.number, "passed": passed, "of": len(cases)}
        counted = text("check.counted_one" if len(cases) == 1 else "check.counted", **known)
        return Verdict(exercise.number, passed, len(cases), f"{counted}\n{why}", slip)

    try:
        given = _given(exercise, answer)
        if given is None:
            untouched = text("check.not_attempted", number=exercise.number)
            return Verdict(exercise.number, 0, len(cases), untouched, attempted=False)
        values = [_fitting(*each, options) for each in zip(given, truths, cases, strict=True)]
    except _Unfit as problem:
        return verdict(0, problem)
    good = _agree(values, truths, exercise)
    if all(good):
        return verdict(len(good), composed_text(lesson, "exercise", exercise.name, "right"))
    for slip, known in slips.items():
        if all(_agree(values, known, exercise)):
            return verdict(sum(good), composed_text(lesson, "exercise", exercise.name, "wrong", slip), slip)
    first = good.index(False)
    return verdict(sum(good), _missed(values[first], truths[first], cases[first]))


def _copied(case: Sequence[Any]) -> list[Any]:
    """Return the values of a case, safe from in-place changes; tensors in float64."""
    return [value.detach().clone().double() if isinstance(value, Tensor) else copy.deepcopy(value) for value in case]


def _given(exercise: Exercise, answer: object) -> list[object] | None:
    """Return the learner's value for each case, or None where the stub is as it came."""
    if answer is None or answer is Ellipsis:
        return None
    names = ", ".join(inspect.signature(exercise.truth).parameters)
    if not callable(answer) and names:
        raise _Unfit(text("check.wants_function", arguments=names, given=_kind(answer)))
    if not callable(answer):
        return [answer]
    try:
        inspect.signature(answer).bind(*exercise.cases[0])
    except TypeError:
        raise _Unfit(text("check.arguments", arguments=names) if names else text("check.wants_value")) from None
    except ValueError:  # a built-in function does not tell
        pass
    try:
        given = [answer(*_copied(case)) for case in exercise.cases]
    except NotImplementedError:
        return None
    except Exception as error:
        known = {"error": type(error).__name__, "reason": str(error) or text("check.no_reason")}
        raise _Unfit(text("check.raised", place=_place(error, answer), **known)) from None
    return None if all(value is None or value is Ellipsis for value in given) else given


def _place(error: Exception, answer: Callable[..., object]) -> str:
    """Return the line of the learner's function where an error arose, as far as Python tells."""
    file = getattr(getattr(inspect.unwrap(answer), "__code__", None), "co_filename", None)
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename != __file__]
    own = [frame for frame in frames if frame.filename == file] or frames
    return text("check.place", number=own[-1].lineno, line=own[-1].line) if own else ""


def _value(value: object) -> Value:
    """Return a text in one spelling, anything else as an array of float64; raise a TypeError if it holds no numbers."""
    if isinstance(value, str):
        return " ".join(value.split()).casefold()
    if isinstance(value, Tensor):
        value = (value.cpu().double() if value.dtype.is_floating_point else value).numpy(force=True)
    array = np.asarray(value)
    if array.dtype.kind in "bcSUmMV":
        raise TypeError(f"{array.dtype} is no kind of real number")
    return array.astype(np.float64)


def _fitting(given: object, truth: Value, case: str, options: list[str]) -> Value:
    """Return the learner's value in the form of the truth, or say why it has none."""
    if given is None or given is Ellipsis:
        raise _Unfit(text("check.nothing", case=case))
    if isinstance(truth, str):
        value = _value(given) if isinstance(given, str) else None
        if value not in options:
            raise _Unfit(text("check.wants_option", options=", ".join(f'"{option}"' for option in options)))
        return value
    try:
        value = _value(_read(given) if isinstance(given, str) else given)
    except (TypeError, ValueError):
        raise _Unfit(text("check.wants_number", given=_kind(given))) from None
    assert not isinstance(value, str)
    if value.shape != truth.shape and not value.size == truth.size == 1:
        wanted = text("check.one_number") if truth.ndim == 0 else text("check.shape", shape=truth.shape)
        raise _Unfit(text("check.wants_shape", wanted=wanted, given=text("check.shape", shape=value.shape)))
    if not np.isfinite(value).all():
        worst = value[~np.isfinite(value)].flat[0]
        raise _Unfit(text("check.not_finite" if case else "check.not_finite_value", given=worst, case=case))
    return value.reshape(truth.shape)


def _read(words: str) -> float:
    """Read a number with a decimal point or a decimal comma."""
    plain = "".join(words.split()).replace("−", "-")
    return float(plain.replace(",", "") if "." in plain else plain.replace(",", "."))


def _kind(given: object) -> str:
    """Name what came in a learner's words."""
    if isinstance(given, str):
        return text("check.a_text", words=given if len(given) <= 40 else f"{given[:40]}…")
    is_number = isinstance(given, numbers.Number) and not isinstance(given, bool | complex)
    return text("check.a_number") if is_number else text("check.a_thing", kind=type(given).__name__)


def _agree(values: Sequence[Value], known: Sequence[Value], exercise: Exercise) -> list[bool]:
    """Return for each case whether two values are equal within the exercise's tolerance."""
    sizes = [np.abs(value).max(initial=0.0) for value in known if not isinstance(value, str)]
    scale = max((size for size in sizes if math.isfinite(size)), default=1.0) or 1.0
    return [_equal(value, other, exercise.tolerance, scale) for value, other in zip(values, known, strict=True)]


def _equal(value: Value, known: Value, tolerance: float, scale: float) -> bool:
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
    return f"{float(value):.4g}" if isinstance(value, numbers.Real | Tensor | np.ndarray) else str(value)


def _missed(value: Value, truth: Value, case: str) -> str:
    """Say how a wrong value differs in kind from the right one, without telling the right one."""
    if isinstance(value, str) or isinstance(truth, str):
        return text("check.other_option", given=value)
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
