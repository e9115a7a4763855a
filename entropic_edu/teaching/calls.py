"""What a learner hands in: called case by case, stopped where it never ends, and read as numbers or texts."""

from __future__ import annotations

import contextlib
import copy
import dis
import inspect
import io
import math
import numbers
import os
import sys
import sysconfig
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from .strings import text

Value: TypeAlias = str | NDArray[np.float64]  # of an answer, ready to be compared
LONGEST = 10.0  # seconds that all cases together may take
LIBRARIES = (str(Path(os.__file__).parent), sysconfig.get_paths()["purelib"], str(Path(__file__).parents[1]))


class Unfit(Exception):  # noqa: N818 - the learner's error, which is told and not raised
    """An answer, or its result for one case, that cannot be compared; the message says why."""


class Untouched(Exception):  # noqa: N818 - no error at all
    """A stub as it came, or with one ``...`` left; the message is for the learner."""


class _TooLong(BaseException):  # not caught by an ``except Exception`` inside the learner's loop
    pass


class HandedIn:
    """An answer as a function of the values of a case.

    Args:
        answer: A function, a mapping from the values of one argument, or a plain value.
        names: The arguments that the exercise asks for; none for a plain value.
        number: Of the exercise.
        first: The first case, to see whether a function takes such arguments.

    Raises:
        Unfit: If it is none of these, or a function of other arguments.
        Untouched: If it is None or ``...``.
    """

    def __init__(self, answer: object, names: Sequence[str], number: str, first: Sequence[Any]) -> None:
        self.number, self.printed = number, ""
        self._answer, self._end = answer, math.inf
        if answer is None or answer is Ellipsis:
            raise Untouched(text("check.not_attempted", number=number))
        listed = ", ".join(names)
        if isinstance(answer, Mapping) and len(names) == 1:
            self._function: Callable[..., object] = _looked_up(answer)
        elif not callable(answer):
            if names:
                raise Unfit(text("check.wants_function", arguments=listed, given=kind(answer)))
            self._function = lambda: answer
        else:
            self._function = answer
            fits = True
            with contextlib.suppress(Exception):  # a built-in function does not tell; what else can be called may raise
                try:
                    inspect.signature(answer).bind(*first)
                except TypeError:
                    fits = False
            if not fits:
                raise Unfit(text("check.arguments", arguments=listed) if names else text("check.wants_value"))

    def results(self, cases: Sequence[Sequence[Any]]) -> list[object]:
        """Return what comes for each case: a result, or an `Unfit` that says why there is none.

        What the learner prints on the way is printed.

        Raises:
            Unfit: If all cases fail alike, or nothing is returned for any.
            Untouched: If the stub is as it came, or a ``...`` is left in it.
        """
        self.end(LONGEST)
        given = []
        for case in cases:
            given.append(self._result(case))
            if isinstance(given[-1], Unfit) and given[-1].args[1:] == ("too long",):
                raise given[-1]
        print(self.printed, end="")
        if all(each is None or each is Ellipsis for each in given):
            if self.printed:
                raise Unfit(text("check.prints"))
            if Ellipsis in given or not works(self._answer):
                raise Untouched(text("check.not_attempted", number=self.number))
            raise Unfit(text("check.no_return"))
        if all(isinstance(each, Unfit) for each in given):
            raise given[0]  # type: ignore[misc]  # mypy does not see through all()
        return given

    def end(self, seconds: float) -> None:
        """Stop whatever still runs in so many seconds."""
        self._end = time.monotonic() + seconds

    def probe(self, case: Sequence[Any]) -> object:
        """Return what comes for one more case; None where nothing does."""
        printed = self.printed
        try:
            result = self._result(case)
        except Untouched:
            return None
        self.printed = printed
        return None if isinstance(result, Unfit) else result

    def _result(self, case: Sequence[Any]) -> object:
        said = io.StringIO()
        try:
            with contextlib.redirect_stdout(said):
                return called(self._function, copied(case), self._end, LONGEST)
        except Untouched as left:
            raise Untouched(text("check.unfinished", number=self.number, place=left.args[0])) from None
        except Unfit as problem:
            return problem
        finally:
            self.printed += said.getvalue()


def called(function: Callable[..., Any], values: Sequence[Any], end: float, seconds: float) -> object:
    """Return what a learner's function gives, ``...`` where it is as it came; stop it at ``end``, after ``seconds``.

    Raises:
        Unfit: If it stops with an error or is stopped; the message says where.
        Untouched: If one ``...`` is left in it; the message is the place.
    """
    try:
        with _limited(end):
            result = next(_apart(function, values))
        if isinstance(result, StopIteration):
            raise result
        if isinstance(result, str):
            return _whole(result)
        return ... if isinstance(result, list | tuple) and any(each is ... for each in result) else result
    except NotImplementedError:
        return ...
    except KeyboardInterrupt:  # the learner's own
        raise
    except _TooLong as stop:
        told = text("check.too_long", seconds=f"{seconds:g}", place=_place(stop, function))
        raise Unfit(told, "too long") from None
    except BaseException as error:  # SystemExit, too: exit() is the learner's error
        place, reason = _place(error, function), _reason(error)
        if isinstance(error, TypeError) and "ellipsis" in reason:
            raise Untouched(place) from None
        known = {"error": type(error).__name__, "reason": reason or text("check.no_reason")}
        raise Unfit(text("check.raised", place=place, **known)) from None


