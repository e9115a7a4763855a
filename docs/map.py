"""Draw map.png, the map of lesson 05 on one slide: what the bump and the way home need.

python docs/map.py
"""

from __future__ import annotations

from pathlib import Path

from entropic_edu.course.bump.rows import panels, show
from entropic_edu.course.bump.setting import Setting
from entropic_edu.figures.pixels import png
from entropic_edu.teaching.sheet import Sheet

ONE = ("base", "calm", "clean", "plain", "undecayed", "batch", "hard", "squared", "autoneb")
TWO = ("calm+clean", "calm+plain", "clean+plain")
ALL = ("all", "all+plain", "all+clean+plain", "all+clean+batch")
ROWS = (*(Setting(name) for name in ONE), Setting(matched=False), *(Setting(name) for name in (*TWO, *ALL)))
SIZE = (1100, 1080)  # pixels


def drawn() -> bytes:
    """Return the picture as PNG."""
    sheet = Sheet(panels(len(ROWS), 0.25, SIZE))
    sheet.figure.set_size_inches(*(pixels / 96 for pixels in SIZE))
    with sheet:
        show(sheet, ROWS, letters=36)
    return png(sheet.figure)


if __name__ == "__main__":
    Path(__file__).with_suffix(".png").write_bytes(drawn())
