"""All claims on speed in one table, from one process: ``python -m benchmarks``, which is ``make bench``.

Exits with 0 also where an aim is missed: the table is a report, and a busy machine is no bug.
"""

from __future__ import annotations

import contextlib
import io
import time

import torch

from . import cnn, cold_start, exact_trace, hutchinson, live, loader, strategies, sweeps, walkers
from .run import HEADER, Ratio

NOTES = """\
Ratios of medians over interleaved rounds in this process, on one thread; seconds would say more about the machine.
sweep: the loop writes no flat gradient and vmap keeps a dict, as their users would; both are spared the copy we make.
FLOP/s: 2 per weight and sample in each of three products, over a large float32 product; 1 would be the limit.
CNN: the plain loop gets pictures as they are stored; the row below lends it our layout. Images per second depend on the
machine; a network's FLOP/s count its products alone, so that norms, ReLU and pooling are part of the distance.
strategy: what a CPU takes by rule for other models than chains of linear layers, over the way that it does not take.
drift: each run looks at lambda_max once, sixteen runs sixteen times; in long runs the ratio tends to that of the steps.
Hutchinson: "all at once" is how curvlinops is called by default; micro-batches are our choice of layout lent to it.
exact trace: a CNN takes one backward pass per class, so there the aim of two products is not expected to be met.
live: seconds over those allowed, so these rows depend on the machine; they are the waits of a learner.
loader: CIFAR-10's size with random content, from the file cache; bytes are what the files hold, floats 4 times that.
cold start: seconds over those allowed again; in a new kernel the server and the page need seconds more."""


def main(rounds: int | None = None, small: bool = False) -> tuple[Ratio, ...]:
    """Run all nine, print one table, and return its rows; ``rounds`` replaces each benchmark's own number."""
    ratios: list[Ratio] = []
    for benchmark in (sweeps, cnn, strategies, walkers, hutchinson, exact_trace, live, loader, cold_start):
        began = time.perf_counter()
        with contextlib.redirect_stdout(io.StringIO()):
            ratios += benchmark.main(small=small) if rounds is None else benchmark.main(rounds, small)
        name = benchmark.__name__.split(".")[-1]
        print(f"{name}: done in {time.perf_counter() - began:.0f} s", flush=True)
    print(f"\ntorch {torch.__version__}, one thread\n\n{HEADER}", *ratios, f"\n{NOTES}", sep="\n")
    return tuple(ratios)


if __name__ == "__main__":
    main()
