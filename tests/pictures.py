"""Pictures as a reader sees them: pixels, asked where in a panel there is ink, and of which colour."""

import io

import numpy as np
from matplotlib.colors import to_rgb
from PIL import Image

from entropic_edu.figures.pixels import png

NEAR = 30  # of 255 in each channel: the middle of a line has its colour, its edges are mixed with what is behind


def pixels(picture):
    """Return a PNG as levels from 0 to 255, (height, width, 3)."""
    with Image.open(io.BytesIO(picture)) as opened:
        return np.asarray(opened.convert("RGB")).astype(int)


def faded(colour, alpha):
    """Return what a colour of this opacity looks like on white."""
    return tuple(1 - alpha * (1 - np.array(to_rgb(colour))))


class Panel:
    """One axes of a figure, as the page shows it.

    Args:
        ax: Says which pixel a position of the data is; nothing else of it is looked at.
    """

    def __init__(self, ax):
        self.rgb = pixels(png(ax.figure))  # first: it sets the resolution
        self.limits = ax.get_window_extent()
        self.transform = ax.transData

    def place(self, x, y):
        """Return columns and rows of positions in data, (n,) each, in pixels from the upper left."""
        columns, up = self.transform.transform(np.stack(np.broadcast_arrays(x, y), -1).reshape(-1, 2)).T
        return columns, len(self.rgb) - up

    def ink(self, colour=None):
        """Return where there is ink of a colour, (height, width); None means any that is not nearly white."""
        if colour is None:
            return (self.rgb < 200).any(-1)
        return (abs(self.rgb - 255 * np.array(to_rgb(colour))) <= NEAR).all(-1)

    def follows(self, colour, x, y, reach=2):
        """Return the share of a curve's columns that have ink of its colour within ``reach`` pixels above or below.

        Nearly 1 for a line, the share of its dashes for a dashed one, 0 for a line that is elsewhere or not there.
        """
        columns, rows = self.place(np.asarray(x, float), np.asarray(y, float))
        box, ink = self.limits, self.ink(colour)
        first, last = max(columns.min(), box.x0), min(columns.max(), box.x1)
        each = np.arange(np.ceil(first) + 1, np.floor(last))
        row = np.interp(each, columns, rows)
        inside = (row > len(ink) - box.y1) & (row < len(ink) - box.y0)
        each, row = each[inside].astype(int), row[inside].round().astype(int)
        assert len(each), "no part of the curve lies inside the panel"
        return np.mean([ink[max(0, r - reach) : r + reach + 1, c].any() for c, r in zip(each, row, strict=True)])

    def shows(self, colour, x, y, reach=3):
        """Return at which positions, (n,) each, there is ink of a colour within ``reach`` pixels."""
        ink = self.ink(colour)
        columns, rows = (each.round().astype(int) for each in self.place(np.asarray(x, float), np.asarray(y, float)))
        return np.array(
            [
                ink[max(0, r - reach) : r + reach + 1, max(0, c - reach) : c + reach + 1].any()
                for c, r in zip(columns, rows, strict=True)
            ]
        )


def panel(figure, title):
    """Return the panel of a figure whose title, or else whose label below, begins with these words."""
    (ax,) = [ax for ax in figure.axes if (ax.get_title("left") or ax.get_xlabel()).startswith(title)]
    return Panel(ax)
