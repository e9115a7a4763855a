"""What explorers answer from at once: results that were computed beforehand, each with the recipe that makes it anew.

A recipe is a module of this folder. It holds ``RECIPE``, all settings as plain JSON values; ``TINY``, what a miniature
of a few seconds changes; and ``make(recipe, work)``, which returns tensors, results of verbs and plain values by name:
docs/recordings.md says what each of them is.
"""

from __future__ import annotations

import hashlib
import importlib
import pkgutil
import platform
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path as File
from typing import Any

import numpy
import torch

from entropic_edu.networks.devices import device, full_precision
from entropic_edu.physics.results import of_this_version, packed, read_whole, unpacked, write_whole
from entropic_edu.physics.snapshot import whole_or_nothing
from entropic_edu.sweeps.kept import Part, put_together, taken_apart
from entropic_edu.sweeps.workers import cores

from ._work import Work, begun, clear

__all__ = ["Part", "Recording", "Work", "begun", "belonging", "clear", "load", "names", "read", "record", "shipped"]


@dataclass(frozen=True, eq=False)
class Recording(Mapping[str, Any]):
    """Results by name, and how they were made.

    Attributes:
        name: Of the recipe.
        results: Tensors, results of verbs and plain values by name.
        recipe: All settings; ``entropic-edu record`` makes the same again from them.
        versions: Of Python and of the packages that computed.
        seconds: How long it took: what its parts took on one thread each, added up.
        digest: First 12 digits of the hash of its file.
        rounded: Tensors that the file holds in half precision; here they are in single precision, so rounded.

    Example:
        >>> import tempfile
        >>> import torch
        >>> from entropic_edu import recorded
        >>> made = recorded.Recording("mine", {"end": torch.ones(2)}, recipe={"seeds": [0]}, versions={}, seconds=1.0)
        >>> with tempfile.TemporaryDirectory() as place:
        ...     made.save(f"{place}/mine.safetensors")
        ...     kept = recorded.read(f"{place}/mine.safetensors")
        >>> kept["end"], kept.recipe
        (tensor([1., 1.]), {'seeds': [0]})
    """

    name: str
    results: Mapping[str, Any]
    recipe: Mapping[str, Any]
    versions: Mapping[str, str]
    seconds: float
    digest: str = ""
    rounded: frozenset[str] = frozenset()

    def __getitem__(self, key: str) -> Any:
        """Return the value of this name; a ValueError lists the names that there are."""
        if key not in self.results:
            raise ValueError(f"The recording {self.name!r} has no {key!r}; it has {', '.join(self.results)}.")
        return self.results[key]

    def __contains__(self, key: object) -> bool:
        return key in self.results

    def __iter__(self) -> Iterator[str]:
        return iter(self.results)

    def __len__(self) -> int:
        return len(self.results)

    def __repr__(self) -> str:
        seeds, time = self.recipe.get("seeds", "?"), f"{self.seconds:.0f} s"
        return f"Recording {self.name!r} ({self.digest}): {len(self)} results, seeds {seeds}, made in {time}"

    def save(self, file: str | File) -> None:
        """Write everything to one file, whole or not at all.

        Raises:
            OSError: If the place cannot be written; what stood there before is kept.
        """
        write_whole(file, self._packed())

    def _packed(self) -> bytes:
        tensors, shapes = taken_apart(self.results)
        tensors |= {name: tensors[name].half() for name in self.rounded}  # they were halves: nothing is lost
        note = {"values": shapes, "recipe": dict(self.recipe), "versions": dict(self.versions), "seconds": self.seconds}
        return packed("Recording", tensors, {"name": self.name, **note})


def names() -> list[str]:
    """Return the names of all recipes."""
    return [name for _, name, package in pkgutil.iter_modules(__path__) if not (package or name.startswith("_"))]


def shipped(name: str) -> bool:
    """Return whether a recording comes with the package; one whose recipe is new does not yet."""
    return (resources.files(__name__) / f"{name}.safetensors").is_file()


