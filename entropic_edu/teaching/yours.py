"""A learner's function where an explorer has the library's, which stands in while theirs is not written or stops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .strings import text


class Yours:
    """Call the learner's function; where it gives nothing usable, the library's from then on, and ``note`` says why.

    Args:
        function: The learner's, or None.
        library: The one that stands in; the learner's value must have the shape of its value.

    >>> double = Yours(lambda x: 2 * x, library=lambda x: x + x)
    >>> double(torch.tensor([1.0, 2.0])), double.note
    (tensor([2., 4.]), 'Made by your function.')
    >>> double = Yours(lambda x: ..., library=lambda x: x + x)
    >>> double(torch.tensor([1.0, 2.0])), double.note
    (tensor([2., 4.]), 'Your function is not written yet; the one of the library stands in.')
    """

    def __init__(self, function: Callable[..., Any] | None, library: Callable[..., Tensor]) -> None:
        self.function, self.library = function, library
        self.note = "" if function is None else text("yours.made")
        self._shape: torch.Size | None = None

    def __call__(self, *values: Any) -> Tensor:
        if self.function is None:
            return self.library(*values)
        try:
            given = self.function(*(value.clone() if isinstance(value, Tensor) else value for value in values))
            if given is None or given is Ellipsis:
                return self._stand_in(text("yours.unwritten"), *values)
            if isinstance(given, tuple | list):
                given = torch.stack([torch.as_tensor(each).double() for each in given])
            value = torch.as_tensor(given).detach()
        except Exception as error:  # whatever it is, it is the learner's and is told
            return self._stand_in(text("yours.stopped", error=type(error).__name__, reason=error), *values)
        if self._shape is None:
            self._shape = self.library(*values).shape
        if value.shape != self._shape or not bool(value.isfinite().all()):
            told = text("yours.unfit", given=tuple(value.shape), wanted=tuple(self._shape))
            return self._stand_in(told, *values)
        return value

    def _stand_in(self, note: str, *values: Any) -> Tensor:
        self.function, self.note = None, note
        return self.library(*values)
