"""Claim: ``import entropic_edu`` takes at most 1.3 times as long as ``import torch``; a setup cell at most 5 s.

Each import runs in a new process, whose own time of importing is taken; the setup cell of a lesson is run in a
new IPython, which shows what it shows. The files are in the system's cache after the warm-up.

    python -m benchmarks.cold_start
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from pathlib import Path

import jupytext

from .run import HEADER, Ratio, one_thread

LESSONS = Path(__file__).resolve().parents[1] / "lessons"
SECONDS = 5.0  # allowed to a setup cell
TIMED = "import time\nbegan = time.perf_counter()\n{}\nprint('seconds', time.perf_counter() - began)"
SHOWN = """from IPython.core.interactiveshell import InteractiveShell
import time
shell = InteractiveShell.instance()
began = time.perf_counter()
shell.run_cell({!r}).raise_error()
print('seconds', time.perf_counter() - began)"""


def main(rounds: int = 5, small: bool = False) -> tuple[Ratio, ...]:
    """Print and return the ratios; ``small`` takes one lesson instead of all."""
    sources = sorted((LESSONS / "src").glob("[0-9][0-9]_*.py"))[: 1 if small else None]
    codes = {"torch": TIMED.format("import torch"), "ours": TIMED.format("import entropic_edu")}
    codes |= {source.stem: SHOWN.format(_setup(source)) for source in sources}
    with one_thread():
        for code in codes.values() if not small else ():
            _seconds(code)
        taken = [{name: _seconds(code) for name, code in codes.items()} for _ in range(rounds)]
    median = {name: statistics.median(one[name] for one in taken) for name in codes}
    ratios = [Ratio("cold start: import entropic_edu over import torch", median["ours"] / median["torch"], 1.3, True)]
    for source in sources:
        claim = f"cold start: setup cell of {source.stem}, share of {SECONDS:g} s"
        ratios.append(Ratio(claim, median[source.stem] / SECONDS, 1, True))
    print(HEADER, *ratios, sep="\n")
    print(f"{rounds} rounds, each in a new process on one thread")
    return tuple(ratios)


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


if __name__ == "__main__":
    main()
