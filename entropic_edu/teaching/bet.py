"""Predictions: a choice and a confidence that are locked before the result is seen.

Nothing waits for a bet: skipping is what happens where nobody is there to choose.
"""

from __future__ import annotations

import html
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from .answers import Answers, Made
from .strings import question_text, text


@dataclass(frozen=True)
class Question:
    """A prediction to make before playing.

    Attributes:
        name: Unique in its lesson; the words are at ``<lesson>.question.<name>``: ``ask``, and for each option
            ``option.<key>`` (what it says) and ``reply.<key>`` (what to tell who chose it, when the result is known).
        options: Keys of the options, in the order of the page; all but the right one are named misconceptions.
        right: Key of the option that the result bears out.
        ghosts: What an option predicts, for the explorer to draw beside the result.
    """

    name: str
    options: Sequence[str]
    right: str
    ghosts: Mapping[str, Any] = field(default_factory=dict)


try:
    import ipywidgets as W
except ImportError as error:
    raise ImportError('Predictions need ipywidgets; install it with: pip install "entropic-edu[lab]"') from error

CONFIDENCES = (0.5, 0.7, 0.9, 0.99)  # and the chance level of the question
# an option of several words may take two lines; by default each has the height of one, and they overlap
WRAP = """<style>
.ee-bet .widget-radio-box label { height: auto; white-space: normal; line-height: 1.4; position: relative;
  padding: 1px 0 1px 24px }
.ee-bet .widget-radio-box input { position: absolute; left: 1px; top: 3px; float: none; height: 16px }
</style>"""
_TEXT = "font-size:15px; line-height:1.4; margin:4px 0; color:var(--jp-ui-font-color1, #222)"


class _State(NamedTuple):
    """All that changes in a bet, replaced in one piece, so that any thread reads a state that was."""

    choice: str | None = None
    confidence: float | None = None
    open: bool = False
    word: str = "bet.invite"  # of the catalogue, for where the bet stands
    revealed: bool = False


class Bet:
    """A question, the learner's choice, and what is told when the result is known.

    Args:
        lesson: Number of the lesson.
        question: What is asked.
        answers: Where a locked choice is kept; one that is there from an earlier session is locked from the start.
    """

    def __init__(self, lesson: str, question: Question, answers: Answers) -> None:
        self.lesson, self.question = lesson, question
        self.confidences = (1 / len(question.options), *(c for c in CONFIDENCES if c > 1 / len(question.options)))
        self._answers, self._lock = answers, threading.Lock()
        self._callbacks: list[Callable[[], object]] = []
        self._form: _Form | None = None
        self._state = _State()
        made = answers.bet(lesson, question.name)
        if made is not None and made.choice in question.options:
            self._state = _State(made.choice, made.confidence, open=True, word="bet.earlier")

    @property
    def choice(self) -> str | None:
        """Key of the option that was locked in, or None."""
        return self._state.choice

    @property
    def confidence(self) -> float | None:
        """How sure the learner was, or None."""
        return self._state.confidence

    @property
    def open(self) -> bool:
        """Whether the result may be seen: the bet was locked or skipped."""
        return self._state.open

    @property
    def revealed(self) -> bool:
        """Whether the learner asked what came out."""
        return self._state.revealed

    @property
    def right(self) -> bool:
        """Whether the result bears the choice out."""
        return self.choice == self.question.right

    @property
    def ghost(self) -> Any:
        """What the choice predicts, for an explorer to draw, or None."""
        choice = self.choice
        return None if choice is None else self.question.ghosts.get(choice)

    def on_open(self, callback: Callable[[], object]) -> None:
        """Call back each time the bet opens, and at once if it is open."""
        with self._lock:
            self._callbacks.append(callback)
            now = self._state.open
        if now:
            callback()

    def lock(self, choice: str, confidence: float | None = None) -> None:
        """Lock a choice in, keep it, and open what it covers.

        Args:
            choice: Key of an option.
            confidence: One of ``confidences``; None is a guess, the chance level.

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
            second = self._answers.bet(self.lesson, self.question.name) is not None
            self._answers.add_bet(
                Made(self.lesson, self.question.name, choice, float(confidence), choice == self.question.right)
            )
            self._state = _State(choice, float(confidence), open=True, word="bet.second" if second else "bet.locked")
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
            if self._state.choice is None:
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
        state = self._state
        if state.choice is None or state.confidence is None:
            return text(state.word)
        option, sure = self.words(f"option.{state.choice}"), self.worded(state.confidence)
        return text(state.word, option=option, sure=sure)

    def words(self, key: str) -> str:
        """Return the question's words at a key such as "ask" or "option.<name>"."""
        return question_text(self.lesson, self.question.name, key)

    def worded(self, confidence: float) -> str:
        """Return how the page writes a confidence."""
        return text("bet.guess") if confidence == self.confidences[0] else text("bet.percent", percent=100 * confidence)

    @property
    def _name(self) -> str:
        return f"question {self.question.name!r} of lesson {self.lesson}"

    def _opened(self) -> None:
        """Show the new state and call everybody back, outside the lock: an explorer draws, and asks for the ghost."""
        self._show()
        errors = []
        for callback in list(self._callbacks):
            try:
                callback()
            except Exception as error:  # the others are to open all the same
                errors.append(error)
        if errors:
            raise errors[0]

    def _show(self) -> None:
        if self._form is not None:
            self._form.show()

    # --- on the page -----------------------------------------------------------------------------------------------

    @property
    def widget(self) -> W.VBox:
        """The bet as a widget, made when it is first asked for."""
        if self._form is None:
            self._form = _Form(self)
        return self._form.box

    def __repr__(self) -> str:
        """Return question, options and state as plain text, for where no widget runs."""
        options = [
            f"  ({'x' if option == self.choice else ' '}) {self.words(f'option.{option}')}"
            for option in self.question.options
        ]
        reply = [self.reply] if self.revealed else []
        return "\n".join([f"{text('bet.title')}: {self.words('ask')}", *options, self.status, *reply])

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        return {**self.widget._repr_mimebundle_(), "text/plain": repr(self)}


