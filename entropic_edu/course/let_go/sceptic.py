"""Round 4: the runaway taken apart, and the sceptic's doubts: k, and no projection at all."""

from __future__ import annotations

import math
import textwrap
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
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

from .common import (
    ALL,
    PAIRS,
    boxed,
    kept,
    law,
    over_pairs,
    pairs_named,
    pairs_of,
    pick,
    profile,
    with_error,
)

DOUBTS: dict[str, tuple[str, ...]] = {
    "free": ("hot", "free", "free_all"),
    "steps_k": ("k5", "hot", "k45"),
}
APART: dict[str, tuple[str, ...]] = {
    "threshold": tuple(f"runaway, B {size}" for size in (16, 32, 64, 128)),
    "feeds": ("runaway, B 16", "runaway, of the road"),
    "bursts": ("runaway, B 16", "runaway, undone", "runaway, undone past 1", "runaway, undone past 0.5"),
    "calm": ("hot", "of the road"),
}
RUNS = {
    "hot": "06.run.hot",
    "of the road": "06.run.of_the_road",
    "k5": "06.run.k5",
    "k45": "06.run.k45",
    "free": "06.run.free",
    "free_all": "06.run.free_all",
    "runaway, B 16": "06.run.b16",
    "runaway, B 32": "06.run.b32",
    "runaway, B 64": "06.run.b64",
    "runaway, B 128": "06.run.b128",
    "runaway, of the road": "06.run.of_the_road",
    "runaway, undone": "06.run.undone",
    "runaway, undone past 1": "06.run.undone_1",
    "runaway, undone past 0.5": "06.run.undone_05",
}
STYLES = ((BLUE, "-"), (RED, "--"), (GREEN, "-."), (PURPLE, DASHES[4]), (ORANGE, DASHES[5]), (BLACK, ":"))
SHORT = 300  # flow time of the sceptic's runs: of longer ones the first part is shown
LOWEST, HIGHEST = 0.01, 20.0  # of the axis of distances
LEFT = 0.05  # share of projections from outside past which a position means little: such lines are grey


@dataclass(frozen=True)
class Course:
    """What the walkers of one run did, both sides of the road together.

    Attributes:
        share: Share of the run at the records, (R,).
        left: Distance from the own end, in lengths of the road, (R,).
        away: Distance from the road just before the projection, at the records but the first, (R-1,).
        outside: Share of projections from outside the valley.
        put_back: Whether a walker found outside was put back where it was, so that its position means something.
        theory: Distance from the own end by linear theory, at the end; None where it says nothing.
        accuracy: On the held-out digits at the end, in per cent; None where the recipe did not ask for it.
    """

    share: Tensor
    left: Mean
    away: Tensor
    outside: float
    put_back: bool
    theory: float | None
    accuracy: float | None


def course(name: str, pair: int | None, until: float = math.inf) -> Course:
    """Return what became of one run, for one pair of minima or all, as far as a flow time."""
    step, setting = kept(f"{name}/step"), let_go.settings()[name]
    flow = step * setting["learning_rate"] / (1 - setting["momentum"])
    count = int((flow <= until + 1e-6).sum())
    low, high = let_go.sides(name, 0.3)
    known = f"{name}/accuracy" in recorded.load("let_go")
    away = pick(kept(f"{name}/distance"), pair)[:, 1:count, [low, high]].mean((0, 2, 3))
    if count == len(step) and setting["project_every"] and setting["steps"] % setting["project_every"]:
        away = away[:-1]  # the last record is between two projections
    return Course(
        share=step[:count] / step[count - 1],
        left=over_pairs(let_go.remaining(name, 0.3)[:, :count], pair),
        away=away,
        outside=float(pick(kept(f"{name}/outside"), pair).mean()),
        put_back=bool(setting.get("undo_excursions")),
        theory=theory(name, pair, int(step[count - 1])),
        accuracy=100 * float(pick(kept(f"{name}/accuracy"), pair)[:, count - 1].mean()) if known else None,
    )


def theory(name: str, pair: int | None, step: int) -> float | None:
    """Return how far from their own end linear theory expects walkers at a step; None where it has no say."""
    setting = let_go.settings()[name]
    if not let_go.predictable(setting):
        return None
    if step == setting["steps"]:
        return float(pick(let_go.remaining_by_theory(name, 0.3), pair).mean())
    return float(_theory(name, step)[list(pairs_of(pair))].mean())


