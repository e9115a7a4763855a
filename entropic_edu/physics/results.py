"""Results that keep: frozen records of tensors and plain values, written whole or not at all, read without pickle."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import importlib
import json
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path as File
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

import safetensors.torch
import torch
from torch import Tensor

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FORMAT = 1
T = TypeVar("T")


def behind_links(file: str | os.PathLike[str]) -> File:
    """Return the file that links lead to; it need not be there.

    Raises:
        OSError: If it is no regular file: to read a pipe or a device may take for ever.
    """
    place = File(os.path.realpath(file))
    if place.is_symlink() or (place.exists() and not place.is_file()):
        raise OSError(f"{file} is no regular file but a folder, pipe, device or loop of links; name another place.")
    return place


def read_whole(file: str | os.PathLike[str]) -> bytes:
    """Return what a file, or the file that a link leads to, holds.

    Raises:
        OSError: If there is none, it cannot be read, or it is no regular file.
        MemoryError: If it is larger than the memory that is left.
    """
    place = behind_links(file)
    try:
        return place.read_bytes()
    except MemoryError as error:
        size = place.stat().st_size
        raise MemoryError(f"{file} has {size:,} bytes, for which there is no memory; is it the right file?") from error


def write_whole(file: str | os.PathLike[str], content: bytes) -> None:
    """Write a file so that it is complete or, on any fault, as it was before; a link stays one.

    Raises:
        OSError: With the reason and what to do, if the place cannot be written or the disk is full.
    """
    target = behind_links(file)
    partial = target.with_name(f".{target.name[:40]}.{secrets.token_hex(8)}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with open(partial, "xb") as stream:  # a new file, with the mode that the umask gives
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(partial, target)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(partial)
        if isinstance(error, OSError):
            raise type(error)(
                error.errno, f"Could not write {target} ({error.strerror}); nothing was changed. Choose another place"
            ) from error
        raise


@dataclasses.dataclass(frozen=True, eq=False)
class Result:
    """Base of all results: fields are tensors (detached) or plain JSON values.

    Attributes:
        complete: False where the run was stopped before its end.
    """

    retired: ClassVar[tuple[str, ...]] = ()  # fields that files of former versions hold

    complete: bool = dataclasses.field(default=True, kw_only=True)

    def summary(self) -> str:
        """Return one sentence that holds the result's numbers."""
        raise NotImplementedError

    def plot(self, ax: Axes | None = None, **options: Any) -> Axes:
        """Draw the result on ``ax``, or on the axes of a new figure, and return the axes.

        ``options`` are those of the kind in ``entropic_edu.figures.plots``, such as ``raw`` of a Profile.
        """
        figures = importlib.import_module("entropic_edu.figures")  # late: what measures does not load what draws
        axes: Axes = figures.draw(self, ax, **options)
        return axes

    def save(self, file: str | os.PathLike[str]) -> None:
        """Write the result to one safetensors file, whole or not at all; plain values go to its JSON header."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        tensors = {k: v for k, v in values.items() if isinstance(v, Tensor)}
        write_whole(file, packed(type(self).__name__, tensors, {k: v for k, v in values.items() if k not in tensors}))

    @classmethod
    def load(cls, file: str | os.PathLike[str]) -> Self:
        """Read a result that ``save`` wrote.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If the file is cut short, damaged, foreign, or holds another kind of result or that of a version
                with other fields.
        """
        tensors, plain = unpacked(read_whole(file), cls.__name__, str(file), f"{cls.__name__}.save()")
        with of_this_version(file):
            return cls.made_of({**plain, **tensors})

    @classmethod
    def made_of(cls, values: Mapping[str, Any]) -> Self:
        """Return a result of these fields; a TypeError names one that this version does not know so."""
        given = {name: value for name, value in values.items() if name not in cls.retired}
        types = {field.name: str(field.type) for field in dataclasses.fields(cls)}
        for name, value in given.items():
            if name not in types or (value is not None and isinstance(value, Tensor) != ("Tensor" in types[name])):
                raise TypeError(f"{cls.__name__} has no field {name} that may be a {type(value).__name__}")
        return cls(**given)


@contextlib.contextmanager
def of_this_version(file: str | os.PathLike[str]) -> Iterator[None]:
    """Say of what a file holds that it is of another version, where it cannot be put together."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        if type(error) is LookupError:  # a class of results that is the user's own
            raise LookupError(f"{file}: {error}") from error
        raise ValueError(
            f"{file} was written by another version of entropic_edu ({type(error).__name__}: {error}); "
            "load it with that version, or make it again."
        ) from error


def packed(kind: str, tensors: Mapping[str, Tensor], plain: Mapping[str, Any]) -> bytes:
    """Return a safetensors file of tensors, with plain JSON values, the kind and a checksum in its header."""
    values = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    words = json.dumps(dict(plain))
    note = {"format": FORMAT, "kind": kind, "values": words, "checksum": _checksum(values, words)}
    return safetensors.torch.save(values, {"entropic_edu": json.dumps(note)})


def unpacked(content: bytes, kind: str, file: str, remedy: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors and the plain values that ``packed`` wrote.

    Raises:
        ValueError: If the content is damaged, foreign, or of another kind; it names ``file`` and ``remedy``.
    """
    try:
        size = int.from_bytes(content[:8], "little")
        note: dict[str, Any] = json.loads(json.loads(content[8 : 8 + size])["__metadata__"]["entropic_edu"])
        came, version, plain = note["kind"], note["format"], note["values"]
        tensors = safetensors.torch.load(content)
        if note["checksum"] != _checksum(tensors, plain):
            raise ValueError("its checksum is another")
        values: dict[str, Any] = json.loads(plain)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, safetensors.SafetensorError) as error:
        raise ValueError(
            f"{file} is cut short, damaged, or no file of entropic_edu ({type(error).__name__}: {error}); "
            f"delete it and make it again with {remedy}."
        ) from error
    if came != kind or version != FORMAT:
        raise ValueError(
            f"{file} holds a {came} of format {version}, wanted a {kind} of format {FORMAT}; "
            "load it with the class and version that saved it."
        )
    return tensors, values


def _checksum(tensors: dict[str, Tensor], plain: str) -> str:
    """Return a hash of all names, shapes, types and numbers."""
    total = hashlib.sha256(plain.encode())
    for name, value in sorted(tensors.items()):
        total.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
        total.update(value.reshape(-1).view(torch.uint8).numpy().tobytes())
    return total.hexdigest()


def detached(value: Tensor) -> Tensor:
    """Return the values on the CPU, apart from any graph and from later in-place changes."""
    return value.detach().to("cpu", copy=True)


def attempted(reasons: dict[str, str], what: str, compute: Callable[[], T], missing: T) -> T:
    """Return compute(), or what stands for it where torch cannot compute it, with the ``reasons`` by name."""
    try:
        return compute()
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        reasons[what] = first_line(error)
        return missing


def first_line(error: Exception) -> str:
    """Return the first line of what an error says, or its type where it says nothing."""
    return next(iter(str(error).splitlines()), type(error).__name__)


def unavailable(reasons: Mapping[str, str]) -> str:
    """Return a sentence on what could not be computed, or nothing."""
    return "".join(f" Not available: {what} ({reason})." for what, reason in reasons.items())


def finite(value: Tensor, what: str, remedy: str) -> Tensor:
    """Return ``value``, or raise a ValueError that names ``what`` is not finite and the ``remedy``."""
    if not bool(torch.isfinite(value).all()):
        raise ValueError(f"{what} is not finite; {remedy}.")
    return value
