"""The picture of bands: on the plane, the objective along them, and how the finished roads of all pairs are."""

from __future__ import annotations

import torch
from matplotlib.axes import Axes
from torch import Tensor

from entropic_edu.figures.plots import BLACK, DASHES
from entropic_edu.recorded import one_road
from entropic_edu.teaching.sheet import Panel, Role, Sheet

from . import bands as B
from .common import LOOKS, YOURS, field_panel, kept, level, outlined

ENDING = {name: number for number, name in enumerate(one_road.ENDING)}
FINISHED: dict[str, tuple[str, tuple[float, float], dict[float, str]]] = {  # title, limits and ticks
    "highest": ("04.finished.highest", (0.022, 3.0), {0.03: "0.03", 1: "1"}),
    "length": ("04.finished.length", (13, 200), {20: "20", 100: "100"}),
    "scallop": ("04.finished.scallop", (3e-6, 0.1), {1e-5: "10⁻⁵", 1e-2: "10⁻²"}),
}


def _end(ax: Axes) -> None:
    level(B.ends_objective(), "04.label.higher_end", 1.03, B.ends_objective(), DASHES[3])(ax)


PANELS = {
    "plane": field_panel((0.085, 0.31, 0.47, 0.63)),
    "along": Panel((0.645, 0.62, 0.25, 0.31), "04.panel.band", "04.axis.position", ylim=(0.018, 4),
                   yticks=(0.03, 0.1, 1), yscale="log", once=_end),
} | {
    name: Panel((left, 0.13, 0.075, 0.22), title, " ", limits, (-0.5, 3.5), ticks,
                {} if left > 0.71 else dict(zip((3, 2, 1, 0), B.NAME_KEYS, strict=False)), "log")
    for left, (name, (title, limits, ticks)) in zip((0.71, 0.81, 0.91), FINISHED.items(), strict=True)
}  # fmt: skip


def draw_bands(sheet: Sheet, guess: str, found: dict[str, Tensor]) -> None:
    """Draw bands, (points, 3) each: u, v and objective; the first guess; and the finished roads of all pairs."""
    outlined(sheet["plane"], B.recorded_frame("string", guess, 0)[0][:, :2], Role(BLACK, ":", 2.2))
    sheet["plane"].note(-2.2, 7.2, "04.label.guess", va="center", boxed=True)
    for name, band in found.items():
        role = LOOKS.get(name, YOURS)
        outlined(sheet["plane"], band[:, :2], role)
        sheet["along"].line(torch.linspace(0, 1, len(band)), band[:, 2], role, "", lw=2)
    for name in FINISHED:
        for row, (method, role) in enumerate(LOOKS.items()):
            values = kept(f"final/{method}/{guess}")[:, ENDING[name]]
            sheet[name].line(values, torch.full_like(values, 3 - row), role, "", ls="", marker="o", ms=5, alpha=0.7)
