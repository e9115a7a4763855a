"""Reports on experiments of one's own, as lesson 10 asks for them: a file that others can check, and a table of many.

``report.schema.json`` says what a report holds, in the words of JSON Schema. What a schema cannot say is checked too:
one number for each pair, and a conclusion that the numbers bear out.
"""

from __future__ import annotations

import html
import json
import re
import statistics
from collections.abc import Callable, Iterator
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

from . import handed_in
from .handed_in import shown

SURE = 0.975  # quantile of Student's t: past it to either side a mean of pairs says something
TODO = "TODO"
TYPES: dict[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
    "integer": lambda value: isinstance(value, int | float) and not isinstance(value, bool) and value == value // 1,
}
HEAD = (
    "question",
    "by",
    "pairs",
    "quantity",
    "predicted",
    "with noise",
    "without noise",
    "verdict",
    "controls missing",
)


class Effect(NamedTuple):
    """Mean over pairs with its standard error, and how far it must be from 0 to say something; NaN of one pair."""

    mean: float
    error: float
    needed: float


@cache
def schema() -> dict[str, Any]:
    """Return the schema."""
    found: dict[str, Any] = json.loads((resources.files(__package__) / "report.schema.json").read_text("utf-8"))
    return found


def blank(part: dict[str, Any] | None = None) -> Any:
    """Return a report to fill in: where something is to be written it says what."""
    part = schema() if part is None else part
    if "const" in part:
        return part["const"]
    if "properties" in part:
        return {name: blank(each) for name, each in part["properties"].items()}
    return f"{TODO}: {part['description']}"


def problems(report: dict[str, Any]) -> list[str]:
    """Return what is wrong with a report, a sentence each: what was wanted, what came, and with that what to do.

    >>> problems(blank())[0]
    "by: still to be written; wanted who made it, or a code, got 'TODO: who made it, or a code'"
    """
    found = list(_against(schema(), report, ""))
    return found or list(_sense(report))


def check(file: str | Path) -> dict[str, Any]:
    """Return the report in a file.

    Raises:
        ValueError: If it is none, with all that is wrong, a line each.
        OSError: If it cannot be read.
    """
    report = handed_in.read(file)
    if found := problems(report):
        raise ValueError(f"{handed_in.named(file)} is not yet a report:\n" + "\n".join(f"- {each}" for each in found))
    return report


def _against(part: dict[str, Any], value: Any, path: str) -> Iterator[str]:
    """Yield what breaks the schema: of JSON Schema, the words that ours uses."""
    here = path or "the report"
    if isinstance(value, str) and value.startswith(TODO):
        yield f"{here}: still to be written; wanted {part.get('description', 'it')}, got {shown(value)}"
        return
    if wrong := _kind(part, value) or _size(part, value):
        means = f" ({part['description']})" if "description" in part and path else ""
        yield f"{here}: wanted {wrong}{means}, got {shown(value)}"
        return
    if isinstance(value, list):
        for place, each in enumerate(value):
            yield from _against(part.get("items", {}), each, f"{path}[{place}]")
    if isinstance(value, dict):
        known = part["properties"]
        for name in part["required"]:
            if name not in value:
                yield f"{_join(path, name)}: missing; add {known[name].get('description', 'it')}"
        for name, each in value.items():
            if name in known:
                yield from _against(known[name], each, _join(path, name))
            else:
                wanted = ", ".join(known)
                yield f"{here}: there is nothing called {shown(name)}; wanted {wanted}. Take it out, or put it in words"


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _kind(part: dict[str, Any], value: Any) -> str:
    if "const" in part and (value != part["const"] or isinstance(value, bool)):  # True == 1
        return json.dumps(part["const"])
    if "enum" in part and value not in part["enum"]:
        return " or ".join(json.dumps(each) for each in part["enum"])
    kinds = part.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    return "" if not kinds or any(TYPES[kind](value) for kind in kinds) else f"{' or '.join(kinds)}"


def _size(part: dict[str, Any], value: Any) -> str:
    if isinstance(value, str | list):
        least, most = (part.get(f"{end}{'Length' if isinstance(value, str) else 'Items'}") for end in ("min", "max"))
        unit = "characters" if isinstance(value, str) else "entries"
        if least is not None and len(value) < least:
            return f"at least {least} {unit}"
        return f"at most {most} {unit}" if most is not None and len(value) > most else ""
    if TYPES["number"](value):
        if value < part.get("minimum", value):
            return f"at least {part['minimum']:g}"
        return f"at most {part['maximum']:g}" if value > part.get("maximum", value) else ""
    return ""


