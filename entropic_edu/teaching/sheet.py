"""A sheet: panels that are declared as data, and the strokes on them, which last for one state of an explorer.

Frames are drawn once and kept. Strokes are animated artists, which ``pixels.png`` draws on top.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from torch import Tensor

from entropic_edu.figures.plots import BLACK, BLUE, DASHES, GREEN, ORANGE, PURPLE, RED, SKY, labelled
from entropic_edu.physics.mean import Mean, exact

from .strings import said

WIDTH, HEIGHT = 760, 460  # CSS pixels
GREY = "#595959"  # 7:1 on white
# darker, for words: 4.5:1 or more on white
INK = {PURPLE: "#8E4470", RED: "#A84A00", GREEN: "#00664B", ORANGE: "#8A5A00", SKY: "#1F6690"}
SMALL = 10.5
LINE = 17  # CSS pixels between the names of two lines, at least


@dataclass(frozen=True)
class Role:
    """What a line is, and hence how it looks: the same in every lesson."""

    colour: str = BLUE
    dash: Any = "-"
    width: float = 2.0
    label: str = ""  # written at the end of a line, where no other is given: words or their key
    marker: str = "o"


RUN = Role(label="say.run")
CONTROL = Role(BLACK, ":", 1.8, "say.noise.off")  # the same without noise
THEORY = Role(PURPLE, DASHES[2], 1.8, "say.theory")
TWIN = Role(RED, DASHES[3], 2.0, "say.pinned", "s")  # the pinned run
GHOST = Role(GREY, (0, (3, 2)), 3.0, "say.prediction")  # the learner's bet
FAINT = Role("#9a9a9a", width=1.0)  # the others, for comparison
LIMIT = Role(BLACK, ":", 1.5)
LOSS, TRACE = Role(BLUE), Role(RED)


@dataclass(frozen=True)
class Panel:
    """The frame of one axes, as data.

    Attributes:
        place: Left, lower edge, width and height, as shares of the sheet.
        title, x: What the vertical and the horizontal axis show, with units: words or their key.
        xlim, ylim: Limits.
        xticks, yticks: Where ticks are, or a mapping from there to words or keys; None leaves them to matplotlib. A
            panel with neither ``x`` nor ``xticks`` stands above another whose ticks serve both.
        xscale, yscale: As in matplotlib; "symlog 0.01" is linear up to 0.01.
        zero: Whether a grey line marks zero.
        once: Draws on the axes what no control changes.

    >>> Panel(title="loss", x="step", xlim=(0, 100), yscale="log", ylim=(0.01, 10)).place
    (0.1, 0.13, 0.7, 0.77)
    """

    place: tuple[float, float, float, float] = (0.1, 0.13, 0.7, 0.77)
    title: str = ""
    x: str = ""
    xlim: tuple[float, float] = (0.0, 1.0)
    ylim: tuple[float, float] = (0.0, 1.0)
    xticks: Sequence[float] | Mapping[float, str] | None = None
    yticks: Sequence[float] | Mapping[float, str] | None = None
    xscale: str = "linear"
    yscale: str = "linear"
    zero: bool = False
    once: Callable[[Axes], object] = lambda ax: None


class Pen:
    """Draws on one panel, each stroke until the next state; ``ax`` is the axes."""

    def __init__(self, sheet: Sheet, panel: Panel) -> None:
        self.sheet, self.panel = sheet, panel
        self.ax = labelled(sheet.figure.add_axes(panel.place), "", "", " ")
        self.ends: list[Text] = []
        self._frame()
        if panel.zero:
            self.ax.axhline(0, color=GREY, lw=1)
        panel.once(self.ax)

    def reframe(self, **changed: Any) -> None:
        """Change what ``Panel`` declares but its place; where nothing is new the kept frame serves."""
        wanted = replace(self.panel, **changed)
        if wanted != self.panel:
            self.panel, self.sheet.stale = wanted, True
            self._frame()

    def _frame(self) -> None:
        panel, ax = self.panel, self.ax
        for axis, scale, ticks in (("x", panel.xscale, panel.xticks), ("y", panel.yscale, panel.yticks)):
            kind, _, linear = scale.partition(" ")
            getattr(ax, f"set_{axis}scale")(kind, **({"linthresh": float(linear)} if linear else {}))
            if ticks is not None:
                named = ticks if isinstance(ticks, Mapping) else {tick: f"{tick:,.10g}" for tick in ticks}
                getattr(ax, f"set_{axis}ticks")(
                    list(named), [re.sub(r"^-(?=\d)", "−", said(name)) for name in named.values()]
                )
                getattr(ax, f"{axis}axis").minorticks_off()
        ax.set(xlim=panel.xlim, ylim=panel.ylim, xlabel=said(panel.x))
        ax.set_title(said(panel.title), loc="left", fontsize=11)
        ax.tick_params(labelbottom=bool(panel.x) or panel.xticks is not None)

    def keep(self, *artists: Artist) -> None:
        """Let artists that matplotlib made on ``ax`` last until the next state."""
        for artist in artists:
            artist.set_animated(True)
        self.sheet.strokes += artists

    def line(self, x: Any, y: Any, role: Role = RUN, label: str | None = None, **style: Any) -> None:
        """Draw a line, and around a ``Mean`` its band of one standard error, with a name at its right end.

        Args:
            x, y: (n,) each.
            role: What it is.
            label: Words or their key; None is the label of the role, "" is none.
            style: As in matplotlib, where it is to differ from the role.
        """
        mean = y if isinstance(y, Mean) else exact(torch.as_tensor(y))
        x, value, error = (np.asarray(each, float) for each in (x, mean.value, mean.error))
        look = {"color": role.colour, "ls": role.dash, "lw": role.width} | style
        self.keep(*self.ax.plot(x, value, scalex=False, scaley=False, **look))
        if (error > 0).any():
            low = value - error if self.panel.yscale != "log" else np.maximum(value - error, self.panel.ylim[0])
            self.keep(self.ax.fill_between(x, low, value + error, color=role.colour, alpha=0.25, lw=0))
        label = role.label if label is None else label
        if label and (seen := np.isfinite(value).nonzero()[0]).size:
            last = seen[x[seen].argmax()]
            across, up = (self.ax.transScale + self.ax.transLimits).transform((x[last], value[last]))
            self.note(across + 0.015, up, label, role, va="center", clip_on=False, transform=self.ax.transAxes)
            self.ends.append(self.ax.texts[-1])

    def points(self, x: Any, y: Any, role: Role = RUN, **style: Any) -> None:
        """Draw the finite ones of measured points, (n,) each, with error bars where they are means."""
        mean = y if isinstance(y, Mean) else exact(torch.as_tensor(y))
        x, value, error = (np.asarray(each, float) for each in (x, mean.value, mean.error))
        seen = np.isfinite(value)
        bars = np.nan_to_num(error[seen]) if (error[seen] > 0).any() else None
        look: dict[str, Any] = {"fmt": role.marker, "ms": 6, "color": role.colour, "elinewidth": 1.5} | style
        self.keep(*self.ax.errorbar(x[seen], value[seen], bars, **look).get_children())

    def across(self, mean: Mean, y: float, role: Role = RUN, **style: Any) -> None:
        """Draw a mean, (), at a height, with a bar of its error to both sides; off the axis it stands at its end.

        A mean that is not finite is not drawn.
        """
        (low, high), value, error = self.panel.xlim, float(mean.value), float(mean.error.nan_to_num())
        if not np.isfinite(value):
            return
        self.line([max(low, value - error), min(high, value + error)], [y, y], Role(role.colour, width=1.5), "")
        mark = {"marker": role.marker, "ms": 9} | style
        self.line([min(max(value, low), high)], [y], Role(role.colour, ""), "", **mark)

    def walkers(self, step: Any, position: Tensor, label: str | None = None, **style: Any) -> Mean:
        """Draw where walkers (R, W) are at some steps (R,), a thin line each and a bold mean; return where it ends."""
        for each in position.T:
            self.line(step, each, RUN, "", **{"lw": 0.6, "alpha": 0.5} | style)
        mean = Mean.over(position.double())
        self.line(step, mean, RUN, label)
        return mean.at(-1)

    def level(self, height: float, role: Role = LIMIT, label: str = "") -> None:
        """Draw a line at one height across the panel, its name on it at the right."""
        self.line(self.panel.xlim, [height, height], role, "")
        if label:
            self.note(self.panel.xlim[1], height, label, role, ha="right", va="center", boxed=True)

    def note(self, x: float, y: float, label: str, role: Role = LIMIT, *, boxed: bool = False, **where: Any) -> None:
        """Write words, or those of a key, in the colour of a role; ``boxed`` on white, over the lines."""
        colour = INK.get(role.colour, role.colour)
        if boxed:
            where = {"zorder": 6, "bbox": {"facecolor": "white", "alpha": 0.85, "lw": 0, "pad": 1}} | where
        self.keep(self.ax.text(float(x), float(y), said(label), color=colour, **{"fontsize": SMALL} | where))

    def key(self, rows: Sequence[tuple[Role, str]], x: float = 1.03, y: float = 0.96, markers: bool = False) -> None:
        """Write at the right of the panel what each line is: a sample, and words or their key, beneath each other.

        ``x`` and ``y`` are where the first begins, as shares of the panel; ``markers`` stand on the samples, too.
        """
        where: dict[str, Any] = {"transform": self.ax.transAxes, "clip_on": False}
        for role, label in rows:
            marked = {"marker": role.marker, "ms": 8, "markevery": [1]} if markers else {}
            self.line([x, x + 0.045, x + 0.09], [y, y, y], role, "", **where, **marked)
            lines = said(label).count("\n") + 1
            self.note(x + 0.11, y + 0.5 * self._least, label, role, va="top", linespacing=1.15, **where)
            y -= (lines + 0.6) * self._least

    @property
    def _least(self) -> float:
        """The height of a line of words, as a share of the panel's."""
        return LINE / (96 * self.sheet.figure.get_figheight() * self.panel.place[3])

    def part(self) -> None:
        """Move the names at the ends of lines apart, so that none covers another or leaves the panel."""
        self.ends.sort(key=lambda name: name.get_position()[1])
        at = np.array([name.get_position()[1] for name in self.ends])
        steps = self._least * np.arange(len(at))
        at = np.maximum.accumulate(np.maximum(at, 0) - steps) + steps  # upwards
        at = np.minimum.accumulate((np.minimum(at, 1) + steps[::-1])[::-1])[::-1] - steps[::-1]  # and down from the top
        for name, y in zip(self.ends, at, strict=True):
            name.set_y(y)


