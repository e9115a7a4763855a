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
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path as File
from typing import Any, NamedTuple, Self

import torch

from entropic_edu.physics.results import Result, of_this_version, packed, read_whole, unpacked, write_whole
from entropic_edu.physics.snapshot import Progress, Snapshot, Stream, verb, warn

from .kept import SUFFIX, Dispatch, Part, Store, in_words, put_together, taken_apart
from .workers import cores, pool

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

    Example:
        >>> from concurrent.futures import ThreadPoolExecutor
        >>> import entropic_edu as ee
        >>> def power(base, exponent):
        ...     return base**exponent
        >>> with ThreadPoolExecutor() as executor:
        ...     swept = ee.sweep(power, over={"base": [2, 3], "exponent": [1, 2]}, executor=executor)
        >>> swept.at(base=3)
        [3, 9]
        >>> swept.table()[-1]
        {'base': 3, 'exponent': 2, 'value': 9}
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

        def cells(settings: dict[str, Any], result: Any) -> dict[str, Any]:
            if result is None:
                return {"error": errors.get(_words(settings), "not computed yet")}
            if isinstance(result, Result):
                return {"summary": result.summary()}
            return result if isinstance(result, dict) else {"value": result}

        return [given | cells(given, result) for given, result in zip(self.settings, self.results, strict=True)]

    def summary(self) -> str:
        there = sum(result is not None for result in self.results)
        names = " × ".join(dict.fromkeys(name for point in self.settings for name in point))
        lacking = len(self.settings) - there - len(self.failed)
        failed = f"; {len(self.failed)} failed, the first: {self.failed[0].error}" if self.failed else ""
        left = f"; {lacking} not computed yet" if lacking else ""
        return f"{there} of {len(self.settings)} points of {self.function} over {names}{left}{failed}."

    def save(self, file: str | os.PathLike[str]) -> None:
        tensors, shapes = taken_apart({str(i): result for i, result in enumerate(self.results)})
        results = [(s["kind"], s["fields"]) if "fields" in s else ("", s["value"]) for s in shapes.values()]
        points = {"settings": self.settings, "results": results, "failed": self.failed}
        write_whole(file, packed("Sweep", tensors, {"function": self.function, **points, "complete": self.complete}))

    @classmethod
    def load(cls, file: str | os.PathLike[str]) -> Self:
        tensors, plain = unpacked(read_whole(file), "Sweep", str(file), "Sweep.save()")
        with of_this_version(file):
            shapes = [{"kind": kind or "plain", "fields" if kind else "value": each} for kind, each in plain["results"]]
            plain["settings"] = tuple(plain["settings"])
            plain["results"] = tuple(put_together(tensors, {str(i): each for i, each in enumerate(shapes)}).values())
            plain["failed"] = tuple(Failure(*failure) for failure in plain["failed"])
            return cls.made_of(plain)


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

    Example:
        >>> import entropic_edu as ee, torch
        >>> from concurrent.futures import ThreadPoolExecutor
        >>> def drifted(seed):
        ...     land, generator = ee.valleys.Waist(), torch.Generator().manual_seed(seed)
        ...     return ee.drift(land, ee.Path(land.floor(11)), generator=generator, learning_rate=0.02, steps=30)
        >>> with ThreadPoolExecutor() as executor:  # leave it out to have processes, where ``drifted`` is in a file
        ...     ee.sweep(drifted, over={"seed": range(4)}, executor=executor).complete
        True
    """
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
    points, name, given = _points(function, over), _name(function), _shipped(function, executor)
    store = _store(None if folder is None else File(folder), function)
    results: dict[str, Any] = {}
    errors: dict[str, str] = {}
    for key in points:
        if key in store:
            try:
                results[key] = store.read(key).values["result"]
            except ValueError as damage:
                warn(f"{damage} It is computed again.", RuntimeWarning)

    def so_far() -> Sweep:
        failed = tuple(Failure(points[key], errors[key]) for key in points if key in errors)
        values = tuple(results.get(key) for key in points)
        return Sweep(name, tuple(points.values()), values, failed, complete=len(results) == len(points))

    def snapshot() -> Snapshot[Sweep]:
        note = f"{len(errors)} failed" if errors else ""
        return Snapshot(len(results) + len(errors), len(points), note, so_far)

    def keep(key: str, content: bytes) -> None:
        if folder is not None:
            store.write(key, content)
        results[key] = store.read(key, content).values["result"]

    yield snapshot()
    lacking = {key: Part(partial(_point, given, _words(points[key]))) for key in points if key not in results}
    if lacking:
        with pool(executor, min(workers or cores(), len(lacking)), threads) as own:
            dispatch = Dispatch(lacking, store, own, keep, threads=threads, retries=retries)
            with contextlib.closing(dispatch.run()) as ended:
                for key, error in ended:
                    if error is not None:
                        times = f"{retries + 1} tries" if retries else "1 try"
                        errors[key] = f"{name}({_call(points[key])}) failed in {times}: {in_words(error)}"
                    yield snapshot()


def _points(function: Function, over: Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return the settings of all points, as plain values of their own, by the name of the point's file."""
    listed = list(over)
    if isinstance(over, Mapping):
        columns = []
        for name, values in over.items():
            column = values.tolist() if hasattr(values, "tolist") else values  # of numpy and torch
            if isinstance(column, str) or not isinstance(column, Sequence):
                of = f"over[{name!r}] is the list of its values, got {values!r}"
                raise ValueError(f"{of}; for one value write [{values!r}].")
            columns.append(_plain(column, f"over[{name!r}]"))
        points = [dict(zip(over, row, strict=True)) for row in itertools.product(*columns)] if over else []
    elif not isinstance(over, str) and all(isinstance(point, Mapping) for point in listed):
        points = [_plain(point, f"over[{i}]") for i, point in enumerate(listed)]
    else:
        raise ValueError(f"over is a dict of lists of values, or a list of dicts of settings, got {over!r}.")
    if not points:
        raise ValueError(f"The grid has no points, got over={over!r}; give every setting at least one value.")
    keyed: dict[str, dict[str, Any]] = {}
    for point in points:
        if keyed.setdefault(_key(function, point), point) is not point:
            raise ValueError(f"The point {_call(point)} is in the grid twice, and would give the same result twice.")
    return keyed


