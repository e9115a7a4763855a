"""The table of faults: read from the marks of the tests, so that no row can be forgotten, and written by a run.

``python -m pytest tests/faults --table docs/faults.md`` writes it; with ENTROPIC_EDU_SOAK=1 also what takes minutes.
"""

import importlib
import inspect
import math
import re
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent
FILE = FOLDER.parents[1] / "docs" / "faults.md"
HEAD = "| what was done | what is promised | tried | survived | lost | test |"
RULE = "|---|---|---|---|---|---|"


@dataclass(frozen=True)
class Row:
    """One test: the fault, the promise, how often the fault is tried in all, and how many cases the test has."""

    test: str  # file and name, as in "test_fault_kill.py::test_..."
    fault: str
    promise: str
    trials: int
    cases: int

    @property
    def each(self):
        """Trials of one case."""
        return self.trials // self.cases


def _files():
    """Return the files of the tests, apart from those of this table."""
    return sorted(set(FOLDER.glob("test_*.py")) - {FOLDER / "test_fault_table.py"})


def rows():
    """Return a row for each test of this folder that bears a mark, in the order of files and lines."""
    found = []
    for file in _files():
        for name, function in vars(importlib.import_module(file.stem)).items():
            marks = {} if not inspect.isfunction(function) else {m.name: m for m in getattr(function, "pytestmark", [])}
            if name.startswith("test_") and "fault" in marks:
                found.append(_row(f"{file.name}::{name}", function, marks["fault"]))
    return found


def _row(test, function, mark):
    fault, promise = mark.args
    tables = [each.args[1] for each in function.pytestmark if each.name == "parametrize"]
    cases = math.prod(len(list(table)) for table in tables)
    return Row(test, fault, promise, cases * mark.kwargs.get("trials", 1), cases)


def unmarked():
    """Return the tests of this folder that bear no mark."""
    known = {row.test for row in rows()}
    return [
        f"{file.name}::{name}"
        for file in _files()
        for name, function in vars(importlib.import_module(file.stem)).items()
        if name.startswith("test_") and inspect.isfunction(function) and f"{file.name}::{name}" not in known
    ]


def written(outcomes):
    """Return the lines of the table.

    Args:
        outcomes: By test, how its cases ended: lists of "passed", "failed" and "skipped".
    """
    lines, sums = [HEAD, RULE], [0, 0, 0]
    for row in rows():
        ended = outcomes.get(row.test, [])
        counts = [row.each * sum(e != "skipped" for e in ended), row.each * ended.count("passed")]
        counts.append(counts[0] - counts[1])
        sums = [a + b for a, b in zip(sums, counts, strict=True)]
        lines.append(f"| {row.fault} | {row.promise} | {' | '.join(map(str, counts))} | `{row.test}` |")
    return [*lines, f"| **all** | | **{sums[0]}** | **{sums[1]}** | **{sums[2]}** | |"]


def write(file, outcomes):
    """Put the table in place of the one in a page; a page without one is refused."""
    page = Path(file).read_text("utf-8")
    begun = page.index(HEAD)
    table = re.match(r"(\|[^\n]*\n)+", page[begun:])
    assert table is not None  # it begins with the head
    new = "\n".join(written(outcomes)) + "\n"
    Path(file).write_text(page[:begun] + new + page[begun + table.end() :], "utf-8")


def read(file=FILE):
    """Return fault, promise, and the three counts of each row of a page, by test."""
    found = {}
    for line in Path(file).read_text("utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        if len(cells) == 6 and (test := re.fullmatch(r"`(test_\w+\.py::\w+)`", cells[5])):
            found[test[1]] = (cells[0], cells[1], *map(int, cells[2:5]))
    return found
