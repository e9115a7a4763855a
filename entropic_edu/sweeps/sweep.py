"""One function at many settings: each point on a worker of its own, and kept at once, so that a sweep can go on."""

from __future__ import annotations

import ast
import contextlib
import hashlib
import inspect
import itertools
import json
import os
import pickle
import re
import sys
import textwrap
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from dataclasses import dataclass, fields
from pathlib import Path as File
from queue import SimpleQueue
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor

from entropic_edu.physics.results import Result, packed, unpacked, write_whole
from entropic_edu.physics.snapshot import Progress, Snapshot, Stream, verb, whole_or_nothing

from .workers import Workers, cores, crew

Function = Callable[..., Any]
NOTE = "sweep.json"  # in a sweep's folder: which function its points are of


class Failure(NamedTuple):
    """A point that gave no result: its settings, and the call with its last error."""

    settings: dict[str, Any]
    error: str


@dataclass(frozen=True, eq=False)
class Sweep(Result):
    """Points of a sweep, in the order of its grid.

    Attributes:
        function: Name of the function.
        settings: Settings of each point.
        results: What the function returned at each point; None where it failed or has not come so far.
        failed: The points that failed, with their errors.
        complete: Whether every point has its result.
    """

    function: str
    settings: tuple[dict[str, Any], ...]
    results: tuple[Any, ...]
    failed: tuple[Failure, ...] = ()

    def at(self, **settings: Any) -> list[Any]:
        """Return the results of all points that have these settings, ``sweep.at(batch_size=16)``, as far as there.

        Raises:
            ValueError: If no point has these settings.
        """
        wanted = _plain(settings, "settings").items()
        rows = [i for i, point in enumerate(self.settings) if wanted <= point.items()]
        if not rows:
            raise ValueError(f"No point of this sweep has {_call(settings)}; its first has {_call(self.settings[0])}.")
        return [self.results[i] for i in rows if self.results[i] is not None]

    def table(self) -> list[dict[str, Any]]:
        """Return one row for each point, settings first, for ``pandas.DataFrame(sweep.table())``.

        A number stands under "value", the entries of a dict under their names, a Result as its "summary".
        """
        errors = {_words(f.settings): f.error for f in self.failed}
        rows = []
        for settings, result in zip(self.settings, self.results, strict=True):
            row = dict(settings)
            if result is None:
                row["error"] = errors.get(_words(settings), "not computed yet")
            elif isinstance(result, Result):
                row["summary"] = result.summary()
            else:
                row.update(result if isinstance(result, dict) else {"value": result})
            rows.append(row)
        return rows

    def summary(self) -> str:
        there = sum(result is not None for result in self.results)
        names = " × ".join(dict.fromkeys(name for point in self.settings for name in point))
        lacking = len(self.settings) - there - len(self.failed)
        failed = f"; {len(self.failed)} failed, the first: {self.failed[0].error}" if self.failed else ""
        return (
            f"{there} of {len(self.settings)} points of {self.function} over {names}"
            f"{f'; {lacking} not computed yet' if lacking else ''}{failed}."
        )

    def save(self, file: str | os.PathLike[str]) -> None:
        parts = [_apart(result) for result in self.results]
        tensors = {f"{i}.{name}": value for i, part in enumerate(parts) for name, value in part.tensors.items()}
        plain = {
            "function": self.function,
            "settings": self.settings,
            "results": [(part.kind, part.plain) for part in parts],
            "failed": self.failed,
            "complete": self.complete,
        }
        write_whole(file, packed("Sweep", tensors, plain))

    @classmethod
    def load(cls, file: str | os.PathLike[str]) -> Self:
        tensors, plain = unpacked(File(file).read_bytes(), "Sweep", str(file), "Sweep.save()")
        of: list[dict[str, Tensor]] = [{} for _ in plain["results"]]
        for name, value in tensors.items():
            index, _, field = name.partition(".")
            of[int(index)][field] = value
        return cls(
            function=plain["function"],
            settings=tuple(plain["settings"]),
            results=tuple(_together(_Parts(k, t, p)) for (k, p), t in zip(plain["results"], of, strict=True)),
            failed=tuple(Failure(*failure) for failure in plain["failed"]),
            complete=plain["complete"],
        )


