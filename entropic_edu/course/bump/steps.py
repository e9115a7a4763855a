"""Round 2, a second look: slices through the valley, and what steps of each length see of its walls."""

from __future__ import annotations

import torch
from matplotlib.figure import Figure
from torch import Tensor

from entropic_edu.figures.plots import BLACK, BLUE, DASHES, GREEN, ORANGE, RED, labelled
from entropic_edu.physics.mean import exact
from entropic_edu.recorded.bump import RECIPE
from entropic_edu.teaching import sheet
from entropic_edu.teaching.explorer import Explorer, slider, switch
from entropic_edu.teaching.sheet import GREY, Band, moving
from entropic_edu.teaching.strings import option_text, text

from .common import PAIRS, along, bump, kept, over_pairs, with_error

RADII = tuple(RECIPE["radii"])
WALKS = tuple(RECIPE["walks"])
DIRECTIONS = tuple(range(1, RECIPE["slice"]["directions"] + 1))
PLACES = {"start": (0, GREY, "--"), "end": (2, BLACK, DASHES[3]), "middle": (1, BLUE, "-")}  # row, colour, dash
BARS = {"start": -0.06, "middle": -0.14}  # heights of what SGD reaches, in highest slices


def random_bump(radius: float) -> Tensor:
    """Return the bump of the rise at random steps of this length, (pairs,)."""
    return bump(kept("rise")[..., RADII.index(radius)])


def held_bump(radius: float) -> Tensor:
    """Return the same where every ReLU stays on or off as it is on the road, (pairs,)."""
    return bump(kept("rise_held")[..., RADII.index(radius)])


def excess(radius: float) -> Tensor:
    """Return what a random step from the ends costs over what the Hessian says of it, (pairs,)."""
    rise = kept("rise")[..., RADII.index(radius)]
    return (rise / (radius**2 * kept("rise_second")))[:, [0, -1]].mean(1)


def walk_length(walk: str) -> Tensor:
    """Return how far from the road SGD is after k free steps, (pairs, n)."""
    return kept("walk_length")[:, WALKS.index(walk)]


def walk_bump(walk: str) -> Tensor:
    """Return the bump of the curvature that SGD's own steps see: the rise over the squared length, (pairs,)."""
    return bump(kept("walk_rise")[:, WALKS.index(walk)] / walk_length(walk).square())


