"""What a learner turns: sliders over meaningful values, and switches between a few."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ipywidgets as W

from .strings import composed_text


@dataclass(frozen=True)
class Control:
    """One thing to turn; ``slider`` and ``switch`` make them, and ``strings.composed_text`` finds its words."""

    name: str  # the keyword of ``render``
    options: tuple[Any, ...]  # all values it can take, in the order of the page
    default: Any  # the value at first
    form: str  # "slider" for an ordered quantity, "switch" for a choice of a few

    def __post_init__(self) -> None:
        if self.default not in self.options:
            raise ValueError(f"The default of control {self.name!r} must be one of {self.options}, got {self.default}.")

    @property
    def label(self) -> str:
        return composed_text("control", self.name, "label")

    def shown(self, value: Any) -> str:
        """Return how the page writes a value."""
        if isinstance(value, int | float) and not isinstance(value, bool):
            return f"{value:,}" if isinstance(value, int) else f"{value:g}"
        return composed_text("control", self.name, "none" if value is None else value)


def slider(name: str, options: Sequence[Any], default: Any) -> Control:
    """Return a slider over meaningful values of one quantity; None stands for an option that is no number."""
    return Control(name, tuple(options), default, "slider")


def switch(name: str, options: Sequence[str], default: str | None = None) -> Control:
    """Return a choice of a few named options; the first is the default."""
    return Control(name, tuple(options), options[0] if default is None else default, "switch")


def knob(control: Control) -> W.Widget:
    """Return the widget of one control; its values are places among the options, since None is no value to it."""
    known = {
        "options": [(control.shown(value), place) for place, value in enumerate(control.options)],
        "value": control.options.index(control.default),
        "description": control.label,
    }
    if control.form == "slider":
        layout = W.Layout(width="370px", max_width="100%")  # two in a row
        return W.SelectionSlider(**known, style={"description_width": "110px"}, layout=layout)
    layout = W.Layout(max_width="100%", margin="2px 12px 2px 2px")
    return W.ToggleButtons(**known, style={"description_width": "140px", "button_width": "auto"}, layout=layout)
