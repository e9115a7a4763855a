"""What a class knew before the course and after: the files that learners hand in, pooled.

The learner is the unit. Only who handed in both files counts, so that the same people are compared, and an error is
that of a mean over learners.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import handed_in
from .inventory import ITEMS, LESSONS, RIGHT, TIMES, Sheet, misconception, read

KIND, FORMAT = "entropic_edu class report", 1
FEW = 10  # below this many learners an error of a ratio is itself rough
Pair = tuple[Sheet, Sheet]  # before, after


def pool(folder: str | Path) -> dict[str, Any]:
    """Return the report of a folder of handed-in files, as plain values.

    Files that are none of ours, or broken, are left out and named with the reason; so are learners with one file only.

    Raises:
        ValueError: If there is no such folder.
        OSError: If the folder cannot be read.
    """
    sheets: dict[tuple[str, str], list[Sheet]] = {}
    left_out: list[dict[str, str]] = []
    for file in handed_in.files(folder):
        try:
            sheet = read(file)
            sheets.setdefault((sheet.code.casefold(), sheet.when), []).append(sheet)
        except (ValueError, OSError) as error:
            left_out.append({"file": handed_in.named(file.name), "why": str(error)})
    pairs: list[Pair] = []
    for code in sorted({code for code, _ in sheets}):
        found = [sheets.get((code, when), []) for when in TIMES]
        if why := _unpaired(found):
            left_out.append({"learner": code, "why": why})
        else:
            pairs.append((found[0][0], found[1][0]))
    return {"kind": KIND, "format": FORMAT, **measured(pairs), "left_out": left_out}


def _unpaired(found: Sequence[Sequence[Sheet]]) -> str:
    """Return why the files of one code are no pair, or nothing."""
    for when, sheets in zip(TIMES, found, strict=True):
        if not sheets:
            return f'The file of "{when}" is missing, or has another code.'
        if any((sheet.form, sheet.answers) != (sheets[0].form, sheets[0].answers) for sheet in sheets):
            return f'Wanted one file of "{when}" for this code; got {len(sheets)} that differ. Ask whose they are.'
    return ""


def measured(pairs: Sequence[Pair]) -> dict[str, Any]:
    """Return what was gained, overall and for each item, and which misconceptions moved."""
    scores = [[sheet.score / len(ITEMS) for sheet in pair] for pair in pairs]
    items = {item: [[float(sheet.answers[item] == RIGHT) for sheet in pair] for pair in pairs] for item in ITEMS}
    return {
        "learners": len(pairs),
        "forms": dict(sorted(Counter(f"{before.form} then {after.form}" for before, after in pairs).items())),
        **_means(scores),
        "gain": gain(scores),
        "items": {item: {**_means(each), "gain": gain(each)} for item, each in items.items()},
        "misconceptions": {key: misconception(key) | _moved(pairs, key) for key in LESSONS},
    }


def gain(scores: Sequence[Sequence[float]]) -> dict[str, float | None]:
    """Return the normalised gain of a class, (after - before) / (1 - before) of its means, with its standard error.

    The error is that of a ratio of two means over the same learners (delta method).

    Args:
        scores: For each learner the share right before and after.

    Returns:
        ``value``, None if all was right before; ``error``, None too with fewer than two learners.

    >>> gain([[0.0, 0.5], [0.5, 0.75], [0.25, 0.625]])
    {'value': 0.5, 'error': 0.0}
    """
    n = len(scores)
    left = sum(1 - before for before, _ in scores)
    if left <= 0:
        return {"value": None, "error": None}
    value = sum(after - before for before, after in scores) / left
    off = [after - before - value * (1 - before) for before, after in scores]
    error = math.sqrt(n / (n - 1) * sum(each * each for each in off)) / left if n > 1 else None
    return {"value": value, "error": error}


def _means(scores: Sequence[Sequence[float]]) -> dict[str, float | None]:
    return {when: sum(each[k] for each in scores) / len(scores) if scores else None for k, when in enumerate(TIMES)}


def _moved(pairs: Sequence[Pair], key: str) -> dict[str, Any]:
    """Return how many learners chose a misconception at least once, before and after, and the error of the change.

    Who chose it both times or never says nothing about a change: the error is that of the difference of two shares of
    the same people, as in McNemar's test.
    """
    holds = [[key in sheet.answers.values() for sheet in pair] for pair in pairs]
    lost, gained = (sum(each == way for each in holds) for way in ([True, False], [False, True]))
    before, after = (sum(each[k] for each in holds) for k in range(2))
    error = math.sqrt(lost + gained - (gained - lost) ** 2 / len(pairs)) if len(pairs) > 1 else None
    return {"before": before, "after": after, "lost": lost, "gained": gained, "change": after - before, "error": error}


def table(report: dict[str, Any]) -> str:
    """Return a report as lines to print."""
    lines = [f"Learners with both files: {report['learners']} ({_listed(report['forms']) or 'none'})."]
    if report["learners"]:
        gained = report["gain"]
        lines += [
            f"Right before {_percent(report['before'])}, after {_percent(report['after'])} of {len(ITEMS)} items."
        ]
        lines += [f"Normalised gain (after - before)/(1 - before): {_with_error(gained)}."]
        lines += ["", f"{'item':<10}{'before':>8}{'after':>8}   gain"]
        for item, each in report["items"].items():
            row = f"{item:<10}{_percent(each['before']):>8}{_percent(each['after']):>8}"
            lines.append(f"{row}   {_with_error(each['gain'])}")
        lines += [
            "",
            "Misconceptions, by how many learners chose them at least once:",
            "before  after  change   lesson",
        ]
        moved = sorted(report["misconceptions"].values(), key=lambda each: (-each["before"], each["says"]))
        for each in moved:
            error = "" if each["error"] is None else f" ± {each['error']:.1f}"
            change = f"{each['change']:+d}{error}"
            lines.append(f"{each['before']:>6}{each['after']:>7}  {change:<10} {each['lesson']}  {each['says']}")
    if 0 < report["learners"] < FEW:
        lines += ["", f"With fewer than {FEW} learners these errors are rough themselves."]
    if report["left_out"]:
        lines += ["", f"Left out: {len(report['left_out'])}."]
        lines += [f"- {each.get('file') or 'learner ' + each['learner']}: {each['why']}" for each in report["left_out"]]
    lines += ["", "The inventory has not been validated: docs/inventory.md says what that would take."]
    return "\n".join(lines)


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"form {forms}: {count}" for forms, count in counts.items())


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _with_error(value: dict[str, float | None]) -> str:
    if value["value"] is None:
        return "none: all was right before"
    if value["error"] is None:
        return f"{value['value']:.2f} (one learner: no error)"
    return f"{value['value']:.2f} ± {value['error']:.2f}"
