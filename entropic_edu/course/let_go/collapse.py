"""Round 2: the same walkers against batch size and against T, on which the curves fall together; theory beside."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from entropic_edu.figures.plots import BLACK, BLUE, RED, labelled
from entropic_edu.physics.mean import Mean
from entropic_edu.physics.noise import effective_temperature
from entropic_edu.recorded.let_go import gone, remaining_by_theory, shares
from entropic_edu.teaching import sheet
from entropic_edu.teaching.explorer import Explorer, slider, switch
from entropic_edu.teaching.sheet import GREY, moving
from entropic_edu.teaching.strings import option_text, text

from .common import BATCHES, FLOW_TIME, MOMENTUM, RATES, STARTS, boxed, name_of

AGAINST, MEASURES = ("batch", "temperature"), ("gone", "rate")
FOLDED = tuple(start for start in STARTS if start < 0.5)  # both sides of the road together
SIZES = tuple(size for size in BATCHES if size is not None)
STYLES: dict[float, tuple[str, str, Any]] = {0.02: (BLUE, "o", "-"), 0.04: (RED, "^", "-.")}
LIMITS = {"batch": (13, 160), "temperature": (0.0013, 0.033)}
TICKS = {"batch": SIZES, "temperature": (0.002, 0.005, 0.01, 0.02)}
HEIGHTS = {"gone": (-5, 105), "rate": (0, 1.4)}
NEARLY = 95  # per cent of the way home: past it the rate is that of the end, which stops walkers
SAME = 0.0125  # the temperature of the bet


def expected(name: str, start: float) -> Tensor:
    """Return the share of the way home that theory says for each pair, both sides together, (P,), in per cent."""
    return 100 * (1 - remaining_by_theory(name, start) / start)


def rate(home: Tensor, still: Tensor, temperature: float) -> Tensor:
    """Return -ln of what is left of the way over what is left without noise, over η·steps·T; shares in per cent."""
    left = ((100 - home) / (100 - still)).masked_fill(home > NEARLY, torch.nan)
    return -left.log() / (FLOW_TIME * (1 - MOMENTUM) * temperature)


@cache
def measured(size: int, learning_rate: float, measure: str, start: float) -> tuple[Mean, float]:
    """Return what walkers of a setting did with its error over the pairs, and what theory says."""
    name, temperature = name_of(size, learning_rate), effective_temperature(size, learning_rate, MOMENTUM)
    law_home = expected(name, start)
    if measure == "gone":
        return gone(name, start), float(law_home.mean())
    found = rate(shares(name, start), shares("control", start), temperature)
    theory = rate(law_home, expected("control", start), temperature)
    return Mean(found.mean(), found.std() / len(found) ** 0.5), float(theory.mean())


class Collapse:
    """One panel: a curve for each η with its errors, and beside it what theory says."""

    def __init__(self) -> None:
        self.figure = sheet.figure()
        self.ax = labelled(self.figure.add_axes((0.085, 0.13, 0.66, 0.79)), "", "", "")
        self.ax.set(xscale="log")
        self.ax.minorticks_off()
        self.lines = {eta: moving(self.ax, colour=c, dash=d, width=1.8) for eta, (c, _, d) in STYLES.items()}
        self.dots = {eta: sheet.Points(self.ax, colour=c, marker=m, size=8) for eta, (c, m, _) in STYLES.items()}
        self.laws = {
            eta: moving(self.ax, colour=c, dash="", marker=m, ms=11, mfc="none", mew=1.2, alpha=0.8)
            for eta, (c, m, _) in STYLES.items()
        }
        self.control = moving(self.ax, colour=BLACK, dash=":", width=1.8)
        self.bet = moving(self.ax, colour=GREY, dash="", marker="_", ms=40, mew=4, alpha=0.8)
        self.names = {
            "control": boxed(self.ax, text("06.label.control"), BLACK, va="bottom"),
            "bet": boxed(self.ax, text("say.prediction"), GREY, va="center"),
        }
        for row, (eta, (colour, marker, dash)) in enumerate(STYLES.items()):
            y = 0.86 - 0.075 * row
            self.figure.text(0.822, y, text("06.label.series", learning_rate=eta), fontsize=sheet.SMALL, va="center")
            key = self.figure.add_axes((0.76, y - 0.02, 0.05, 0.04))
            key.set_axis_off()
            key.plot([0, 1, 2], [0, 0, 0], color=colour, ls=dash, lw=1.8)
            key.plot([1], [0], color=colour, marker=marker, ms=8)
        self.figure.text(0.76, 0.6, text("06.label.open"), fontsize=sheet.SMALL, va="top", linespacing=1.3)

    def axes(self, against: str, measure: str) -> None:
        """Set scales and names, where they changed."""
        name = option_text(measure, "06.axis.gone", "06.axis.rate")
        if (self.ax.get_xlim(), self.ax.get_title("left")) == (LIMITS[against], name):
            return
        self.ax.set(xlim=LIMITS[against], ylim=HEIGHTS[measure])
        self.ax.set_xticks(TICKS[against], [f"{tick:g}" for tick in TICKS[against]])
        self.ax.set_xlabel(option_text(against, "06.axis.batch", "06.axis.temperature"), fontsize=11)
        self.ax.set_title(name, loc="left", fontsize=11.5)

    def show(self, against: str, measure: str, start: float, bet: float | None) -> None:
        """Draw all settings."""
        self.axes(against, measure)
        for eta in RATES:
            x = torch.tensor([place(size, eta, against) for size in SIZES], dtype=torch.float64)
            rows = [measured(size, eta, measure, start) for size in SIZES]
            mean = Mean(*(torch.stack(part) for part in zip(*(row[0] for row in rows), strict=True)))
            seen = mean.value.isfinite()
            self.lines[eta].set_data(x[seen].numpy(), mean.value[seen].numpy())
            self.dots[eta].show(x, mean)
            self.laws[eta].set_data(x.numpy(), [row[1] for row in rows])
        still = float(gone("control", start).value)
        for artist in (self.control, self.names["control"]):
            artist.set_visible(measure == "gone")
        self.control.set_data(LIMITS[against], [still, still])
        self.names["control"].set_position((1.05 * LIMITS[against][0], still + 1))
        for artist in (self.bet, self.names["bet"]):
            artist.set_visible(bet is not None and measure == "gone")
        if bet is not None:
            at, height = place(32, 0.04, against), min(100.0, bet * float(gone("eta 0.02, B 16", start).value))
            self.bet.set_data([at], [height])
            self.names["bet"].set_position((1.18 * at, height))


def place(size: int, learning_rate: float, against: str) -> float:
    """Return where a setting stands on the axis."""
    return float(size) if against == "batch" else effective_temperature(size, learning_rate, MOMENTUM)


def collapse(seed: int) -> Explorer:
    """Plot the recorded settings against batch size or temperature."""
    picture = Collapse()

    def render(*, against: str, measured_by: str, from_end: float, ghost: float | None = None) -> tuple[Figure, str]:
        picture.show(against, measured_by, from_end, ghost)
        return picture.figure, sentence(against, measured_by, from_end)

    def code(*, against: str, measured_by: str, from_end: float) -> str:
        return "\n".join(
            [
                "from entropic_edu.recorded import let_go",
                f"mean = let_go.gone('eta 0.02, B 16', {from_end:g})  # recorded: share of the way home, per cent",
                "print(f'{mean.value:.0f} ± {mean.error:.0f}')",
            ]
        )

    return Explorer(
        render,
        [switch("against", AGAINST, "batch"), switch("measured_by", MEASURES), slider("from_end", FOLDED, 0.3)],
        title=text("06.collapse.title"),
        code=code,
    )


def compared(against: str) -> list[tuple[int, float]]:
    """Return the settings that a sentence compares, (B, η) by η: one B, or one T."""
    if against == "batch":
        return [(16, eta) for eta in RATES]
    return [(size, eta) for eta in RATES for size in SIZES if math.isclose(place(size, eta, against), SAME)]


def sentence(against: str, measure: str, start: float) -> str:
    """Return the sentence of a state."""
    items = []
    for size, eta in compared(against):
        found, theory = measured(size, eta, measure, start)
        if math.isnan(float(found.value)):
            items.append(text("06.collapse.past", learning_rate=eta, nearly=NEARLY))
            continue
        form = ".0f" if measure == "gone" else ".2f"
        item = f"{float(found.value):{form}} ± {float(found.error):{form}}"
        items.append(text("06.collapse.item", learning_rate=eta, found=item, law=f"{theory:{form}}"))
    control = gone("control", start)
    return option_text(
        measure,
        "06.collapse.gone",
        "06.collapse.rate",
        start=start,
        level=option_text(against, "06.collapse.at.batch", "06.collapse.at.temperature", value=SAME),
        items="; ".join(items),
        control=round(float(control.value)) + 0.0,
        control_error=float(control.error),
    )
