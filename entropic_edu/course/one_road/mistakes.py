"""Round 2, in two dimensions: NEB, NEB that lacks one of its two parts, and the learner's own sweep."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes

from entropic_edu.figures.plots import BLACK, BLUE, RED
from entropic_edu.physics.path import Path
from entropic_edu.recorded.one_road import Bend
from entropic_edu.teaching.explorer import Explorer, slider, switch
from entropic_edu.teaching.sheet import SMALL, Panel, Role, Sheet
from entropic_edu.teaching.strings import option_text, text
from entropic_edu.teaching.yours import Written, Yours

from .bands import ALL, PARTS, SETTINGS, SWEEPS, above_saddle, bands, gaps, turning, yours_bands
from .common import BOX, YOURS, level, outlined
from .exercises import swept

PARTS_KEYS = ("04.mistakes.both", "04.mistakes.tangent", "04.mistakes.projection", "04.mistakes.yours")


def _valley(ax: Axes) -> None:
    x, y = torch.linspace(-0.9, 1.7, 81).double(), torch.linspace(-1.4, 1.4, 81).double()
    grid = torch.stack(torch.meshgrid(y, x, indexing="ij"), -1).flip(-1)
    ax.contourf(x, y, Bend().loss(grid).clamp(max=5.9).numpy(), levels=np.linspace(0, 6, 13), cmap="cividis_r")
    ax.plot([1], [0], "x", color=BLACK, ms=10, mew=2.5)
    ax.text(1.1, 0.0, text("04.label.saddle"), va="center", fontsize=SMALL, bbox=BOX)
    ax.plot([0, 0], [-1, 1], "o", color="white", mec=BLACK, ms=9, zorder=5)
    ax.set_ylabel(text("04.axis.y"))


PANELS = {
    "valley": Panel((0.085, 0.13, 0.42, 0.79), "04.panel.valley", "04.axis.x", (-0.9, 1.7), (-1.4, 1.4), once=_valley),
    "along": Panel((0.6, 0.6, 0.34, 0.32), "04.panel.loss", "04.axis.position", ylim=(0, 2.6),
                   once=level(Bend.height, "04.label.saddle", 0.01, Bend.height + 0.12)),
    "gaps": Panel((0.6, 0.13, 0.34, 0.28), "04.panel.gaps", "04.axis.gap", (0, 18), (0.05, 20), yticks=(0.1, 1, 10),
                  yscale="log", once=level(1, "04.label.even", 0.2, 1.7)),
}  # fmt: skip


def draw(sheet: Sheet, state: Any) -> None:
    """Draw a band on the valley, the loss along it, and its spacing."""
    role, path = YOURS if state.neb_parts == "yours" else Role(BLUE, width=2.2), Path(state.band)
    outlined(sheet["valley"], state.band, role, marker="o", ms=4.5)
    fine = path.resample(201)
    sheet["along"].line(fine.marks, Bend().loss(fine.pivots), role, "")
    sheet["along"].line(path.marks, Bend().loss(path.pivots), role, "", ls="", marker="o", ms=4.5)
    spaced = gaps(state.band)
    sheet["gaps"].line(torch.arange(1, len(spaced) + 1), spaced, Role(RED, "--", 1.2), "", marker="o", ms=5)


def code(state: Any) -> str:
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


def mistakes(seed: int, yours: Written = None) -> Explorer:
    """A band in two dimensions by NEB with both its parts, with one missing, or by the learner's sweep; no noise."""
    own = Yours(yours, swept)
    made = {parts: bands(parts) for parts in PARTS}  # a few tenths of a second, now, so that no control waits for it
    if yours is not None:
        made = {"yours": yours_bands(own)} | made

    def state(neb_parts: str, neb_sweeps: int) -> dict[str, Any]:
        band = made[neb_parts][neb_sweeps]
        spacing = gaps(band)
        return {"band": band, "pivots": len(band), "sweep": neb_sweeps, "height": Bend.height} | {
            "parts": option_text(neb_parts, *PARTS_KEYS, note=own.note),
            "spacing": float(spacing.max() / spacing.min()),
            "above": above_saddle(band) + 0.0,
            "turning": turning(band),
        }

    controls = [switch("neb_parts", tuple(made)), slider("neb_sweeps", SWEEPS, SWEEPS[-1])]
    words, title = "04.mistakes.sentence", "04.mistakes.title"
    return Explorer(draw, controls, PANELS, words, state=state, title=title, code=code)
