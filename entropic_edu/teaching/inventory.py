"""The concept inventory: twelve items in two parallel forms, each wrong option one named misconception of the course.

Answers stay in a file on the learner's machine, which they may hand in; `class_report` pools such files. Whether the
items measure what they are meant to has not been tested with people: docs/inventory.md says what that would take.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from entropic_edu.physics.results import write_whole

from . import handed_in
from .handed_in import shown
from .strings import composed_text

KIND, FORMAT = "entropic_edu inventory", 1
TIMES, FORMS = ("before", "after"), ("A", "B")
RIGHT, UNSURE = "right", "unsure"
CODE = re.compile(r"[A-Za-z0-9_-]{2,32}")
# each item's options in the order of form A; form B has them in the reverse order. The wrong ones are misconceptions
ITEMS: Mapping[str, tuple[str, ...]] = {
    "luck": ("one_run", "same_seed", RIGHT, "headline"),
    "cloud": ("averages_out", RIGHT, "random_walk", "downhill"),
    "dial": ("size_alone", "rate_alone", RIGHT, "random_walk"),
    "floor": ("flat_is_free", "narrow_traps", "averages_out", RIGHT),
    "pinch": (RIGHT, "energy_only", "flat_is_free", "narrow_traps"),
    "slope": ("downhill", RIGHT, "always_wide", "valley_alone"),
    "line": ("separate", RIGHT, "loss_holds", "good_average"),
    "road": ("reachable", "loss_holds", "flat_done", RIGHT),
    "control": ("one_control", "useless_control", RIGHT, "loss_holds"),
    "scale": ("same_function", RIGHT, "small_smooth", "all_scale"),
    "equal": ("all_equal", "flat_generalises", "small_smooth", RIGHT),
    "count": (RIGHT, "walkers_count", "one_run", "same_seed"),
}
LESSONS: Mapping[str, str] = {  # where each misconception is met
    "one_run": "00", "same_seed": "00", "headline": "07", "averages_out": "01", "random_walk": "01",
    "size_alone": "01", "rate_alone": "01", "flat_is_free": "02", "narrow_traps": "02", "energy_only": "02",
    "downhill": "03", "always_wide": "10", "valley_alone": "03", "separate": "04", "good_average": "04",
    "reachable": "05", "loss_holds": "06", "flat_done": "07", "one_control": "10", "useless_control": "10",
    "same_function": "05", "small_smooth": "08", "all_scale": "05", "all_equal": "08", "flat_generalises": "10",
    "walkers_count": "10",
}  # fmt: skip


@dataclass(frozen=True)
class Sheet:
    """The answers of one learner at one time.

    Attributes:
        code: That the learner chose, the same before and after; no name.
        when: "before" or "after" the course.
        form: "A" or "B".
        answers: For each item "right", "unsure", or the misconception that was chosen.

    Raises:
        ValueError: If something else is given; with what was wanted and what came.

    >>> Sheet("kiwi7", "before", "A", dict.fromkeys(ITEMS, "unsure")).score
    0
    """

    code: str
    when: str
    form: str
    answers: Mapping[str, str]

    def __post_init__(self) -> None:
        if not (isinstance(self.code, str) and CODE.fullmatch(self.code)):
            raise ValueError(f"A code is 2 to 32 letters, digits, - or _; got {shown(self.code)}. Choose another.")
        for name, known in (("when", TIMES), ("form", FORMS)):
            if getattr(self, name) not in known:
                wanted = " or ".join(f'"{each}"' for each in known)
                raise ValueError(f'"{name}" is {wanted}; got {shown(getattr(self, name))}.')
        if not isinstance(self.answers, Mapping) or set(self.answers) != set(ITEMS):
            raise ValueError(f'"answers" has the {len(ITEMS)} items {", ".join(ITEMS)}; got {shown(self.answers)}.')
        for item, options in ITEMS.items():
            if self.answers[item] not in (*options, UNSURE):
                wanted = ", ".join([*options, UNSURE])
                raise ValueError(f'An answer to "{item}" is one of {wanted}; got {shown(self.answers[item])}.')

    @property
    def score(self) -> int:
        """How many answers are right."""
        return sum(answer == RIGHT for answer in self.answers.values())

    @property
    def name(self) -> str:
        """The name of its file."""
        return f"inventory-{self.when}-{self.code}.json"

    def save(self, folder: str | Path = ".") -> Path:
        """Write the answers to a new file in a folder, and return it.

        Raises:
            FileExistsError: If it is there already: the first answers are kept.
            OSError: If the place cannot be written.
        """
        file = Path(folder) / self.name
        if file.exists():
            raise FileExistsError(f"{file} is there already")
        known = {"kind": KIND, "format": FORMAT, "code": self.code, "when": self.when, "form": self.form}
        write_whole(file, (json.dumps(known | {"answers": dict(self.answers)}, indent=1) + "\n").encode())
        return file


def read(file: str | Path) -> Sheet:
    """Return the answers in a file.

    Raises:
        ValueError: If it is none of these files, with what was wanted and what came.
        OSError: If it cannot be read.
    """
    found = handed_in.read(file)
    if found.get("kind") != KIND:
        raise ValueError(f'Answers to the inventory say "kind": "{KIND}"; this says {shown(found.get("kind"))}.')
    if found.get("format") != FORMAT:
        raise ValueError(f'Wanted "format": {FORMAT}; got {shown(found.get("format"))}. Another version wrote it.')
    return Sheet(*(found.get(name) for name in ("code", "when", "form", "answers")))  # type: ignore[arg-type]


def options(item: str, form: str) -> tuple[str, ...]:
    """Return the options of an item, in the order of a form."""
    return ITEMS[item] if form == "A" else ITEMS[item][::-1]


def words(item: str, form: str, key: str) -> str:
    """Return the words of an item in a form: ``ask``, or an option."""
    return composed_text("inventory", "item", item, form, key)


def misconception(key: str) -> dict[str, Any]:
    """Return what a misconception says, and the lesson where it is met."""
    return {"says": composed_text("inventory", "misconception", key), "lesson": LESSONS[key]}
