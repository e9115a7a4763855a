"""All that is said of speed in one table, from one process on one thread: ``python -m benchmarks``, or ``make bench``.

    python -m benchmarks gradients memory       # some of the parts
    python -m benchmarks --write docs/site/speed.md

It exits with 0 also where a peer is faster: the table is a report, and a busy machine is no bug.
"""

from __future__ import annotations

import argparse
import datetime
import math
import os
import platform
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from . import browser, cold_start, curvature, gpu, gradients, live, loader, memory
from .run import Row, one_thread, table

PARTS = {
    each.__name__.rpartition(".")[2]: each
    for each in (gradients, curvature, gpu, memory, live, browser, loader, cold_start)
}
PAGE = """\
# Speed

How long each stage takes, beside other software that does the same: `make bench` measures it, and
`python -m benchmarks --write docs/site/speed.md` writes this page. **Trust the ratios**: medians of CPU time over
rounds in which all programs take turns, on one thread. Seconds depend on the machine, and on how busy it was.

- *peer/ours*: the time of the fastest peer over ours; below 1 (bold) the peer is faster, and a note says why.
- *of the limit*: the time that the stage's matrix products would take at the speed of a large float32 product, measured
  in the same rounds, over our time. Each product counts two operations per weight and sample, and nothing else counts.
- *MB*: the peak of memory above the start. *Allowed* is what we promise: a ratio below 1 would break the promise.
- Peers: plain loops over modules and `torch.vmap`, as users write them; JAX; curvlinops, hessian-eigenthings and
  PyHessian (`pip install "entropic-edu[bench]"`). JAX compiles before its first step at each shape; rows say how long.

"""


def load() -> float:
    """Return how many processes wanted a core in the last minute; NaN where the system does not tell."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else math.nan


def main(names: Sequence[str] = tuple(PARTS), small: bool = False, page: Path | None = None) -> list[Row]:
    """Measure some parts, print one table, write it to a page if wanted, and return its rows."""
    rows: list[Row] = []
    first = load()
    with one_thread(), torch.random.fork_rng():
        torch.manual_seed(0)  # of models
        for name in names:
            began = time.perf_counter()
            for row in PARTS[name].rows(small):
                rows.append(row)
                print(f"  {row.stage}: {' | '.join(row.cells()[1:5])}", flush=True)
            print(f"{name}: done in {time.perf_counter() - began:.0f} s", flush=True)
    kind = f"{platform.system()} on {platform.machine()}, {os.cpu_count()} cores of which one was used"
    busy = f"load {first:.0f} at first and {load():.0f} at the end"
    when = f"*{datetime.date.today():%d %B %Y}; {kind}, {busy}; torch {torch.__version__}.*"
    print(f"\n{when}\n\n{table(rows)}")
    for row in rows:
        if row.ratio is not None and row.ratio < 1 and not row.note:
            print(f"without a reason: {row.stage}: {row.best} takes {row.ratio:.2f} of our time")
    if page is not None:
        page.write_text(f"{PAGE}{when}\n\n{table(rows)}\n", "utf-8")
    return rows


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("parts", nargs="*", default=list(PARTS), help=f"some of {', '.join(PARTS)}; all by default")
    arguments.add_argument("--write", type=Path, help="Markdown page to write")
    arguments.add_argument("--small", action="store_true", help="tiny sizes, to see that it runs")
    options = arguments.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        arguments.error(f"there is no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    main(options.parts, options.small, options.write)
