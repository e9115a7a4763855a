"""Round 1: the loss on the straight line between two trained networks, and on the road."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from entropic_edu import recorded
from entropic_edu.course import digits
from entropic_edu.figures.plots import BLACK, BLUE, DASHES, GREEN, RED, labelled
from entropic_edu.physics.results import Result
from entropic_edu.physics.snapshot import Snapshot
from entropic_edu.physics.train import Run
from entropic_edu.stream import train
from entropic_edu.teaching import sheet
from entropic_edu.teaching.explorer import Explorer, Work, slider
from entropic_edu.teaching.sheet import GREY, end_label, moving
from entropic_edu.teaching.strings import text

from .common import least_and_most

EVEN = torch.linspace(0, 1, 25)
NUMBERS = tuple(pair + 1 for pair in digits.PAIRS)  # as the learner counts
QUICK: dict[str, Any] = {"batch_size": 64, "learning_rate": 0.1, "momentum": 0.9, "epochs": 60}  # about a second


@dataclass(frozen=True, eq=False)
class Two(Result):
    """Two networks trained side by side, and the line between them.

    Attributes:
        seed: Of the start and of the shuffles.
        step: Steps taken.
        objective: Along the line, (25,).
        accuracy: Training and held-out accuracy along it, (2, 25).
    """

    seed: int
    step: int
    objective: Tensor
    accuracy: Tensor


def times(objective: Tensor) -> Tensor:
    """Return the highest objective of lines over the mean of their two ends, (..., 25) -> (...)."""
    return objective.max(-1).values / objective[..., [0, -1]].mean(-1)


@cache
def lines() -> tuple[Tensor, Tensor]:
    """Return objective (5, 25) and accuracies (5, 2, 25) on the recorded lines."""
    recording = recorded.load("roads")
    accuracy = torch.stack([recording[f"pair{pair}/line_accuracy"] for pair in digits.PAIRS])
    return torch.stack([digits.line_loss(pair) for pair in digits.PAIRS]), accuracy


@cache
def along_roads() -> Tensor:
    """Return the objective at 25 even positions of the recorded roads, (5, 25)."""
    with torch.no_grad():
        return torch.stack([digits.land().loss(digits.road(pair).at(EVEN)) for pair in digits.PAIRS])


def measure(run: Run, seed: int, complete: bool) -> Two:
    """Return the line between the two networks of a run, at whatever step it is."""
    land = digits.land()
    line = torch.lerp(run.theta[0], run.theta[1], EVEN[:, None])
    with torch.no_grad():
        objective = land.loss(line)
    accuracy = torch.stack([land.accuracy(line, "train"), land.accuracy(line, "test")])
    return Two(seed, run.step, objective, accuracy, complete=complete)


def two(seed: int) -> Iterator[Snapshot[Two]]:
    """Yield two networks while they are trained."""
    generator = torch.Generator().manual_seed(seed)
    for snapshot in train(digits.land(), generator=generator, runs=2, **QUICK):
        run, done = snapshot.result, snapshot.done == snapshot.total
        note = text("04.hill.note", seed=seed)
        yield Snapshot(snapshot.done, snapshot.total, note, partial(measure, run, seed, done))


class Hill:
    """The objective along line and road, accuracy along the line, and the height of all hills."""

    def __init__(self) -> None:
        self.figure = sheet.figure()
        self.ax = ax = self.figure.add_axes((0.095, 0.13, 0.44, 0.78))
        labelled(ax, text("04.axis.position"), text("04.axis.objective"), text("04.panel.objective"))
        ax.set(yscale="log", ylim=(0.015, 60), xlim=(0, 1))
        ax.set_yticks([0.03, 0.1, 1, 10], ["0.03", "0.1", "1", "10"])
        ax.minorticks_off()
        ax.title.set_fontsize(11)
        ax.axhline(2.3026, color=GREY, lw=1, ls=":")
        ax.text(0.01, 2.75, text("04.hill.blind"), color=GREY, fontsize=sheet.SMALL)
        self.lines = [moving(ax, colour=RED, dash="--") for _ in NUMBERS]
        self.roads = [moving(ax, colour=BLUE) for _ in NUMBERS]
        self.names = [end_label(ax, text("04.label.line"), RED), end_label(ax, text("04.label.road"), BLUE)]
        self.ghost = moving(ax, colour=GREY, dash=(0, (3, 2)), width=4, alpha=0.8)
        self.bet = end_label(ax, text("say.prediction"), GREY)
        self.bet.set_horizontalalignment("center")
        self._right()

    def _right(self) -> None:
        self.sure = sure = self.figure.add_axes((0.645, 0.6, 0.23, 0.31))
        labelled(sure, text("04.axis.position"), "", text("04.panel.accuracy"))
        sure.set(xlim=(0, 1), ylim=(0, 105))
        sure.title.set_fontsize(11)
        self.kinds = [moving(sure, colour=GREEN, dash=DASHES[0]), moving(sure, colour=BLACK, dash=DASHES[1])]
        words = (text("04.label.train"), text("04.label.test"))
        self.kind_names = [end_label(sure, word, c) for word, c in zip(words, (GREEN, BLACK), strict=True)]
        self.all = ax = self.figure.add_axes((0.645, 0.13, 0.335, 0.26))
        labelled(ax, text("04.axis.pair"), "", text("04.panel.times"))
        ax.set(xlim=(0.5, 6.7), ylim=(0, 42), xticks=[*NUMBERS, 6])
        ax.set_xticklabels([*map(str, NUMBERS), text("04.label.live")])
        ax.title.set_fontsize(11)
        ax.plot(NUMBERS, times(lines()[0]), "o", color=RED, mfc="none", ms=7)
        self.chosen = moving(ax, colour=RED, dash="", marker="o", ms=9)
        self.new = moving(ax, colour=RED, dash="", marker="D", ms=9)

    def show(self, objective: Tensor, roads: Tensor | None, accuracy: Tensor, pairs: list[int], live: bool) -> None:
        """Draw lines (n, 25), roads (n, 25) where there are some, and accuracies (n, 2, 25)."""
        for row, line in enumerate(self.lines):
            line.set_data((EVEN, objective[row]) if row < len(objective) else ([], []))
        for row, line in enumerate(self.roads):
            line.set_data((EVEN, roads[row]) if roads is not None and row < len(roads) else ([], []))
        top = float(objective.max())
        self.names[0].set_position((0.53, 1.45 * top))
        self.names[1].set_visible(roads is not None)
        self.names[1].set_position((0.45, 0.0215))
        mean = 100 * accuracy.mean(0)
        for row, line in enumerate(self.kinds):
            line.set_data(EVEN, mean[row])
            self.kind_names[row].set_position((1.03, float(mean[row, -1]) + (2, -11)[row]))
        chosen = [number - 1 for number in pairs]
        self.chosen.set_data(pairs, times(lines()[0])[chosen])
        self.new.set_data([6] if live else [], times(objective) if live else [])

    def predicted(self, factor: float | None, ends: float) -> None:
        """Draw the bet: so many times the ends, halfway."""
        for artist in (self.ghost, self.bet):
            artist.set_visible(factor is not None)
        if factor is not None:
            height = factor * ends
            self.ghost.set_data([0.32, 0.68], [height, height])
            self.bet.set_position((0.5, height * (0.65 if factor > 1 else 1.5)))


def hill(seed: int) -> Explorer:
    """The line and the road of five pairs; the button trains two new networks."""
    picture = Hill()
    seeds = itertools.count(1000 * seed + 501)  # each press other networks than those recorded

    def render(*, minima: int | None, ghost: float | None = None) -> tuple[Figure, str]:
        rows = list(digits.PAIRS) if minima is None else [minima - 1]
        objective, accuracy = lines()[0][rows], lines()[1][rows]
        picture.show(objective, along_roads()[rows], accuracy, [row + 1 for row in rows], live=False)
        picture.predicted(ghost, float(objective[:, [0, -1]].mean()))
        return picture.figure, sentence(rows)

    def sentence(rows: list[int]) -> str:
        objective, accuracy = lines()[0][rows], lines()[1][rows]
        middle = torch.stack([digits.road(pair).pivots[[0, -1]].mean(0) for pair in rows])
        ends = torch.cat([digits.road(pair).pivots[[0, -1]] for pair in rows])
        bare = digits.land().data_loss(torch.cat([middle, ends])).detach()
        bare_ends = bare[len(rows) :].view(-1, 2).mean(1)
        return text(
            "04.hill.all" if len(rows) > 1 else "04.hill.one",
            pair=rows[0] + 1,
            top=least_and_most(objective.max(1).values),
            ends=least_and_most(objective[:, [0, -1]].mean(1)),
            times=least_and_most(times(objective), 2),
            bare=least_and_most(bare[: len(rows)] / bare_ends, 2),
            road=least_and_most(along_roads()[rows].max(1).values),
            train=least_and_most(100 * accuracy[:, 0].min(1).values),
            test=least_and_most(100 * accuracy[:, 1].min(1).values),
        )

    def show(two: Two, *, minima: int | None) -> tuple[Figure, str]:
        picture.show(two.objective[None], None, two.accuracy[None], [], live=True)
        picture.predicted(None, 1)
        return picture.figure, text(
            "04.hill.live",
            seed=two.seed,
            step=two.step,
            ends=float(two.objective[[0, -1]].mean()),
            top=float(two.objective.max()),
            times=float(times(two.objective)),
            test=100 * float(two.accuracy[1].min()),
        )

    return Explorer(
        render,
        [slider("minima", (*NUMBERS, None), 1)],
        title=text("04.hill.title"),
        code=code,
        work=Work(
            stream=lambda minima: two(next(seeds)),
            show=show,
            units=lambda minima: digits.land().steps_per_epoch(QUICK["batch_size"]) * QUICK["epochs"],
            frame=show,
        ),
    )


def code(*, minima: int | None) -> str:
    """Return the lines that measure the recorded pair, the first where all five are shown."""
    pair = 0 if minima is None else minima - 1
    return (
        "from entropic_edu.recorded import roads\n"
        f"land, road = roads.landscape(), roads.road({pair})\n"
        "a, b = road.pivots[[0, -1]]\n"
        "t = torch.linspace(0, 1, 25)\n"
        "land.loss(torch.lerp(a, b, t[:, None])), land.loss(road.at(t))"
    )