def _key(function: Function, point: dict[str, Any]) -> str:
    """Return the name of a point's file; a ValueError where the function does not take the settings, or JSON."""
    try:
        inspect.signature(function).bind(**point)
    except TypeError as error:
        raise ValueError(
            f"{_name(function)}{inspect.signature(function)} cannot be called with {_call(point)} ({error}); "
            "name in over= every setting that it needs, and no other."
        ) from error
    try:
        return hashlib.sha256(_words(point).encode()).hexdigest()[:20]
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
    return json.dumps(settings, sort_keys=True, allow_nan=False)


def _call(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={value!r}" for key, value in settings.items())


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
    """Return what an executor is given: for processes the pickled function; a ValueError if they cannot import it."""
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


def _store(folder: File | None, function: Function) -> Store:
    """Return where the points of a function are kept; a note beside them says which function that is."""
    name, source = _name(function), _source(function)
    store = Store(folder, name, other="is of another point or function.", remedy="the same sweep")
    if folder is None:
        return store
    names = {file.name for file in folder.glob("[!.]*")}
    points = {name for name in names if re.fullmatch(rf"[0-9a-f]{{20}}\{SUFFIX}", name)}
    note = folder / NOTE
    if not points or NOTE not in names:
        if foreign := sorted(names - points - {NOTE}):
            raise ValueError(f"{folder} holds {foreign[0]} and no sweep; take an empty folder, or a new one.")
        write_whole(note, json.dumps({"function": name, "source": source}, indent=1).encode())
        return store
    try:
        its_name, its_source = (json.loads(note.read_bytes())[key] for key in ("function", "source"))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{note} is damaged; delete it and call again, the points beside it are kept.") from error
    if its_name != name:
        raise ValueError(f"{folder} holds a sweep of {its_name}, this one is of {name}; take another folder.")
    if its_source != source:
        raise ValueError(
            f"{name} has changed since the points in {folder} were computed; take another folder. If the "
            f"change cannot alter a result, delete {note} and call again: the points are kept."
        )
    return store


def _point(function: Function | bytes, words: str) -> dict[str, Any]:
    """Return what is kept of one point; settings go as text, so that a function cannot change them."""
    called: Function = pickle.loads(function) if isinstance(function, bytes) else function
    value = called(**json.loads(words))
    if value is None:
        raise ValueError("it returned None; return a Result, or numbers in lists or dicts")
    plain = value if isinstance(value, Result) else _plain(value, "the result")
    return {"settings": json.loads(words), "torch": torch.__version__, "result": plain}
