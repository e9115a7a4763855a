"""See, feel and measure entropic confinement: train -> connect -> probe -> drift, on any landscape."""

import importlib
from typing import TYPE_CHECKING

from . import data, stream
from .networks import models
from .networks.align import align
from .networks.devices import device
from .networks.network import Network
from .networks.per_sample import exact_trace, gradient_covariance
from .physics import curvature, methods, noise, theory, valleys
from .physics import steps as optimizers
from .physics.connect import Sweeps, UnconvergedWarning, connect
from .physics.drift import Projections, Records, drift
from .physics.landscape import Landscape
from .physics.mean import Mean
from .physics.noise import effective_temperature
from .physics.path import Path
from .physics.probe import Profile, probe
from .physics.release import Release
from .physics.spawn import Family, spawn
from .physics.steps import DivergenceError, StabilityWarning
from .physics.theory import predict
from .physics.train import Run, train
from .sweeps.sweep import Sweep, sweep

if TYPE_CHECKING:
    from .course.lesson import Lesson
    from .figures import plots
    from .teaching.explorer import Explorer, slider, switch
    from .teaching.sheet import Panel

_LATE = {  # with matplotlib and the widgets, imported when they are first asked for
    "Lesson": ".course.lesson",
    "Explorer": ".teaching.explorer",
    "slider": ".teaching.explorer",
    "switch": ".teaching.explorer",
    "Panel": ".teaching.sheet",
}


def __getattr__(name: str) -> object:
    if name == "plots":
        return importlib.import_module(".figures.plots", __name__)
    if name in _LATE:
        return getattr(importlib.import_module(_LATE[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__version__ = "0.1.0"
__all__ = ["align", "connect", "drift", "predict", "probe", "spawn", "sweep", "train"]
__all__ += ["Lesson", "device", "effective_temperature", "exact_trace", "gradient_covariance"]
__all__ += ["curvature", "data", "methods", "models", "noise", "optimizers", "plots", "stream", "theory", "valleys"]
__all__ += ["Family", "Landscape", "Network", "Path", "Profile", "Projections", "Records", "Release", "Run", "Sweep"]
__all__ += ["Explorer", "Mean", "Panel", "Sweeps", "slider", "switch"]
__all__ += ["DivergenceError", "StabilityWarning", "UnconvergedWarning"]
