"""What a recipe works with: it says how far it is, keeps each part that is finished, and makes several at once."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import BrokenExecutor, Future
from functools import partial
from pathlib import Path as File
from queue import SimpleQueue
from typing import Any, NamedTuple

import torch

from entropic_edu.networks.devices import full_precision
from entropic_edu.physics.results import Result, packed, unpacked, write_whole
from entropic_edu.physics.snapshot import whole_or_nothing
from entropic_edu.sweeps.workers import Workers, crew

from ._values import put_together, taken_apart


class Part(NamedTuple):
    """A part that can be made in another process.

    Attributes:
        make: Returns its results by name; a function at the top of a module, or a ``partial`` of one. It draws from
            generators of its own, so that it returns the same wherever and whenever it is called.
        needs: Names of the parts whose results it is given, in this order.
    """

    make: Callable[..., dict[str, Any]]
    needs: tuple[str, ...] = ()


class Work:
    """Call it with a line to say; ask it for a part, which it makes once and reads again ever after.

    Args:
        name: Of the recipe.
        recipe: All settings, and whatever else a part must agree in to be taken up again, as JSON values.
        say: Receives the lines.
        folder: Where finished parts are kept; None keeps nothing.
        workers: How many processes make parts at the same time; 1 makes them in this one.

    Attributes:
        spent: Seconds that went into the parts that were found, or made by workers.
        waited: Seconds of waiting for workers.
    """

    def __init__(
        self,
        name: str,
        recipe: Mapping[str, Any],
        say: Callable[[str], None],
        folder: File | None = None,
        workers: int = 1,
    ) -> None:
        self.name, self.say, self.folder, self.workers = name, say, folder, workers
        self.recipe = json.loads(json.dumps(recipe))  # as it reads in a file
        self.spent = self.waited = 0.0

    def __call__(self, line: str) -> None:
        """Say a line."""
        self.say(line)

    def part(self, name: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Return the results of a part by name: from its file if there is one, and else from ``make``.

        What is made again after a stop is the same bit for bit if ``make`` draws from generators of its own.

        Raises:
            ValueError: If the file there is damaged, or was made with other settings.
            OSError: If the folder cannot be written.
        """
        if self.folder is None:
            return make()
        file = self._file(name)
        if file.exists():
            values = self._read(file)
            self.say(f"{name}: from {file}")
        else:
            began = time.perf_counter()
            values = make()
            self._keep(file, values, time.perf_counter() - began)
        if (checkpoint := self.checkpoint(name)) is not None:
            checkpoint.unlink(missing_ok=True)
        return values

    def parts(self, wanted: Mapping[str, Part]) -> dict[str, dict[str, Any]]:
        """Return the results of parts by name; each is made as soon as what it needs is there and a worker is free.

        However many workers there are, the results are the same.

        Raises:
            ChildProcessError: If a worker was killed.
            ValueError, OSError: As for ``part``; and whatever making a part raises.
        """
        found: dict[str, dict[str, Any]] = {}
        if self.workers == 1:
            for name, part in wanted.items():
                found[name] = self.part(name, partial(part.make, *(found[need] for need in part.needs)))
                self.say(f"{name}: {_told(found[name])}")
            return found
        if self.folder is None:
            with tempfile.TemporaryDirectory(prefix="entropic-edu-") as folder:
                there = Work(self.name, self.recipe, self.say, File(folder), self.workers)
                found = there.parts(wanted)
                self.spent, self.waited = self.spent + there.spent, self.waited + there.waited
                return found
        for name in wanted:
            if self._file(name).exists():
                found[name] = self.part(name, dict)
        missing = {name: part for name, part in wanted.items() if name not in found}
        if missing:
            began = time.perf_counter()
            self._make_at_once(missing, found)
            self.waited += time.perf_counter() - began
        return {name: found[name] for name in wanted}

    def _make_at_once(self, missing: dict[str, Part], found: dict[str, dict[str, Any]]) -> None:
        """Let workers make the missing parts, and add what they made to ``found``."""
        assert self.folder is not None
        ended: SimpleQueue[Future[None]] = SimpleQueue()
        running: dict[Future[None], str] = {}
        with crew(None, min(self.workers, len(missing)), 1) as hands:
            room = hands.workers if isinstance(hands, Workers) else 1
            self.say(f"{len(missing)} part{'s'[: len(missing) > 1]} to make, {room} at a time")
            while missing or running:
                ready = [name for name, part in missing.items() if all(need in found for need in part.needs)]
                for name in ready[: room - len(running)]:
                    future = hands.submit(_make, self.name, self.recipe, self.folder, name, missing.pop(name))
                    running[future] = name
                    future.add_done_callback(ended.put)
                future = ended.get()
                name = running.pop(future)
                try:
                    future.result()
                except BrokenExecutor as error:
                    if isinstance(hands, Workers):
                        hands.check()
                    raise ChildProcessError(
                        f"The worker that made {name!r} was killed (out of memory?). Parts that are finished are kept "
                        "if there is a folder for them; fewer --workers need less memory."
                    ) from error
                found[name] = self._read(self._file(name))
                self.say(f"{name}: {_told(found[name])}")

    def _file(self, name: str) -> File:
        assert self.folder is not None
        return self.folder / f"{name}.kept"

    def _keep(self, file: File, values: dict[str, Any], seconds: float) -> None:
        tensors, shapes = taken_apart(values)
        write_whole(file, packed("Part", tensors, {"values": shapes, "recipe": self.recipe, "seconds": seconds}))

    def _read(self, file: File) -> dict[str, Any]:
        tensors, note = unpacked(file.read_bytes(), "Part", str(file), f"entropic-edu record {self.name}")
        if note["recipe"] != self.recipe:
            raise ValueError(
                f"{file} was made with other settings, or another version of Python, torch or numpy; delete "
                f"{self.folder} to begin afresh, or choose another --out."
            )
        self.spent += note["seconds"]
        return put_together(tensors, note["values"])

    def checkpoint(self, name: str) -> File | None:
        """Return where ``train`` may keep what it has of a part until that is finished; None where nothing is kept."""
        return None if self.folder is None else self.folder / f"{name}.checkpoint"


def _make(name: str, recipe: Mapping[str, Any], folder: File, wanted: str, part: Part) -> None:
    """Make and keep a part in a worker, from the kept parts that it needs."""
    torch.set_num_threads(1)
    work = Work(name, recipe, lambda line: None, folder)
    needed = [work._read(work._file(need)) for need in part.needs]
    with full_precision(), whole_or_nothing():
        work.part(wanted, partial(part.make, *needed))


def _told(values: Mapping[str, Any]) -> str:
    """Say what a part came to, if it holds a result that can say it."""
    return next((value.summary() for value in values.values() if isinstance(value, Result)), "done")


def clear(folder: File) -> None:
    """Remove parts, once what they are for is safe elsewhere, and the folder if nothing else is in it."""
    for kind in ("*.kept", "*.checkpoint", ".*.part"):  # the last: what a killed writer left
        for file in folder.glob(kind):
            file.unlink(missing_ok=True)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def begun(folder: File) -> bool:
    """Whether there is something in a folder that a recipe can go on from."""
    return any(folder.glob("*.kept")) or any(folder.glob("*.checkpoint"))
