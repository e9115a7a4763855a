"""What a recipe works with: it says how far it is, and keeps each part that is finished."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path as File
from typing import Any

from entropic_edu.recorded._values import put_together, taken_apart
from entropic_edu.results import packed, unpacked, write_whole


class Work:
    """Call it with a line to say; ask it for a part, which it makes once and reads again ever after.

    Args:
        name: Of the recipe.
        recipe: All settings, and whatever else a part must agree in to be taken up again, as JSON values.
        say: Receives the lines.
        folder: Where finished parts are kept; None keeps nothing.

    Attributes:
        spent: Seconds that went into the parts that were found.
    """

    def __init__(
        self, name: str, recipe: Mapping[str, Any], say: Callable[[str], None], folder: File | None = None
    ) -> None:
        self.name, self.say, self.folder = name, say, folder
        self.recipe = json.loads(json.dumps(recipe))  # as it reads in a file
        self.spent = 0.0

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
        file = self.folder / f"{name}.kept"
        if file.exists():
            values = self._read(file)
            self.say(f"{name}: from {file}")
        else:
            began = time.perf_counter()
            values = make()
            tensors, shapes = taken_apart(values)
            note = {"values": shapes, "recipe": self.recipe, "seconds": time.perf_counter() - began}
            write_whole(file, packed("Part", tensors, note))
        if (checkpoint := self.checkpoint(name)) is not None:
            checkpoint.unlink(missing_ok=True)
        return values

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