class Sheet:
    """A figure with panels by name; in ``with sheet:`` strokes are drawn, and those of the last state are gone."""

    def __init__(self, panels: Mapping[str, Panel], height: int = HEIGHT) -> None:
        self.figure = figure(height=height)
        self.strokes: list[Artist] = []
        self.stale = True  # whether a frame has changed
        self.pens = {name: Pen(self, panel) for name, panel in panels.items()}

    def __getitem__(self, name: str) -> Pen:
        return self.pens[name]

    def __enter__(self) -> Sheet:
        self.stale = bool(self.figure.stale)
        for stroke in self.strokes:
            stroke.remove()
        self.strokes = []
        for pen in self.pens.values():
            pen.ends = []
        return self

    def __exit__(self, *_: object) -> None:
        for pen in self.pens.values():
            pen.part()
        self.figure.stale = self.stale  # to matplotlib strokes that come and go are changes, too


def between(panels: Iterable[Panel]) -> list[tuple[float, float]]:
    """Return where panels side by side may be parted: from the right edge of one column to the left one of the next.

    A panel that has a label beneath it and none above has its rows from its neighbour, and stays there.

    >>> between([Panel((0.1, 0.1, 0.3, 0.8)), Panel((0.6, 0.6, 0.3, 0.3)), Panel((0.6, 0.1, 0.3, 0.3))])
    [(0.4, 0.6)]
    """
    zones, right = list[tuple[float, float]](), 1.0  # so that the first column has nothing at its left
    for number, panel in enumerate(sorted(panels, key=lambda each: each.place)):
        left, _, width, _ = panel.place
        if left > right and (panel.title or not panel.x):
            zones.append((right, left))
        right = max(right if number else 0.0, left + width)
    return zones


def figure(width: int = WIDTH, height: int = HEIGHT) -> Figure:
    """Return an empty figure of this many CSS pixels."""
    return Figure(figsize=(width / 96, height / 96))
