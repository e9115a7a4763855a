"""Draw map.png, the map of lesson 05 on one slide: what the bump and the way home need.

python docs/map.py
"""

from __future__ import annotations

from pathlib import Path

from entropic_edu.course.bump.regimes import Map, Setting
from entropic_edu.figures.pixels import png

ONE = ("base", "calm", "clean", "plain", "undecayed", "batch", "hard", "squared", "autoneb")
TWO = ("calm+clean", "calm+plain", "clean+plain")
ROWS = (*(Setting(name) for name in ONE), Setting(matched=False), *(Setting(name) for name in TWO))


def drawn() -> bytes:
    """Return the picture as PNG."""
    picture = Map(len(ROWS), 1100, 800, names=0.2)
    picture.show(*ROWS)
    return png(picture.figure)


if __name__ == "__main__":
    Path(__file__).with_suffix(".png").write_bytes(drawn())