@verb
def sweep(
    function: Function,
    *,
    over: Mapping[str, Sequence[Any]] | Sequence[Mapping[str, Any]],
    executor: Executor | None = None,
    workers: int | None = None,
    threads: int = 1,
    folder: str | os.PathLike[str] | None = None,
    retries: int = 1,
    progress: Progress = None,
) -> Stream[Sweep]:
    """Call a function at every point of a grid of settings, many points at a time.

    A point depends on its settings alone: the function makes its landscape, its data and, from a seed among its
    settings, its generator. The same settings then give the same result, bit for bit, on any executor of one machine
    with the same ``threads``. Another kind of processor or another version of torch rounds otherwise.

    In a script, call this under ``if __name__ == "__main__":``, because each worker process imports the script.

    Args:
        function: A function of keyword settings that returns a Result, a number, or lists and dicts of numbers. For
            worker processes it must stand in a file, at the top of a module.
        over: Values of each setting, ``{"seed": range(4), "batch_size": [16, 64]}``, for all their combinations, the
            last setting changing fastest; or a list of points, ``[{"seed": 0, "batch_size": 16}, ...]``. Values are
            numbers, strings, booleans, None, and lists and dicts of them.
        executor: Where points are computed: a ``ThreadPoolExecutor``, a ``ProcessPoolExecutor``, on a cluster
            ``dask.distributed.Client(...).get_executor()``. It is not shut down. None starts worker processes of its
            own and replaces those that are killed.
        workers: How many of these; None takes one for each core that this process may use.
        threads: Threads of torch on which a point is computed.
        folder: Where each point is kept, in a file of its own, as soon as it is there. Called again, also with more
            values in ``over``, the sweep reads what is kept and computes what lacks.
        retries: How often a point is tried again after an error or the death of its worker.
        progress: True for a bar with the time left, or a callable given each snapshot.

    Returns:
        The Sweep, incomplete where points failed or Ctrl-C stopped it. (``ee.stream.sweep`` yields a snapshot after
        each point.)

    Raises:
        ValueError: If a setting is out of range or no plain value, the function does not take the settings or cannot
            be given to a worker process, or the folder belongs to another sweep.
        LookupError: If the folder holds results of a class of your own whose module is not imported.
        RuntimeError: If worker processes die before they begin.
        OSError: If the folder cannot be written.

    Warns:
        RuntimeWarning: If a file in the folder is damaged (its point is computed again), or if this machine allows no
            worker processes (the points are then computed one after another in this one).
    """
    _check(executor, workers, threads, retries)
    points = _points(function, over)
    name, given = _name(function), _shipped(function, executor)
    kept = None if folder is None else _Folder(File(folder), function)
    results: dict[int, Any] = {} if kept is None else kept.read(points)
    errors: dict[int, str] = {}

    def snapshot() -> Snapshot[Sweep]:
        note = f"{len(errors)} failed" if errors else ""
        return Snapshot(len(results) + len(errors), len(points), note, lambda: _sweep(name, points, results, errors))

    def call(index: int, attempt: int) -> tuple[Any, ...]:
        return given, name, _words(points[index]), threads, attempt

    def keep(index: int, content: bytes) -> None:
        if kept is not None:
            kept.write(points[index], content)
        results[index] = _opened(content, name, points[index], "the point")

    yield snapshot()
    lacking = [i for i in range(len(points)) if i not in results]
    if lacking:
        with crew(executor, min(workers or cores(), len(lacking)), threads) as hands:
            for index, error in _Job(hands, call, keep, retries).run(lacking):
                if error is not None:
                    errors[index] = f"{name}({_call(points[index])}) failed in {_times(retries + 1)}: {error}"
                yield snapshot()


# --- the grid --------------------------------------------------------------------------------------------------


def _check(executor: Executor | None, workers: int | None, threads: int, retries: int) -> None:
    if executor is not None and not isinstance(executor, Executor):
        raise ValueError(
            f"executor is a concurrent.futures.Executor, got a {type(executor).__name__}; a dask Client gives one by "
            "client.get_executor()."
        )
    if executor is not None and workers is not None:
        raise ValueError("workers= is for a sweep's own processes; give the number to your executor instead.")
    for label, value, least in (("workers", workers, 1), ("threads", threads, 1), ("retries", retries, 0)):
        if value is not None and value < least:
            raise ValueError(f"{label} must be at least {least}, got {value}.")


