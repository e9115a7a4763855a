"""Round 2: the same walkers against batch size, against η/B and against T; the curves fall together on the last."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from entropic_edu.figures.plots import BLACK, BLUE, GREEN, ORANGE, PURPLE, RED, labelled
from entropic_edu.physics.mean import Mean
from entropic_edu.recorded.let_go import Point, gone, half, points
from entropic_edu.teaching import sheet
from entropic_edu.teaching.explorer import Explorer, slider, switch
from entropic_edu.teaching.sheet import GREY, moving
from entropic_edu.teaching.strings import option_text, text

from .common import STARTS, boxed, kept

AGAINST = ("temperature", "batch", "ratio")
MEASURES = ("gone", "steps", "time")
FOLDED = tuple(start for start in STARTS if start < 0.5)  # both sides of the road together
# colour, marker, dash by (η, m)
SERIES: dict[tuple[float, float], tuple[str, str, Any]] = {
    (0.05, 0.9): (ORANGE, "v", (0, (1, 1))),
    (0.1, 0.9): (GREEN, "s", "--"),
    (0.2, 0.9): (BLUE, "o", "-"),
    (0.4, 0.9): (RED, "^", "-."),
    (0.4, 0.8): (PURPLE, "D", ":"),
}
LIMITS = {"temperature": (0.0028, 0.42), "batch": (3, 420), "ratio": (0.00028, 0.042)}
TICKS = {
    "temperature": (0.003, 0.01, 0.03, 0.1, 0.3),
    "batch": (4, 16, 64, 256),
    "ratio": (0.0003, 0.001, 0.003, 0.01, 0.03),
}
HEIGHTS = {"gone": (-40, 108), "steps": (12, 24000), "time": (30, 24000)}
SAME = 0.125  # the temperature of the bet


def place(point: Point, against: str) -> float:
    """Return where a setting stands on the axis."""
    assert point.batch_size is not None
    ratio = point.learning_rate / point.batch_size
    return {"temperature": point.temperature, "batch": float(point.batch_size), "ratio": ratio}[against]


def height(point: Point, measure: str, start: float) -> tuple[float, float, bool]:
    """Return a measure with its error, and whether it was reached; else it is the length of the run."""
    if measure == "gone":
        share = gone(point.name, start)
        return float(share.value), float(share.error), True
    time, clock = half(point.name, start), point.clock if measure == "time" else 1.0
    if math.isfinite(float(time.value)):
        error = float(time.error)
        return clock * float(time.value), clock * error if math.isfinite(error) else 0.0, True
    return clock * float(kept(f"{point.name}/step")[-1]), 0.0, False


class Collapse:
    """One panel whose axes are moved with what is on them, so that a turn of a control draws no new background."""

    def __init__(self) -> None:
        self.figure = sheet.figure()
        self.ax = ax = self.figure.add_axes((0.105, 0.13, 0.63, 0.76))
        labelled(ax, "", "").minorticks_off()
        ax.set(xticks=[], yticks=[], xlim=(0, 1), ylim=(0, 1))  # axes of the page; what is shown is scaled to it
        self.x = self.figure.text(0.42, 0.03, "", fontsize=11, ha="center", animated=True)
        self.y = self.figure.text(0.105, 0.93, "", fontsize=11.5, animated=True)
        free: dict[str, Any] = {"fontsize": sheet.SMALL, "animated": True, "clip_on": False}
        self.xticks = [ax.text(0, -0.03, "", ha="center", va="top", **free) for _ in range(5)]
        self.yticks = [ax.text(-0.015, 0, "", ha="right", va="center", **free) for _ in range(6)]
        self.marks = [moving(ax, colour="#cccccc", width=0.8) for _ in range(10)]
        self.lines = {k: moving(ax, colour=c, dash=d, width=1.6) for k, (c, _, d) in SERIES.items()}
        self.dots = {k: sheet.Points(ax, colour=c, marker=m, size=8) for k, (c, m, _) in SERIES.items()}
        self.open = {
            k: moving(ax, colour=c, dash="", marker=m, ms=8, mfc="white", mew=1.5) for k, (c, m, _) in SERIES.items()
        }
        self.control = moving(ax, colour=BLACK, dash=":", width=1.8)
        self.bet = moving(ax, colour=GREY, dash=(0, (3, 2)), width=4, alpha=0.8)
        self.names = {
            "control": boxed(ax, text("06.label.control"), BLACK),
            "bet": boxed(ax, text("say.prediction"), GREY),
        }
        self.key()

    def key(self) -> None:
        """Draw which marker is which η and m, at the right of the axes."""
        for row, ((rate, momentum), (colour, marker, dash)) in enumerate(SERIES.items()):
            y = 0.86 - 0.075 * row
            line = {"color": colour, "ls": dash, "lw": 1.6, "marker": marker, "ms": 8}
            self.figure.add_artist(Line2D([0.75, 0.792], [y, y], transform=self.figure.transFigure, **line))
            words = text("06.label.series", learning_rate=rate, momentum=momentum)
            self.figure.text(0.808, y, words, fontsize=sheet.SMALL, va="center")
        note: dict[str, Any] = {"fontsize": sheet.SMALL, "va": "top", "linespacing": 1.3, "animated": True}
        self.note = self.figure.text(0.75, 0.46, text("06.label.open"), **note)

    def axes(self, against: str, measure: str) -> None:
        """Write ticks and names of the axes."""
        self.x.set_text(option_text(against, "06.axis.temperature", "06.axis.batch", "06.axis.ratio"))
        self.y.set_text(option_text(measure, "06.axis.gone", "06.axis.steps", "06.axis.time"))
        self.note.set_visible(measure != "gone")
        heights = (-25, 0, 25, 50, 75, 100) if measure == "gone" else (10, 100, 1000, 10000)
        for line in self.marks:
            line.set_data([], [])
        for name in [*self.xticks, *self.yticks]:
            name.set_visible(False)
        for name, at in zip(self.xticks, TICKS[against], strict=False):
            name.set_visible(True)
            name.set_position((_scaled(at, LIMITS[against], True), -0.03))
            name.set_text(f"{at:g}")
        for name, at in zip(self.yticks, heights, strict=False):
            y = _scaled(at, HEIGHTS[measure], measure != "gone")
            name.set_visible(0 <= y <= 1)
            name.set_position((-0.015, y))
            name.set_text(f"{at:,g}".replace("-", "−"))
            if 0 <= y <= 1:
                self.marks[heights.index(at)].set_data([0, 1], [y, y])

    def show(self, against: str, measure: str, start: float, bet: float | None) -> None:
        """Draw all settings."""
        self.axes(against, measure)
        settings = points(start)
        for series in SERIES:
            mine = [one for one in settings if (one.learning_rate, one.momentum) == series and one.batch_size]
            mine.sort(key=lambda one: place(one, against))
            self.series(series, mine, against, measure, start)
        control = settings[-1]
        y, _, reached = height(control, "gone", start) if measure == "gone" else (0.0, 0.0, False)
        self.control.set_visible(measure == "gone")
        self.names["control"].set_visible(measure == "gone")
        if reached:
            at = _scaled(y, HEIGHTS[measure], False)
            self.control.set_data([0, 1], [at, at])
            self.names["control"].set_position((0.01, at + 0.03))
        self.predicted(bet, against, measure, start)

    def series(
        self, series: tuple[float, float], mine: Sequence[Point], against: str, measure: str, start: float
    ) -> None:
        """Draw the settings of one η and m: filled where the measure was reached, open at the end of the run if not."""
        log = measure != "gone"
        rows = [(place(one, against), *height(one, measure, start)) for one in mine]
        x = torch.tensor([_scaled(row[0], LIMITS[against], True) for row in rows], dtype=torch.float64)
        y = torch.tensor([_scaled(row[1], HEIGHTS[measure], log) for row in rows], dtype=torch.float64)
        reached = torch.tensor([row[3] for row in rows], dtype=torch.bool)
        slope = [
            1 / (row[1] * math.log(HEIGHTS[measure][1] / HEIGHTS[measure][0])) if log else _unit(measure)
            for row in rows
        ]
        error = torch.tensor([row[2] * one for row, one in zip(rows, slope, strict=True)], dtype=torch.float64)
        self.lines[series].set_data(x[reached].numpy(), y[reached].numpy())
        self.dots[series].show(x[reached], Mean(y[reached], error[reached]))
        self.open[series].set_data(x[~reached].numpy(), y[~reached].numpy())

    def predicted(self, bet: float | None, against: str, measure: str, start: float) -> None:
        """Draw the bet: how far B = 32 at η = 0.4 gets, as a multiple of what B = 16 at η = 0.2 gets."""
        shown = bet is not None and measure == "gone"
        self.bet.set_visible(shown)
        self.names["bet"].set_visible(shown)
        if bet is None or not shown:
            return
        way = min(100.0, bet * float(gone("eta 0.2, B 16", start).value))
        x = _scaled(place(Point("", 32, 0.4, 0.9), against), LIMITS[against], True)
        y = _scaled(way, HEIGHTS[measure], False)
        self.bet.set_data([x - 0.07, x + 0.07], [y, y])
        self.names["bet"].set_position((x + 0.08 if against == "batch" else x - 0.19, y - 0.012))


def _unit(measure: str) -> float:
    low, high = HEIGHTS[measure]
    return 1 / (high - low)


def _scaled(value: float, limits: tuple[float, float], log: bool) -> float:
    """Return a value as a share of its axis."""
    low, high = limits
    if log:
        return math.log(value / low) / math.log(high / low)
    return (value - low) / (high - low)


def collapse(seed: int) -> Explorer:
    """Plot all settings against B, η/B or T."""
    picture = Collapse()

    def render(*, against: str, measured_by: str, from_end: float, ghost: float | None = None) -> tuple[Figure, str]:
        picture.show(against, measured_by, from_end, ghost)
        return picture.figure, sentence(against, measured_by, from_end)

    def code(*, against: str, measured_by: str, from_end: float) -> str:
        verb = "gone" if measured_by == "gone" else "half"
        return "\n".join(
            [
                "from entropic_edu.recorded import let_go, roads",
                f"names = [setting.name for setting in let_go.points({from_end:g})]",
                f"found = {{name: let_go.{verb}(name, {from_end:g}) for name in names}}  # recorded",
                "# each made by, for each pair (here the first):",
                '# let_go.release(roads.landscape(), roads.road(0), 0, let_go.settings()["eta 0.2, B 16"])',
            ]
        )

    return Explorer(
        render,
        [
            switch("against", AGAINST, "batch"),
            switch("measured_by", MEASURES),
            slider("from_end", FOLDED, 0.3),
        ],
        title=text("06.collapse.title"),
        code=code,
    )


AT = {"temperature": SAME, "batch": 16.0, "ratio": SAME / 10}  # where a sentence compares the series


def level(against: str, start: float) -> list[Point]:
    """Return the settings that share B, η/B or T, those that a sentence compares, by η."""
    settings = [one for one in points(start) if one.batch_size is not None]
    mine = [one for one in settings if math.isclose(place(one, against), AT[against], rel_tol=1e-6)]
    return sorted(mine, key=lambda one: (-one.momentum, one.learning_rate))


def sentence(against: str, measure: str, start: float) -> str:
    """Return the sentence of a state."""
    items = []
    for one in level(against, start):
        value, error, reached = height(one, measure, start)
        known = measure == "gone" or math.isfinite(float(half(one.name, start).error))
        kind = "past" if not reached else "value" if known else "loose"
        series = text("06.collapse.series", learning_rate=one.learning_rate)
        series += text("06.collapse.momentum", momentum=one.momentum) if one.momentum != 0.9 else ""
        items.append(
            option_text(
                kind,
                "06.collapse.value",
                "06.collapse.loose",
                "06.collapse.past",
                series=series,
                value=value,
                error=error,
            )
        )
    control = gone("control", start)
    return option_text(
        measure,
        "06.collapse.gone",
        "06.collapse.steps",
        "06.collapse.time",
        pairs=text("06.pairs.all"),
        start=start,
        level=option_text(
            against, "06.collapse.at.batch", "06.collapse.at.ratio", "06.collapse.at.temperature", value=AT[against]
        ),
        items="; ".join(items),
        control=float(control.value),
        control_error=float(control.error),
    )
