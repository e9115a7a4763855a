"""See, feel and measure entropic confinement: train -> connect -> probe -> drift, on any landscape."""

import importlib
from typing import TYPE_CHECKING

from . import curvature, data, models, optimizers, stream, valleys
from .align import align
from .connect import connect
from .drift import drift, effective_temperature
from .landscape import Landscape, device
from .network import Network
from .optimizers import DivergenceError, StabilityWarning
from .path import Path
from .per_sample import exact_trace, gradient_covariance
from .probe import Profile, probe
from .release import Release
from .spawn import Family, spawn
from .sweep import Sweep, sweep
from .theory import predict
from .train import Run, train

if TYPE_CHECKING:
    from . import plots
    from .lesson import Lesson


def __getattr__(name: str) -> object:
    """Import ``plots``, and with it matplotlib, and ``Lesson``, with the widgets, when they are first asked for."""
    if name == "plots":
        return importlib.import_module(".plots", __name__)
    if name == "Lesson":
        return importlib.import_module(".lesson", __name__).Lesson
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__version__ = "0.1.0"
__all__ = [
    "DivergenceError",
    "Family",
    "Landscape",
    "Lesson",
    "Network",
    "Path",
    "Profile",
    "Release",
    "Run",
    "StabilityWarning",
    "Sweep",
    "align",
    "connect",
    "curvature",
    "data",
    "device",
    "drift",
    "effective_temperature",
    "exact_trace",
    "gradient_covariance",
    "models",
    "optimizers",
    "plots",
    "predict",
    "probe",
    "spawn",
    "stream",
    "sweep",
    "train",
    "valleys",
]
