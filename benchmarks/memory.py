"""How much memory the verbs take at their peak, over the vectors that they move: none is allowed more than four times.

The digits network with ten times the story's parameters, each verb in a process of its own, after a call of another
size that loads what is loaded once, by an allocator that gives memory back as soon as it is free. What a verb moves are
vectors of D float32: training R runs and their momentum, a road P pivots and theirs, a release W walkers and theirs,
over the points of its road. A probe moves nothing and holds the points that it is at. The outputs of layers, which are
the same for any number of vectors, are in the peak and not in what is moved.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import torch

import entropic_edu as ee

from .gradients import seeded
from .run import Row, Way, one_thread, peak

MOST = 4.0
VECTORS = {"train": 64, "connect": 64, "probe": 64, "drift": 64}
HELD = {"train": 2, "connect": 2, "probe": 1, "drift": 3}  # times as many
BACK = {"MALLOC_MMAP_THRESHOLD_": "65536"}  # glibc else keeps what is let go, in pieces: up to 1.6 times as much
WIDTHS = (64, 160, 128, 32, 10)  # 35,466 parameters, the story's network has 3,466


def rows(small: bool = False) -> Iterator[Row]:
    """Yield a row for each verb; none where the system does not tell how much memory is in use."""
    for verb, number in VECTORS.items():
        command = [sys.executable, "-m", __name__, verb, str(4 if small else number)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | BACK)
        rise, vectors = json.loads(done.stdout.splitlines()[-1])
        if rise is not None:
            stage = f"memory: {verb}, {number} x {HELD[verb]} vectors of 35,466 ({rise / 1e6:.0f} MB)"
            yield Row(stage, rise / (HELD[verb] * vectors), {"allowed": MOST}, unit="x", note=NOTE)


def call_of(verb: str, land: ee.Network, number: int) -> Callable[[], Any]:
    """Return a short call of a verb that moves so many vectors."""
    ends = torch.stack([land.initial(seeded(seed)) for seed in range(2)])
    road = ee.Path(torch.lerp(ends[:1], ends[1:], torch.linspace(0, 1, number)[:, None]))
    few: dict[str, Any] = {"generator": seeded(), "learning_rate": 0.01}
    calls: dict[str, Callable[[], Any]] = {
        "train": lambda: ee.train(land, runs=number, epochs=1, batch_size=256, **few),
        "connect": lambda: ee.connect(
            land, *ends, method="string", pivots=number, points=number, sweeps=ee.Sweeps(30, scallop=1e9), **few
        ),
        "probe": lambda: ee.probe(land, road, points=number, num_probes=1, lanczos_steps=2, generator=seeded()),
        "drift": lambda: ee.drift(land, road, start=0.5, walkers=number, steps=30, **few),
    }
    return calls[verb]


def measured(verb: str, number: int) -> tuple[float | None, float]:
    """Return the rise of memory during a call, and the bytes of so many vectors."""
    land = ee.Network(ee.models.mlp(*WIDTHS), *ee.data.digits().scaled().train)
    call_of(verb, land, 4)()
    return peak(Way(call_of(verb, land, number))), 4.0 * number * land.dim


NOTE = (
    "Peak of the process above its start, over the vectors that it moves: runs, pivots or walkers, with their "
    "momentum; for a release also the points of its road; for a probe its points. Freed memory is returned at once "
    "(MALLOC_MMAP_THRESHOLD_=65536); with the default of glibc, a process held up to 1.6 times as much."
)

if __name__ == "__main__":
    with one_thread():
        print(json.dumps(measured(sys.argv[1], int(sys.argv[2]))))