@cache
def _theory(name: str, step: int) -> Tensor:
    """Return the same before the end of a run, by pair, (P,)."""
    laws, steps = [law(name, pair) for pair in PAIRS], torch.tensor([0, step])
    return torch.stack([0.5 * (one.track(0.3, steps)[-1] + 1 - one.track(0.7, steps)[-1]) for one in laws])


class Sceptic:
    """Distance from the own end and distance from the road, a line for each run."""

    def __init__(self) -> None:
        self.figure = sheet.figure()
        self.left = left = self.figure.add_axes((0.085, 0.125, 0.3, 0.79))
        self.right = right = self.figure.add_axes((0.475, 0.125, 0.3, 0.79))
        labelled(left, text("axis.share"), "", text("06.panel.left")).set(xlim=(0, 1.04), ylim=(0, 0.42))
        labelled(right, text("axis.share"), "", text("06.panel.away")).set(xlim=(0, 1), yscale="log")
        right.set_ylim(LOWEST, HIGHEST)
        right.set_yticks([0.01, 0.1, 1, 10], ["0.01", "0.1", "1", "10"])
        right.minorticks_off()
        for ax in (left, right):
            ax.title.set_fontsize(11)
            ax.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
        self.control, self.radius = moving(left, colour=GREY, width=1), moving(right, colour=GREY, width=1)
        self.edge = boxed(right, text("06.label.radius"), GREY, ha="left", va="bottom")
        self.without = boxed(left, text("06.label.control"), GREY, ha="left", va="bottom")
        self.bands = [sheet.Band(left, colour=colour, dash=dash) for colour, dash in STYLES]
        self.aways = [moving(right, colour=colour, dash=dash) for colour, dash in STYLES]
        self.laws = [
            moving(left, colour=colour, dash="", marker="<", ms=9, mfc="none", mew=1.5) for colour, _ in STYLES
        ]
        self.key = boxed(left, text("06.label.law"), BLACK, ha="left", va="top")
        self.key.set_position((0.02, 0.415))
        for mark in self.laws:
            mark.set_clip_on(False)
        self.bet = moving(left, colour=GREY, dash=(0, (3, 2)), width=4, alpha=0.8)
        self.guess = boxed(left, text("say.prediction"), GREY, ha="center", va="bottom")
        self.side = self.figure.add_axes((0.78, 0.0, 0.22, 1.0), facecolor="none")  # for names, and what they stand for
        self.side.set(xlim=(0, 1), ylim=(0, 1))
        self.side.set_axis_off()
        free: dict[str, Any] = {"fontsize": sheet.SMALL, "va": "center", "animated": True, "linespacing": 1.15}
        self.strokes = [moving(self.side, colour=colour, dash=dash) for colour, dash in STYLES]
        self.names = [self.side.text(0.2, 0, "", color=sheet.INK.get(one, one), **free) for one, _ in STYLES]

    def show(self, runs: tuple[str, ...], pair: int | None, until: float, bet: float | None) -> None:
        """Draw some runs, with the control of their network."""
        for i in range(len(STYLES)):
            walked = course(runs[i], pair, until) if i < len(runs) else None
            self.run(i, text(RUNS[runs[i]]) if i < len(runs) else "", walked, 0.9 - 0.11 * i)
        on = let_go.settings()[runs[0]]["on"]
        still = course("control" if on == "valley" else "runaway, control", pair, until)
        self.control.set_data(still.share.numpy(), still.left.value.numpy())
        self.without.set_position((0.02, 0.305))
        self.key.set_visible(any(mark.get_visible() for mark in self.laws))
        radius = 0.1 * float(pick(kept(f"{on}/length"), pair).mean())
        self.radius.set_data([0, 1], [radius, radius])
        self.edge.set_position((0.02, 1.1 * radius))
        shown = bet is not None and "runaway, of the road" in runs
        self.bet.set_visible(shown)
        self.guess.set_visible(shown)
        if bet is not None:
            self.bet.set_data([0.6, 1], [bet, bet])
            self.guess.set_position((0.8, bet + 0.005))

    def run(self, i: int, name: str, walked: Course | None, y: float) -> None:
        """Draw one run with its name at a height of the margin, or take its lines off."""
        for artist in (self.names[i], self.strokes[i], self.aways[i], self.laws[i]):
            artist.set_visible(walked is not None)
        self.bands[i].show(torch.empty(0) if walked is None else walked.share, None if walked is None else walked.left)
        self.bands[i].name.set_visible(False)
        if walked is None:
            return
        where = walked.share[1 : 1 + len(walked.away)]
        self.aways[i].set_data(where.numpy(), walked.away.clamp(LOWEST, HIGHEST).numpy())
        self.laws[i].set_visible(walked.theory is not None)
        self.laws[i].set_data([1.03], [walked.theory or 0.0])
        colour = "#8c8c8c" if walked.outside > LEFT and not walked.put_back else STYLES[i][0]
        for line in (self.bands[i].line, self.aways[i], self.strokes[i]):
            line.set_color(colour)
        self.bands[i].area.set_facecolor(colour)
        self.names[i].set_color(GREY if colour != STYLES[i][0] else sheet.INK.get(colour, colour))
        self.strokes[i].set_data([0.02, 0.16], [y, y])
        self.names[i].set_position((0.2, y))
        self.names[i].set_text(textwrap.fill(name, 19))


