"""The door: plain settings are looked at before anything is computed; a ValueError names the one that will not do."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any


def is_number(value: object) -> bool:
    """Return whether this is a real number, NaN and infinity included."""
    return isinstance(value, Real) and not isinstance(value, bool)


def require_counts(least: int = 1, **counts: Any) -> None:
    """Refuse what is no whole number, at least so large."""
    for name, value in counts.items():
        whole = isinstance(value, Integral) and is_number(value)  # Integral: numpy's integers too
        if not whole or value < least:
            raise ValueError(f"{name} must be a whole number, at least {least}; got {value!r}.")


def require_batch(batch_size: Any) -> None:
    """Refuse what is no number of samples."""
    require_counts(batch_size=batch_size)


def require_steps(learning_rate: Any, momentum: Any) -> None:
    """Refuse what are no η and m of steps that can be taken."""
    if not is_number(learning_rate) or not 0 < learning_rate <= 1e30:  # more is no number once it is multiplied
        raise ValueError(f"learning_rate must be positive and finite, got {learning_rate!r}; its largest is 1e+30.")
    if not is_number(momentum) or not 0 <= momentum < 1:
        raise ValueError(f"momentum lies in [0, 1), got {momentum!r}.")
