"""Every verb as a stream of snapshots: ``for snapshot in ee.stream.drift(land, path, generator=g): ...``."""

import inspect

from .physics.connect import connect as _connect
from .physics.drift import drift as _drift
from .physics.probe import probe as _probe
from .physics.spawn import spawn as _spawn
from .physics.train import train as _train
from .sweeps.sweep import sweep as _sweep

train = inspect.unwrap(_train)
connect = inspect.unwrap(_connect)
probe = inspect.unwrap(_probe)
drift = inspect.unwrap(_drift)
spawn = inspect.unwrap(_spawn)
sweep = inspect.unwrap(_sweep)