def _explorer(doubts: dict[str, tuple[str, ...]], control: str, until: float, title: str) -> Explorer:
    picture = Sceptic()

    def render(*, road_pair: int | None, ghost: float | None = None, **turned: str) -> tuple[Figure, str]:
        picture.show(doubts[turned[control]], road_pair, until, ghost)
        return picture.figure, sentence(turned[control], doubts[turned[control]], road_pair, until)

    def code(*, road_pair: int | None, **turned: str) -> str:
        pairs, runs = ":" if road_pair is None else f"{road_pair - 1}:{road_pair}", doubts[turned[control]]
        return "\n".join(
            [
                "from entropic_edu import recorded",
                "from entropic_edu.recorded import let_go",
                'kept, left = recorded.load("let_go"), {}',
                f"for name in {tuple(name for name in runs if name != 'hot') if until < math.inf else runs}:",
                f'    position = kept[f"{{name}}/position"][{pairs}, -1].double()  # pair, start (0.3 and 0.7), walker',
                "    left[name] = torch.cat([position[:, 0], 1 - position[:, 1]], -1).mean(-1)  # from the own end",
                f"# what made them: let_go.settings()[{runs[-1]!r}]",
            ]
        )

    controls = [switch(control, tuple(doubts)), slider("road_pair", ALL, None)]
    return Explorer(render, controls, title=title, code=code)


def sceptic(seed: int) -> Explorer:
    """Doubt the result in the valley: one doubt at a time."""
    return _explorer(DOUBTS, "doubt", SHORT, text("06.sceptic.title"))


def runaway(seed: int) -> Explorer:
    """Take the runaway apart: one part at a time."""
    return _explorer(APART, "part", math.inf, text("06.sceptic.runaway"))


def over_threshold(name: str, pair: int | None) -> float:
    """Return T/T* of a run, T* at the start."""
    setting = let_go.settings()[name]
    limits = [profile(p, setting["on"]).threshold for p in pairs_of(pair)]
    at = [float(each[round(0.3 * (len(each) - 1))]) for each in limits]
    return setting["learning_rate"] / (1 - setting["momentum"]) / setting["batch_size"] * len(at) / sum(at)


def sentence(doubt: str, runs: tuple[str, ...], pair: int | None, until: float) -> str:
    """Return the sentence of a state."""
    items = []
    for name in runs:
        walked = course(name, pair, until)
        left = Mean(walked.left.value[-1], walked.left.error[-1])
        values: dict[str, Any] = {"name": text(RUNS[name]), "left": with_error(left, ".2f")}
        if doubt == "free":
            values |= {"away": float(walked.away[-1]), "accuracy": walked.accuracy}
            items.append(text("06.sceptic.free_item", **values))
        elif doubt == "threshold":
            items.append(text("06.sceptic.threshold_item", times=over_threshold(name, pair), **values))
        elif walked.theory is not None and doubt in ("feeds", "calm", "steps_k"):
            items.append(text("06.sceptic.law_item", law=walked.theory, **values))
        else:
            items.append(text("06.sceptic.item", outside=100 * walked.outside, **values))
    return option_text(
        doubt,
        "06.sceptic.free",
        "06.sceptic.steps_k",
        "06.sceptic.threshold",
        "06.sceptic.feeds",
        "06.sceptic.bursts",
        "06.sceptic.calm",
        pairs=pairs_named(pair),
        items="; ".join(items),
    )
