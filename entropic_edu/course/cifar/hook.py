"""Before round 1: the story of the digits on photographs, in three pictures; the button trains two networks now."""

from __future__ import annotations

from functools import cache
from types import SimpleNamespace

import numpy as np
import torch
from torch import Tensor

from entropic_edu import recorded
from entropic_edu.course.bump import common as digits
from entropic_edu.figures.plots import RED
from entropic_edu.physics.mean import Mean
from entropic_edu.physics.train import Run
from entropic_edu.recorded import cifar10
from entropic_edu.teaching.explorer import Explorer, slider
from entropic_edu.teaching.sheet import CONTROL, FAINT, RUN, Panel, Role, Sheet
from entropic_edu.teaching.strings import text

from . import live
from .common import DIGITS, FROM, NOW, STARTS, Road, of_start, times

PLACES = tuple(round(0.1 * place, 1) for place in range(11))

PANELS = {
    "hill": Panel((0.06, 0.125, 0.41, 0.79), "09.panel.hill", "09.axis.between", ylim=(0, 2.3)),
    "width": Panel((0.62, 0.6, 0.25, 0.315), "09.panel.width", "", (0, 1), (0, 4.2), (0, 0.5, 1), (0, 1, 2, 3, 4)),
    "walkers": Panel((0.62, 0.125, 0.25, 0.315), "09.panel.walkers", "09.axis.time", (0, 800), xticks=(0, 400, 800)),
}
LOOKS = {  # of each curve, and the words that stand on it at the hill
    "digits": (DIGITS, "09.label.digits_line"),
    "line": (Role(RED, "--", 2.0), "09.label.line"),
    "road": (RUN, "09.label.road"),
}


@cache
def curves() -> dict[str, Tensor]:
    """Return what is drawn along the way between two ends, all pairs, (P, n) each."""
    valley = recorded.load("valley")
    return {
        "line": cifar10.every("line_objective"),
        "road": cifar10.every("road_objective"),
        "digits": torch.stack([valley[f"pair{pair}/line_loss"] for pair in range(5)]).double(),
        "trace": digits.over_ends(cifar10.along("trace")),
        "digits trace": digits.over_ends(digits.along("trace")),
    }


def mean(name: str) -> tuple[Tensor, Mean]:
    """Return places of a curve, and its mean over the pairs there, (n,) each."""
    each = curves()[name]
    return digits.positions(each.shape[1]), Mean.over(each, 0)


def at(name: str, place: float) -> float:
    """Return the same at one place, on straight lines between its points."""
    where, values = mean(name)
    return float(np.interp(place, where, values.value))


def draw(sheet: Sheet, state: SimpleNamespace) -> None:
    """Draw hill and road, the width of the road, and walkers on it, each beside what it is to be compared with."""
    for name, (role, label) in LOOKS.items():
        sheet["hill"].line(*mean(name), role, "")
        sheet["hill"].note(0.5, at(name, 0.5) + 0.1, label, role, ha="center", boxed=True)
    sheet["width"].line(*mean("digits trace"), DIGITS)
    sheet["width"].line(*mean("trace"), RUN, "09.label.photographs")
    for start in STARTS:
        for name, role, label in (("hot", RUN, "09.label.noise"), ("no noise", CONTROL, CONTROL.label)):
            walkers = Mean.over(of_start(name, start), 0)
            sheet["walkers"].line(times(name), walkers, role, label if start < 0.5 else "")
    for panel in ("hill", "width"):
        sheet[panel].line([state.at_position] * 2, sheet[panel].panel.ylim, FAINT)


def show(sheet: Sheet, run: Run, state: SimpleNamespace) -> str:
    """Draw the line between two networks that learn now over the recorded ones."""
    now = live.line(run)
    draw(sheet, state)
    sheet["hill"].line(digits.positions(len(now)), now, NOW, marker="D", ms=4)
    known = {"step": run.step, "steps": run.steps, "seen": live.SEEN}
    return text("09.hook.live", ends=float(now[[0, -1]].mean()), top=float(now.max()), **known)


def words(state: SimpleNamespace) -> str:
    """Say what stands on line and road at a place, and where walkers ended."""
    found = {name.replace(" ", "_"): at(name, state.at_position) for name in curves()}
    hot, still = (float(of_start(name, STARTS[0])[:, -1].mean()) for name in ("hot", "no noise"))
    known = {"pairs": Road(None).named, "place": state.at_position, "hot": hot, "still": still}
    return text("09.hook.sentence", **known, **found)


def lines(state: SimpleNamespace) -> str:
    """Return code that reads the height of line and road at this place."""
    row, fine = round(24 * state.at_position), round(48 * state.at_position)
    return f"""{FROM}
line, road = cifar10.every("line_objective"), cifar10.every("road_objective")
print(line[:, {row}].mean(), road[:, {fine}].mean())
"""


def three(seed: int) -> Explorer:
    """Hill, width and walkers on photographs, with those of digits beside them."""
    work = live.work("09.hook.what", live.trained, seed, show, lambda state: live.STEPS)
    controls = [slider("at_position", PLACES, 0.5)]
    return Explorer(draw, controls, PANELS, words, title="09.hook.title", code=lines, work=work)
