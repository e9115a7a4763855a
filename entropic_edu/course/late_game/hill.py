"""The opening: the loss on the straight line between two siblings, for each step at which they part."""

from __future__ import annotations

from matplotlib.figure import Figure
from torch import Tensor

from entropic_edu.figures.plots import BLUE, labelled
from entropic_edu.physics.mean import Mean
from entropic_edu.teaching import sheet
from entropic_edu.teaching.explorer import Explorer, slider
from entropic_edu.teaching.sheet import Band
from entropic_edu.teaching.strings import text

from .axes import logarithmic
from .measures import STEPS, family, opening, over_trunks, setting_of, with_error

TASK = "forty"


def losses() -> Mean:
    """Return the loss along the line, mean over trunks, (K, P)."""
    return over_trunks(family(TASK).data_loss[:, :, 0].double())


def highest(k: int) -> tuple[Mean, Mean]:
    """Return the loss at the ends and at the highest point of the line, at this k."""
    curve: Tensor = family(TASK).data_loss[:, STEPS.index(k), 0].double()
    return over_trunks(0.5 * (curve[:, 0] + curve[:, -1])), over_trunks(curve.amax(-1))


def hill(seed: int) -> Explorer:
    """The hill between siblings goes down as they part later."""
    figure = sheet.figure()
    ax = figure.add_axes((0.1, 0.135, 0.68, 0.79))
    labelled(ax, text("07.axis.position"), "", text("07.panel.hill")).title.set_fontsize(11)
    ax.set(xlim=(0, 1))
    ax.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
    logarithmic(ax, 0.01, 1, (0.01, 0.1, 1))
    for row in losses().value:
        ax.plot(family(TASK).positions, row, color="#B0B0B0", lw=0.8)
    band = Band(ax, colour=BLUE)

    def render(*, parted: int) -> tuple[Figure, str]:
        place, curves = STEPS.index(parted), losses()
        curve = Mean(curves.value[place], curves.error[place])
        band.show(family(TASK).positions, curve, text("07.label.children", parted=parted))
        ends, top = highest(parted)
        return figure, text(
            "07.hill.sentence",
            setting=setting_of(TASK),
            parted=parted,
            steps=family(TASK).steps,
            ends=with_error(ends),
            top=with_error(top),
        )

    def code(*, parted: int) -> str:
        return (
            f"{opening(TASK)}\nloss = family.data_loss[:, family.at.tolist().index({parted}), 0].mean(0)\n"
            "top = loss.max()"
        )

    return Explorer(render, [slider("parted", STEPS, 0)], title=text("07.hill.title"), code=code)