@cache
def load(name: str) -> Recording:
    """Return a recording that comes with the package.

    Raises:
        ValueError: If there is none of this name, or its file is damaged.

    Example:
        >>> from entropic_edu import recorded
        >>> roads = recorded.load("roads")
        >>> roads.recipe["seeds"]
        [0, 1, 2, 3, 4]
        >>> len(roads["pair0/road"].pivots)
        40
    """
    if name not in names():
        raise ValueError(f"There is no recording {name!r}; there are {', '.join(names())}.")
    file = resources.files(__name__) / f"{name}.safetensors"
    if not shipped(name):
        raise ValueError(f"The recording {name!r} has not been made; make it with: entropic-edu record {name}")
    made = _unpacked(file.read_bytes(), str(file))
    if made.name != name:
        raise ValueError(f"{file} holds the recording {made.name!r}, wanted {name!r}; install entropic-edu again.")
    return made


def read(file: str | File) -> Recording:
    """Return the recording in a file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is damaged or holds something else.
    """
    return _unpacked(read_whole(file), str(file))


def _unpacked(content: bytes, file: str) -> Recording:
    remedy = f"entropic-edu record {File(file).name.split('.')[0]}"
    tensors, note = unpacked(content, "Recording", file, remedy)
    rounded = frozenset(name for name, each in tensors.items() if each.dtype == torch.half)
    tensors |= {name: tensors[name].float() for name in rounded}
    digest = hashlib.sha256(content).hexdigest()[:12]
    with of_this_version(file):
        values = put_together(tensors, note.pop("values"))
        return Recording(results=values, digest=digest, rounded=rounded, **note)


def record(
    name: str,
    *,
    tiny: bool = False,
    say: Callable[[str], None] = print,
    folder: str | File | None = None,
    workers: int | None = 1,
) -> Recording:
    """Return a recording made anew by its recipe, on one thread or one for each worker.

    Tensors that a recipe rounds to half precision, for a small file, come back in single precision, so rounded.

    Args:
        name: Of the recipe.
        tiny: Make the miniature, in a few seconds.
        say: Receives a line now and then.
        folder: Where to keep the parts that are finished, if the recipe has any: called again with the same folder it
            goes on from there, to the same recording as without the interruption. None keeps nothing.
        workers: How many processes make the parts of a recipe that do not need one another (those of CIFAR-10 have such
            parts): the results are the same. None: one for each core, and no other process on a GPU.

    Raises:
        ChildProcessError: If a worker was killed.
        KeyboardInterrupt: On Ctrl-C.
        ValueError: If there is no recipe of this name, or the parts in the folder are damaged or of other settings.
        OSError: If the folder cannot be written.
    """
    if name not in names():
        raise ValueError(f"There is no recipe {name!r}; there are {', '.join(names())}.")
    if workers is None:
        workers = cores() if device().type == "cpu" else 1
    if workers < 1:
        raise ValueError(f"At least one worker makes a recording, got workers={workers}.")
    module = importlib.import_module(f".{name}", __name__)
    recipe = module.RECIPE | (module.TINY if tiny else {})
    place = None if folder is None else File(folder)
    if place is not None:
        place.mkdir(parents=True, exist_ok=True)  # before anything is computed
    work = Work(name, belonging(recipe), say, place, workers)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # these networks are too small to share; and one thread always adds in the same order
    began = time.perf_counter()
    try:
        with full_precision(), whole_or_nothing():
            values = module.make(recipe, work)
    except BaseException:
        if place is not None and not begun(place):
            clear(place)  # nothing is in it
        raise
    finally:
        torch.set_num_threads(threads)
    seconds = time.perf_counter() - began - work.waited + work.spent
    made = Recording(name, values, recipe, belonging(recipe)["versions"], round(seconds, 1))._packed()
    return _unpacked(made, name)  # as it will be read: half precision has become single


def belonging(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Return what parts must agree in to be taken up again: all settings, and the versions of what computes."""
    versions = {"python": platform.python_version(), "torch": torch.__version__, "numpy": numpy.__version__}
    return {"recipe": recipe, "versions": versions}
