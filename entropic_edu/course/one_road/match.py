"""Round 3: how much of the hill is there only because the two networks name their units differently."""

from __future__ import annotations

from functools import cache

import torch
from matplotlib.figure import Figure
from torch import Tensor

from entropic_edu.course import digits
from entropic_edu.figures.plots import BLUE, DASHES, GREEN, PURPLE, RED, labelled
from entropic_edu.teaching import sheet
from entropic_edu.teaching.explorer import Explorer, slider, switch
from entropic_edu.teaching.sheet import GREY, end_label, moving
from entropic_edu.teaching.strings import option_text, text

from .common import kept, least_and_most
from .hill import EVEN, NUMBERS

GOALS = ("other", "matched", "shuffled")
COLOURS = {"other": RED, "matched": BLUE, "shuffled": PURPLE}
STROKES = {"other": DASHES[1], "matched": DASHES[0], "shuffled": DASHES[3]}
MARKS = {"other": "o", "matched": "s", "shuffled": "^"}
TRACES = {"road": (RED, DASHES[1]), "matched": (BLUE, DASHES[0]), "line": (GREEN, DASHES[2])}


@cache
def objective(goal: str) -> Tensor:
    """Return the objective along the straight line from A, (5, 25): to B, to B relabelled, or to A shuffled."""
    if goal == "other":
        return torch.stack([digits.line_loss(pair) for pair in digits.PAIRS])
    return kept(f"{goal}/line")


def rises(lines: Tensor) -> Tensor:
    """Return the barrier of lines, (n, 25) -> (n,): the highest objective above the higher end."""
    return lines.max(-1).values - lines[:, [0, -1]].max(-1).values


