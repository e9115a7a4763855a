"""Round 3: the mean of two networks, siblings or strangers."""

from __future__ import annotations

from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from entropic_edu.figures.plots import BLACK, BLUE, DASHES, GREEN, RED, labelled
from entropic_edu.physics.mean import Mean, exact
from entropic_edu.teaching import sheet
from entropic_edu.teaching.explorer import Explorer, slider, switch
from entropic_edu.teaching.sheet import GREY, Band, Points, moving
from entropic_edu.teaching.strings import option_text, text

from .axes import BESIDE, LAST, against_k, logarithmic
from .measures import STEPS, TASKS, family, line, opening, over_trunks, setting_of, with_error

TASK_NAME_KEYS = (
    "07.task_name.forty",
    "07.task_name.fifth",
    "07.task_name.clean",
    "07.task_name.decay",
    "07.task_name.squared",
)

RELATIONS = ("siblings", "strangers")
GAINS = (-65.0, 15.0)  # percentage points


def gain(accuracy: Tensor) -> Tensor:
    """Return test accuracy of the mean less the mean of the ends, in percentage points, (..., P) -> (...)."""
    middle = accuracy.shape[-1] // 2
    return 100 * (accuracy[..., middle] - 0.5 * (accuracy[..., 0] + accuracy[..., -1]))


class Average:
    """Left: training loss and test accuracy along the line. Right: what the mean gains in test accuracy against k."""

    def __init__(self) -> None:
        self.figure = sheet.figure()
        top = self.figure.add_axes((0.085, 0.61, 0.32, 0.325))
        labelled(top, "", "", text("07.panel.train")).title.set_fontsize(11)
        logarithmic(top, 1e-4, 3, (1e-4, 1e-3, 1e-2, 0.1, 1))
        bottom = self.figure.add_axes((0.085, 0.125, 0.32, 0.325))
        labelled(bottom, text("07.axis.position"), "", text("07.panel.accuracy")).title.set_fontsize(11)
        bottom.set_ylim(0.2, 1.0)
        bottom.set_yticks([0.2, 0.4, 0.6, 0.8, 1.0])
        for ax in (top, bottom):
            ax.set_xlim(0, 1)
            ax.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
        self.lines = {"loss": Band(top, colour=BLUE), "accuracy": Band(bottom, colour=GREEN, dash=DASHES[2])}
        self.twins = {
            name: Band(ax, colour=RED, dash="--", label=text("say.pinned"))
            for name, ax in (("loss", top), ("accuracy", bottom))
        }
        ax = self.figure.add_axes((0.50, 0.125, 0.355, 0.79))
        labelled(ax, "", "", text("07.panel.gain")).title.set_fontsize(11)
        ax.set_ylim(*GAINS)
        against_k(ax)
        ax.axhline(0, color=BLACK, lw=1.2, ls=":")
        self.siblings = Points(ax, colour=GREEN)
        self.path = moving(ax, colour=GREEN, dash=DASHES[2], width=1.2)
        self.strangers = Band(ax, colour=GREY, dash=DASHES[3], label=text("07.label.strangers"))
        self.name = sheet.end_label(ax, text("07.label.siblings"), GREEN)
        self.ghost = Band(ax, colour=GREY, dash=(0, (3, 2)), width=4, label=text("say.prediction"))
        self.here = moving(ax, colour=BLACK, dash="", marker="s", ms=11, mfc="none", mew=1.6)

    def along(self, curves: dict[str, Mean], twin: dict[str, Mean] | None, positions: Tensor) -> None:
        """Draw loss and accuracy along the line, and along a pinned one."""
        for name, band in self.lines.items():
            band.show(positions, curves[name])
            band.name.set_visible(False)
            self.twins[name].show(positions, None if twin is None else twin[name])
            self.twins[name].name.set_position((0.03, {"loss": 2.0e-4, "accuracy": 0.26}[name]))

    def gains(self, siblings: Mean, strangers: Mean, at: tuple[int, float], ghost: float | None) -> None:
        """Draw the gain of siblings against k, that of strangers, and a bet on siblings of step 0."""
        steps = torch.tensor(STEPS, dtype=torch.float64)
        self.siblings.show(steps, siblings)
        self.path.set_data(steps.numpy(), siblings.value.numpy())
        self.name.set_position((BESIDE, float(siblings.value[-1])))
        ends = steps[[0, -1]]
        self.strangers.show(ends, Mean(strangers.value.expand(2), strangers.error.expand(2)))
        self.strangers.name.set_x(BESIDE)
        self.here.set_data([at[0]], [at[1]])
        self.ghost.show(ends, None if ghost is None else exact(torch.full((2,), ghost, dtype=torch.float64)))
        if ghost is not None:  # in the panel, above its line, clear of the names at the right
            self.ghost.name.set_position((0.45 * LAST, ghost + 3.5))


