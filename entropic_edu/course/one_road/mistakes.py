"""Round 2, in two dimensions: NEB, NEB that lacks one of its two parts, and the learner's own sweep."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache, partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from torch import Tensor

from entropic_edu.figures.plots import BLACK, BLUE, RED
from entropic_edu.physics.connect import Sweeps
from entropic_edu.physics.methods import Springs
from entropic_edu.physics.path import Path
from entropic_edu.recorded.one_road import Bend
from entropic_edu.stream import connect
from entropic_edu.teaching.explorer import Explorer, slider, switch
from entropic_edu.teaching.sheet import GREY, SMALL, Panel, Role, Sheet
from entropic_edu.teaching.strings import option_text, text
from entropic_edu.teaching.yours import Yours

from .common import BOX, YOURS, outlined

PARTS: dict[str, dict[str, Any]] = {"both": {}, "tangent": {"tangent": "central"}, "projection": {"projection": False}}
SETTINGS: dict[str, Any] = {"batch_size": None, "learning_rate": 0.01, "momentum": 0.0, "pivots": 18, "sweeps": 600}
ALL = SETTINGS | {"sweeps": Sweeps(600, change=0, scallop=math.inf)}  # to be looked at after each of these
SWEEPS = (0, 50, 100, 200, 400, 600)


@cache
def bands(parts: str) -> dict[int, Tensor]:
    """Return the pivots after each of ``SWEEPS``, by sweep."""
    land, generator = Bend(), torch.Generator()
    stream = connect(land, *land.minima, generator=generator, method=Springs(**PARTS[parts]), **ALL)
    pivots = {}
    while SWEEPS[-1] not in pivots:  # what comes after is measured, and says that such bands do not converge
        shot = next(stream)
        pivots[shot.done] = shot.result.pivots
    return {sweep: pivots[sweep] for sweep in SWEEPS}


def swept(pivots: Tensor, gradients: Tensor, step: float) -> Tensor:
    """Return the pivots after a sweep of the string method: the inner ones moved, then all spaced evenly."""
    moved = pivots.clone()
    moved[1:-1] -= step * gradients[1:-1]
    return Path(moved).resample(len(moved)).pivots


def yours_bands(sweep: Yours) -> dict[int, Tensor]:
    """Return the pivots after each of ``SWEEPS`` of the learner's, from the straight line."""
    land = Bend()
    pivots, found = Path(land.minima).resample(SETTINGS["pivots"]).pivots, {}
    for number in range(SWEEPS[-1] + 1):
        if number in SWEEPS:
            found[number] = pivots
        pivots = sweep(pivots, land.gradient_on(pivots, None), SETTINGS["learning_rate"]).clamp(-5, 5)
    return found


def above_saddle(pivots: Tensor) -> float:
    """Return how far the highest point of a band, straight between its pivots, lies above the saddle."""
    return float(Bend().loss(Path(pivots).resample(401).pivots).max()) - Bend.height


def gaps(pivots: Tensor) -> Tensor:
    """Return the distances of neighbours over their mean, (P-1,)."""
    distances = (pivots[1:] - pivots[:-1]).norm(dim=1)
    return distances / distances.mean()


def turning(pivots: Tensor) -> float:
    """Return by how many degrees a band turns in all, left and right added up."""
    step = pivots[1:] - pivots[:-1]
    angle = torch.atan2(step[:, 1], step[:, 0]).diff()
    return math.degrees(float(((angle + math.pi) % (2 * math.pi) - math.pi).abs().sum()))


def _valley(ax: Axes) -> None:
    x, y = torch.linspace(-0.9, 1.7, 81).double(), torch.linspace(-1.4, 1.4, 81).double()
    grid = torch.stack(torch.meshgrid(y, x, indexing="ij"), -1).flip(-1)
    ax.contourf(x, y, Bend().loss(grid).clamp(max=5.9).numpy(), levels=np.linspace(0, 6, 13), cmap="cividis_r")
    ax.plot([1], [0], "x", color=BLACK, ms=10, mew=2.5)
    ax.text(1.1, 0.0, text("04.label.saddle"), va="center", fontsize=SMALL, bbox=BOX)
    ax.plot([0, 0], [-1, 1], "o", color="white", mec=BLACK, ms=9, zorder=5)
    ax.set_ylabel(text("04.axis.y"))