class Steps:
    """The loss along an eigenvector at the ends and in the middle; beside it the bump against the length of a step."""

    def __init__(self) -> None:
        self.figure = sheet.figure()
        reach, points = RECIPE["slice"]["reach"], RECIPE["slice"]["points"]
        self.offset = torch.linspace(-reach, reach, points, dtype=torch.float64)
        left = self.figure.add_axes((0.07, 0.125, 0.37, 0.79))
        labelled(left, text("05.axis.offset"), "", text("05.panel.slice")).title.set_fontsize(11)
        self.top = top = float((kept("slice") - kept("slice")[..., points // 2, None]).max())
        left.set(xlim=(-reach, reach), ylim=(-0.2 * top, 1.02 * top))
        left.axhline(0, color=GREY, lw=0.8)
        self.slices = {name: Band(left, colour=colour, dash=dash) for name, (_, colour, dash) in PLACES.items()}
        self.walks = {name: moving(left, colour=PLACES[name][1], width=7, solid_capstyle="butt") for name in BARS}
        for name, height in BARS.items():
            words = option_text(name, "05.steps.bar.start", "05.steps.bar.middle")
            left.text(-0.98 * reach, height * top, words, fontsize=sheet.SMALL, va="center", color=PLACES[name][1])
        self.right = right = self.figure.add_axes((0.56, 0.125, 0.415, 0.79))
        labelled(right, text("05.axis.step_length"), "", text("05.panel.steps")).title.set_fontsize(11)
        right.set(xscale="log", xlim=(0.007, 4), ylim=(0, 4.5))
        right.set_xticks([0.01, 0.1, 1], ["0.01", "0.1", "1"])
        right.minorticks_off()
        right.axhline(1, color=GREY, lw=1)
        self._bumps()
        self.mark = moving(right, colour=GREY, dash=":", width=1.5)

    def _bumps(self) -> None:
        """Draw what no control changes: the bump at random steps, at SGD's own, and that of the trace."""
        trace, ax = float(over_pairs(bump(along("trace"))).value), self.right
        ax.axhline(trace, color=RED, lw=1.5, ls="--")
        for row, (means, colour, marker, key) in enumerate(
            (
                ([over_pairs(random_bump(radius)) for radius in RADII], BLUE, "o", "05.steps.key.random"),
                ([over_pairs(held_bump(radius)) for radius in RADII], GREEN, "s", "05.steps.key.held"),
                ([over_pairs(walk_bump(walk)) for walk in WALKS], ORANGE, "D", "05.steps.key.walk"),
            )
        ):
            at = [float(walk_length(walk).mean()) for walk in WALKS] if marker == "D" else RADII
            value, error = ([float(getattr(mean, part)) for mean in means] for part in ("value", "error"))
            face = "white" if marker == "s" else colour
            ax.errorbar(at, value, error, color=colour, marker=marker, mfc=face, ms=7, ls="", lw=1.5)
            ax.plot(0.0085, 4.3 - 0.25 * row, color=colour, marker=marker, mfc=face, ms=7)
            ax.text(0.0105, 4.3 - 0.25 * row, text(key), fontsize=sheet.SMALL, va="center")
        ax.text(0.0085, 3.55, text("05.steps.key.trace"), fontsize=sheet.SMALL, va="center", color=sheet.INK[RED])

    def show(self, pair: int, direction: int, radius: float) -> None:
        """Draw the slices of a pair, counted from 0, along an eigenvector, and mark a length."""
        for name, (row, _, _) in PLACES.items():
            height = kept("slice")[pair, row, direction - 1]
            label = option_text(name, "05.steps.label.start", "05.steps.label.end", "05.steps.label.middle")
            self.slices[name].show(self.offset, exact(height - height[len(height) // 2]), label)
        sheet.part(*self.slices.values(), gap=0.06)
        for name, line in self.walks.items():
            size = float(kept("scatter")[pair, PLACES[name][0], 1, direction - 1])
            line.set_data([-size, size], [BARS[name] * self.top] * 2)
        self.mark.set_data([radius, radius], [0, 3.4])


def steps(seed: int) -> Explorer:
    """See narrow: slices across the valley, and the bump that steps of each length see."""
    picture = Steps()

    def render(*, eigenvector: int, step_length: float, one_pair: str) -> tuple[Figure, str]:
        picture.show(int(one_pair) - 1, eigenvector, step_length)
        return picture.figure, sentence(int(one_pair) - 1, eigenvector, step_length)

    controls = [slider("eigenvector", DIRECTIONS, 1), slider("step_length", RADII, 0.1), switch("one_pair", PAIRS[1:])]
    return Explorer(render, controls, title=text("05.steps.title"), code=code)


def sentence(pair: int, direction: int, radius: float) -> str:
    """Say how curved both ends and the middle are along an eigenvector, and the bumps at steps of this length."""
    curvature = kept("eigenvalues")[pair, :, direction - 1]
    return text(
        "05.steps.sentence",
        pair=pair + 1,
        ends=float(curvature[[0, 2]].mean()),
        middle=float(curvature[1]),
        radius=radius,
        random=with_error(over_pairs(random_bump(radius)), "all"),
        held=with_error(over_pairs(held_bump(radius)), "all"),
        walk=with_error(over_pairs(walk_bump("hot")), "all"),
    )


def code(*, eigenvector: int, step_length: float, one_pair: str) -> str:
    """Return lines that take random steps of this length off the road and measure what they cost."""
    return (
        "from entropic_edu.recorded import valley\n"
        f"land, road = valley.landscape(), valley.road({int(one_pair) - 1})\n"
        "steps = torch.randn(32, land.dim, generator=torch.Generator().manual_seed(0))\n"
        f"steps *= {step_length} / steps.norm(dim=1, keepdim=True)\n"
        "theta = road.at(torch.tensor([0.0, 0.5, 1.0]))\n"
        "rise = [land.data_loss(torch.cat([t + steps, t - steps])).mean() - land.data_loss(t) for t in theta]\n"
        "print(2 * rise[1] / (rise[0] + rise[2]))"
    )
