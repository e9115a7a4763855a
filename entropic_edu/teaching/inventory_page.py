"""The concept inventory on the page: a code, twelve questions, a button that saves the answers in a file here."""

from __future__ import annotations

import html
from pathlib import Path

import ipywidgets as W

from . import inventory
from .bet import WRAP
from .inventory import FORMS, ITEMS, TIMES, UNSURE, Sheet
from .named import Names
from .page import TEXT, guarded, read_out
from .strings import option_text, text


class Inventory:
    """The questions of one time; as the last line of a cell it shows itself.

    Nothing says which answers are right while it is filled in, and nothing is sent anywhere.

    Args:
        when: "before" or "after" the course.
        form: "A" or "B"; by default A before and B after.
        folder: Where the file of answers is put.

    Raises:
        ValueError: If there is no such time or form.

    >>> from entropic_edu.teaching.inventory_page import Inventory
    >>> asked = Inventory("before")
    >>> asked.choose("luck", "right")
    >>> asked.missing[:2]
    ['cloud', 'dial']
    """

    def __init__(self, when: str, *, form: str | None = None, folder: str | Path = ".") -> None:
        form = dict(zip(TIMES, FORMS, strict=True)).get(when) if form is None else form
        Sheet("no-one", when, form, dict.fromkeys(ITEMS, UNSURE))  # type: ignore[arg-type]  # refuses in words
        self.when, self.form, self.folder = when, str(form), Path(folder)
        whole = W.Layout(width="auto", max_width="760px")
        intro = option_text(when, "inventory.before", "inventory.after")
        why = f'<p style="{TEXT}">{html.escape(text("inventory.code_why"))}</p>'
        label, hint = text("inventory.code"), text("inventory.code_hint")
        self.code = W.Text(description=label, placeholder=hint, style={"description_width": "90px"})
        self.choices = {item: self._radio(item) for item in ITEMS}
        asked = [part for k, item in enumerate(ITEMS) for part in (self._asked(k, item), self.choices[item])]
        self.save_button = W.Button(description=text("inventory.save"), layout=W.Layout(width="auto"))
        self.save_button.on_click(lambda _: guarded(self._clicked, self._failed))
        self.status = W.HTML(layout=whole).add_class("ee-inventory-status")
        head = [W.HTML(f'{WRAP}<p style="{TEXT}">{html.escape(intro)}</p>', layout=whole), W.HTML(why, layout=whole)]
        parts = [*head, self.code, *asked, self.save_button, self.status, Names()]
        self.widget = W.VBox(parts, layout=W.Layout(width="760px", max_width="100%")).add_class("ee-bet")

    def _asked(self, place: int, item: str) -> W.HTML:
        words = text("inventory.question", number=place + 1, ask=inventory.words(item, self.form, "ask"))
        return W.HTML(f'<p style="{TEXT}; margin-top:14px"><b>{html.escape(words)}</b></p>')

    def _radio(self, item: str) -> W.RadioButtons:
        known = [(inventory.words(item, self.form, key), key) for key in inventory.options(item, self.form)]
        options = [*known, (text("inventory.unsure"), UNSURE)]
        return W.RadioButtons(options=options, value=None, layout=W.Layout(width="auto"))

    @property
    def missing(self) -> list[str]:
        """The items that have no answer yet, in order."""
        return [item for item, choice in self.choices.items() if choice.value is None]

    def choose(self, item: str, option: str) -> None:
        """Answer an item, as a click does.

        Raises:
            ValueError: If there is no such item or option.
        """
        if item not in ITEMS:
            raise ValueError(f"The items are {', '.join(ITEMS)}; got {item!r}.")
        if option not in (*ITEMS[item], UNSURE):
            raise ValueError(f"The options of {item!r} are {', '.join([*ITEMS[item], UNSURE])}; got {option!r}.")
        self.choices[item].value = option

    def save(self) -> str:
        """Save the answers, and return what is told about it.

        Raises:
            ValueError: If the code is none, or an item has no answer.
            OSError: If the place cannot be written.
        """
        if self.missing:
            first = list(ITEMS).index(self.missing[0]) + 1
            raise ValueError(text("inventory.open", count=len(self.missing), first=first))
        answers = {item: choice.value for item, choice in self.choices.items()}
        sheet = Sheet(self.code.value.strip(), self.when, self.form, answers)
        try:
            file = sheet.save(self.folder)
        except FileExistsError:
            if not (self.folder / sheet.name).exists():  # a file in the place of the folder
                raise
            raise ValueError(text("inventory.there", file=sheet.name)) from None
        for part in (self.code, self.save_button, *self.choices.values()):
            part.disabled = True
        told = f"{text('inventory.saved', file=file)} {self._score(sheet)}".strip()
        self.status.value = read_out(told)
        return told

    def _score(self, sheet: Sheet) -> str:
        """Say after the course how many are right, beside the number before where that file lies here."""
        if self.when == TIMES[0]:
            return ""
        known = {"right": sheet.score, "count": len(ITEMS)}
        try:
            before = inventory.read(self.folder / sheet.name.replace(TIMES[1], TIMES[0], 1))
        except (ValueError, OSError):
            return text("inventory.score", **known)
        return text("inventory.score_both", **known, before=before.score)

    def _clicked(self) -> None:
        try:
            self.save()
        except (ValueError, OSError) as error:  # not yet whole: said, and no traceback
            self._failed(getattr(error, "strerror", None) or str(error))

    def _failed(self, error: str) -> None:
        self.status.value = read_out(text("inventory.failed", error=error), error=True)

    def __repr__(self) -> str:
        when = option_text(self.when, "inventory.when.before", "inventory.when.after")
        return text("inventory.plain", when=when, count=len(ITEMS))

    def _repr_mimebundle_(self, **kwargs: object) -> dict[str, object]:
        return {**self.widget._repr_mimebundle_(), "text/plain": repr(self)}
