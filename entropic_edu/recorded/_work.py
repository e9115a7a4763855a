"""What a recipe works with: it says how far it is, keeps each part that is finished, and makes several at once."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from concurrent.futures import BrokenExecutor
from functools import partial
from pathlib import Path as File

from entropic_edu.networks.devices import full_precision
from entropic_edu.physics.results import Result
from entropic_edu.sweeps.kept import SUFFIX, Dispatch, Part, Store
from entropic_edu.sweeps.workers import pool

from ._common import Say, Values


class Work:
    """Call it with a line to say; ask it for a part, which it makes once and reads again ever after.

    Args:
        name: Of the recipe.
        recipe: All settings, and whatever else a part must agree in to be taken up again, as JSON values.
        say: Receives the lines.
        folder: Where finished parts are kept; None keeps nothing.
        workers: How many processes make parts at the same time; 1 makes them in this one.
    """

    def __init__(self, name: str, recipe: Values, say: Say, folder: File | None = None, workers: int = 1) -> None:
        self.say, self.workers = say, workers
        other = (
            "was made with other settings, or another version of Python, torch or numpy; delete "
            f"{folder} to begin afresh, or choose another --out."
        )
        self.store = Store(folder, recipe, other=other, remedy=f"entropic-edu record {name}")
        self.spent = 0.0  # seconds, on parts that were there or that workers made
        self.waited = 0.0  # seconds, for workers

    def __call__(self, line: str) -> None:
        """Say a line."""
        self.say(line)

    def part(self, name: str, make: Callable[[], Values]) -> Values:
        """Return the results of a part by name: from its file if there is one, and else from ``make``.

        Raises:
            ValueError: If the file there is damaged, or was made with other settings.
            OSError: If the folder cannot be written.
        """
        there = name in self.store
        made = self.store.get(name, make)
        if there:
            self.spent += made.seconds
            self.say(f"{name}: from {self.store.file(name)}")
        return made.values

    def parts(self, wanted: Mapping[str, Part]) -> dict[str, Values]:
        """Return the results of parts by name; each is made as soon as what it needs is there and a worker is free.

        Raises:
            ChildProcessError: If a worker was killed.
            ValueError, OSError: As for ``part``; and whatever making a part raises.
        """
        made: dict[str, Values] = {}
        if self.workers == 1:
            for name, part in wanted.items():
                made[name] = self.part(name, partial(part.make, *(made[need] for need in part.needs)))
                self.say(f"{name}: {_summary(made[name])}")
            return made
        made = {name: self.part(name, dict) for name in wanted if name in self.store}
        lacking = {name: part for name, part in wanted.items() if name not in made}
        if lacking:
            self._make_at_once({n: Part(partial(_make, part.make), part.needs) for n, part in lacking.items()}, made)
        return {name: made[name] for name in wanted}

    def _make_at_once(self, missing: Mapping[str, Part], made: dict[str, Values]) -> None:
        """Let workers make the missing parts, and add what they made to ``made``."""
        began = time.perf_counter()
        with pool(None, min(self.workers, len(missing)), 1) as executor:
            at_once = getattr(executor, "workers", 1)
            self.say(f"{len(missing)} part{'s'[: len(missing) > 1]} to make, {at_once} at a time")
            with contextlib.closing(Dispatch(missing, self.store, executor, self.store.write).run()) as ended:
                for name, error in ended:
                    if isinstance(error, BrokenExecutor):
                        raise ChildProcessError(
                            f"The worker that made {name!r} was killed (out of memory?). Parts that are finished are "
                            "kept if there is a folder for them; fewer --workers need less memory."
                        ) from error
                    if error is not None:
                        raise error
                    made[name], seconds = self.store.read(name)
                    self.spent += seconds
                    self.say(f"{name}: {_summary(made[name])}")
        self.waited += time.perf_counter() - began


def _make(make: Callable[..., Values], *needed: Values) -> Values:
    with full_precision():
        return make(*needed)


def _summary(values: Values) -> str:
    """Return what a part came to, if it holds a result that can say it."""
    return next((value.summary() for value in values.values() if isinstance(value, Result)), "done")


def clear(folder: File) -> None:
    """Remove parts, once what they are for is safe elsewhere, and the folder if nothing else is in it."""
    for kind in (f"*{SUFFIX}", "*.checkpoint", ".*.part"):  # the last: what a killed writer left
        for file in folder.glob(kind):
            file.unlink(missing_ok=True)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def begun(folder: File) -> bool:
    """Whether there is something in a folder that a recipe can go on from."""
    return any(folder.glob(f"*{SUFFIX}")) or any(folder.glob("*.checkpoint"))
