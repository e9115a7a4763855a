"""Predictions: a choice and a confidence that are locked before the result is seen.

Nothing waits for a bet: skipping is what happens where nobody is there to choose.
"""

from __future__ import annotations

import html
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, NamedTuple

try:
    import ipywidgets as W
except ImportError as error:
    raise ImportError('Lessons need ipywidgets; install it with: pip install "entropic-edu[lab]"') from error

from .answers import Answers, Made
from .named import Names
from .page import TEXT, guarded, read_out
from .strings import composed_text, text

CONFIDENCES = (0.5, 0.7, 0.9, 0.99)  # and the chance level of the question
# an option of several words may take two lines; by default each has the height of one, and they overlap
WRAP = """<style>
.ee-bet .widget-radio-box label { height: auto; white-space: normal; line-height: 1.4; position: relative;
  padding: 1px 0 1px 24px }
.ee-bet .widget-radio-box input { position: absolute; left: 1px; top: 3px; float: none; height: 16px }
</style>"""


@dataclass(frozen=True)
class Question:
    """A prediction to make before playing; its words are found by ``strings.composed_text``."""

    name: str  # unique in its lesson
    options: Sequence[str]  # their keys, in the order of the page; all but the right one are named misconceptions
    right: str  # key of the option that the result bears out
    ghosts: Mapping[str, Any] = field(default_factory=dict)  # what an option predicts, for the explorer to draw


class _State(NamedTuple):
    """All that changes in a bet, replaced in one piece, so that any thread reads a state that was."""

    made: Made | None = None
    open: bool = False
    word: str = "bet.invite"  # of the catalogue, for where the bet stands
    revealed: bool = False


class Bet:
    """A question of a lesson, the learner's choice, and what is told when the result is known.

    A locked choice is kept in ``answers``; one that is there from an earlier session is locked from the start.
    """

    choice = property(lambda self: getattr(self._state.made, "choice", None), doc="Key of the locked option, or None.")
    confidence = property(lambda self: getattr(self._state.made, "confidence", None), doc="How sure of it, or None.")
    open = property(lambda self: self._state.open, doc="Whether the result may be seen: locked or skipped.")
    revealed = property(lambda self: self._state.revealed, doc="Whether the learner asked what came out.")

    def __init__(self, lesson: str, question: Question, answers: Answers) -> None:
        self.lesson, self.question = lesson, question
        self._name = f"question {question.name!r} of lesson {lesson}"
        chance = 1 / len(question.options)
        self.confidences = (chance, *(level for level in CONFIDENCES if level > chance))
        self.answers, self._lock, self._state = answers, threading.Lock(), _State()
        self._callbacks: list[Callable[[], object]] = []
        self._form: Form | None = None
        made = answers.bet(lesson, question.name)
        if made is not None and made.choice in question.options:
            self._state = _State(made, open=True, word="bet.earlier")

    @property
    def right(self) -> bool:
        """Whether the result bears the choice out."""
        return self.choice == self.question.right

    @property
    def ghost(self) -> Any:
        """What the choice predicts, for an explorer to draw, or None."""
        return self.question.ghosts.get(self.choice)

    def on_open(self, callback: Callable[[], object]) -> None:
        """Call back each time the bet opens, and at once if it is open."""
        with self._lock:
            self._callbacks.append(callback)
            now = self._state.open
        if now:
            callback()

    def lock(self, choice: str, confidence: float | None = None) -> None:
        """Lock in an option, by its key and one of ``confidences`` (None is a guess), and open what it covers.

        Raises:
            ValueError: If there is no such option or confidence, or the bet is open already.
        """
        confidence = self.confidences[0] if confidence is None else confidence
        if choice not in self.question.options:
            raise ValueError(f"The options of {self._name} are {', '.join(self.question.options)}; got {choice!r}.")
        if confidence not in self.confidences:
            named = ", ".join(f"{value:.2g}" for value in self.confidences)
            raise ValueError(f"A confidence is one of {named}; got {confidence!r}.")
        with self._lock:
            if self._state.open:
                raise ValueError(f"{self._name} is open already; call again() first to bet again.")
            second = self.answers.bet(self.lesson, self.question.name) is not None
            made = Made(self.lesson, self.question.name, choice, float(confidence), choice == self.question.right)
            self.answers.add_bet(made)
            self._state = _State(made, open=True, word="bet.second" if second else "bet.locked")
        self._opened()

    def skip(self) -> None:
        """Open what the bet covers and keep nothing; an open bet stays as it is."""
        with self._lock:
            if self._state.open:
                return
            self._state = _State(open=True, word="bet.skipped")
        self._opened()

    def again(self) -> None:
        """Close the bet for a new choice; what is kept for the calibration is the first one, made before the result."""
        with self._lock:
            self._state = _State()
        self._show()

    def reveal(self) -> str:
        """Return, and show, whether the locked choice was right and what is to be said about it.

        Raises:
            ValueError: If no choice is locked.
        """
        with self._lock:
            if self._state.made is None:
                raise ValueError(f"Nothing is locked in for {self._name}; call lock(choice, confidence) first.")
            self._state = self._state._replace(revealed=True)
        self._show()
        return self.reply

    @property
    def reply(self) -> str:
        """What is told about the locked choice when the result is known; empty where there is none."""
        if self.choice is None:
            return ""
        return f"{text('bet.right' if self.right else 'bet.wrong')} {self.words(f'reply.{self.choice}')}"

    @property
    def status(self) -> str:
        """Where the bet stands."""
        made, _, word, _ = self._state
        if made is None:
            return text(word)
        return text(word, option=self.words(f"option.{made.choice}"), sure=self.worded(made.confidence))

    def words(self, key: str) -> str:
        """Return the question's words at a key such as "ask" or "option.<name>"."""
        return composed_text(self.lesson, "question", self.question.name, key)

    def worded(self, confidence: float) -> str:
        """Return how the page writes a confidence."""
        return text("bet.guess") if confidence == self.confidences[0] else text("bet.percent", percent=100 * confidence)

    def _opened(self) -> None:
        """Show the new state and call everybody back, outside the lock: an explorer draws, and asks for the ghost."""
        self._show()
        with ExitStack() as opening:  # where one callback fails the others open all the same
            for callback in reversed(self._callbacks):
                opening.callback(callback)

    def _show(self) -> None:
        if self._form is not None:
            self._form.show()

    @property
    def widget(self) -> W.VBox:
        """The bet as a widget, made when it is first asked for."""
        if self._form is None:
            self._form = Form(self)
        return self._form.box

    def __repr__(self) -> str:
        """Return question, options and state as plain text, for where no widget runs."""
        lines = [f"{text('bet.title')}: {self.words('ask')}"]
        for option in self.question.options:
            lines.append(f"  ({'x' if option == self.choice else ' '}) {self.words(f'option.{option}')}")
        return "\n".join([*lines, self.status, *([self.reply] if self.revealed else [])])

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        return {**self.widget._repr_mimebundle_(), "text/plain": repr(self)}


