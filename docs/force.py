"""Draw force.png: the force of the noise against excess loss times narrowing, from the recording of lesson 06.

python docs/force.py [FILE]
"""

from __future__ import annotations

import sys
from pathlib import Path

from entropic_edu.course.let_go.force import ratio
from entropic_edu.course.let_go.push import pushes


def main(arguments: list[str]) -> int:
    """Write the picture, and say the ratios with their errors over the pairs."""
    picture = pushes(0).draw(push_against="product").png
    (Path(arguments[0]) if arguments else Path(__file__).with_suffix(".png")).write_bytes(picture)
    for on in ("valley", "runaway"):
        print(f"{on}: force over excess loss times narrowing {ratio(on):.2f}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
