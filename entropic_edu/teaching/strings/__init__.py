"""All words that a learner sees: ``en.toml``, or the file beside it that ENTROPIC_EDU_LANGUAGE names.

What that file lacks is read from the English one, so that a translation is one file.
"""

from __future__ import annotations

import itertools
import os
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib import resources
from typing import Any

ENGLISH = "en"


def text(key: str, **values: Any) -> str:
    """Return the words at a dotted key, with ``{name}`` filled from ``values`` by ``str.format``.

    "explorer.latency" is the entry ``latency`` of the table ``[explorer]``; format specifications such as
    ``{mean:.2f}`` are in the catalogue.

    Raises:
        KeyError: If the catalogue has no such entry, or the entry asks for a value that was not given.
    """
    words = find(key)
    if words is None:
        raise KeyError(f"The catalogue of strings has no entry {key!r}; add it to strings/{ENGLISH}.toml.")
    return words.format(**values)


def option_text(option: str, /, *keys: str, **values: Any) -> str:
    """Return the words of one of several options: those at the one of ``keys`` that ends in ``.option``.

    The keys stand in full where they are used, so that a search for one finds its place. ``values`` are as in `text`.

    Raises:
        KeyError: If no key ends in the option.

    >>> option_text("stopped", "explorer.live", "explorer.stopped", sentence="It went home.")
    'Stopped by you: It went home.'
    """
    for key in keys:
        if key.endswith(f".{option}"):
            return text(key, **values)
    raise KeyError(f"There are no words for the option {option!r}; the keys are {', '.join(keys)}.")


def composed_text(*parts: str, default: str | None = None) -> str:
    """Return the words at a key that is put together of ``parts``, or else ``default``; only these keys are.

    - ``lesson.title.<number>``: of a lesson;
    - ``control.<name>.<key>``: of an explorer's control its ``label``, or one of its options;
    - ``<lesson>.question.<name>.<key>``: of a prediction ``ask``, ``option.<key>`` or ``reply.<key>``;
    - ``<lesson>.exercise.<name>.<key>``: of an exercise ``ask``, ``right`` or ``wrong.<slip>``.
    """
    key = ".".join(parts)
    return text(key) if default is None or find(key) else default


def said(words: str) -> str:
    """Return the entry at a key, or words that are no key as they are.

    >>> said("say.theory"), said("height of a ball (m)")
    ('theory', 'height of a ball (m)')
    """
    return find(words) or words


def hints(lesson: str, name: str) -> list[str]:
    """Return the hints of an exercise, at ``<lesson>.exercise.<name>.hint.1``, ``hint.2`` and so on."""
    layers = (f"{lesson}.exercise.{name}.hint.{number}" for number in itertools.count(1))
    return [text(key) for key in itertools.takewhile(find, layers)]


def find(key: str) -> str | None:
    """Return the raw entry at a dotted key, or None."""
    return catalogue(language()).get(key) or catalogue(ENGLISH).get(key)


def language() -> str:
    """Return the language that ENTROPIC_EDU_LANGUAGE names, English where it has no catalogue."""
    wanted = os.environ.get("ENTROPIC_EDU_LANGUAGE", ENGLISH)
    there = {file.name for file in resources.files(__name__).iterdir()}
    return wanted if f"{wanted}.toml" in there else ENGLISH


@cache
def catalogue(name: str) -> dict[str, str]:
    """Return all entries of a language, by dotted key."""
    file = resources.files(__name__).joinpath(f"{name}.toml")
    try:
        return dict(_entries(tomllib.loads(file.read_text("utf-8"))))
    except ValueError as error:  # no UTF-8, or no TOML
        raise ValueError(f"{file} is damaged or no catalogue ({error}); write it anew, or install again.") from error


def _entries(table: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _entries(value, f"{prefix}{name}.")
        else:
            yield prefix + name, str(value).strip("\n")
