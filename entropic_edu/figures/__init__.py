"""Results as pictures."""

from __future__ import annotations

from functools import singledispatch

from matplotlib.axes import Axes

from entropic_edu.physics import path, probe, release, spawn, train

from . import plots


@singledispatch
def draw(result: object, ax: Axes | None = None) -> Axes:
    """Draw a Run, Path, Profile, Release or Family on ``ax``, or a new figure, and return the axes.

    ``result.plot()`` comes here. Another kind of result joins with ``draw.register(Kind, function)``.

    Raises:
        TypeError: If there is no picture of results of this kind.

    >>> import torch
    >>> road = path.Path(torch.eye(3), losses=torch.tensor([0.1, 0.3, 0.2]))
    >>> draw(road).get_ylabel()
    'objective'
    """
    known = ", ".join(kind.__name__ for kind in draw.registry if kind is not object)
    raise TypeError(f"There is a picture of each of {known}, none of a {type(result).__name__}; plot its fields.")


draw.register(train.Run, plots.run)
draw.register(path.Path, plots.path)
draw.register(probe.Profile, plots.profile)
draw.register(release.Release, plots.release)
draw.register(spawn.Family, plots.family)