def _level(height: float, key: str, x: float, y: float, ax: Axes) -> None:
    ax.axhline(height, color=GREY, lw=1, ls=":")
    ax.text(x, y, text(key), color=GREY, fontsize=SMALL)


PANELS = {
    "valley": Panel((0.085, 0.13, 0.42, 0.79), "04.panel.valley", "04.axis.x", (-0.9, 1.7), (-1.4, 1.4), once=_valley),
    "along": Panel((0.6, 0.6, 0.34, 0.32), "04.panel.loss", "04.axis.position", ylim=(0, 2.6),
                   once=partial(_level, Bend.height, "04.label.saddle", 0.01, Bend.height + 0.06)),
    "gaps": Panel((0.6, 0.13, 0.34, 0.28), "04.panel.gaps", "04.axis.gap", (0, 18), (0.05, 20), yticks=(0.1, 1, 10),
                  yscale="log", once=partial(_level, 1, "04.label.even", 0.2, 1.4)),
}  # fmt: skip


def draw(sheet: Sheet, state: SimpleNamespace) -> None:
    """Draw a band on the valley, the loss along it, and its spacing."""
    role = YOURS if state.neb_parts == "yours" else Role(BLUE, width=2.2)
    outlined(sheet["valley"], state.pivots, role, marker="o", ms=4.5)
    path = Path(state.pivots)
    fine = path.resample(201)
    sheet["along"].line(fine.marks, Bend().loss(fine.pivots), role, "")
    sheet["along"].line(path.marks, Bend().loss(path.pivots), role, "", ls="", marker="o", ms=4.5)
    spaced = gaps(state.pivots)
    sheet["gaps"].line(torch.arange(1, len(spaced) + 1), spaced, Role(RED, "--", 1.2), "", marker="o", ms=5)


def words(state: SimpleNamespace) -> str:
    """Say how high the band goes, how even it is, and how much it turns."""
    keys = ("04.mistakes.both", "04.mistakes.tangent", "04.mistakes.projection", "04.mistakes.yours")
    parts = option_text(state.neb_parts, *keys, note=state.note)
    spacing = gaps(state.pivots)
    known = {"sweep": state.neb_sweeps, "pivots": len(state.pivots), "height": Bend.height}
    known |= {"above": above_saddle(state.pivots) + 0.0, "turning": turning(state.pivots)}
    return text("04.mistakes.sentence", parts=parts, spacing=float(spacing.max() / spacing.min()), **known)


def code(state: SimpleNamespace) -> str:
    """Return the lines that make the band anew."""
    start = "from entropic_edu.recorded.one_road import Bend\nland = Bend()\n"
    if state.neb_parts == "yours":
        return start + (
            f"band = ee.Path(land.minima).resample({SETTINGS['pivots']}).pivots\n"
            f"for _ in range({state.neb_sweeps}):\n"
            f"    band = sweep(band, land.gradient_on(band, None), {SETTINGS['learning_rate']})"
        )
    options = ", ".join(f"{name}={value!r}" for name, value in PARTS[state.neb_parts].items())
    settings = repr(ALL).replace("inf", "math.inf").replace("Sweeps", "ee.Sweeps")
    return start + (
        f"settings, method = {settings}, ee.methods.Springs({options})\n"
        "stream = ee.stream.connect(land, *land.minima, method=method, generator=torch.Generator(), **settings)\n"
        f"band = next(shot.result for shot in stream if shot.done == {state.neb_sweeps})"
    )


def mistakes(seed: int, yours: Callable[..., Any] | None = None) -> Explorer:
    """A band in two dimensions by NEB with both its parts, with one missing, or by the learner's sweep; no noise."""
    own = Yours(yours, swept)
    made = {parts: bands(parts) for parts in PARTS}  # a few tenths of a second, now, so that no control waits for it
    if yours is not None:
        made = {"yours": yours_bands(own)} | made

    def state(neb_parts: str, neb_sweeps: int) -> SimpleNamespace:
        pivots = made[neb_parts][neb_sweeps]
        return SimpleNamespace(neb_parts=neb_parts, neb_sweeps=neb_sweeps, pivots=pivots, note=own.note)

    controls = [switch("neb_parts", tuple(made)), slider("neb_sweeps", SWEEPS, SWEEPS[-1])]
    return Explorer(draw, controls, PANELS, words, state=state, title="04.mistakes.title", code=code)
