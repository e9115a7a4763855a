"""Round 2: the same walkers against batch size and against T, on which the curves fall together; theory beside."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch

from entropic_edu.course.runs import Run
from entropic_edu.figures.plots import BLUE, RED
from entropic_edu.physics.mean import Mean
from entropic_edu.recorded.let_go import gone
from entropic_edu.teaching.explorer import Explorer, slider, switch
from entropic_edu.teaching.sheet import CONTROL, GHOST, Panel, Role, Sheet
from entropic_edu.teaching.strings import option_text, text

from .common import BATCHES, RATES, STARTS, run_of
from .courses import NEARLY, measured

FOLDED = tuple(start for start in STARTS if start < 0.5)  # both sides of the road together
SIZES = tuple(size for size in BATCHES if size is not None)
SERIES = {0.02: Role(BLUE, "-", 1.8), 0.04: Role(RED, "-.", 1.8, marker="^")}
AGAINST: dict[str, dict[str, Any]] = {
    "batch": {"x": "06.axis.batch", "xlim": (13, 160), "xticks": SIZES},
    "temperature": {"x": "06.axis.temperature", "xlim": (0.0013, 0.033), "xticks": (0.002, 0.005, 0.01, 0.02)},
}
MEASURES: dict[str, dict[str, Any]] = {
    "gone": {"title": "06.axis.gone", "ylim": (-5, 105)},
    "rate": {"title": "06.axis.rate", "ylim": (0, 1.4)},
}
SAME = 0.0125  # the temperature of the bet
PANELS = {"all": Panel((0.085, 0.13, 0.66, 0.79), xscale="log", xlim=(13, 160))}


@dataclass(frozen=True)
class View:
    """What stands on the axes, and from which start."""

    against: str
    measured_by: str
    from_end: float

    def place(self, run: Run) -> float:
        """Return where a run stands on the horizontal axis."""
        return float(run.batch_size or 0) if self.against == "batch" else run.temperature

    def measured(self, run: Run) -> tuple[Mean, float]:
        """Return what walkers of a run did with its error over the pairs, and what theory says."""
        return measured(run.name, self.measured_by, self.from_end)

    @property
    def compared(self) -> list[Run]:
        """The settings that the sentence compares, by η: those of one B, or of one T."""
        level = 16 if self.against == "batch" else SAME
        return [run for eta in RATES for run in series(eta) if math.isclose(self.place(run), level)]


def series(learning_rate: float) -> list[Run]:
    """Return the runs of one η, by batch size."""
    return [run_of(size, learning_rate) for size in SIZES]


def draw(sheet: Sheet, view: View, ghost: float | None) -> None:
    """Draw a curve for each η with its errors, and open marks for what theory says."""
    pen = sheet["all"]
    pen.reframe(**AGAINST[view.against], **MEASURES[view.measured_by])
    for eta, role in SERIES.items():
        x = [view.place(run) for run in series(eta)]
        found, law = zip(*map(view.measured, series(eta)), strict=True)
        mean = Mean(*map(torch.stack, zip(*found, strict=True)))
        pen.line(x, mean.value, role)
        pen.points(x, mean, role, ms=8)
        pen.points(x, torch.tensor(law), role, ms=11, mfc="none", mew=1.2, alpha=0.8)
    pen.key([(role, text("06.label.series", learning_rate=eta)) for eta, role in SERIES.items()], markers=True)
    pen.note(1.03, 0.6, "06.label.open", va="top", linespacing=1.3, transform=pen.ax.transAxes)
    if view.measured_by == "gone":
        still = float(gone("control", view.from_end).value)
        pen.level(still, CONTROL)
        pen.note(1.05 * pen.panel.xlim[0], still + 1, CONTROL.label, CONTROL, va="bottom", boxed=True)
        if ghost is not None:
            at = view.place(run_of(32, 0.04))
            height = min(100.0, ghost * float(gone("eta 0.02, B 16", view.from_end).value))
            pen.points([at], torch.tensor([height]), GHOST, fmt="_", ms=40, mew=4, alpha=0.8)
            pen.note(1.18 * at, height, GHOST.label, GHOST, va="center", boxed=True)


def words(view: View) -> str:
    """Compare the settings that share B or T."""
    items, form = [], ".0f" if view.measured_by == "gone" else ".2f"
    for run in view.compared:
        found, law = view.measured(run)
        known = {"learning_rate": run.learning_rate, "found": format(found, form), "law": format(law, form)}
        past = math.isnan(float(found.value))
        items.append(text("06.collapse.past" if past else "06.collapse.item", nearly=NEARLY, **known))
    level = option_text(view.against, "06.collapse.at.batch", "06.collapse.at.temperature", value=SAME)
    known = {"level": level, "items": "; ".join(items), "start": view.from_end}
    known["control"] = gone("control", view.from_end)
    return option_text(view.measured_by, "06.collapse.gone", "06.collapse.rate", **known)


CODE = """
from entropic_edu.recorded import let_go
mean = let_go.gone('eta 0.02, B 16', {state.from_end:g})  # recorded: share of the way home, per cent
print(f'{{mean:.0f}}')
"""


def collapse(seed: int) -> Explorer:
    """Plot the recorded settings against batch size or temperature."""
    controls = [switch("against", tuple(AGAINST)), switch("measured_by", tuple(MEASURES))]
    controls.append(slider("from_end", FOLDED, 0.3))
    return Explorer(draw, controls, PANELS, words, state=View, title="06.collapse.title", code=CODE)