def _points(
    function: Function, over: Mapping[str, Sequence[Any]] | Sequence[Mapping[str, Any]]
) -> tuple[dict[str, Any], ...]:
    """Return the settings of all points, as plain values of their own."""
    listed = over if isinstance(over, Mapping) else list(over)
    if isinstance(over, str) or not (isinstance(over, Mapping) or all(isinstance(point, Mapping) for point in listed)):
        raise ValueError(f"over is a dict of lists of values, or a list of dicts of settings, got {over!r}.")
    if isinstance(over, Mapping):
        columns = [_column(name, values) for name, values in over.items()]
        points = [dict(zip(over, row, strict=True)) for row in itertools.product(*columns)] if over else []
    else:
        points = [_plain(point, f"over[{i}]") for i, point in enumerate(listed)]
    if not points:
        raise ValueError(f"The grid has no points, got over={over!r}; give every setting at least one value.")
    seen: set[str] = set()
    for point in points:
        _fits(function, point)
        if _words(point) in seen:
            raise ValueError(f"The point {_call(point)} is in the grid twice, and would give the same result twice.")
        seen.add(_words(point))
    return tuple(points)


def _column(name: str, values: Any) -> list[Any]:
    listed = values.tolist() if hasattr(values, "tolist") else values  # of numpy and torch
    if isinstance(listed, str) or not isinstance(listed, Sequence):
        raise ValueError(f"over[{name!r}] is the list of its values, got {values!r}; for one value write [{values!r}].")
    column: list[Any] = _plain(listed, f"over[{name!r}]")
    return column


def _fits(function: Function, point: dict[str, Any]) -> None:
    """Raise a ValueError where the function does not take these settings, or JSON does not."""
    try:
        inspect.signature(function).bind(**point)
    except TypeError as error:
        raise ValueError(
            f"{_name(function)}{inspect.signature(function)} cannot be called with {_call(point)} ({error}); "
            "name in over= every setting that it needs, and no other."
        ) from error
    try:
        json.dumps(point, allow_nan=False)
    except ValueError as error:
        raise ValueError(f"The point {_call(point)} holds NaN or infinity, which no setting can be.") from error


def _plain(value: Any, where: str) -> Any:
    """Return the value made of None, bool, int, float, str, list and dict only, which JSON gives back as they were."""
    if value is None or type(value) in (bool, int, float, str):
        return value
    if hasattr(value, "tolist"):  # of numpy and torch
        return _plain(value.tolist(), where)
    if isinstance(value, list | tuple | range):
        return [_plain(item, f"{where}[{i}]") for i, item in enumerate(value)]
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: _plain(item, f"{where}[{key!r}]") for key, item in value.items()}
    raise ValueError(
        f"{where} is a {type(value).__name__}, wanted numbers, strings, booleans, None, or lists and dicts of them."
    )


def _words(settings: Mapping[str, Any]) -> str:
    return json.dumps(settings, sort_keys=True)


