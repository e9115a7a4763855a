"""Claim: ``import entropic_edu`` takes at most 1.3 times as long as ``import torch``; a setup cell at most 5 s.

Each import runs in a new process, whose own time of importing is taken; the setup cell of a lesson is run in a
new IPython, which shows what it shows. The files are in the system's cache after the warm-up.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import jupytext

from .run import Row

LESSONS = Path(__file__).resolve().parents[1] / "lessons"
SECONDS = 5.0  # allowed to a setup cell
TIMED = "import time\nbegan = time.process_time()\n{}\nprint('seconds', time.process_time() - began)"
SHOWN = """from IPython.core.interactiveshell import InteractiveShell
import time
shell = InteractiveShell.instance()
began = time.process_time()
shell.run_cell({!r}).raise_error()
print('seconds', time.process_time() - began)"""


def rows(small: bool = False) -> Iterator[Row]:
    """Yield the rows; ``small`` takes one lesson instead of all."""
    sources = sorted((LESSONS / "src").glob("[0-9][0-9]_*.py"))[: 1 if small else None]
    codes = {"torch": TIMED.format("import torch"), "ours": TIMED.format("import entropic_edu")}
    codes |= {source.stem: SHOWN.format(_setup(source)) for source in sources}
    taken = [{name: _seconds(code) for name, code in codes.items()} for _ in range(1 if small else 4)]
    median = {name: statistics.median(one[name] for one in taken[-3:]) for name in codes}  # the first fills the cache
    yield Row("import entropic_edu", median["ours"], {"allowed, 1.3 of import torch": 1.3 * median["torch"]})
    for source in sources:
        yield Row(f"setup cell of {source.stem}", median[source.stem], {"allowed": SECONDS})


def _setup(source: Path) -> str:
    """Return the setup cell of a lesson."""
    cells = jupytext.read(source, fmt="py:percent").cells
    (cell,) = [cell for cell in cells if "setup" in cell.metadata.get("tags", [])]
    return str(cell.source)


def _seconds(code: str) -> float:
    """Return the seconds that a program prints last, run in a new process."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "ENTROPIC_EDU_ANSWERS": "off"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=LESSONS,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout.split()[-1])
