"""Round 3: the push of the noise on every road and at every temperature, against the walkers' excess loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from entropic_edu.course.runs import Run
from entropic_edu.figures.plots import BLACK, BLUE, RED
from entropic_edu.physics.mean import Mean
from entropic_edu.teaching.explorer import Explorer, slider, switch
from entropic_edu.teaching.sheet import GHOST, GREY, Panel, Role, Sheet
from entropic_edu.teaching.strings import option_text, said, text

from .common import ALL, pairs_named, pairs_of
from .force import Push, names, push, ratio, stayed

FORCES = (2e-6, 0.15)
AGAINST: dict[str, dict[str, Any]] = {
    "temperature": {"x": "06.axis.temperature", "xlim": (5e-4, 0.4)},
    "excess": {"x": "06.axis.excess", "xlim": (3e-5, 0.6)},
    "product": {"x": "06.axis.product", "xlim": FORCES},
}
KINDS = {
    "valley": Role(BLUE, label="06.label.valley"),
    "runaway": Role(RED, label="06.label.runaway", marker="^"),
    "gone": Role(GREY, label="06.label.left", marker="x"),
}
EQUAL = Role(BLACK, "--", 1.5, "06.label.equal")
PANELS = {"all": Panel((0.1, 0.13, 0.87, 0.79), "06.panel.force", xlim=FORCES, ylim=FORCES, xscale="log", yscale="log")}


@dataclass(frozen=True)
class View:
    """What stands on the horizontal axis, for which roads."""

    push_against: str
    road_pair: int | None

    def place(self, name: str, found: Push) -> float:
        """Return where a run stands on the axis."""
        temperature = Run("let_go", name, 0.3).temperature
        return {"temperature": temperature, "excess": found.excess, "product": found.product}[self.push_against]

    def rows(self, *runs: str) -> tuple[Tensor, Mean]:
        """Return places and forces of some runs on all roads looked at, (n,) each."""
        found = [(name, push(name, pair)) for name in runs for pair in pairs_of(self.road_pair)]
        force = Mean(*(torch.stack([each.force[i] for _, each in found]).double() for i in range(2)))
        return torch.tensor([self.place(*each) for each in found], dtype=torch.float64), force

    @property
    def first(self) -> int:
        """The first of these roads, counted from 0."""
        return pairs_of(self.road_pair)[0] - 1

    @property
    def spread(self) -> float:
        """By what factor forces scatter about a power law of what is on the axis, one standard deviation."""
        place, force = self.rows(*names("valley"), *names("runaway"))
        seen = (place > 0) & (force.value > 0)
        x, y = place[seen].log().numpy(), force.value[seen].log().numpy()
        law = x if self.push_against == "product" else np.polyval(np.polyfit(x, y, 1), x)
        return float(np.exp(np.std(y - law)))


def draw(sheet: Sheet, view: View, ghost: float | None) -> None:
    """Draw force against what should make it, and the line on which they are equal."""
    pen, against = sheet["all"], view.push_against
    pen.reframe(**AGAINST[against])
    for row, (on, role) in enumerate(KINDS.items()):
        x, force = view.rows(*(name for name in names(on) if on == "gone" or stayed(name)))
        seen = (force.value > 0) & (x > 0)  # a force that is not towards the own end has no place on this axis
        error = torch.minimum(force.error, 0.9 * force.value)  # nor has the end of a bar that reaches zero
        pen.points(x[seen], Mean(force.value[seen], error[seen]), role, mfc="none" if on == "runaway" else role.colour)
        label = said(role.label)
        if against == "product" and on != "gone":
            label += text("06.label.ratio", ratio=ratio(on, view.road_pair))
        pen.note(0.02, 0.97 - 0.06 * row, label, role, va="top", transform=pen.ax.transAxes, boxed=True)
    if against == "product":
        pen.line(FORCES, FORCES, EQUAL, "")
        pen.note(0.97 * FORCES[1], 0.3 * FORCES[1], EQUAL.label, EQUAL, ha="right", va="top", boxed=True)
    if ghost is not None:  # how hard B = 16 is pushed, as a multiple of B = 64
        at = float(view.rows("eta 0.02, B 16")[0].mean())
        height = ghost * float(view.rows("eta 0.02, B 64")[1].value.mean())
        pen.points([at], torch.tensor([height]), GHOST, fmt="_", ms=40, mew=4, alpha=0.8)
        pen.note(0.75 * at, height, GHOST.label, GHOST, ha="right", va="center", boxed=True)


def words(view: View) -> str:
    """Say how widely forces scatter."""
    pairs = pairs_of(view.road_pair)
    known = {"pairs": pairs_named(view.road_pair), "count": len(pairs) * len(names("valley") + names("runaway"))}
    known |= {"valley": ratio("valley", view.road_pair), "runaway": ratio("runaway", view.road_pair), "view": view}
    return option_text(view.push_against, "06.push.temperature", "06.push.excess", "06.push.product", **known)


CODE = """
from entropic_edu import recorded
kept, name = recorded.load("let_go"), "eta 0.02, B 128"
profile = kept["valley/pair{state.first}/profile"]
narrowing = profile.narrowing(learning_rate=0.02, momentum=0.9, project_every=15).value[7]  # near 0.3
excess = kept[f"{{name}}/excess"][{state.first}, 1:, 2].mean()  # of walkers from 0.3, which stay near it
print(float(narrowing * excess))  # the push towards 0, loss per length
"""


def pushes(seed: int) -> Explorer:
    """Look for what the push of the noise goes with."""
    controls = [switch("push_against", tuple(AGAINST)), slider("road_pair", ALL, None)]
    return Explorer(draw, controls, PANELS, words, state=View, title="06.push.title", code=CODE)
