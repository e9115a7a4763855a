"""The widgets of one bet: what its methods do, with a mouse or a keyboard."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import TYPE_CHECKING

from .strings import text

if TYPE_CHECKING:
    from .bet import Bet

try:
    import ipywidgets as W
except ImportError as error:
    raise ImportError('Predictions need ipywidgets; install it with: pip install "entropic-edu[lab]"') from error

# an option of several words may take two lines; by default each has the height of one, and they overlap
WRAP = """<style>
.ee-bet .widget-radio-box label { height: auto; white-space: normal; line-height: 1.4; position: relative;
  padding: 1px 0 1px 24px }
.ee-bet .widget-radio-box input { position: absolute; left: 1px; top: 3px; float: none; height: 16px }
</style>"""
_TEXT = "font-size:15px; line-height:1.4; margin:4px 0; color:var(--jp-ui-font-color1, #222)"


class Form:
    """The widgets of one bet."""

    def __init__(self, bet: Bet) -> None:
        self.bet, self.news = bet, ""
        whole = W.Layout(width="auto", max_width="760px")
        asked = _paragraph(f"<b>{text('bet.title')}.</b> {html.escape(bet.words('ask'))}")
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
        parts = [W.HTML(WRAP + asked, layout=whole), self.options, self.sure, self.row, self.status, self.reply]
        self.box = W.VBox(parts, layout=W.Layout(width="760px", max_width="100%")).add_class("ee-bet")
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
        later = [self.again] if bet.revealed else [self.reveal, self.again]
        self.row.children = [self.lock, self.skip] if bet.choice is None else later
        self.news = f"{self.news} {bet.news()}".strip()
        self.say(f"{bet.status} {self.news}".strip())
        self.reply.value = _paragraph(html.escape(bet.reply)) if bet.revealed else ""

    def say(self, words: str, role: str = "status") -> None:
        """Write a line that screen readers read out."""
        self.status.value = f'<p role="{role}" style="{_TEXT}">{html.escape(words)}</p>'


def _paragraph(inner: str) -> str:
    return f'<p style="{_TEXT}">{inner}</p>'
