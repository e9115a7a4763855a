"""A learner's function where an explorer has the library's, which stands in while theirs is not written or stops."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from torch import Tensor

from .calls import Unfit, Untouched, called, fitting, value_of, works
from .strings import text

Written: TypeAlias = Callable[..., Any] | None  # a learner's function, or none yet


class Yours:
    """Call the learner's function; where it gives nothing usable, the library's from then on, and ``note`` says why.

    Args:
        function: The learner's, or None.
        library: The one that stands in; the learner's value must have the shape of its value.
        seconds: How long one call may take; a loop that never ends is stopped then.

    >>> double = Yours(lambda x: 2 * x, library=lambda x: x + x)
    >>> double(torch.tensor([1.0, 2.0])), double.note
    (tensor([2., 4.]), 'Made by your function.')
    >>> double = Yours(lambda x: ..., library=lambda x: x + x)
    >>> double(torch.tensor([1.0, 2.0])), double.note
    (tensor([2., 4.]), "Your function is not written yet. The library's stands in.")
    """

    def __init__(self, function: Written, library: Callable[..., Any], seconds: float = 30) -> None:
        self.function, self.library, self.seconds = function, library, seconds
        self.note = "" if function is None else text("yours.made")
        self._truth: Tensor | None = None

    @property
    def whose(self) -> str:
        """The note, also where there is no function at all."""
        return self.note or text("yours.instead", reason=text("yours.unwritten"))

    def __call__(self, *values: Any) -> Tensor:
        if self.function is not None:
            try:
                return self._theirs(*values)
            except (Unfit, Untouched) as problem:
                reason = problem.args[0] if isinstance(problem, Unfit) else text("yours.unwritten")
                self.function, self.note = None, text("yours.instead", reason=reason)
        return self._stand_in(*values)

    def _stand_in(self, *values: Any) -> Tensor:
        value = self.library(*values)
        return value if isinstance(value, Tensor) else torch.as_tensor(value_of(value))

    def _theirs(self, *values: Any) -> Tensor:
        assert self.function is not None
        copies = [value.clone() if isinstance(value, Tensor) else value for value in values]
        given = called(self.function, copies, time.monotonic() + self.seconds, self.seconds)
        if given is None and works(self.function):
            raise Unfit(text("check.no_return"))
        if given is None or given is Ellipsis:
            raise Untouched
        self._truth = self._stand_in(*values) if self._truth is None else self._truth
        value = fitting(given, value_of(self._truth), "", ())
        if isinstance(value, Unfit):
            raise value
        return torch.as_tensor(value, dtype=self._truth.dtype)


def draws(number: int, *shape: int) -> Tensor:
    """Return normal draws in float64, the same for the same number."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(number), dtype=torch.float64)


def told(**functions: Yours) -> str:
    """Return whose several functions are, by name where they differ."""
    said = {name: function.whose for name, function in functions.items()}
    first, *others = set(said.values())
    return " ".join(f"{name}: {whose}" for name, whose in said.items()) if others else first