def _place(error: BaseException, function: Callable[..., Any]) -> str:
    """Return the line of the learner's function where an error arose, as far as Python tells."""
    file = None
    with contextlib.suppress(Exception):  # what can be called may do anything
        file = inspect.unwrap(function).__code__.co_filename
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(LIBRARIES)]
    own = [frame for frame in frames if frame.filename == file] or frames
    return text("check.place", number=own[-1].lineno, line=own[-1].line) if own else ""


def _apart(function: Callable[..., object], values: Sequence[object]) -> Iterator[object]:
    """Call a function; as a generator, since one that is stopped while it handles an error leaves that error behind."""
    try:
        yield function(*values)
    except StopIteration as error:  # which ends a generator
        yield error


def _whole(words: str) -> str:
    """Return a plain text that any page can show, whatever a subclass or half a character makes of it."""
    return str.encode(words, "utf-8", "replace").decode()


def _reason(error: BaseException) -> str:
    """Return what an error says; nothing where saying it fails as well."""
    try:
        return _whole(str(error))
    except Exception:
        return ""


@contextlib.contextmanager
def _limited(end: float) -> Iterator[None]:
    """Stop Python code that still runs at the moment ``end``, wherever it is in a loop."""

    def watch(frame: FrameType, event: str, _: object) -> Any:
        if event == "line" and time.monotonic() > end:
            raise _TooLong
        return None if frame.f_code.co_filename.startswith(LIBRARIES) and event == "call" else watch

    before = sys.gettrace()
    sys.settrace(watch)
    try:
        yield
    finally:
        sys.settrace(before)


def works(answer: object) -> bool:
    """Whether a function does anything at all before it returns nothing."""
    code = getattr(answer, "__code__", None)
    idle = {"RESUME", "LOAD_CONST", "RETURN_VALUE", "RETURN_CONST", "NOP", "POP_TOP"}
    return code is not None and any(step.opname not in idle for step in dis.get_instructions(code))


def _looked_up(table: Mapping[Any, object]) -> Callable[..., object]:
    """Return a function that looks its argument up in a learner's table, whatever the spelling of a text."""
    return lambda key: {_plain(each): value for each, value in table.items()}.get(_plain(key))


def _plain(key: object) -> object:
    return " ".join(key.split()).casefold() if isinstance(key, str) else key


def copied(case: Sequence[Any]) -> list[Any]:
    """Return the values of a case, safe from in-place changes; tensors of real numbers in float64."""
    return [_copied(value) for value in case]


def _copied(value: Any) -> Any:
    if isinstance(value, Tensor):
        fresh = value.detach().clone()
        return fresh.double() if value.dtype.is_floating_point else fresh
    return copy.deepcopy(value)


def value_of(given: object) -> Value:
    """Return a text in one spelling, anything else as an array of float64; raise a TypeError if it holds no numbers."""
    if isinstance(given, str):
        return " ".join(given.split()).casefold()
    if isinstance(given, Tensor):
        given = (given.cpu().double() if given.dtype.is_floating_point else given).numpy(force=True)
    if isinstance(given, list | tuple) and any(isinstance(each, Tensor) for each in given):
        given = [each.tolist() if isinstance(each, Tensor) else each for each in given]
    array = np.asarray(given)
    if array.dtype.kind in "bcSUmMV":
        raise TypeError(f"{array.dtype} is no kind of real number")
    return array.astype(np.float64)


def fitting(given: object, truth: Value, case: str, options: Sequence[str]) -> Value | Unfit:
    """Return the learner's result in the form of the truth, or why it has none."""
    if isinstance(given, Unfit):
        return given
    if given is None or given is Ellipsis:
        return Unfit(text("check.nothing", case=case))
    if isinstance(truth, str):
        if not isinstance(given, str) or value_of(given) not in options:
            return Unfit(text("check.wants_option", options=", ".join(f'"{option}"' for option in options)))
        return value_of(given)
    try:
        value = value_of(_read(given) if isinstance(given, str) else given)
    except Exception:  # a learner's type may raise what it likes, a tensor may have no numbers or more than can be held
        return Unfit(text("check.wants_number", given=kind(given)))
    assert not isinstance(value, str)
    if value.shape != truth.shape and not value.size == truth.size == 1:
        wanted = text("check.one_number") if truth.ndim == 0 else text("check.shape", shape=truth.shape)
        return Unfit(text("check.wants_shape", wanted=wanted, given=text("check.shape", shape=value.shape)))
    if not np.isfinite(value).all():
        worst = value[~np.isfinite(value)].flat[0]
        return Unfit(text("check.not_finite" if case else "check.not_finite_value", given=worst, case=case))
    return value.reshape(truth.shape)


def _read(words: str) -> float:
    """Read a number with a decimal point or a decimal comma, or one in percent."""
    plain = "".join(words.split()).replace("−", "-")
    number = plain.removesuffix("%")
    value = float(number.replace(",", "") if "." in number else number.replace(",", "."))
    return value if number == plain else value / 100


def kind(given: object) -> str:
    """Name what came in a learner's words."""
    if isinstance(given, str):
        return text("check.a_text", words=given if len(given) <= 40 else f"{given[:40]}…")
    is_number = isinstance(given, numbers.Number) and not isinstance(given, bool | complex)
    return text("check.a_number") if is_number else text("check.a_thing", kind=type(given).__name__)
