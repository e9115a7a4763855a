"""Round 4: what the bump and the way home need. One thing after another is turned off, beside the story's setting."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any

import torch
from matplotlib.axes import Axes
from torch import Tensor

from entropic_edu import recorded
from entropic_edu.figures.plots import BLACK, BLUE, GREEN, ORANGE, RED
from entropic_edu.teaching.explorer import Explorer, switch
from entropic_edu.teaching.sheet import GREY, SMALL, WIDTH, Panel, Pen, Role, Sheet
from entropic_edu.teaching.strings import option_text, said, text

from .common import over_pairs, ratio_of
from .setting import BASE, Setting

CONTROLS = {"noise_of_ends": "calm", "wrong_labels": "clean", "layer_norm": "plain", "decay_on": "undecayed"}
OTHERS = ("none", "hard", "squared", "batch", "autoneb", "all")
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


def asked(*, road_norms: str, other_change: str, **switches: str) -> SimpleNamespace:
    """Return the setting that the controls ask for, and whether it is ``alone``: not recorded with these switches."""
    off = [name for control, name in CONTROLS.items() if switches[control] == "off"]
    name = "+".join([*[other_change] * (other_change != "none"), *off]) or "base"
    known = f"{name}/trace" in recorded.load("regimes")
    return SimpleNamespace(setting=Setting(name if known else other_change, road_norms == "ends"), alone=not known)


def draw(sheet: Sheet, state: SimpleNamespace) -> None:
    """Draw the story's setting, and beneath it the chosen one."""
    show(sheet, (BASE, state.setting))


def words(state: SimpleNamespace) -> str:
    """Say the numbers of a setting, with their errors over the pairs, and what the controls could not do."""
    setting: Setting = state.setting
    told = {measure: ratio_of(setting.bump(measure)) for measure in BUMPS}
    home = {kind: over_pairs(100 * each) for kind, each in setting.home().items()}
    walk: dict[str, Any] = {kind: round(float(mean.value)) for kind, mean in home.items()}
    walk |= {f"{kind}_error": float(mean.error) for kind, mean in home.items()}
    made = recorded.load("regimes").recipe
    walk |= {"steps": made["steps"]["walk"], "k": made["walk"]["project_every"]}
    also = [text("05.map.walks", **walk) if home else text("05.map.no_walks")]
    if home and setting.outside > LEFT:
        also.append(text("05.map.left", share=100 * setting.outside))
    if not setting.matched and not setting.unmatched:
        also.append(text("05.map.nothing_to_match"))
    if state.alone:
        also.append(text("05.map.alone"))
    return text("05.map.sentence", name=setting.title(), **told, walks=" ".join(also))


def code(state: SimpleNamespace) -> str:
    """Return lines that read the bump of the trace."""
    key = f"{state.setting.name}/{'raw_' if state.setting.unmatched else ''}trace"
    return (
        "from entropic_edu import recorded\n"
        "from entropic_edu.recorded.regimes import bump\n"
        f'each = bump(recorded.load("regimes")["{key}"])  # three pairs; entropic-edu record regimes makes all\n'
        "print(each.mean(), each.std() / len(each) ** 0.5)"
    )


def regimes(seed: int) -> Explorer:
    """Bump and way home, one thing after another turned off."""
    switches = [switch(name, ("on", "off")) for name in CONTROLS]
    more = [switch("road_norms", ("ends", "built")), switch("other_change", OTHERS)]
    return Explorer(
        draw, [*switches, *more], panels(2), words, state=asked, title="05.map.title", code=code, height=340
    )
