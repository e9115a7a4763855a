"""Long calls as streams of snapshots, and the plain verbs that read such a stream to its end.

A snapshot holds how far the work is and what there is so far. Progress bars, widgets, checkpoints, tests and the plain
verbs are all readers of this one stream; closing it, or Ctrl-C in the plain verb, leaves the last snapshot's result.
"""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from numbers import Real
from typing import Any, Generic, ParamSpec, TypeVar

import torch
from tqdm.auto import tqdm

from .landscape import Landscape
from .path import Path
from .results import Result

P = ParamSpec("P")
R = TypeVar("R", bound=Result)


@dataclass(frozen=True)
class Snapshot(Generic[R]):
    """A moment of a long call: units of work ``done`` of ``total``, and what a progress bar notes beside them."""

    done: int
    total: int
    note: str
    make: Callable[[], R]  # builds the result so far, only for who wants it

    @property
    def result(self) -> R:
        """The result so far, marked incomplete until ``done == total``."""
        return self.make()


Stream = Generator[Snapshot[R], None, None]
Progress = bool | Callable[[Snapshot[Any]], object] | None


def verb(streaming: Callable[P, Stream[R]]) -> Callable[P, R]:
    """Turn a function that yields snapshots into one that returns the last one's result, and says so in its signature.

    It computes on as many threads as ``Landscape.threads`` says for its batches. Its argument ``progress`` is read
    here: True for a bar with an estimate of the time left, or a callable that is given each snapshot. The streaming
    form stays at ``__wrapped__``; ``entropic_edu.stream`` collects them.
    """
    signature, empty = inspect.signature(streaming), inspect.Signature.empty

    @functools.wraps(streaming)
    def stream(*args: P.args, **kwargs: P.kwargs) -> Stream[R]:
        given = signature.bind(*args, **kwargs)
        given.apply_defaults()
        land, size = given.arguments.get("land"), given.arguments.get("batch_size")
        number = land.threads(size) if isinstance(land, Landscape) else None
        return _on_threads(streaming(*args, **kwargs), number)

    @functools.wraps(stream)
    def plain(*args: P.args, **kwargs: P.kwargs) -> R:
        progress: Any = kwargs.get("progress")
        _check_kinds(streaming, signature.bind(*args, **kwargs).arguments)
        return finish(stream(*args, **kwargs), progress, streaming.__name__)

    written = {name: _Bare(words) for name, words in inspect.get_annotations(streaming).items()}
    if "return" in written:
        written["return"] = _Bare(written["return"].removeprefix("Stream[").removesuffix("]"))
    parameters = [each.replace(annotation=written.get(name, empty)) for name, each in signature.parameters.items()]
    shown: Any = plain
    shown.__annotations__ = written
    shown.__signature__ = signature.replace(parameters=parameters, return_annotation=written.get("return", empty))
    return plain


def _on_threads(stream: Stream[R], number: int | None) -> Stream[R]:
    """Yield what a stream yields, which it computes on so many threads of torch."""
    try:
        while True:
            with on_threads(number):
                snapshot = next(stream, None)
            if snapshot is None:
                return
            yield snapshot
    finally:
        stream.close()


@contextmanager
def on_threads(number: int | None) -> Iterator[None]:
    """Compute on at most so many threads of torch; None leaves it its own number.

    Gradients are left as they were too: Ctrl-C may come between ``no_grad`` and the block that undoes it.
    """
    before, gradients = torch.get_num_threads(), torch.is_grad_enabled()
    torch.set_num_threads(min(before, number or before))
    try:
        yield
    finally:
        torch.set_num_threads(before)
        torch.set_grad_enabled(gradients)


_WANTED: dict[str, tuple[Any, str]] = {
    "Landscape": (Landscape, "an ee.Network, or one of ee.valleys"),
    "Path | Sequence[Any]": (Path | list | tuple, "a Path, as ee.connect makes one, or a list of two ends or more"),
    "torch.Generator": (torch.Generator, "a torch.Generator, such as torch.Generator().manual_seed(0)"),
    **dict.fromkeys(("int", "float"), (Real, "a number")),
    **dict.fromkeys(("int | None", "float | None"), (Real | None, "a number, or None")),
}


def _check_kinds(streaming: Callable[..., Any], given: Mapping[str, Any]) -> None:
    """Raise a ValueError where a landscape, a path or a generator is something else."""
    for name, words in inspect.get_annotations(streaming).items():
        kind, wanted = _WANTED.get(words, (object, ""))
        if name in given and not isinstance(given[name], kind):
            raise ValueError(f"{name} must be {wanted}; got {type(given[name]).__name__} {given[name]!r:.60}.")


class _Bare(str):
    """An annotation as it is written; ``help`` shows it without quotes."""

    def __repr__(self) -> str:
        return str(self)


def warn(message: str, category: type[Warning]) -> None:
    """Warn at the line outside of this package that led here, however many calls lie between."""
    level, frame = 1, inspect.currentframe()
    while frame is not None and frame.f_globals.get("__name__", "").startswith(f"{__package__.split('.')[0]}."):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)


_whole = ContextVar("_whole", default=False)


@contextmanager
def whole_or_nothing() -> Iterator[None]:
    """Let Ctrl-C end what runs in here: no verb returns half a result, on which all that follows would build."""
    token = _whole.set(True)
    try:
        with on_threads(None):
            yield
    finally:
        _whole.reset(token)


def finish(stream: Stream[R], progress: Progress, title: str) -> R:
    """Read a stream to its end and return its result; on Ctrl-C return what there is, marked incomplete.

    Before the first snapshot, when there is nothing to return, and in ``whole_or_nothing`` Ctrl-C goes through.
    """
    last: Snapshot[R] | None = None
    bar = tqdm(desc=title, leave=False, mininterval=0.1) if progress is True else None
    try:
        for last in stream:
            if bar is not None:
                bar.total = last.total
                bar.set_postfix_str(last.note, refresh=False)
                bar.update(last.done - bar.n)
            elif callable(progress):
                progress(last)
    except KeyboardInterrupt:
        if last is None or _whole.get():
            raise
    finally:
        stream.close()
        if bar is not None:
            bar.close()
    assert last is not None  # every stream begins with a snapshot
    return last.result
