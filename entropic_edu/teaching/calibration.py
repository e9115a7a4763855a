"""How sure a learner was against how often right, over all predictions that were locked in."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ipywidgets as W

from entropic_edu.figures import plots
from entropic_edu.figures.pixels import captioned, png

from .answers import Made
from .named import Names
from .sheet import GREY
from .strings import text

FEW = 5  # below this many bets a calibration says little


@dataclass(frozen=True, eq=False)
class Calibration:
    """How sure a learner was against how often right, over all bets; as the last line of a cell it shows itself."""

    bets: Sequence[Made]

    @property
    def levels(self) -> dict[float, tuple[int, int]]:
        """For each confidence, to the percent, how many bets were right and how many there are."""
        outcomes: dict[float, list[bool]] = {}
        for made in sorted(self.bets, key=lambda made: made.confidence):
            outcomes.setdefault(round(made.confidence, 2), []).append(made.right)
        return {confidence: (sum(right), len(right)) for confidence, right in outcomes.items()}

    @property
    def sentence(self) -> str:
        """What the picture shows, with its numbers."""
        if not self.bets:
            return text("calibration.none")
        right, expected = sum(made.right for made in self.bets), sum(made.confidence for made in self.bets)
        words = text("calibration.sentence", right=right, count=len(self.bets), expected=expected)
        # the standard deviation of the number right, were every confidence true
        chance = sum(made.confidence * (1 - made.confidence) for made in self.bets) ** 0.5
        verdict = "calibration.over" if right < expected else "calibration.under"
        if len(self.bets) < FEW:
            verdict = "calibration.few"
        elif abs(right - expected) <= 2 * chance:
            verdict = "calibration.even"
        return f"{words} {text(verdict)}"

    def draw(self) -> bytes:
        """Return the picture as PNG, the same bytes for the same bets and library versions."""
        from scipy.stats import binomtest  # late: it takes a second to load

        ax = plots.axes(7.92, 3.4)  # 760 CSS pixels, as wide as an explorer
        ax.plot([0, 100], [0, 100], color=GREY, ls=plots.DASHES[1], lw=1.5)
        along: dict[str, Any] = {"rotation": 45, "rotation_mode": "anchor", "transform_rotates_text": True}
        ax.text(3, 4.5, text("calibration.diagonal"), color=GREY, fontsize=11, **along)
        for confidence, (right, count) in self.levels.items():
            share, likely = right / count, binomtest(right, count).proportion_ci(0.95, method="wilson")
            bars = [[100 * (share - likely.low)], [100 * (likely.high - share)]]
            ax.errorbar(100 * confidence, 100 * share, yerr=bars, fmt="o", color=plots.BLUE, capsize=4, lw=2, ms=7)
            beside: dict[str, Any] = {"xytext": (8, -3), "textcoords": "offset points", "fontsize": 11}
            label = text("calibration.dot", right=right, count=count)
            ax.annotate(label, (100 * confidence, 100 * share), color=plots.BLUE, **beside)
        ax.set(xlim=(0, 114), ylim=(-4, 108), xticks=range(0, 101, 20))
        plots.labelled(ax, text("calibration.x"), text("calibration.y"))
        if self.bets:
            ax.text(2, 100, text("calibration.bars"), color=plots.BLUE, fontsize=11)
        return captioned(png(ax.figure), text("calibration.title"), self.sentence)  # type: ignore[arg-type]

    def __repr__(self) -> str:
        return self.sentence

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, Any]:
        """Return the picture with its sentence as its words; as a widget, since a plain picture can have none."""
        picture, words = self.draw(), self.sentence
        layout = W.Layout(width="760px", max_width="100%")
        shown = W.VBox([W.Image(value=picture, format="png", layout=layout), Names(words)]).add_class("ee-calibration")
        png = base64.b64encode(picture).decode()
        return {**shown._repr_mimebundle_(), "image/png": png, "text/plain": words}
