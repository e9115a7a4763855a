"""Round 4: other optimizers, other projections, none at all; excursions undone, noise on and off in mid run."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from entropic_edu import recorded
from entropic_edu.figures.plots import BLACK, BLUE, DASHES, GREEN, ORANGE, PURPLE, RED, labelled
from entropic_edu.physics.mean import Mean
from entropic_edu.recorded import let_go
from entropic_edu.teaching import sheet
from entropic_edu.teaching.explorer import Explorer, slider, switch
from entropic_edu.teaching.sheet import GREY, moving
from entropic_edu.teaching.strings import option_text, text

from .common import ALL, boxed, kept, over_pairs, pairs_named, pick

SCEPTIC_KEYS = (
    "06.sceptic.excursions",
    "06.sceptic.switched",
    "06.sceptic.steps_k",
    "06.sceptic.optimizer",
    "06.sceptic.free",
)

DOUBTS: dict[str, tuple[str, ...]] = {
    "excursions": ("hot", "undone"),
    "switched": ("hot", "late", "early"),
    "steps_k": ("k5", "k10", "hot", "k20", "k45"),
    "optimizer": ("hot", "nesterov", "adam_large", "adam", "plain", "plain_hot"),
    "free": ("free", "free_32", "free_64", "free_all"),
}
RUNS = {  # what a line is called in the picture, and in the sentence
    "hot": ("06.run.hot", "06.said.hot"),
    "undone": ("06.run.undone", "06.said.undone"),
    "late": ("06.run.late", "06.said.late"),
    "early": ("06.run.early", "06.said.early"),
    "plain": ("06.run.plain", "06.said.plain"),
    "plain_hot": ("06.run.plain_hot", "06.said.plain_hot"),
    "nesterov": ("06.run.nesterov", "06.said.nesterov"),
    "adam": ("06.run.adam", "06.said.adam"),
    "adam_large": ("06.run.adam_large", "06.said.adam_large"),
    "k5": ("06.run.k5", "06.said.k5"),
    "k10": ("06.run.k10", "06.said.k10"),
    "k20": ("06.run.k20", "06.said.k20"),
    "k45": ("06.run.k45", "06.said.k45"),
    "free": ("06.run.free", "06.said.free"),
    "free_32": ("06.run.free_32", "06.said.free_32"),
    "free_64": ("06.run.free_64", "06.said.free_64"),
    "free_all": ("06.run.free_all", "06.said.free_all"),
}
STYLES = ((BLUE, "-"), (RED, "--"), (GREEN, "-."), (PURPLE, DASHES[4]), (ORANGE, DASHES[5]), (BLACK, ":"))
LOWEST, HIGHEST = 0.01, 200.0  # of the axis of distances


@dataclass(frozen=True)
class Course:
    """What the walkers of one run did, both sides of the road together.

    Attributes:
        share: Share of the run at the records, (R,).
        left: Distance from the own end, in lengths of the road, (R,).
        away: Distance from the road just before the projection, at the records but the first, (R-1,); where the run
            does not end at a projection, but the last as well.
        outside: Share of projections from outside, in per cent.
        accuracy: On the held-out digits at the end, in per cent; None where the recipe did not ask for it.
    """

    share: Tensor
    left: Mean
    away: Tensor
    outside: float
    accuracy: float | None


def course(name: str, pair: int | None) -> Course:
    """Return what became of one run, for one pair of minima or all."""
    step = kept(f"{name}/step")
    position = kept(f"{name}/position")
    left = torch.cat([position[:, :, 0], 1 - position[:, :, 1]], -1)  # (P, R, 2W)
    right = recorded.load("let_go")
    known = f"{name}/accuracy" in right
    setting = let_go.settings()[name]
    k = setting["project_every"]
    until = len(step) - (k is not None and setting["steps"] % k != 0)
    accuracy = 100 * float(pick(kept(f"{name}/accuracy"), pair)[:, -1].mean()) if known else None
    return Course(
        step / step[-1],
        over_pairs(left, pair),
        pick(kept(f"{name}/distance"), pair).mean((0, 2, 3))[1:until],
        100 * float(pick(kept(f"{name}/outside"), pair).mean()),
        accuracy,
    )


class Sceptic:
    """Distance from the own end and distance from the road, a line for each run of a doubt."""

    def __init__(self) -> None:
        self.figure = sheet.figure()
        self.left = left = self.figure.add_axes((0.085, 0.125, 0.3, 0.79))
        self.right = right = self.figure.add_axes((0.475, 0.125, 0.3, 0.79))
        labelled(left, text("axis.share"), "", text("06.panel.left")).set(xlim=(0, 1), ylim=(0, 0.5))
        labelled(right, text("axis.share"), "", text("06.panel.away")).set(xlim=(0, 1), yscale="log")
        right.set_ylim(LOWEST, HIGHEST)
        right.set_yticks([0.01, 0.1, 1, 10, 100], ["0.01", "0.1", "1", "10", "100"])
        right.minorticks_off()
        for ax in (left, right):
            ax.title.set_fontsize(11)
            ax.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
        self.control = moving(left, colour=GREY, width=1)
        self.radius = moving(right, colour=GREY, width=1)
        self.edge = boxed(right, text("06.label.radius"), GREY, ha="left", va="bottom")
        self.without = boxed(left, text("06.label.control"), GREY, ha="left", va="bottom")
        self.bands = [sheet.Band(left, colour=colour, dash=dash) for colour, dash in STYLES]
        self.aways = [moving(right, colour=colour, dash=dash) for colour, dash in STYLES]
        self.marks = [self._mark(left), self._mark(right)]
        self.bet = moving(right, colour=GREY, dash=(0, (3, 2)), width=4, alpha=0.8)
        self.guess = boxed(right, text("say.prediction"), GREY, ha="center", va="bottom")
        self.side = self.figure.add_axes((0.78, 0.0, 0.22, 1.0), facecolor="none")  # for names
        self.side.set(xlim=(0, 1), ylim=(0, 1))
        self.side.set_axis_off()
        self.marks.append(self._mark(self.side))
        free: dict[str, Any] = {"fontsize": sheet.SMALL, "va": "center", "animated": True, "linespacing": 1.15}
        self.names = [self.side.text(0.13, 0, "", color=sheet.INK.get(one, one), **free) for one, _ in STYLES]

    def _mark(self, ax: Axes) -> list[Any]:
        return [moving(ax, colour=colour, dash="", marker="os^Dv*"[i], ms=6) for i, (colour, _) in enumerate(STYLES)]

    def show(self, doubt: str, pair: int | None, bet: float | None) -> None:
        """Draw the runs of a doubt."""
        courses = [course(name, pair) for name in DOUBTS[doubt]]
        for i in range(len(STYLES)):
            self.run(i, DOUBTS[doubt][i] if i < len(courses) else "", courses[i] if i < len(courses) else None)
        self.key([one.away[-1] for one in courses])
        still = kept("control/position")
        both = torch.cat([still[:, :, 2], 1 - still[:, :, 6]], -1)
        step = kept("control/step")
        self.control.set_data((step / step[-1]).numpy(), over_pairs(both, pair).value.numpy())
        self.without.set_position((0.02, 0.315))
        radius = float(pick(kept("radius"), pair).mean())
        self.radius.set_data([0, 1], [radius, radius])
        self.edge.set_position((0.02, 1.1 * radius))
        shown = bet is not None and doubt == "free"
        self.bet.set_visible(shown)
        self.guess.set_visible(shown)
        if bet is not None:
            self.bet.set_data([0.6, 1], [bet, bet])
            self.guess.set_position((0.8, 1.15 * bet))

    def run(self, i: int, name: str, walked: Course | None) -> None:
        """Draw one run, or take its lines off."""
        self.names[i].set_visible(walked is not None)
        lines = (self.aways[i], *(marks[i] for marks in self.marks))
        for line in lines:
            line.set_visible(walked is not None)
        self.bands[i].show(torch.empty(0) if walked is None else walked.share, None if walked is None else walked.left)
        if walked is None:
            return
        self.bands[i].name.set_visible(False)
        away = walked.away.clamp(LOWEST, HIGHEST)
        where = walked.share[1 : 1 + len(away)]
        self.aways[i].set_data(where.numpy(), away.numpy())
        self.marks[0][i].set_data([1.0], [float(walked.left.value[-1])])
        self.marks[1][i].set_data([float(where[-1])], [float(away[-1])])
        for marks in self.marks:
            marks[i].set_clip_on(False)
        self.names[i].set_text(text(RUNS[name][0]))

    def key(self, ends: list[Tensor]) -> None:
        """Put the names at the ends of the lines at the right, moved apart."""
        bottom, height = 0.125, 0.79
        share = [math.log(max(float(end), LOWEST) / LOWEST) / math.log(HIGHEST / LOWEST) for end in ends]
        order = sorted(range(len(ends)), key=lambda i: share[i])
        gap, at = 0.1, [bottom + height * share[i] for i in order]
        for i in range(1, len(at)):
            at[i] = max(at[i], at[i - 1] + gap)
        ceiling = 0.88
        for i in reversed(range(len(at))):
            at[i] = min(at[i], ceiling)
            ceiling = at[i] - gap
        for i, y in zip(order, at, strict=True):
            self.names[i].set_y(y)
            self.marks[2][i].set_data([0.06], [y])


def sceptic(seed: int) -> Explorer:
    """Doubt the result: one control at a time."""
    picture = Sceptic()

    def render(*, doubt: str, road_pair: int | None, ghost: float | None = None) -> tuple[Figure, str]:
        picture.show(doubt, road_pair, ghost)
        return picture.figure, sentence(doubt, road_pair)

    def code(*, doubt: str, road_pair: int | None) -> str:
        pairs = ":" if road_pair is None else f"{road_pair - 1}:{road_pair}"
        return "\n".join(
            [
                "from entropic_edu import recorded",
                "from entropic_edu.recorded import let_go, roads",
                'kept, left = recorded.load("let_go"), {}',
                f"for name in {DOUBTS[doubt]}:",
                f'    position = kept[f"{{name}}/position"][{pairs}, -1].double()  # pair, start (0.3 and 0.7), walker',
                "    left[name] = torch.cat([position[:, 0], 1 - position[:, 1]], -1).mean(-1)  # from the own end",
                "# each made by, for each pair (here the first):",
                f"# let_go.release(roads.landscape(), roads.road(0), 0, let_go.settings()['{DOUBTS[doubt][-1]}'])",
            ]
        )

    return Explorer(
        render,
        [switch("doubt", tuple(DOUBTS), "free"), slider("road_pair", ALL, None)],
        title=text("06.sceptic.title"),
        code=code,
    )


def sentence(doubt: str, pair: int | None) -> str:
    """Return the sentence of a state."""
    items = []
    for name in DOUBTS[doubt]:
        walked = course(name, pair)
        key = "free_item" if doubt == "free" else "item"
        items.append(
            option_text(
                key,
                "06.sceptic.item",
                "06.sceptic.free_item",
                name=text(RUNS[name][1]),
                left=float(walked.left.value[-1]),
                error=float(walked.left.error[-1]),
                away=float(walked.away[-1]),
                outside=walked.outside,
                accuracy=walked.accuracy or 0.0,
            )
        )
    walkers = let_go.RECIPE["walkers"]
    return option_text(doubt, *SCEPTIC_KEYS, pairs=pairs_named(pair), walkers=walkers, items="; ".join(items))
