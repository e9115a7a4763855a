"""Round 2, a second look: slices through the valley, and what steps of each length see of its walls."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from entropic_edu.figures.plots import BLACK, BLUE, DASHES, GREEN, ORANGE, RED
from entropic_edu.physics.mean import Mean
from entropic_edu.recorded.bump import RECIPE
from entropic_edu.teaching.explorer import Explorer, slider, switch
from entropic_edu.teaching.sheet import GREY, LIMIT, Panel, Role, Sheet

from .common import HERE, PAIRS, along, at_one, bump, kept, over_pairs, ratio_of

RADII = tuple(RECIPE["radii"])
WALKS = tuple(RECIPE["walks"])
DIRECTIONS = tuple(range(1, RECIPE["slice"]["directions"] + 1))
REACH = RECIPE["slice"]["reach"]
TOP = 1.3  # loss: the highest of all slices
PLACES = {  # rows of the recording
    0: Role(GREY, "--", label="05.steps.label.start"),
    2: Role(BLACK, DASHES[3], label="05.steps.label.end"),
    1: Role(BLUE, label="05.steps.label.middle"),
}
BARS = {0: (-0.06, "05.steps.bar.start"), 1: (-0.14, "05.steps.bar.middle")}  # what SGD reaches, in highest slices
RANDOM = Role(BLUE, "", label="05.steps.key.random")
HELD = Role(GREEN, "", label="05.steps.key.held", marker="s")
WALK = Role(ORANGE, "", label="05.steps.key.walk", marker="D")
BUMP = Role(RED, "--", 1.5, "05.steps.key.trace")
PANELS = {
    "slice": Panel((0.07, 0.125, 0.37, 0.79), "05.panel.slice", "05.axis.offset", (-REACH, REACH), (-0.2 * TOP, TOP),
                   zero=True),
    "steps": Panel((0.56, 0.125, 0.415, 0.79), "05.panel.steps", "05.axis.step_length", (0.007, 4), (0, 4.5),
                   xticks=(0.01, 0.1, 1), xscale="log", once=at_one),
}  # fmt: skip


def random_bump(radius: float) -> Tensor:
    """Return the bump of the rise at random steps of this length, (pairs,)."""
    return bump(kept("rise")[..., RADII.index(radius)])


def held_bump(radius: float) -> Tensor:
    """Return the same where every ReLU stays on or off as it is on the road, (pairs,)."""
    return bump(kept("rise_held")[..., RADII.index(radius)])


def walk_length(walk: str) -> Tensor:
    """Return how far from the road SGD is after k free steps, (pairs, n)."""
    return kept("walk_length")[:, WALKS.index(walk)]


def walk_bump(walk: str) -> Tensor:
    """Return the bump of the curvature that SGD's own steps see: the rise over the squared length, (pairs,)."""
    return bump(kept("walk_rise")[:, WALKS.index(walk)] / walk_length(walk).square())


def state_of(eigenvector: int, step_length: float, one_pair: str) -> dict[str, Any]:
    """Return a pair and an eigenvector of it, both counted from 0, and what the sentence says of them.

    ``slices`` is the loss above the road along the eigenvector, at start, middle and end, (3, points).
    """
    row, vector = int(one_pair) - 1, eigenvector - 1
    height, curvature = kept("slice")[row, :, vector], kept("eigenvalues")[row, :, vector]
    slices = height - height[:, height.shape[1] // 2, None]
    known = {"row": row, "vector": vector, "slices": slices, "pair": one_pair, "radius": step_length}
    known |= {"ends": curvature[[0, 2]].mean(), "middle": curvature[1]}
    bumps = {"random": random_bump(step_length), "held": held_bump(step_length), "walk": walk_bump("hot")}
    return known | {name: ratio_of(each) for name, each in bumps.items()}


def draw(sheet: Sheet, view: Any) -> None:
    """Draw the slices with what SGD reaches, and the bump against the length of a step."""
    left, right = sheet["slice"], sheet["steps"]
    offset = torch.linspace(-REACH, REACH, view.slices.shape[1])
    for row, role in PLACES.items():
        left.line(offset, view.slices[row], role)
    for row, (height, label) in BARS.items():
        size = float(kept("scatter")[view.row, row, 1, view.vector])
        left.line([-size, size], [height * TOP] * 2, PLACES[row], "", ls="-", lw=7, solid_capstyle="butt")
        left.note(-0.98 * REACH, height * TOP, label, PLACES[row], va="center")
    lengths = [float(walk_length(walk).mean()) for walk in WALKS]
    right.level(float(over_pairs(bump(along("trace"))).value), BUMP)
    for number, (x, role, each) in enumerate((
        (RADII, RANDOM, [random_bump(radius) for radius in RADII]),
        (RADII, HELD, [held_bump(radius) for radius in RADII]),
        (lengths, WALK, [walk_bump(walk) for walk in WALKS]),
    )):  # fmt: skip
        face = "white" if role is HELD else role.colour
        right.points(x, Mean.over(torch.stack(each)), role, ms=7, mfc=face)
        right.line([0.0085], [4.3 - 0.25 * number], role, "", marker=role.marker, ms=7, mfc=face)
        right.note(0.0105, 4.3 - 0.25 * number, role.label, LIMIT, va="center")
    right.note(0.0085, 3.55, BUMP.label, BUMP, va="center")
    right.line([view.step_length] * 2, [0, 3.4], HERE)


CODE = """
from entropic_edu.recorded import valley
land, road = valley.landscape(), valley.road({row})
steps = torch.randn(32, land.dim, generator=torch.Generator().manual_seed(0))
steps *= {step_length} / steps.norm(dim=1, keepdim=True)
theta = road.at(torch.tensor([0.0, 0.5, 1.0]))
rise = [land.data_loss(torch.cat([t + steps, t - steps])).mean() - land.data_loss(t) for t in theta]
print(2 * rise[1] / (rise[0] + rise[2]))
"""


def steps(seed: int) -> Explorer:
    """See narrow: slices across the valley, and the bump that steps of each length see."""
    controls = [slider("eigenvector", DIRECTIONS, 1), slider("step_length", RADII, 0.1), switch("one_pair", PAIRS[1:])]
    return Explorer(draw, controls, PANELS, "05.steps.sentence", state=state_of, title="05.steps.title", code=CODE)
