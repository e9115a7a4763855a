"""Results as pictures."""

from __future__ import annotations

from functools import singledispatch
from typing import Any

from matplotlib.axes import Axes

from . import plots


@singledispatch
def draw(result: object, ax: Axes | None = None, **options: Any) -> Axes:
    """Draw a Run, Path, Profile, Release or Family on ``ax``, or a new figure, and return the axes.

    ``result.plot()`` comes here, with the options of the function in ``plots``. Another kind of result joins with
    ``draw.register(Kind, function)``.

    Raises:
        TypeError: If there is no picture of results of this kind.

    >>> import torch
    >>> road = plots.Path(torch.eye(3), losses=torch.tensor([0.1, 0.3, 0.2]))
    >>> draw(road).get_ylabel()
    'objective'
    """
    known = ", ".join(kind.__name__ for kind in draw.registry if kind is not object)
    raise TypeError(f"There is a picture of each of {known}, none of a {type(result).__name__}; plot its fields.")


for picture in (plots.run, plots.path, plots.profile, plots.release, plots.family):
    draw.register(picture)  # for the kind that its first argument is annotated with
