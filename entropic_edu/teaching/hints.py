"""The hints of an exercise as a widget: each opens the next one."""

from __future__ import annotations

import html
import threading
from typing import Any

import ipywidgets as W

from .check import Exercise
from .page import TEXT
from .strings import hints, text


class Hints:
    """The hints of one exercise of a lesson, shown one after the other; ``shown`` says how many can be seen."""

    def __init__(self, lesson: str, exercise: Exercise) -> None:
        self.exercise, self.hints = exercise, hints(lesson, exercise.name)
        self.shown, self._lock = 0, threading.Lock()
        auto = W.Layout(width="auto")
        self._words, self._button = W.HTML(layout=auto), W.Button(layout=auto)
        self._button.on_click(lambda _: self.next())
        layout = W.Layout(max_width="760px", align_items="flex-start")
        self.widget = W.VBox([self._words, self._button], layout=layout).add_class("ee-hint")
        self._show()

    def layer(self, number: int) -> str:
        """Return one hint in words.

        Raises:
            ValueError: If there is no hint of this number.
        """
        if number not in range(1, len(self.hints) + 1):
            raise ValueError(f"Exercise {self.exercise.number} has hints 1 to {len(self.hints)}; got {number}.")
        return text("hint.said", number=number, of=len(self.hints), hint=self.hints[number - 1])

    def _layers(self) -> list[str]:
        return [self.layer(number) for number in range(1, self.shown + 1)]

    def next(self) -> None:
        """Show one hint more, up to the last."""
        with self._lock:
            self.shown = min(self.shown + 1, len(self.hints))
        self._show()

    def _show(self) -> None:
        words = "".join(f"<p>{html.escape(layer)}</p>" for layer in self._layers())
        self._words.value = f'<div role="status" style="{TEXT}">{words}</div>'
        left = self.shown < len(self.hints)
        word = "hint.last" if not left else "hint.next" if self.shown else "hint.first"
        self._button.description = text(word, number=self.shown + 1, of=len(self.hints))
        self._button.disabled = not left

    def __repr__(self) -> str:
        known = {"number": self.exercise.number, "of": len(self.hints), "next": min(self.shown + 1, len(self.hints))}
        return "\n".join([*self._layers(), text("hint.plain_one" if len(self.hints) == 1 else "hint.plain", **known)])

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        return {**self.widget._repr_mimebundle_(), "text/plain": repr(self)}
