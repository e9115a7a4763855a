"""The streaming form of every verb: the same arguments, yielding snapshots while it works.

``for snapshot in ee.stream.drift(land, path, generator=g): snapshot.result.plot()``
"""

import inspect
from collections.abc import Callable
from typing import Any

from .physics.connect import connect as _connect
from .physics.drift import drift as _drift
from .physics.probe import probe as _probe
from .physics.spawn import spawn as _spawn
from .physics.train import train as _train
from .sweeps.sweep import sweep as _sweep

_verbs: tuple[Callable[..., Any], ...] = (_train, _connect, _probe, _drift, _spawn, _sweep)
train, connect, probe, drift, spawn, sweep = map(inspect.unwrap, _verbs)