class Form:
    """The widgets of one bet: what its methods do, with a mouse or a keyboard."""

    def __init__(self, bet: Bet) -> None:
        self.bet, self.news = bet, ""
        whole = W.Layout(width="auto", max_width="760px")
        asked = f'<p style="{TEXT}"><b>{text("bet.title")}.</b> {html.escape(bet.words("ask"))}</p>'
        options = [(bet.words(f"option.{option}"), option) for option in bet.question.options]
        self.options = W.RadioButtons(options=options, value=None, layout=W.Layout(width="auto"))
        self.sure = W.SelectionSlider(
            options=[(bet.worded(value), value) for value in bet.confidences],
            description=text("bet.sure"),
            style={"description_width": "140px"},
            layout=W.Layout(width="400px", max_width="100%"),
        )
        self.lock = self._button(text("bet.lock"), self._locked)
        self.skip = self._button(text("bet.skip"), bet.skip)
        self.again = self._button(text("bet.again"), bet.again)
        self.reveal = self._button(text("bet.reveal"), bet.reveal)
        self.row = W.HBox(layout=W.Layout(flex_flow="row wrap"))
        self.status = W.HTML(layout=whole).add_class("ee-bet-status")
        self.reply = W.HTML(layout=whole).add_class("ee-bet-reply")
        parts = [W.HTML(WRAP + asked, layout=whole), self.options, self.sure, self.row, self.status, self.reply]
        self.box = W.VBox([*parts, Names()], layout=W.Layout(width="760px", max_width="100%")).add_class("ee-bet")
        self.show()

    def _button(self, label: str, act: Callable[[], object]) -> W.Button:
        button = W.Button(description=label, layout=W.Layout(width="auto"))
        button.on_click(lambda _: guarded(act, self._failed))
        return button

    def _locked(self) -> None:
        if self.options.value is None:
            self.status.value = read_out(text("bet.choose"), role="alert")
        elif not self.bet.open:  # a second click may come before the button is seen to be off
            self.bet.lock(self.options.value, self.sure.value)

    def _failed(self, error: str) -> None:
        self.status.value = read_out(text("bet.failed", error=error), error=True)

    def show(self) -> None:
        """Show where the bet stands."""
        bet = self.bet
        self.options.value = bet.choice
        if bet.confidence in bet.confidences:  # not where the question had other options in an earlier session
            self.sure.value = bet.confidence
        for part in (self.options, self.sure, self.lock, self.skip):
            part.disabled = bet.open
        later = [self.again] if bet.revealed else [self.reveal, self.again]
        self.row.children = [self.lock, self.skip] if bet.choice is None else later
        self.news = f"{self.news} {bet.answers.news()}".strip()
        self.status.value = read_out(f"{bet.status} {self.news}".strip())
        self.reply.value = f'<p style="{TEXT}">{html.escape(bet.reply)}</p>' if bet.revealed else ""
