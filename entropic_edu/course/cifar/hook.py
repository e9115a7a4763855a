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
LINE = Role(RED, "--", 2.0)
PANELS = {
    "hill": Panel((0.06, 0.125, 0.41, 0.79), "09.panel.hill", "09.axis.between", ylim=(0, 2.3)),
    "width": Panel(
        (0.62, 0.6, 0.25, 0.315), "09.panel.width", ylim=(0, 4.2), xticks=(0, 0.5, 1), yticks=(0, 1, 2, 3, 4)
    ),
    "walkers": Panel(
        (0.62, 0.125, 0.25, 0.315), "09.panel.walkers", "09.axis.time", xlim=(0, 800), xticks=(0, 400, 800)
    ),
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


def at(name: str, place: float) -> float:
    """Return the mean over the pairs of a curve at a place, on straight lines between its points."""
    values = curves()[name].mean(0)
    return float(np.interp(place, digits.positions(len(values)), values))


def draw(sheet: Sheet, state: SimpleNamespace) -> None:
    """Draw hill and road, the width of the road, and walkers on it, each beside what it is to be compared with."""
    for panel, name, role, label in (
        ("hill", "digits", DIGITS, ""),
        ("hill", "line", LINE, ""),
        ("hill", "road", RUN, ""),
        ("width", "digits trace", DIGITS, None),
        ("width", "trace", RUN, "09.label.photographs"),
    ):
        mean = Mean.over(curves()[name], 0)
        sheet[panel].line(digits.positions(len(mean.value)), mean, role, label)
    for name, words, role in (
        ("line", "09.label.line", LINE),
        ("road", "09.label.road", RUN),
        ("digits", "09.label.digits_line", DIGITS),
    ):
        sheet["hill"].note(0.5, at(name, 0.5) + 0.1, words, role, ha="center", boxed=True)
    for start in STARTS:
        labels = ("09.label.noise", None) if start < 0.5 else ("", "")
        for name, role, label in zip(("hot", "no noise"), (RUN, CONTROL), labels, strict=True):
            sheet["walkers"].line(times(name), Mean.over(of_start(name, start), 0), role, label)
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
    return (
        f'{FROM}line, road = cifar10.every("line_objective"), cifar10.every("road_objective")\n'
        f"print(line[:, {row}].mean(), road[:, {fine}].mean())"
    )


def three(seed: int) -> Explorer:
    """Hill, width and walkers on photographs, with those of digits beside them."""
    work = live.work("09.hook.what", live.trained, seed, show, lambda state: live.STEPS)
    controls = [slider("at_position", PLACES, 0.5)]
    return Explorer(draw, controls, PANELS, words, title="09.hook.title", code=lines, work=work)
