"""What core widgets leave undone: names for a screen reader, and panels that stand one beneath another if need be."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import ipywidgets as W
import traitlets

try:
    import anywidget
except ImportError as error:
    raise ImportError('Lessons need anywidget; install it with: pip install "entropic-edu[lab]"') from error


class Names(anywidget.AnyWidget):
    """Stands unseen in a box, names everything else in it, and stacks its pictures on a narrow page (``named.js``).

    Args:
        picture: What the pictures of the box are called.
        zones: Between which shares of its width a picture may be parted.
    """

    _esm = Path(__file__).with_name("named.js").read_text("utf-8")
    picture = traitlets.Unicode().tag(sync=True)
    zones: traitlets.List[list[float]] = traitlets.List().tag(sync=True)

    def __init__(self, picture: str = "", zones: Sequence[tuple[float, float]] = ()) -> None:
        super().__init__(picture=picture, zones=[list(zone) for zone in zones], layout=W.Layout(display="none"))
