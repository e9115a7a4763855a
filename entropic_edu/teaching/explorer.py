"""The explorer: controls over pure functions that draw a state on a sheet and say it, on the page or without one.

Callbacks of a notebook may come on any thread, so all drawing holds one lock, and long work goes to a ``job.Job``.
Everything a mouse can do is a method too: tests and headless runs use those.
"""

from __future__ import annotations

import base64
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from functools import partial
from types import SimpleNamespace
from typing import Any, NamedTuple

import ipywidgets as W

from entropic_edu.figures.pixels import RENDER, captioned, png
from entropic_edu.physics.snapshot import Snapshot

from .bet import Bet
from .declared import Parts, Work, declared, filled, takes
from .job import Job
from .page import Control, Page, slider, switch
from .sheet import HEIGHT, Panel, Sheet, between
from .strings import said, text

__all__ = ["RENDER", "Control", "Drawn", "Explorer", "Work", "captioned", "png", "slider", "switch"]

FRAME = 0.3  # seconds between pictures of work under way
TRIAL = 0.15  # seconds, to see how fast it is
KEPT = 64  # drawn states that an explorer remembers, about 60 kB each


class Drawn(NamedTuple):
    """A state of an explorer: its picture and its sentence."""

    png: bytes
    sentence: str


class Explorer:
    """Controls, the picture they make, a sentence with its numbers, and the code that does the same.

    Args:
        draw: ``draw(sheet, state)`` draws a state on the panels, each a ``Pen``: ``sheet["name"].line(x, y)``. It is
            pure: the same state makes the same picture. Where it has a parameter ``ghost`` it is given what the learner
            predicted, where ``pinned`` the state of a run to compare with, or None.
        controls: In the order of the page.
        panels: By name. Without any, ``draw(**controls)`` returns figure and sentence itself; it may keep one figure
            and move its animated artists, since only these are then drawn again.
        words: ``words(state)`` returns the sentence; ``pinned`` as in ``draw``. Or the sentence itself, or its key,
            with places such as ``{batch_size}`` that are filled from the state.
        state: Makes the state of the controls, all by name: what picture, sentence and code read. A dictionary is read
            as attributes, those of the controls among them.
        title: Names the explorer in its alternative text: words or their key.
        code: The lines that make the same numbers: as ``words``, but for ``pinned``.
        work: What the button "run live" does.
        height: Of the picture, in CSS pixels.

    >>> def draw(sheet, state):
    ...     sheet["line"].line([0, 1], [0, state.slope])
    >>> def state(batch_size):
    ...     return {"slope": 1 / batch_size}
    >>> panels, controls = {"line": Panel(title="Height (m)", x="Way (m)")}, [slider("batch_size", (4, 16), 4)]
    >>> explorer = Explorer(draw, controls, panels, "The slope is {slope}.", state=state)
    >>> explorer.set(batch_size=16)
    'The slope is 0.0625.'
    """

    def __init__(
        self,
        draw: Callable[..., Any],
        controls: Sequence[Control],
        panels: Mapping[str, Panel] | None = None,
        words: Callable[..., str] | str | None = None,
        *,
        state: Callable[..., Any] = SimpleNamespace,
        title: str = "",
        code: Callable[..., str] | str | None = None,
        work: Work | None = None,
        height: int = HEIGHT,
    ) -> None:
        self.controls, self.title = tuple(controls), said(title)
        self.values: dict[str, Any] = {control.name: control.default for control in self.controls}  # now
        self.job: Job[Any] | None = None
        self._takes = takes(draw)
        words, code = (partial(filled, each) if isinstance(each, str) else each for each in (words, code))
        made = Parts(draw, words, code, work)
        self._zones = between((panels or {}).values())
        if panels is not None:
            made = declared(Sheet(panels, height), made, state)
        self._render, _, self.code, self.work = made
        self._bet: Bet | None = None
        self._pinned: dict[str, Any] | None = None
        self._cache: OrderedDict[Any, Drawn] = OrderedDict()
        self._live: Drawn | None = None  # a picture of the live work
        self._per_unit: float | None = None  # seconds that a unit of it takes
        self._framed = float("-inf")  # when its picture was last drawn
        self._page: Page | None = None

    def draw(self, **controls: Any) -> Drawn:
        """Return picture and sentence of a state, the other controls as they are, and change nothing on the page.

        Raises:
            ValueError: If there is no such control, or a control has no such option.
        """
        values = self.values | self._checked(controls)
        known = {"ghost": self.ghost, "pinned": self._pinned}
        extra = {name: known[name] for name in sorted(self._takes)}
        key = (*values.items(), repr(extra))
        with RENDER:
            if key not in self._cache:
                figure, sentence = self._render(**values, **extra)
                self._cache[key] = Drawn(png(figure), sentence)
            self._cache.move_to_end(key)
            if len(self._cache) > KEPT:
                self._cache.popitem(last=False)
            return self._cache[key]

    def set(self, **controls: Any) -> str:
        """Turn controls, show the new picture, and return its sentence; an error is as in ``draw``."""
        self.values |= self._checked(controls)
        self._live = None
        drawn = self.draw()
        if self._page is not None:
            self._page.follow()
            self._page.show(drawn)
        return drawn.sentence

    @property
    def shown(self) -> Drawn:
        """What stands on the page: the result of live work, or else the state of the controls."""
        return self._live or self.draw()

    @property
    def sentence(self) -> str:
        """The sentence under the picture."""
        return self.shown.sentence

    @property
    def ghost(self) -> Any:
        """What the learner predicted, where the explorer waits for a prediction and one was made."""
        return self._bet.ghost if self._bet is not None and self._bet.open else None

    def _checked(self, controls: dict[str, Any]) -> dict[str, Any]:
        known = {control.name: control.options for control in self.controls}
        for name, value in controls.items():
            if name not in known:
                raise ValueError(f"There is no control {name!r} here; there are {', '.join(known)}.")
            if value not in known[name]:
                raise ValueError(f"{name} can be {', '.join(map(str, known[name]))}; got {value!r}.")
        return controls

    def pin(self) -> str:
        """Keep the present run in the picture: what is set next is its twin, with the same random draws."""
        if "pinned" not in self._takes:
            raise ValueError("This explorer shows one run only and has nothing to pin.")
        self._pinned = dict(self.values)
        return self.set()

    def unpin(self) -> str:
        """Take the pinned run out of the picture."""
        self._pinned = None
        return self.set()

    def cover(self, bet: Bet) -> Explorer:
        """Hide everything until the bet is locked or skipped; its prediction is then drawn as a ghost."""
        self._bet = bet
        bet.on_open(self._uncover)
        return self

    @property
    def covered(self) -> bool:
        """Whether it still waits for a prediction."""
        return self._bet is not None and not self._bet.open

    def _uncover(self) -> None:
        if self._page is not None:
            self._page.fill()

    def _long(self) -> Work:
        if self.work is None:
            raise ValueError("This explorer answers at once and has no long work.")
        if self.work.absent:
            raise ValueError(self.work.absent)
        return self.work

    def seconds(self) -> float:
        """Return about how long the live work takes at the present controls, after a short trial of its speed."""
        work = self._long()
        if self._per_unit is None:
            with closing(work.stream(**self.values)) as stream:  # type: ignore[type-var]  # a generator
                first, begun, done = next(stream), time.monotonic(), 0
                with suppress(Exception):  # work that fails tells of it once it is under way
                    for snapshot in stream:
                        done = snapshot.done - first.done
                        if time.monotonic() - begun > TRIAL:
                            break
                self._per_unit = (time.monotonic() - begun) / max(1, done)
            if work.frame is not None:  # pictures on the way take their time, too
                begun = time.monotonic()
                with RENDER, suppress(Exception):  # one that fails is told of once the work is under way
                    png(work.frame(first.result, **self.values)[0])
                self._per_unit *= 1 + (time.monotonic() - begun) / FRAME
        return self._per_unit * work.units(**self.values)

    def start(self) -> Job[Any]:
        """Begin the live work on a thread of its own; the page shows its progress and, at the end, its result.

        Raises:
            ValueError: If there is no long work.
            RuntimeError: If it is running already.
        """
        work, values = self._long(), dict(self.values)
        if self.job is not None and self.job.running:
            raise RuntimeError("This work is running; cancel it, or wait for its end.")
        self._framed = float("-inf")
        follow, finish = partial(self._follow, work, values), partial(self._finish, work, values)
        self.job = Job(work.stream(**values), follow, finish)
        if self._page is not None:
            self._page.running(True)
        self.job.start()
        return self.job

    def run(self) -> str:
        """Do the live work to its end and return its sentence; a notebook's stop button cancels it."""
        self.start().wait()
        return self.sentence

    def cancel(self) -> None:
        """Stop the live work at its next snapshot and show what there is."""
        if self.job is not None:
            self.job.cancel()

    def _follow(self, work: Work, values: dict[str, Any], snapshot: Snapshot[Any]) -> None:
        """Show how far the work is, and now and then its picture."""
        if self._page is not None:
            self._page.progress(snapshot)
        if work.frame is None or time.monotonic() - self._framed < FRAME:
            return
        with RENDER:
            figure, sentence = work.frame(snapshot.result, **values)
            self._live = Drawn(png(figure), text("explorer.under_way", sentence=sentence))
        self._framed = time.monotonic()  # after drawing: the work has the time between two frames to itself
        if self._page is not None:
            self._page.picture.value = self._live.png  # not the sentence: three a second would drown a screen reader

    def _finish(self, work: Work, values: dict[str, Any], job: Job[Any]) -> None:
        try:
            if job.error is not None:
                raise job.error
            assert job.result is not None
            with RENDER:
                figure, sentence = work.show(job.result, **values)
                kind = "explorer.live" if job.result.complete else "explorer.stopped"
                self._live = Drawn(png(figure), text(kind, sentence=sentence))
        except BaseException as error:
            if self._page is not None:
                self._page.fail(f"{type(error).__name__}: {error}")
            raise
        finally:
            if self._page is not None:
                self._page.running(False)
        if self._page is not None:
            self._page.show(self._live)

    @property
    def widget(self) -> W.VBox:
        """The explorer as a widget, made when it is first asked for."""
        if self._page is None:
            self._page = Page(self)
        return self._page.box

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        """Return the widget, and a picture with the sentence for where no widget can run."""
        settings = " · ".join(f"{each.label} {each.shown(self.values[each.name])}" for each in self.controls)
        picture, sentence = self.shown
        return {
            **self.widget._repr_mimebundle_(),
            "image/png": base64.b64encode(captioned(picture, settings, sentence)).decode(),
            "text/plain": f"{self.title}\n{settings}\n{sentence}".strip(),
        }
