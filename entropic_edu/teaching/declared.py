"""What an explorer is made of: functions of one state, which become functions of the controls."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import Any, NamedTuple

from matplotlib.figure import Figure

from entropic_edu.physics.results import Result
from entropic_edu.physics.snapshot import Snapshot

from .sheet import Sheet
from .strings import said


@dataclass(frozen=True)
class Work:
    """Long work that a button starts.

    ``stream(state)`` yields snapshots; ``show(sheet, result, state)`` draws what there is of the result, complete or
    not, and returns the sentence; ``units(state)`` is how many units, ``Snapshot.total``, the work has, from which its
    time is estimated; ``frame`` is as ``show``, for work under way, three times a second, and without it the picture
    stays as it is until the end. In an explorer without panels each takes the controls by name in place of the state,
    and the pictures take no sheet and return figure and sentence. ``absent`` says why the work cannot run on this
    machine, and what would help: these words then take the button's place.
    """

    stream: Callable[..., Iterator[Snapshot[Any]]]  # several a second
    show: Callable[..., Any]
    units: Callable[..., int]
    frame: Callable[..., Any] | None = None
    absent: str = ""


@dataclass(frozen=True, eq=False)
class Found(Result):
    """What was found so far, one thing after another."""

    each: list[Any]


def one_by_one(
    ask: Callable[[Any], Any], things: Sequence[Any], note: Callable[[Any], str] | str = ""
) -> Iterator[Snapshot[Found]]:
    """Yield what ``ask`` finds of the first things, of none at first, then of one more each time, with a note (on it).

    >>> [snapshot.result.each for snapshot in one_by_one(lambda x: x**2, (2, 3))]
    [[], [4], [4, 9]]
    """
    found: list[Any] = []
    for done, thing in enumerate([None, *things]):
        if done:
            found.append(ask(thing))
        words = note if isinstance(note, str) else note(thing) if done else ""
        yield Snapshot(done, len(things), words, partial(Found, list(found), complete=done == len(things)))


class Parts(NamedTuple):
    """How an explorer draws, speaks, writes its code and works, as its arguments of the same names."""

    draw: Callable[..., Any]
    words: Callable[..., str] | None
    code: Callable[..., str] | None
    work: Work | None


def declared(sheet: Sheet, parts: Parts, state: Callable[..., Any]) -> Parts:
    """Return functions of the controls, drawing and speaking in one, from functions of a sheet and the state."""
    draw, words, code, work = parts
    make = partial(stated, state)
    if words is None:
        raise ValueError("An explorer with panels needs words(state), which returns its sentence; got None.")

    def render(*, pinned: dict[str, Any] | None = None, ghost: Any = None, **turned: Any) -> tuple[Figure, str]:
        now, extra = make(**turned), {"pinned": None if pinned is None else make(**pinned), "ghost": ghost}
        with sheet:
            draw(sheet, now, **{name: extra[name] for name in takes(draw)})
        return sheet.figure, words(now, **{name: extra[name] for name in takes(words)})

    def shown(show: Callable[..., str]) -> Callable[..., tuple[Figure, str]]:
        def picture(result: Any, **turned: Any) -> tuple[Figure, str]:
            with sheet:
                return sheet.figure, show(sheet, result, make(**turned))

        return picture

    return Parts(
        render,
        words,
        None if code is None else lambda **turned: code(make(**turned)).strip(),
        None
        if work is None
        else Work(
            lambda **turned: work.stream(make(**turned)),
            shown(work.show),
            lambda **turned: work.units(make(**turned)),
            None if work.frame is None else shown(work.frame),
            work.absent,
        ),
    )


def stated(state: Callable[..., Any], **turned: Any) -> Any:
    """Return the state of the controls; where it is made as a dictionary, the controls and that as one namespace."""
    made = state(**turned)
    return SimpleNamespace(**turned | made) if isinstance(made, dict) else made


def filled(words: str, state: Any) -> str:
    """Return words, or those of a key, with their places, such as ``{pair}`` or ``{state.pair}``, filled from a state.

    >>> filled("Pair {pair} of {state.count}", SimpleNamespace(pair=1, count=5))
    'Pair 1 of 5'
    """
    return said(words).format(**{"run": state, "state": state} | getattr(state, "__dict__", {}))


def takes(function: Callable[..., Any]) -> set[str]:
    """Return what a function takes beside the state: "ghost", "pinned"."""
    return {"ghost", "pinned"} & set(inspect.signature(function).parameters)
