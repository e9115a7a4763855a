"""All words that a learner sees, in one file for each language, so that a translation is one file.

``en.toml`` is the catalogue. The environment variable ENTROPIC_EDU_LANGUAGE names another file beside it; what that
file lacks is read from the English one.
"""

from __future__ import annotations

import os
import tomllib
from functools import cache
from importlib import resources
from typing import Any

ENGLISH = "en"


def text(key: str, **values: Any) -> str:
    """Return the words at a dotted key, with ``{name}`` filled from ``values`` by ``str.format``.

    Args:
        key: Such as "explorer.latency"; in the catalogue the entry ``latency`` of the table ``[explorer]``.
        values: What the placeholders stand for; format specifications such as ``{mean:.2f}`` are in the catalogue.

    Raises:
        KeyError: If the catalogue has no such entry, or the entry asks for a value that was not given.
    """
    found = find(key)
    if found is None:
        raise KeyError(f"The catalogue of strings has no entry {key!r}; add it to strings/{ENGLISH}.toml.")
    return found.format(**values)


def find(key: str) -> str | None:
    """Return the raw entry at a dotted key, or None."""
    return catalogue(language()).get(key) or catalogue(ENGLISH).get(key)


def language() -> str:
    """Return the language that ENTROPIC_EDU_LANGUAGE names, English where it names none that is there."""
    wanted = os.environ.get("ENTROPIC_EDU_LANGUAGE", ENGLISH)
    return wanted if wanted in languages() else ENGLISH


def languages() -> list[str]:
    """Return the languages that have a catalogue."""
    names = [file.name for file in resources.files(__name__).iterdir()]
    return sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml"))


@cache
def catalogue(name: str) -> dict[str, str]:
    """Return all entries of a language, by dotted key."""
    file = resources.files(__name__).joinpath(f"{name}.toml")
    try:
        return _flat(tomllib.loads(file.read_text("utf-8")), "")
    except ValueError as error:  # no UTF-8, or no TOML
        raise ValueError(f"{file} is damaged or no catalogue ({error}); write it anew, or install again.") from error


def _flat(table: dict[str, Any], prefix: str) -> dict[str, str]:
    entries: dict[str, str] = {}
    for name, value in table.items():
        if isinstance(value, dict):
            entries |= _flat(value, f"{prefix}{name}.")
        else:
            entries[f"{prefix}{name}"] = str(value).strip("\n")
    return entries
