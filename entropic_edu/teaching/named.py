"""Names for what core widgets leave without one: a screen reader hears of sliders, groups of buttons and pictures."""

from __future__ import annotations

from pathlib import Path

import ipywidgets as W
import traitlets

try:
    import anywidget
except ImportError as error:
    raise ImportError('Lessons need anywidget; install it with: pip install "entropic-edu[lab]"') from error


class Names(anywidget.AnyWidget):
    """Stands unseen in a box, and names everything else in it (``named.js``).

    Args:
        picture: What the pictures of the box are called.
    """

    _esm = Path(__file__).with_name("named.js").read_text("utf-8")
    picture = traitlets.Unicode().tag(sync=True)

    def __init__(self, picture: str = "") -> None:
        super().__init__(picture=picture, layout=W.Layout(display="none"))
