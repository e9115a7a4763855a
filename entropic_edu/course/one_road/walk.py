"""The opening: two trained networks, two ways from one to the other, and what the networks on both read."""

from __future__ import annotations

from functools import cache, partial
from typing import Any

from torch import Tensor

from entropic_edu.course import digits
from entropic_edu.physics.path import Path
from entropic_edu.teaching.explorer import Explorer, slider
from entropic_edu.teaching.sheet import Panel, Role, Sheet
from entropic_edu.teaching.strings import text

from .common import LINE, ROAD, ends, field_panel, off_plane, outlined, plane

WAYS = {"line": LINE, "road": ROAD}
PLACES = tuple(round(0.1 * n, 1) for n in range(11))
SHOWN = 6  # the first digits of the held-out set


def held_out() -> tuple[Tensor, Tensor]:
    """Return the first held-out digits and their labels, (6, 64) and (6,)."""
    test = digits.land().test
    assert test is not None
    return test[0][:SHOWN], test[1][:SHOWN]


def _digit(number: int) -> Panel:
    """Return the panel of a held-out digit."""
    row, column = divmod(number, 2)
    pixels = held_out()[0][number].view(8, 8).numpy()
    place = (0.62 + 0.19 * column, 0.735 - 0.305 * row, 0.13, 0.19)
    once = partial(lambda pixels, ax: ax.imshow(pixels, cmap="Greys"), pixels)
    title = "04.walk.panel" if number == 0 else ""
    return Panel(place, title, xlim=(-0.5, 7.5), ylim=(7.5, -0.5), xticks=(), yticks=(), once=once)


@cache
def way(kind: str) -> Path:
    """Return the straight line or the recorded road of pair 0."""
    return digits.road(0) if kind == "road" else Path(ends(0))


def read(theta: Tensor) -> tuple[Tensor, Tensor]:
    """Return what a network says of the first held-out digits, and how sure it is, (6,) each."""
    sure = digits.land().outputs(theta, held_out()[0]).softmax(-1).max(-1)
    return sure.indices, sure.values


def state_of(place: float) -> dict[str, Any]:
    """Return the networks at a place of both ways, the share of held-out digits they read, and lengths."""
    networks = {kind: way(kind).at(place) for kind in WAYS}
    right = {kind: 100 * float(digits.land().accuracy(theta, "test")) for kind, theta in networks.items()}
    length = {f"{kind}_length": way(kind).length for kind in WAYS}
    return {"networks": networks, "off": off_plane(way("road"), plane())} | right | length


def draw(sheet: Sheet, state: Any) -> None:
    """Draw both ways with a dot on each, and beneath each digit what the two networks read."""
    dot: dict[str, Any] = {"marker": "o", "ms": 11, "mfc": "white", "mew": 2.5, "zorder": 6}
    for number, (kind, role) in enumerate(WAYS.items()):
        outlined(sheet["plane"], plane().coordinates(way(kind).pivots), role)
        theta = state.networks[kind]
        x, y = plane().coordinates(theta[None]).T
        sheet["plane"].line(x, y, Role(role.colour), "", **dot)
        for place, (digit, sure, right) in enumerate(zip(*read(theta), held_out()[1], strict=False)):
            told = {"digit": int(digit), "sure": 100 * float(sure), "way": text(role.label)}
            words = text("04.walk.right" if digit == right else "04.walk.wrong", **told)
            pen = sheet[f"digit{place}"]
            pen.note(0.5, -0.05 - 0.2 * number, words, role, transform=pen.ax.transAxes, ha="center", va="top")


CODE = """
from entropic_edu.recorded import roads
land, road = roads.landscape(), roads.road(0)
line = ee.Path(road.pivots[[0, -1]])
[land.accuracy(way.at({place}), "test") for way in (line, road)]
"""


def walk(seed: int) -> Explorer:
    """Walk from A to B, on the line and on the road at once; the seed draws nothing."""
    panels = {"plane": field_panel((0.085, 0.27, 0.47, 0.63), "04.walk.plane", bar=False)}
    panels |= {f"digit{number}": _digit(number) for number in range(SHOWN)}
    controls = [slider("place", PLACES, 0.5)]
    return Explorer(draw, controls, panels, "04.walk.sentence", state=state_of, title="04.walk.title", code=CODE)
