"""Round 3: the mean of two networks, siblings or strangers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from entropic_edu.figures.plots import BLACK, BLUE, DASHES, GREEN
from entropic_edu.teaching.explorer import Explorer, slider, switch
from entropic_edu.teaching.sheet import GHOST, TWIN, Panel, Role, Sheet
from entropic_edu.teaching.strings import option_text, text

from .axes import AGAINST_K, POSITION, logarithmic
from .measures import STEPS, TASKS, family, line, opening, over_trunks, rise, task_named, with_error

RELATIONS = ("siblings", "strangers")
GAINS = (-5.0, 9.0)  # percentage points; what lies below is told at the edge
LOOKS = {"loss": Role(BLUE), "accuracy": Role(GREEN, DASHES[2])}
SIBLINGS = Role(GREEN, DASHES[2], 1.2, "07.label.siblings")
PANELS = {
    "loss": Panel((0.085, 0.61, 0.32, 0.325), "07.panel.train", xticks=(0, 0.5, 1),
                  **logarithmic(1e-4, 3, (1e-4, 1e-3, 1e-2, 0.1, 1))),
    "accuracy": Panel((0.085, 0.125, 0.32, 0.325), "07.panel.accuracy", ylim=(0.3, 1.0), yticks=(0.4, 0.6, 0.8, 1),
                      **POSITION),
    "gain": Panel((0.50, 0.125, 0.355, 0.79), "07.panel.gain", ylim=GAINS, zero=True, **AGAINST_K),
}  # fmt: skip


def gain(accuracy: Tensor) -> Tensor:
    """Return test accuracy of the mean less the mean of the ends, in percentage points, (..., P) -> (...)."""
    return 100 * rise(accuracy)


def curves(state: Any) -> dict[str, Tensor]:
    """Return loss and accuracy along the line of each trunk, (T, P) each."""
    loss, accuracy = line(state.task, state.relation)
    place = STEPS.index(state.parted)
    return {"loss": loss[:, place], "accuracy": accuracy[:, place]}


def draw(sheet: Sheet, state: Any, pinned: Any = None, ghost: float | None = None) -> None:
    """Draw loss and accuracy along the line, and what the mean gains against k; a pinned line, and the bet."""
    for one, role in ((pinned, TWIN), (state, None)):
        for name, values in ({} if one is None else curves(one)).items():
            sheet[name].line(family(state.task).positions, over_trunks(values), role or LOOKS[name], "")
    siblings, strangers = (over_trunks(gain(line(state.task, name)[1])) for name in RELATIONS)
    pen = sheet["gain"]
    pen.line(STEPS, siblings.value, SIBLINGS)
    pen.points(torch.tensor(STEPS), siblings, SIBLINGS)
    below = text("07.label.strangers_below", gain=with_error(strangers, 0))
    pen.note(0.03, 0.03, below, Role(BLACK), transform=pen.ax.transAxes)
    if state.relation == "siblings":
        shown = float(siblings.value[STEPS.index(state.parted)])
        pen.line([state.parted], [shown], Role(BLACK, ""), "", marker="s", ms=11, mfc="none", mew=1.6)
    if ghost is not None:
        height = max(ghost, GAINS[0] + 0.8)
        pen.line([0, STEPS[-1]], [height, height], GHOST, "", lw=4)
        pen.note(0.5 * STEPS[-1], height + 0.3, f"{text(GHOST.label)}: {ghost:+g}", GHOST, ha="center")


def measured(state: Any) -> str:
    """Say what the mean of two networks is worth."""
    loss, accuracy = curves(state).values()
    ends = {"loss_ends": loss[:, [0, -1]].mean(1), "accuracy_ends": 100 * accuracy[:, [0, -1]].mean(1)}
    middle = loss.shape[1] // 2
    ends |= {"loss": loss[:, middle], "accuracy": 100 * accuracy[:, middle], "gain": gain(accuracy)}
    known = {name: with_error(over_trunks(values)) for name, values in ends.items()}
    keys = ("07.average.siblings", "07.average.strangers")
    return option_text(state.relation, *keys, parted=state.parted, task=task_named(state.task), **known)


def words(state: Any, pinned: Any | None = None) -> str:
    """Say what the mean of two networks is worth, and that of a pinned pair."""
    return measured(state) + ("" if pinned is None else " " + text("07.average.twin", sentence=measured(pinned)))


def code(state: Any) -> str:
    """Return lines that compute the gain in test accuracy for each trunk, (T,)."""
    lines = {
        "siblings": f"family.test_accuracy[:, family.at.tolist().index({state.parted}), 0]",
        "strangers": f'kept["{state.task}/strangers"][3]',
    }[state.relation]
    return f"""{opening(state.task)}
accuracy = {lines}  # along the line, for each trunk
middle = accuracy.shape[1] // 2
gain = 100 * (accuracy[:, middle] - 0.5 * (accuracy[:, 0] + accuracy[:, -1]))
"""


def average(seed: int) -> Explorer:
    """Weigh the mean of two networks against its ends."""
    controls = [slider("parted", STEPS, 0), switch("relation", RELATIONS), switch("task", TASKS)]
    return Explorer(draw, controls, PANELS, words, title="07.average.title", code=code)
