"""Draw force.png: the force of the noise against excess loss times narrowing, from the recording of lesson 06.

python docs/force.py [FILE]
"""

from __future__ import annotations

import sys
from pathlib import Path

from entropic_edu.course.let_go.push import KINDS, Pushes, ratio
from entropic_edu.figures.pixels import png


def main(arguments: list[str]) -> int:
    """Write the picture, and say the ratios with their errors over the pairs."""
    picture = Pushes()
    picture.show("product", None, None)
    (Path(arguments[0]) if arguments else Path(__file__).with_suffix(".png")).write_bytes(png(picture.figure))
    for on in KINDS:
        found = ratio(on)
        print(f"{on}: force over excess loss times narrowing {float(found.value):.2f} ± {float(found.error):.2f}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
