"""Every verb as a stream of snapshots: ``for snapshot in ee.stream.drift(land, path, generator=g): ...``."""

from typing import Any

from .physics.connect import connect as _connect
from .physics.drift import drift as _drift
from .physics.probe import probe as _probe
from .physics.spawn import spawn as _spawn
from .physics.train import train as _train
from .sweeps.sweep import sweep as _sweep


def _streaming(verb: Any) -> Any:
    return verb.__wrapped__


train = _streaming(_train)
connect = _streaming(_connect)
probe = _streaming(_probe)
drift = _streaming(_drift)
spawn = _streaming(_spawn)
sweep = _streaming(_sweep)
