"""The opening: two trained networks, two ways from one to the other, and what the networks on the way read."""

from __future__ import annotations

from functools import cache

from matplotlib.figure import Figure
from torch import Tensor

from entropic_edu.course import digits
from entropic_edu.figures.plots import BLACK, BLUE, RED
from entropic_edu.physics.path import Path
from entropic_edu.teaching import sheet
from entropic_edu.teaching.explorer import Explorer, slider, switch
from entropic_edu.teaching.sheet import moving
from entropic_edu.teaching.strings import option_text, text

from .common import Outlined, draw_plane, ends, off_plane, plane

WAYS = ("line", "road")
PLACES = tuple(round(0.1 * n, 1) for n in range(11))
SHOWN = 6  # the first digits of the held-out set


@cache
def outside() -> float:
    """Return how far the road of pair 0 leaves the plane."""
    return off_plane(digits.road(0), plane())


@cache
def way(kind: str) -> Path:
    """Return the straight line or the recorded road of pair 0."""
    return digits.road(0) if kind == "road" else Path(ends(0))


def read(theta: Tensor) -> tuple[Tensor, Tensor]:
    """Return what a network says of the first held-out digits, and how sure it is, (6,) each."""
    land = digits.land()
    assert land.test is not None
    sure = land.outputs(theta, land.test[0][:SHOWN]).softmax(-1).max(-1)
    return sure.indices, sure.values


class Walk:
    """The plane with both ways, and six digits beside."""

    def __init__(self) -> None:
        self.figure = sheet.figure()
        self.ax = draw_plane(self.figure, (0.085, 0.27, 0.47, 0.63), bar=False)
        self.ax.set_title(text("04.walk.plane"), fontsize=11, loc="left")
        self.lines = {"line": Outlined(self.ax, RED, "--"), "road": Outlined(self.ax, BLUE)}
        self.lines["line"].show(plane().coordinates(ends(0)))
        self.lines["road"].show(plane().coordinates(digits.road(0).pivots))
        self.dot = moving(self.ax, colour=BLACK, dash="", marker="o", ms=11, mfc="white", mew=2.5, zorder=6)
        land = digits.land()
        assert land.test is not None
        self.classes = land.test[1][:SHOWN]
        self.said = []
        self.figure.text(0.785, 0.955, text("04.walk.panel"), ha="center", va="top", fontsize=11)
        for number, pixels in enumerate(land.test[0][:SHOWN]):
            row, column = divmod(number, 2)
            inset = self.figure.add_axes((0.62 + 0.19 * column, 0.68 - 0.295 * row, 0.13, 0.2))
            inset.imshow(pixels.view(8, 8).numpy(), cmap="Greys")
            inset.set(xticks=[], yticks=[])
            word = inset.text(0.5, -0.08, "", transform=inset.transAxes, ha="center", va="top", fontsize=sheet.SMALL)
            word.set_animated(True)
            self.said.append(word)

    def show(self, theta: Tensor) -> None:
        """Put the dot at a network and write what it reads."""
        self.dot.set_data(plane().coordinates(theta[None]).T.numpy())
        for word, digit, sure, right in zip(self.said, *read(theta), self.classes, strict=True):
            kind = "right" if digit == right else "wrong"
            word.set_text(option_text(kind, "04.walk.right", "04.walk.wrong", digit=int(digit), sure=100 * float(sure)))
            word.set_fontweight("normal" if kind == "right" else "bold")


def walk(seed: int) -> Explorer:
    """Walk from A to B, on the line or on the road; the seed draws nothing."""
    picture = Walk()

    def render(*, way_taken: str, place: float) -> tuple[Figure, str]:
        theta = way(way_taken).at(place)
        picture.show(theta)
        return picture.figure, text(
            "04.walk.sentence",
            way=option_text(way_taken, "04.walk.line", "04.walk.road"),
            place=place,
            accuracy=100 * float(digits.land().accuracy(theta, "test")),
            line=way("line").length,
            road=way("road").length,
            off=outside(),
        )

    def code(*, way_taken: str, place: float) -> str:
        road = "roads.road(0)"
        taken = road if way_taken == "road" else f"ee.Path({road}.pivots[[0, -1]])"
        return (
            f"from entropic_edu.recorded import roads\nland = roads.landscape()\nroad = {taken}\n"
            f'theta = road.at({place})\nland.loss(theta), land.accuracy(theta, "test")'
        )

    return Explorer(
        render,
        [switch("way_taken", WAYS), slider("place", PLACES, 0.5)],
        title=text("04.walk.title"),
        code=code,
    )