def _sense(report: dict[str, Any]) -> Iterator[str]:
    """Yield what no schema can say."""
    if "?" not in report["question"]:
        yield f"question: wanted one sentence with a question mark, got {shown(report['question'])}"
    result, pairs = report["result"], report["seeds"]["pairs"]
    for name in ("with_noise", "without_noise"):
        if result[name] is not None and len(result[name]) != pairs:
            yield f"result.{name}: wanted one number for each of {pairs} pairs (seeds.pairs), got {len(result[name])}"
            return
    if report["controls"]["all_data"]["done"] != (result["without_noise"] is not None):
        yield (
            "controls.all_data: done goes with numbers in result.without_noise, and not done with null there; got "
            f"done {report['controls']['all_data']['done']} with {shown(result['without_noise'])}"
        )
        return
    verdict, found = report["conclusion"]["verdict"], effect(report)
    sign = {"toward": 1, "away": -1}.get(verdict)
    if sign is not None and not sign * found.mean > found.needed:
        came = "one pair, of which nothing is known" if pairs == 1 else f"{found.mean:.3g} ± {found.error:.2g}"
        past = "at least two pairs" if pairs == 1 else f"a mean past {sign * found.needed:.3g}"
        yield (
            f'conclusion.verdict: "{verdict}" of {pairs} pairs wants {past}, with less without noise taken off; '
            f'got {came}. Write "cannot tell", or run more pairs'
        )


def effect(report: dict[str, Any]) -> Effect:
    """Return what the noise did: with noise less without, pair by pair where both are there."""
    result = report["result"]
    still = result["without_noise"] or [0.0] * len(result["with_noise"])
    moved = [noisy - rest for noisy, rest in zip(result["with_noise"], still, strict=True)]
    mean, error = _mean(moved)
    if len(moved) < 2:
        return Effect(mean, error, float("nan"))
    from scipy.stats import t  # late: it takes a second to load

    return Effect(mean, error, float(t.ppf(SURE, len(moved) - 1)) * error)


def _mean(values: list[float]) -> tuple[float, float]:
    error = statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else float("nan")
    return statistics.fmean(values), error


def table(folder: str | Path) -> str:
    """Return the reports of a folder as a table in Markdown, and below it which files are none.

    Raises:
        ValueError: If there is no such folder.
    """
    rows, left_out = [], []
    for file in handed_in.files(folder):
        try:
            rows.append(_row(check(file)))
        except (ValueError, OSError) as error:
            first = str(error).splitlines()[1:2] or [str(error)]
            left_out.append(f"- {cell(file.name)}: {cell(first[0].removeprefix('- '))}")
    lines = [f"| {' | '.join(HEAD)} |", "|" + "---|" * len(HEAD), *(f"| {' | '.join(row)} |" for row in rows)]
    if left_out:
        lines += ["", f"Left out, as they are not reports: {len(left_out)}.", "", *left_out]
    return "\n".join(lines) + "\n"


def _row(report: dict[str, Any]) -> list[str]:
    result, number = report["result"], report["prediction"]["number"]
    missing = [name.replace("_", " ") for name, each in report["controls"].items() if not each["done"]]
    verdict = report["conclusion"]["verdict"]
    verdict = verdict if verdict == "cannot tell" else f"{verdict} {result['direction']}"
    return [
        cell(report["question"]),
        cell(report["by"]),
        str(report["seeds"]["pairs"]),
        cell(result["quantity"]),
        "none" if number is None else f"{number:.3g}",
        _shown(result["with_noise"]),
        "missing" if result["without_noise"] is None else _shown(result["without_noise"]),
        cell(verdict),
        ", ".join(missing) or "none",
    ]


def _shown(values: list[float]) -> str:
    mean, error = _mean(values)
    return f"{mean:.3g} (one pair)" if len(values) < 2 else f"{mean:.3g} ± {error:.2g}"


def cell(words: str) -> str:
    """Return words of a file as they may stand in a cell of a Markdown table: as text, whatever they hold."""
    plain = " ".join("".join(each if each.isprintable() else " " for each in words).split())
    return re.sub(r"([\\`*_{}\[\]|$~#^:@])", r"\\\1", html.escape(plain, quote=False))
