"""The picture of the map: settings in rows, at the left the bump of the road, at the right the walkers' way home."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from matplotlib.axes import Axes
from torch import Tensor

from entropic_edu.figures.plots import BLACK, BLUE, GREEN, ORANGE, RED
from entropic_edu.teaching.sheet import GREY, SMALL, WIDTH, Panel, Pen, Role, Sheet
from entropic_edu.teaching.strings import option_text, said, text

from .common import over_pairs
from .setting import Setting

BUMPS = {
    "trace": Role(RED, label="05.map.measure.trace"),
    "top": Role(ORANGE, label="05.map.measure.top", marker="s"),
    "adaptive": Role(GREEN, label="05.map.measure.adaptive", marker="^"),
}
HOMES = {
    "noise": Role(BLUE, label="05.map.home.noise"),
    "still": Role(GREY, label="05.map.home.still", marker="s"),
    "theory": Role(BLACK, label="05.map.home.theory", marker="D"),
}
LEFT = 0.05  # share of projections from outside the valley past which a position means little
LIMITS = (0.42, 9.0)


def panels(rows: int, names: float = 0.225, size: tuple[int, int] = (WIDTH, 340)) -> dict[str, Panel]:
    """Return the panels of so many settings: at the left the bump, at the right the way home.

    ``names`` is the share of the width for what the settings are called, ``size`` that of the figure in CSS pixels.
    """
    low, tall, rest = 48 / size[1], 1 - 80 / size[1], 1 - names
    frame: dict[str, Any] = {"ylim": (rows - 0.5, -0.5), "yticks": ()}
    left, right = (partial(_lines, rows, *each) for each in ((1, BUMPS), (0, HOMES)))
    ratios, shares = (0.5, 1, 2, 4, 8), (0, 25, 50, 75, 100)
    places = ((names, low, 0.44 * rest, tall), (names + 0.57 * rest, low, 0.35 * rest, tall))
    return {
        "bump": Panel(places[0], x="05.map.axis.bump", xscale="log", xlim=LIMITS, xticks=ratios, once=left, **frame),
        "home": Panel(places[1], x="05.map.axis.home", xlim=(-6, 100), xticks=shares, once=right, **frame),
    }


def _lines(rows: int, none: float, signs: Mapping[str, Role], ax: Axes) -> None:
    """Draw what no setting changes: lines between the rows and where there is no effect, and what each sign is."""
    ax.axvline(none, color=GREY, lw=1)
    ax.axhspan(-0.5, 0.5, color="#f0f0f0", lw=0)
    ax.spines["left"].set_visible(False)
    for edge in range(rows - 1):
        ax.axhline(edge + 0.5, color="#d0d0d0", lw=0.8)
    handles = [
        ax.plot([], [], role.marker, color=role.colour, ms=8, label=said(role.label))[0] for role in signs.values()
    ]
    look: dict[str, Any] = {"columnspacing": 0.7, "handletextpad": 0, "borderpad": 0, "frameon": False}
    ax.legend(handles=handles, loc="lower left", bbox_to_anchor=(-0.03, 1), ncols=3, fontsize=SMALL, **look)


def show(sheet: Sheet, settings: Sequence[Setting], letters: int = 22) -> None:
    """Draw one setting in each row, its name in lines of so many letters; say whether its road is flat."""
    for row, setting in enumerate(settings):
        flat = option_text(
            "flat" if setting.flat else "not_flat", "05.map.flat", "05.map.not_flat", height=setting.height
        )
        home = setting.home()
        left = [text("05.map.leave", share=100 * setting.outside)] if home and setting.outside > LEFT else []
        name = "\n".join([*textwrap.wrap(setting.title(), letters), flat, *left])
        across: dict[str, Any] = {"transform": sheet["bump"].ax.get_yaxis_transform(), "clip_on": False}
        sheet["bump"].note(-0.02, row, name, ha="right", va="center", linespacing=1.15, **across)
        for lane, (kind, role) in enumerate(BUMPS.items()):
            _points(sheet["bump"], row + 0.27 * (lane - 1), role, setting.bump(kind), 2)
        for lane, (kind, role) in enumerate(HOMES.items() if home else ()):
            _points(sheet["home"], row + 0.27 * (lane - 1), role, 100 * home[kind], 0, " %")


def _points(pen: Pen, at: float, role: Role, values: Tensor, digits: int, unit: str = "") -> None:
    """Draw each pair as a small open sign, their mean with its error, and its number; nothing where one is missing."""
    if not bool(values.isfinite().all()):
        return
    mean = over_pairs(values)
    pen.line(values, torch.full_like(values, at), role, "", ls="", marker=role.marker, ms=4, mfc="none", alpha=0.8)
    pen.across(mean, at, role, ms=7)
    beside: dict[str, Any] = {"transform": pen.ax.get_yaxis_transform(), "clip_on": False}
    number = f"{round(float(mean.value), digits) + 0.0:.{digits}f}{unit}"
    pen.note(1.01, at, number.replace("-", "−"), role, va="center", **beside)
