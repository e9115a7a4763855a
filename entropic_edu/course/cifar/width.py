"""Round 1: curvature along the road, beside the same of digits; the button probes a few places of it now."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from entropic_edu.course.bump import common as digits
from entropic_edu.physics.mean import Mean
from entropic_edu.recorded import cifar10
from entropic_edu.teaching.explorer import Explorer, switch
from entropic_edu.teaching.sheet import FAINT, GHOST, RUN, Panel, Sheet
from entropic_edu.teaching.strings import text

from . import live
from .common import DIGITS, FROM, NOW, PAIR, Road

QUANTITY = switch("cifar_quantity", ("trace", "built", "top", "adaptive", "data_loss", "objective"))
ROWS = {"trace": "09.row.trace", "top": "09.row.top", "adaptive": "09.row.adaptive", "data_loss": "09.row.data_loss"}
PANELS = {
    "along": Panel((0.06, 0.125, 0.4, 0.79), "09.panel.ratio", "09.axis.position", ylim=(0, 4.2)),
    "bumps": Panel((0.67, 0.125, 0.31, 0.79), "09.panel.bumps", "", (-0.5, 3.5), (0.5, 3.3),
                   dict(enumerate(ROWS.values()))),
}  # fmt: skip


@dataclass(frozen=True)
class Width(Road):
    """A quantity on the pairs that are looked at."""

    cifar_quantity: str

    @property
    def built(self) -> bool:
        """Whether it is the trace of the road as it was built, whose norms are not matched."""
        return self.cifar_quantity == "built"

    @property
    def name(self) -> str:
        """The same in lesson 05."""
        return "trace" if self.built else self.cifar_quantity

    @property
    def field(self) -> str:
        return digits.QUANTITIES[self.name][0]

    @property
    def each(self) -> Tensor:
        """Along the roads of all pairs, (P, n)."""
        return cifar10.along(self.field, "raw" if self.built else "profile")

    @property
    def bump(self) -> Mean:
        return self.mean(digits.bump(self.each))

    def at(self, *places: int) -> float:
        """Return the mean over the pairs and over these places."""
        return float(self.mean(self.each[:, list(places)].mean(1)).value)


def draw(sheet: Sheet, state: Width, ghost: float | None) -> None:
    """Draw a quantity over its ends with the single pairs, that of digits, a bet, and the bumps of all measures."""
    along = sheet["along"]
    along.reframe(ylim=(0, 8.5 if state.built else 4.2))
    along.level(1, FAINT)
    where, each = digits.positions(state.each.shape[1]), digits.over_ends(state.each)
    for one in each:
        along.line(where, one, FAINT)
    if not state.built:
        along.line(digits.positions(21), Mean.over(digits.over_ends(digits.along(state.name)), 0), DIGITS)
    along.line(where, state.mean(each), RUN, "09.label.photographs")
    if ghost is not None:
        along.line(digits.positions(21), ghost ** torch.sin(torch.pi * digits.positions(21)), GHOST, "")
        along.note(0.5, min(ghost, 4.0), GHOST.label, GHOST, ha="center", va="bottom", boxed=True)
    sheet["bumps"].level(1, FAINT)
    for row, name in enumerate(ROWS):
        here, small = Width(state.cifar_pair, name).bump, Mean.over(digits.bump(digits.along(name)), 0)
        sheet["bumps"].points([row - 0.12], here.at(None), RUN)
        sheet["bumps"].points([row + 0.12], small.at(None), DIGITS, mfc="white")


def show(sheet: Sheet, traces: live.Traces, state: Width) -> str:
    """Draw the trace that is measured now at a few places, over what was recorded of the ends."""
    state, mean = replace(state.alone, cifar_quantity="trace"), Mean.over(traces.samples.double(), 0)
    draw(sheet, state, None)
    over = 1 / state.at(0, -1)
    sheet["along"].points(digits.positions(live.POINTS), mean * over, NOW, mfc="white", mew=2)
    now, ratio = mean.at(live.POINTS // 2) * over, state.at(6) * over
    return text("09.width.live", state=state, probes=len(traces.samples), seen=live.SEEN, now=now, kept=ratio)


def words(state: Width) -> str:
    """Say a quantity at the ends and in the middle, and its bump beside that of digits."""
    form, fine = (".3f", ".3f") if "loss" in state.field else (".3g", ".2f")
    norm = digits.over_ends(cifar10.along("norm", "raw"))[:, 3]
    known = {"state": state, "quantity": QUANTITY.shown(state.name), "norm": float(state.mean(norm).value)}
    known |= {"ends": f"{state.at(0, -1):{form}}", "middle": f"{state.at(state.each.shape[1] // 2):{form}}"}
    known |= {"bump": f"{state.bump:{fine}}", "digits": f"{Mean.over(digits.bump(digits.along(state.name)), 0):{fine}}"}
    return text("09.width.built" if state.built else "09.width.sentence", **known)


def lines(state: Width) -> str:
    """Return code that reads the bump of the pairs."""
    which = ', "raw"' if state.built else ""
    return f"""{FROM}
each = cifar10.along("{state.field}"{which})  # pairs, places
middle = each[:, each.shape[1] // 3 : -(each.shape[1] // 3)]
print(middle.mean(1) / each[:, [0, -1]].mean(1))  # the bump of each pair
"""


def width(seed: int) -> Explorer:
    """Show by how much the road is narrower in its middle, for each measure, beside digits."""
    work = live.work("09.width.what", live.probed, seed, show, lambda state: live.PROBES)
    return Explorer(draw, [QUANTITY, PAIR], PANELS, words, state=Width, title="09.width.title", code=lines, work=work)