def average(seed: int) -> Explorer:
    """Weigh the mean of two networks against its ends."""
    picture = Average()

    def curves(parted: int, task: str, relation: str) -> dict[str, Mean]:
        loss, accuracy = line(task, relation)
        place = STEPS.index(parted)
        return {"loss": over_trunks(loss[:, place]), "accuracy": over_trunks(accuracy[:, place])}

    def render(
        *,
        parted: int,
        task: str,
        relation: str,
        ghost: float | None = None,
        pinned: dict[str, Any] | None = None,
    ) -> tuple[Figure, str]:
        twin = None if pinned is None else curves(**pinned)
        picture.along(curves(parted, task, relation), twin, family(task).positions)
        siblings, strangers = (over_trunks(gain(line(task, name)[1])) for name in RELATIONS)
        away = Mean(strangers.value[0], strangers.error[0])
        shown = {"siblings": siblings.value[STEPS.index(parted)], "strangers": away.value}[relation]
        picture.gains(siblings, away, (parted, float(shown)), ghost)
        words = sentence(parted, task, relation)
        if pinned is not None:
            words += " " + text("07.average.twin", sentence=measured(**pinned))
        return picture.figure, words

    return Explorer(
        render,
        [slider("parted", STEPS, 0), switch("relation", RELATIONS), switch("task", TASKS)],
        title=text("07.average.title"),
        code=code,
    )


def measured(parted: int, task: str, relation: str) -> str:
    """Say what the mean of two networks is worth."""
    loss, accuracy = (values[:, STEPS.index(parted)] for values in line(task, relation))
    middle = loss.shape[1] // 2
    ends = {name: over_trunks(0.5 * (curve[:, 0] + curve[:, -1])) for name, curve in (("l", loss), ("a", accuracy))}
    mean = {"l": over_trunks(loss[:, middle]), "a": over_trunks(accuracy[:, middle])}
    won = over_trunks(gain(accuracy))
    return option_text(
        relation,
        "07.average.siblings",
        "07.average.strangers",
        parted=parted,
        task=option_text(task, *TASK_NAME_KEYS),
        loss=with_error(mean["l"]),
        loss_ends=with_error(ends["l"]),
        accuracy=with_error(mean["a"] * 100),
        accuracy_ends=with_error(ends["a"] * 100),
        gain=with_error(won),
    )


def sentence(parted: int, task: str, relation: str) -> str:
    """Say what the mean of two networks is worth, and on what data."""
    return text("07.average.sentence", setting=setting_of(task), measured=measured(parted, task, relation))


def code(*, parted: int, task: str, relation: str) -> str:
    """Return lines that compute the gain in test accuracy for each trunk, (T,)."""
    lines = {
        "siblings": f"family.test_accuracy[:, family.at.tolist().index({parted}), 0]",
        "strangers": f'kept["{task}/strangers"][3]',
    }[relation]
    return (
        f"{opening(task)}\naccuracy = {lines}  # along the line, for each trunk\n"
        "middle = accuracy.shape[1] // 2\n"
        "gain = 100 * (accuracy[:, middle] - 0.5 * (accuracy[:, 0] + accuracy[:, -1]))"
    )