def halfway(traces: Tensor) -> Tensor:
    """Return the curvature at the halfway point over the mean of the ends, (n, 9) -> (n,)."""
    return traces[:, traces.shape[1] // 2] / traces[:, [0, -1]].mean(1)


class Match:
    """The objective along the three lines, all hills, and the curvature along both roads and the matched line."""

    def __init__(self) -> None:
        self.figure = sheet.figure()
        self.ax = ax = self.figure.add_axes((0.095, 0.13, 0.42, 0.78))
        labelled(ax, text("04.axis.position"), text("04.axis.objective"), text("04.panel.objective"))
        ax.set(yscale="log", ylim=(0.02, 3), xlim=(0, 1))
        ax.set_yticks([0.03, 0.1, 0.3, 1], ["0.03", "0.1", "0.3", "1"])
        ax.minorticks_off()
        ax.title.set_fontsize(11)
        self.lines = {goal: [moving(ax) for _ in NUMBERS] for goal in GOALS}
        self.names = {
            goal: end_label(
                ax, option_text(goal, "04.match.other", "04.match.matched", "04.match.shuffled"), COLOURS[goal]
            )
            for goal in GOALS
        }
        for name in self.names.values():
            name.set_horizontalalignment("center")
        self.ghost = moving(ax, colour=GREY, dash=(0, (3, 2)), width=4, alpha=0.8)
        self.bet = end_label(ax, text("say.prediction"), GREY)
        self.bet.set_horizontalalignment("center")
        self.hills = ax = self.figure.add_axes((0.6, 0.64, 0.38, 0.27))
        labelled(ax, text("04.axis.pair"), "", text("04.panel.hills")).title.set_fontsize(11)
        ax.set(yscale="log", ylim=(0.004, 3), xlim=(0.5, 5.5), xticks=NUMBERS)
        ax.set_yticks([0.01, 0.1, 1], ["0.01", "0.1", "1"])
        ax.minorticks_off()
        for goal in GOALS:
            ax.plot(NUMBERS, rises(objective(goal)), MARKS[goal], color=COLOURS[goal], mfc="none", ms=7)
        self.chosen = moving(ax, dash="", ms=9)
        self.width = ax = self.figure.add_axes((0.6, 0.13, 0.245, 0.29))
        labelled(ax, text("04.axis.position"), "", text("04.panel.trace")).title.set_fontsize(11)
        ax.set(xlim=(0, 1), ylim=(0, 18))
        self.traces = {
            name: [moving(ax, colour=colour, dash=dash) for _ in NUMBERS] for name, (colour, dash) in TRACES.items()
        }
        self.labels = {
            name: end_label(ax, option_text(name, "04.trace.road", "04.trace.matched", "04.trace.line"), look[0])
            for name, look in TRACES.items()
        }
        for place, kind in zip((15.5, 8.5, 3.0), ("line", "road", "matched"), strict=True):
            self.labels[kind].set_position((1.03, place))

    def show(self, goal: str, rows: list[int]) -> None:
        """Draw some of the pairs, the chosen line boldly."""
        for each in GOALS:
            lines, mine = objective(each)[rows], each == goal
            for row, line in enumerate(self.lines[each]):
                line.set_data((EVEN, lines[row]) if row < len(rows) else ([], []))
                line.set(color=COLOURS[each] if mine else GREY, linestyle=STROKES[each], linewidth=2.4 if mine else 1)
            self.names[each].set_fontweight("bold" if mine else "normal")
        tops = {each: float(objective(each)[rows].max()) for each in GOALS}
        high, low = sorted(("other", "shuffled"), key=lambda each: -tops[each])
        self.names[high].set_position((0.5, 1.9 * tops[high]))
        self.names[low].set_position((0.5, 1.3 * tops[high]))
        self.names["matched"].set_position((0.5, 1.35 * tops["matched"]))
        self.chosen.set(color=COLOURS[goal], marker=MARKS[goal])
        self.chosen.set_data([row + 1 for row in rows], rises(objective(goal)[rows]))
        for name, traced in self.traces.items():
            values = kept(f"trace/{name}")[rows]
            even = torch.linspace(0, 1, values.shape[1])
            for row, line in enumerate(traced):
                line.set_data((even, values[row]) if row < len(rows) else ([], []))

    def predicted(self, share: float | None, rows: list[int]) -> None:
        """Draw the bet: what share of the hill to B stays when B is relabelled."""
        for artist in (self.ghost, self.bet):
            artist.set_visible(share is not None)
        if share is not None:
            lines = objective("other")[rows].mean(0)
            height = float(lines[[0, -1]].mean() + share * (lines.max() - lines[[0, -1]].mean()))
            self.ghost.set_data([0.41, 0.59], [height, height])
            self.bet.set_position((0.5, 0.74 * height))


def match(seed: int) -> Explorer:
    """The straight line from A to B, to B relabelled, or to A itself with its units shuffled; nothing is drawn here."""
    picture = Match()

    def render(*, line_to: str, minima: int | None, ghost: float | None = None) -> tuple[Figure, str]:
        rows = list(digits.PAIRS) if minima is None else [minima - 1]
        picture.show(line_to, rows)
        picture.predicted(ghost, rows)
        before, rise = rises(objective("other")[rows]), rises(objective(line_to)[rows])
        words = option_text(
            line_to,
            "04.match.say.other",
            "04.match.say.matched",
            "04.match.say.shuffled",
            which=text("04.match.all") if minima is None else text("04.match.one", pair=minima),
            rise=least_and_most(rise, 2),
            share=least_and_most(100 * rise / before, 2),
            starts=kept("matched/barriers").shape[1],
            spread=least_and_most(kept("matched/barriers")[rows], 2),
            distance=least_and_most(kept("matched/distance")[rows, int(line_to == "matched")]),
            length=least_and_most(kept("matched/ending")[rows, 2]),
            road=least_and_most(torch.tensor([digits.road(pair).length for pair in rows])),
            wide=least_and_most(halfway(kept("trace/road")[rows]), 2),
            matched=least_and_most(halfway(kept("trace/matched")[rows]), 2),
            line=least_and_most(halfway(kept("trace/line")[rows]), 2),
        )
        return picture.figure, words

    return Explorer(
        render,
        [switch("line_to", GOALS), slider("minima", (*NUMBERS, None), 1)],
        title=text("04.match.title"),
        code=code,
    )


def code(*, line_to: str, minima: int | None) -> str:
    """Return the lines that measure a line anew, that of the first pair where all are shown."""
    pair = 0 if minima is None else minima - 1
    goal = {
        "other": "goal = b",
        "matched": f"goal = ee.align(land, a, b, generator=torch.Generator().manual_seed({1000 * pair + 10})).theta",
        "shuffled": f"goal = one_road.shuffled(land, a, {pair})",
    }[line_to]
    return (
        "from entropic_edu.recorded import one_road, roads\n"
        f"land, (a, b) = roads.landscape(), roads.road({pair}).pivots[[0, -1]]\n"
        f"{goal}\n"
        "land.loss(torch.lerp(a, goal, torch.linspace(0, 1, 25)[:, None]))"
    )