def _call(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={value!r}" for key, value in settings.items())


def _times(number: int) -> str:
    return f"{number} tries" if number > 1 else "1 try"


# --- the function ----------------------------------------------------------------------------------------------


def _name(function: Function) -> str:
    """Return module and name; a script is named by its file, so that run and imported it is the same."""
    if not inspect.isfunction(function):
        raise ValueError(
            f"A sweep is of a function made with def, got a {type(function).__name__}; give fixed settings in over= "
            "as lists of one value: so they are kept beside the result."
        )
    module, script = function.__module__, _script()
    return f"{File(script).stem if module == '__main__' and script else module}.{function.__qualname__}"


def _script() -> str | None:
    """Return the file of the script that runs, None in a notebook."""
    return getattr(sys.modules["__main__"], "__file__", None)


def _shipped(function: Function, executor: Executor | None) -> Function | bytes:
    """Return what the executor is given: for processes the pickled function, so that what they cannot read stops here.

    Raises:
        ValueError: If a worker process could not import the function.
    """
    if not (executor is None or isinstance(executor, ProcessPoolExecutor)):
        return function
    try:
        if executor is None and function.__module__ == "__main__" and _script() is None:
            raise pickle.PicklingError("it stands in a notebook")
        return pickle.dumps(function)
    except (pickle.PicklingError, AttributeError) as error:
        raise ValueError(
            f"Worker processes cannot import {_name(function)} ({error}). Define it with def at the top of a file "
            "(in a notebook: %%writefile mine.py) and import it from there; or pass executor=ThreadPoolExecutor()."
        ) from error


def _source(function: Function) -> str:
    """Return a hash of the function's code without comments and layout; "" where there is no source."""
    try:
        source = textwrap.dedent(inspect.getsource(function))
    except OSError:
        return ""
    with contextlib.suppress(SyntaxError):  # a lambda amid a call is no code of its own
        source = ast.unparse(ast.parse(source))
    return hashlib.sha256(source.encode()).hexdigest()


# --- a point's file --------------------------------------------------------------------------------------------


class _Parts(NamedTuple):
    """A result taken apart: the name of its class ("" for plain values), its tensors, and the rest."""

    kind: str
    tensors: dict[str, Tensor]
    plain: Any


def _apart(value: Any) -> _Parts:
    if not isinstance(value, Result):
        return _Parts("", {}, _plain(value, "the result"))
    every = {f.name: getattr(value, f.name) for f in fields(value)}
    tensors = {name: field for name, field in every.items() if isinstance(field, Tensor)}
    return _Parts(type(value).__name__, tensors, {n: v for n, v in every.items() if n not in tensors})


def _together(parts: _Parts) -> Any:
    if not parts.kind:
        return parts.plain
    classes: list[type[Result]] = [Result]
    for known in classes:
        classes.extend(known.__subclasses__())
    named = [known for known in classes if known.__name__ == parts.kind]
    if not named:
        raise LookupError(f"A result here is a {parts.kind}, a class that nobody has defined; import its module first.")
    values: dict[str, Any] = {**parts.tensors, **parts.plain}
    return named[-1](**values)


def _packed(name: str, settings: dict[str, Any], value: Any) -> bytes:
    parts = _apart(value)
    plain = {"function": name, "settings": settings, "kind": parts.kind, "value": parts.plain}
    return packed("Point", parts.tensors, {**plain, "torch": torch.__version__})


def _opened(content: bytes, name: str, settings: dict[str, Any], file: str) -> Any:
    """Return the result of a point.

    Raises:
        ValueError: If the content is damaged, or that of another point.
        LookupError: If its class is not defined.
    """
    tensors, plain = unpacked(content, "Point", file, "the same sweep")
    if (plain["function"], _words(plain["settings"])) != (name, _words(settings)):
        raise ValueError(
            f"{file} is of {plain['function']}({_call(plain['settings'])}), wanted {name}({_call(settings)})."
        )
    return _together(_Parts(plain["kind"], tensors, plain["value"]))


class _Folder:
    """Finished points, each in a file named by a hash of its settings, and a note of the function they are of."""

    def __init__(self, folder: File, function: Function) -> None:
        self.folder, self.name, self.source = folder, _name(function), _source(function)
        names = {file.name for file in folder.glob("[!.]*")}
        points = {name for name in names if re.fullmatch(r"[0-9a-f]{20}\.safetensors", name)}
        if points and NOTE in names:
            self._compare(folder / NOTE)
        elif foreign := sorted(names - points - {NOTE}):
            raise ValueError(f"{folder} holds {foreign[0]} and no sweep; take an empty folder, or a new one.")
        else:
            note = {"function": self.name, "source": self.source}
            write_whole(folder / NOTE, json.dumps(note, indent=1).encode())

    def _compare(self, note: File) -> None:
        try:
            theirs = json.loads(note.read_bytes())
            function, source = theirs["function"], theirs["source"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ValueError(f"{note} is damaged; delete it and call again, the points beside it are kept.") from error
        if function != self.name:
            raise ValueError(
                f"{note.parent} holds a sweep of {function}, this one is of {self.name}; take another folder."
            )
        if source != self.source:
            raise ValueError(
                f"{self.name} has changed since the points in {note.parent} were computed; take another folder. If the "
                f"change cannot alter a result, delete {note} and call again: the points are kept."
            )

    def _file(self, settings: dict[str, Any]) -> File:
        return self.folder / f"{hashlib.sha256(_words(settings).encode()).hexdigest()[:20]}.safetensors"

    def write(self, settings: dict[str, Any], content: bytes) -> None:
        write_whole(self._file(settings), content)

    def read(self, points: Sequence[dict[str, Any]]) -> dict[int, Any]:
        """Return the results that are there, by index; warn of files that are no such points."""
        there = {}
        for index, settings in enumerate(points):
            file = self._file(settings)
            if file.exists():
                try:
                    there[index] = _opened(file.read_bytes(), self.name, settings, str(file))
                except ValueError as error:
                    warnings.warn(f"{error} It is computed again.", RuntimeWarning, stacklevel=2)
        return there


def _sweep(name: str, points: tuple[dict[str, Any], ...], results: dict[int, Any], errors: dict[int, str]) -> Sweep:
    return Sweep(
        function=name,
        settings=points,
        results=tuple(results.get(i) for i in range(len(points))),
        failed=tuple(Failure(points[i], errors[i]) for i in sorted(errors)),
        complete=len(results) == len(points),
    )


# --- on the worker ---------------------------------------------------------------------------------------------


class _Outcome(NamedTuple):
    """A point's file, or the error in its place: as text, because not every exception survives the way back."""

    content: bytes
    error: str | None


def _work(function: Function | bytes, name: str, words: str, threads: int, attempt: int) -> _Outcome:
    """Compute one point. The ``attempt`` is there so that dask, which knows calls by their arguments, calls again."""
    settings = json.loads(words)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        called: Function = pickle.loads(function) if isinstance(function, bytes) else function
        with whole_or_nothing():
            value = called(**settings)
        if value is None:
            raise ValueError("it returned None; return a Result, or numbers in lists or dicts")
        return _Outcome(_packed(name, json.loads(words), value), None)
    except Exception as error:
        return _Outcome(b"", _told(error))
    finally:
        torch.set_num_threads(before)


def _told(error: BaseException) -> str:
    if isinstance(error, BrokenExecutor):
        return "its worker was killed (out of memory?)"
    return f"{type(error).__name__}: {error}"


# --- handing out -----------------------------------------------------------------------------------------


class _Job:
    """Points on an executor: each is handed out, handed out again after an error, and kept."""

    def __init__(
        self,
        hands: Executor,
        call: Callable[[int, int], tuple[Any, ...]],
        keep: Callable[[int, bytes], None],
        retries: int,
    ) -> None:
        self.hands, self.call, self.keep, self.retries = hands, call, keep, retries
        self.ended: SimpleQueue[Future[_Outcome]] = SimpleQueue()
        self.running: dict[Future[_Outcome], tuple[int, int]] = {}

    def run(self, indices: Sequence[int]) -> Iterator[tuple[int, str | None]]:
        """Yield each point's index as it ends, with its error if it failed; closed early, cancel the rest."""
        waiting = deque((index, 0) for index in indices)
        room = self.hands.workers if isinstance(self.hands, Workers) else len(indices)
        try:
            while waiting or self.running:
                while waiting and len(self.running) < room:
                    self._hand_out(*waiting.popleft())
                future = self.ended.get()
                index, attempt = self.running[future]
                error = self._take(future)
                if error is not None and attempt < self.retries:
                    waiting.append((index, attempt + 1))
                else:
                    yield index, error
        finally:
            for future in list(self.running):
                if future.done():
                    self._take(future)  # finished while Ctrl-C came
                else:
                    future.cancel()

    def _hand_out(self, index: int, attempt: int) -> None:
        try:
            future = self.hands.submit(_work, *self.call(index, attempt))
        except Exception as error:
            future = Future()
            future.set_result(_Outcome(b"", f"the executor takes no work ({_told(error)}); call again with another"))
        self.running[future] = index, attempt
        future.add_done_callback(self.ended.put)

    def _take(self, future: Future[_Outcome]) -> str | None:
        """Keep the point and return None, or return its error."""
        index, _ = self.running.pop(future)
        if future.cancelled():
            return "its executor dropped it; is its cluster still there?"
        fault = future.exception()
        if fault is not None:
            if isinstance(self.hands, Workers) and isinstance(fault, BrokenExecutor):
                self.hands.check()
            return _told(fault)
        outcome = future.result()
        if outcome.error is None:
            self.keep(index, outcome.content)
        return outcome.error
