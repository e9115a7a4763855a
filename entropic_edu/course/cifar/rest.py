"""Round 3: are the ends at rest? How far descent without noise moves them, and what becomes of their curvature."""

from __future__ import annotations

import torch
from torch import Tensor

from entropic_edu import recorded
from entropic_edu.course.bump import common as digits
from entropic_edu.figures.plots import BLACK
from entropic_edu.physics.mean import Mean
from entropic_edu.physics.train import Run
from entropic_edu.recorded import cifar10
from entropic_edu.teaching.explorer import Explorer
from entropic_edu.teaching.sheet import CONTROL, FAINT, GHOST, LIMIT, RUN, Panel, Role, Sheet
from entropic_edu.teaching.strings import text

from . import live
from .common import FROM, NOW, PAIR, PAIRS, STARTS, Road, of_start, times

STILL = cifar10.STORY.control
LAST = float(times("no noise")[-1])
ENDS = Role(BLACK, "-", 1.5, "09.label.ends", "s")
PANELS = {
    "moved": Panel((0.08, 0.125, 0.33, 0.79), "09.panel.moved", "09.axis.time", xlim=(0, 1.02 * LAST), ylim=(0, 0.19)),
    "height": Panel((0.66, 0.6, 0.31, 0.315), "09.panel.height", "09.axis.position", ylim=(-0.04, 0.015), zero=True),
    "trace": Panel((0.66, 0.125, 0.31, 0.275), "09.panel.trace", "", (-0.3, 1.6), (0, 120),
                   {0: "09.label.before", 1: "09.label.after"}),
}  # fmt: skip


class Rest(Road):
    """What the recording says of the ends of the pairs that are looked at."""

    @staticmethod
    def ends(which: str) -> Tensor:
        """Return what the story says of the ends after descent, (P, 2): "moved", or "nearest_position"."""
        kept = recorded.load("cifar10")
        return torch.tensor([kept[f"pair{pair}/figures"]["ends"][which] for pair in PAIRS], dtype=torch.float64)

    @property
    def moved(self) -> Mean:
        """How far descent has moved the ends, share of the road."""
        return self.mean(self.ends("moved").mean(1))

    @property
    def inwards(self) -> Mean:
        """How far along the road it has taken them inwards."""
        near = self.ends("nearest_position")
        return self.mean(0.5 * (near[:, 0] + 1 - near[:, 1]))

    @property
    def height(self) -> Mean:
        """The objective along the road over the mean of its ends, (49,)."""
        each = cifar10.every("road_objective")
        return self.mean(each - each[:, [0, -1]].mean(1, keepdim=True))

    @property
    def trace(self) -> Mean:
        """Tr H of the ends before descent and after, at the norms of before, (2,)."""
        return self.mean(cifar10.every("settled")[..., 2].mean(2))


def draw(sheet: Sheet, state: Rest, ghost: float | None) -> None:
    """Draw how far ends and walkers move, the objective along the road, and the trace of the ends, with a bet."""
    for name, role, words in (("hot", RUN, "09.label.noisy"), ("no noise", CONTROL, "09.label.still")):
        away = torch.stack([(of_start(name, start) - start).abs() for start in STARTS]).mean(0)
        sheet["moved"].line(times(name), state.mean(away), role, words)
    sheet["moved"].points([LAST], state.moved.at(None), ENDS, mfc="white")
    sheet["moved"].line([1.02 * LAST], state.moved.value[None], ENDS)  # its name, beside the point
    at_most = recorded.load("cifar10")["pair0/figures"]["ends"]["at_most"]
    sheet["moved"].level(at_most, LIMIT)
    sheet["moved"].note(10, at_most + 0.003, "09.label.at_rest")
    sheet["height"].line(digits.positions(49), state.height, RUN, "")
    settled = cifar10.every("settled")[..., 2]  # pair, before or after, end
    for each in settled.movedim(1, -1).flatten(0, 1):
        sheet["trace"].line([0, 1], each, FAINT)
    sheet["trace"].line([0, 1], state.trace, ENDS, "")
    middle = state.mean(cifar10.along("trace")[:, cifar10.STORY.points // 2])
    if ghost is not None:
        sheet["trace"].line([0.7, 1], [ghost, ghost], GHOST)
    sheet["trace"].note(1.55, 112, text("09.label.middle", middle=float(middle.value)), RUN, ha="right", va="top")


def show(sheet: Sheet, run: Run, state: Rest) -> str:
    """Draw how far the ends have moved now, beside the recorded ones."""
    state = state.alone
    draw(sheet, state, None)
    time, moved = run.step * STILL.learning_rate / (1 - STILL.momentum), live.moved(run, state.first)
    sheet["moved"].points([time], [moved], NOW)
    return text("09.rest.live", pair=state.first + 1, time=time, moved=100 * moved, state=state, kept=100 * state.moved)


def words(state: Rest) -> str:
    """Say how far ends move, how much of it is along the road, how deep its wells are, and what the trace does."""
    known = {"moved": 100 * state.moved, "inwards": 100 * state.inwards, "low": -float(state.height.value.min())}
    return text("09.rest.sentence", state=state, before=state.trace.at(0), after=state.trace.at(1), **known)


def lines(state: Rest) -> str:
    """Return code that reads how far the ends of a pair move, and their trace."""
    return f"""{FROM}
from entropic_edu import recorded
print(recorded.load("cifar10")["pair{state.first}/figures"]["ends"]["moved"])  # share of the road
print(cifar10.every("settled")[{state.first}, :, :, 2])  # tr H, before and after, of both ends
"""


def rest(seed: int) -> Explorer:
    """Are the ends at rest? Recorded for all pairs; the button lets descent move two ends now."""
    work = live.work("09.rest.what", live.settled, seed, show, lambda state: STILL.steps)
    return Explorer(draw, [PAIR], PANELS, words, state=Rest, title="09.rest.title", code=lines, work=work)
