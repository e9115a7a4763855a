"""Files that learners hand in: read with care, since anybody may have written them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

LARGEST = 200_000  # bytes; what this package writes takes a few thousand


def files(folder: str | Path) -> Iterator[Path]:
    """Return what lies in a folder, by name, without hidden files and without what lies deeper.

    Raises:
        ValueError: If there is no such folder.
    """
    place = Path(folder)
    if not place.is_dir():
        raise ValueError(f"Wanted a folder with the files that were handed in; {named(place)} is not one.")
    yield from sorted(file for file in place.iterdir() if not file.name.startswith(".") and not file.is_dir())


def read(file: str | Path) -> dict[str, Any]:
    """Return the JSON object in a file.

    Raises:
        ValueError: If it is no regular file, too large, or no JSON object; with what to do.
        OSError: If it cannot be read.
    """
    place = Path(file)
    if not place.exists():
        raise ValueError(f"There is no file {named(place)}; look at its name and its folder.")
    if not place.is_file():
        raise ValueError(f"{named(place)} is not a regular file; give one that was saved as JSON.")
    with place.open("rb") as stream:  # no more than it may hold, also where it grows meanwhile
        content = stream.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise ValueError(
            f"At most {LARGEST:,} bytes are read, and {named(place)} has more; take out what is not an answer."
        )
    try:
        found = json.loads(content, parse_constant=_no_number, object_pairs_hook=_once)
    except RecursionError as error:
        raise ValueError("It is nested too deeply; write it as the example shows.") from error
    except ValueError as error:  # no JSON, or no UTF-8
        raise ValueError(f"It is not JSON ({error}); save it again, as UTF-8.") from error
    if not isinstance(found, dict):
        raise ValueError(f'Wanted an object in braces, {{"kind": ...}}; got a {type(found).__name__}.')
    return found


def named(place: str | Path) -> str:
    """Return a name as it may be printed: one with line breaks or control characters is quoted."""
    name = str(place)
    return name if name.isprintable() else ascii(name)


def shown(value: object, most: int = 60) -> str:
    """Return a value of a file as an error may quote it, short and on one line."""
    words = ascii(value) if not isinstance(value, str) or not value.isprintable() else repr(value)
    return words if len(words) <= most else f"{words[: most - 4]} ..."


def _no_number(word: str) -> float:
    raise ValueError(f"{word} is no number")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{shown(twice)} is there twice")
    return found
