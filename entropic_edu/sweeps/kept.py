"""Work in parts, each made once: kept in a file as soon as it is finished, and read from there ever after."""

from __future__ import annotations

import itertools
import json
import pickle
import time
import traceback
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future
from dataclasses import KW_ONLY, dataclass, fields
from pathlib import Path as File
from queue import SimpleQueue
from typing import Any, NamedTuple

import torch
from torch import Tensor

from entropic_edu.physics.results import Result, of_this_version, packed, read_whole, unpacked, write_whole
from entropic_edu.physics.snapshot import whole_or_nothing

from .workers import Workers

SUFFIX = ".kept"


def taken_apart(values: Mapping[str, Any]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors among values by name, and as JSON values a note of what each of the values is.

    The values are tensors, results of verbs and plain values. Tensors of a result are called "name.field".
    """
    tensors: dict[str, Tensor] = {}
    shapes: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Tensor):
            tensors[name], shapes[name] = value, "tensor"
        elif isinstance(value, Result):
            every = {f.name: getattr(value, f.name) for f in fields(value)}
            plain = {field: each for field, each in every.items() if not isinstance(each, Tensor)}
            tensors |= {f"{name}.{field}": each for field, each in every.items() if field not in plain}
            shapes[name] = {"kind": type(value).__name__, "fields": plain}
        else:
            shapes[name] = {"kind": "plain", "value": value}
    return tensors, shapes


def put_together(tensors: Mapping[str, Tensor], shapes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that ``taken_apart`` took apart; a LookupError says which class of results is not defined."""
    inside: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        name, _, field = key.rpartition(".")
        inside.setdefault(name, {})[field] = tensor
    values: dict[str, Any] = {}
    for name, shape in shapes.items():
        if shape == "tensor":
            values[name] = tensors[name]
        elif shape["kind"] == "plain":
            values[name] = shape["value"]
        else:
            every = shape["fields"] | inside.get(name, {})
            values[name] = _class(shape["kind"], every.keys()).made_of(every)
    return values


def _class(kind: str, names: Collection[str]) -> type[Result]:
    """Return the latest class of results that is called so and has fields of these names."""
    classes: list[type[Result]] = [Result]
    for known in classes:
        classes.extend(known.__subclasses__())
    called = [known for known in reversed(classes) if known.__name__ == kind]
    for known in called:
        if {f.name for f in fields(known)}.issuperset(names):
            return known
    if called:
        return called[0]  # which says what it does not know
    raise LookupError(f"A result here is a {kind}, a class that nobody has defined; import its module first.")


class Made(NamedTuple):
    """A part: its values by name, and the seconds that making it took."""

    values: dict[str, Any]
    seconds: float


class Store:
    """Finished parts by name, each in a file of its own that says what it belongs to.

    Args:
        folder: Where the files are; None has the parts that are written in memory.
        of: What parts must agree in to be taken up again, as JSON values.
        other: What an error says of a file that belongs to something else, after its name.
        remedy: What makes a part again.
    """

    def __init__(self, folder: File | None, of: Any, *, other: str, remedy: str) -> None:
        self.folder, self.of, self.other, self.remedy = folder, json.dumps(of, sort_keys=True), other, remedy
        self.memory: dict[str, bytes] = {}

    def file(self, name: str, suffix: str = SUFFIX) -> File:
        assert self.folder is not None
        return self.folder / f"{name}{suffix}"

    def checkpoint(self, name: str) -> File | None:
        """Return where a verb may keep what it has of a part until that is finished; None where nothing is kept."""
        return None if self.folder is None else self.file(name, ".checkpoint")

    def __contains__(self, name: str) -> bool:
        return name in self.memory if self.folder is None else self.file(name).exists()

    def content(self, name: str) -> bytes:
        """Return the file of a finished part as bytes."""
        return self.memory[name] if self.folder is None else read_whole(self.file(name))

    def read(self, name: str, content: bytes | None = None) -> Made:
        """Return a finished part, from its file or from the ``content`` of one.

        Raises:
            ValueError: If the file is damaged, or that of another part or of something else.
            LookupError: If the class of a result in it is not defined.
        """
        file = name if self.folder is None else str(self.file(name))
        tensors, note = unpacked(self.content(name) if content is None else content, "Part", file, self.remedy)
        if (note.get("name"), note.get("of")) != (name, self.of):
            raise ValueError(f"{file} {self.other}")
        with of_this_version(file):
            return Made(put_together(tensors, note["values"]), note["seconds"])

    def write(self, name: str, content: bytes) -> None:
        """Keep a finished part, whole or not at all; an OSError says why the folder cannot be written."""
        if self.folder is None:
            self.memory[name] = content
        else:
            write_whole(self.file(name), content)

    def put(self, name: str, made: Made) -> None:
        """Keep a finished part; see ``write``."""
        self.write(name, _content(name, self.of, made))

    def get(self, name: str, make: Callable[[], dict[str, Any]]) -> Made:
        """Return a part: from its file if there is one; else from ``make``, and keep it if there is a folder."""
        if name in self:
            made = self.read(name)
        else:
            began = time.perf_counter()
            made = Made(make(), time.perf_counter() - began)
            if self.folder is not None:
                self.put(name, made)
        if (checkpoint := self.checkpoint(name)) is not None:
            checkpoint.unlink(missing_ok=True)
        return made


def _content(name: str, of: str, made: Made) -> bytes:
    tensors, shapes = taken_apart(made.values)
    return packed("Part", tensors, {"name": name, "of": of, "values": shapes, "seconds": made.seconds})


@dataclass(frozen=True)
class Part:
    """A part that can be made in another process.

    ``make`` returns its values by name. It is a function at the top of a module, or a ``partial`` of one, and draws
    from generators of its own, so that it returns the same wherever and whenever it is called.
    """

    make: Callable[..., dict[str, Any]]
    needs: tuple[str, ...] = ()  # names of the parts whose values it is given, in this order


_Outcome = tuple[bytes, Exception | None]  # what a worker sends back: the part's file, or the error in its place


class NotMadeError(RuntimeError):
    """A part was not made, for a reason that its text gives."""


def _make(part: Part, needed: Sequence[bytes], name: str, of: str, threads: int, attempt: int) -> _Outcome:
    """Make one part. The ``attempt`` is there so that dask, which knows calls by their arguments, calls again."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        notes = [unpacked(content, "Part", "a part that is needed", "the same call") for content in needed]
        began = time.perf_counter()
        with whole_or_nothing():
            values = part.make(*(put_together(tensors, note["values"]) for tensors, note in notes))
        return _content(name, of, Made(values, time.perf_counter() - began)), None
    except Exception as error:
        error.add_note("".join(traceback.format_tb(error.__traceback__)))  # where it arose
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:  # not every exception can be pickled for the way back
            return b"", NotMadeError(in_words(error))
        return b"", error
    finally:
        torch.set_num_threads(before)


def in_words(error: BaseException) -> str:
    """Return why a part was not made."""
    if isinstance(error, BrokenExecutor):
        return "its worker was killed (out of memory?)"
    return str(error) if isinstance(error, NotMadeError) else f"{type(error).__name__}: {error}"


@dataclass
class Dispatch:
    """Parts on an executor: each is made as soon as what it needs is there, again after an error, and kept."""

    parts: Mapping[str, Part]  # what to make, by name; the first come first
    store: Store  # holds the parts that they need and that are there already
    executor: Executor
    keep: Callable[[str, bytes], None]  # is given the name and the file of each part that is finished
    _: KW_ONLY
    threads: int = 1  # of torch, on which a part is made
    retries: int = 0  # how often a part is tried again

    def __post_init__(self) -> None:
        self.ended: SimpleQueue[Future[_Outcome]] = SimpleQueue()
        self.running: dict[Future[_Outcome], tuple[str, int]] = {}
        self.lacking = set(self.parts)

    def run(self) -> Generator[tuple[str, BaseException | None], None, None]:
        """Yield each part's name as it ends, with its error if it failed; closed early, cancel the rest.

        A part that needs one which failed is left out.

        Raises:
            RuntimeError: If worker processes die before they begin.
            OSError: If a part cannot be kept.
        """
        waiting = [(name, 0) for name in self.parts]
        room = self.executor.workers if isinstance(self.executor, Workers) else len(waiting)
        try:
            while True:
                ready = (each for each in waiting if self.lacking.isdisjoint(self.parts[each[0]].needs))
                for each in list(itertools.islice(ready, room - len(self.running))):
                    waiting.remove(each)
                    self._submit(*each)
                if not self.running:
                    return
                future = self.ended.get()
                name, attempt = self.running[future]
                error = self._take(future)
                if error is not None and attempt < self.retries:
                    waiting.append((name, attempt + 1))
                else:
                    yield name, error
        finally:
            for future in list(self.running):
                if future.done():
                    self._take(future)  # finished while Ctrl-C came
                else:
                    future.cancel()

    def _submit(self, name: str, attempt: int) -> None:
        part = self.parts[name]
        needed = [self.store.content(need) for need in part.needs]
        try:
            future = self.executor.submit(_make, part, needed, name, self.store.of, self.threads, attempt)
        except Exception as error:
            why = f"the executor takes no work ({in_words(error)}); call again with another"
            future = Future()
            future.set_exception(NotMadeError(why))
        self.running[future] = name, attempt
        future.add_done_callback(self.ended.put)

    def _take(self, future: Future[_Outcome]) -> BaseException | None:
        """Keep the part and return None, or return its error."""
        name, _ = self.running.pop(future)
        if future.cancelled():
            return NotMadeError("its executor dropped it; is its cluster still there?")
        if (fault := future.exception()) is not None:
            if isinstance(self.executor, Workers) and isinstance(fault, BrokenExecutor):
                self.executor.check()
            return fault
        content, error = future.result()
        if error is None:
            self.keep(name, content)
            self.lacking.discard(name)
        return error