class _Form:
    """The widgets of one bet."""

    def __init__(self, bet: Bet) -> None:
        self.bet, self.news = bet, ""
        whole = W.Layout(width="auto", max_width="760px")
        self.ask = W.HTML(
            WRAP + _paragraph(f"<b>{text('bet.title')}.</b> {html.escape(bet.words('ask'))}"), layout=whole
        )
        options = [(bet.words(f"option.{option}"), option) for option in bet.question.options]
        self.options = W.RadioButtons(options=options, value=None, layout=W.Layout(width="auto"))
        self.sure = W.SelectionSlider(
            options=[(bet.worded(value), value) for value in bet.confidences],
            value=bet.confidences[0],
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
        self.box = W.VBox(
            [self.ask, self.options, self.sure, self.row, self.status, self.reply],
            layout=W.Layout(width="760px", max_width="100%"),
        ).add_class("ee-bet")
        self.show()

    def _button(self, label: str, act: Callable[[], object]) -> W.Button:
        button = W.Button(description=label, layout=W.Layout(width="auto"))
        button.on_click(lambda _: self._guard(act))
        return button

    def _locked(self) -> None:
        if self.options.value is None:
            self.say(text("bet.choose"), role="alert")
        elif not self.bet.open:  # a second click may come before the button is seen to be off
            self.bet.lock(self.options.value, self.sure.value)

    def _guard(self, act: Callable[[], object]) -> None:
        try:
            act()
        except BaseException as error:  # nobody sees what a callback raises
            self.say(text("bet.failed", error=f"{type(error).__name__}: {error}"), role="alert")
            raise

    def show(self) -> None:
        """Show where the bet stands."""
        bet = self.bet
        self.options.value = bet.choice
        if bet.confidence in bet.confidences:  # not where the question had other options in an earlier session
            self.sure.value = bet.confidence
        for part in (self.options, self.sure, self.lock, self.skip):
            part.disabled = bet.open
        first = () if bet.choice is not None else (self.lock, self.skip)
        later = () if bet.choice is None else (self.again,) if bet.revealed else (self.reveal, self.again)
        self.row.children = (*first, *later)
        self.news = f"{self.news} {bet._answers.news()}".strip()
        self.say(f"{bet.status} {self.news}".strip())
        self.reply.value = _paragraph(html.escape(bet.reply)) if bet.revealed else ""

    def say(self, words: str, role: str = "status") -> None:
        """Write a line that screen readers read out."""
        self.status.value = f'<p role="{role}" style="{_TEXT}">{html.escape(words)}</p>'


def _paragraph(inner: str) -> str:
    return f'<p style="{_TEXT}">{inner}</p>'
