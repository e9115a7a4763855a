"""Round 3: the push of the noise on every road and at every temperature, against the walkers' excess loss."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from entropic_edu.figures.plots import BLACK, BLUE, RED, labelled
from entropic_edu.physics.mean import Mean
from entropic_edu.recorded import let_go
from entropic_edu.teaching import sheet
from entropic_edu.teaching.explorer import Explorer, slider, switch
from entropic_edu.teaching.sheet import GREY, moving
from entropic_edu.teaching.strings import option_text, text

from .common import ALL, PAIRS, boxed, kept, law, mean_of, pairs_named, pairs_of, profile, with_error

AGAINST = ("temperature", "excess", "product")
LIMITS = {"temperature": (5e-4, 0.4), "excess": (3e-5, 0.6), "product": (2e-6, 0.15)}
FORCES = (2e-6, 0.15)
KINDS = {"valley": (BLUE, "o", BLUE), "runaway": (RED, "^", "none")}
LEFT = 0.05  # share of projections from outside past which walkers have left the valley
FOLLOWED = 0.5  # of the way home: a walker is followed until this much is gone


class Push(NamedTuple):
    """What noise did in one run on one road, both starts together.

    Attributes:
        force: The mean force of the noise towards the own end, loss per length, with its error over the walkers.
        excess: The mean excess loss.
        product: The mean of Λ⟨ΔL⟩ on the way.
    """

    force: Mean
    excess: float
    product: float


def names(on: str) -> list[str]:
    """Return the runs of plain heavy ball in the "valley" or in the "runaway", by batch size."""
    first = "eta " if on == "valley" else "runaway, B "
    return [name for name in let_go.settings() if name.startswith(first)]


@cache
def push(name: str, pair: int) -> Push:
    """Return what noise did in a recorded run, pairs counted from 0.

    Walkers are followed until their mean has gone half of the way home. What the control without noise does where they
    are is taken off: force = Δs · length / flow time - the mean of ``pull``.
    """
    setting = let_go.settings()[name]
    road = profile(pair, setting["on"])
    narrowing = let_go.theory(road, setting).narrowing
    assert narrowing is not None
    grid, time = road.position.double().numpy(), _time(name)
    forces, excesses, products = [], [], []
    for sign, column in zip((1.0, -1.0), let_go.sides(name, 0.3), strict=True):
        walkers = kept(f"{name}/position")[pair, :, column]  # (R, W)
        last = _half_way(walkers.mean(-1) if sign > 0 else 1 - walkers.mean(-1))
        weight = time.diff()[:last] / time[last]
        mean = walkers.mean(-1)
        between = (0.5 * (mean[1:] + mean[:-1]))[:last].numpy()
        pulled, narrow = (
            torch.from_numpy(np.interp(between, *each))
            for each in (pull(setting["on"], pair), (grid, narrowing.value.numpy()))
        )
        excess = kept(f"{name}/excess")[pair, 1 : last + 1, column]
        moved = (walkers[last] - walkers[0]) * road.length / time[last]
        forces.append(-sign * (moved - (weight * pulled).sum()))
        excesses.append((weight * excess).sum())
        products.append(sign * (weight * narrow * excess).sum())
    each = torch.stack(forces)  # (2, W)
    count = each.shape[1]
    error = (each.var(1) / count).sum().sqrt() / 2 if count > 1 else torch.tensor(0.0)
    return Push(Mean(each.mean(), error), float(sum(excesses) / 2), float(sum(products) / 2))


@cache
def pull(on: str, pair: int) -> tuple[np.ndarray, np.ndarray]:
    """Return positions, ascending, and the force along the road that the control met there, loss per length."""
    name = "control" if on == "valley" else "runaway, control"
    position = kept(f"{name}/position")[pair, ..., 0]  # (R, S): half precision, so that records close by say nothing
    some = position[:: (len(position) - 1) // 4]
    force = some.diff(dim=0) * profile(pair, on).length / (_time(name)[-1] / (len(some) - 1))
    where, order = (0.5 * (some[1:] + some[:-1])).flatten().sort()
    return where.numpy(), force.flatten()[order].numpy()


def _time(name: str) -> Tensor:
    setting = let_go.settings()[name]
    return kept(f"{name}/step") * setting["learning_rate"] / (1 - setting["momentum"])


def _half_way(remaining: Tensor) -> int:
    """Return the first record at which less than ``FOLLOWED`` of the way is left, or else the last one."""
    enough = (remaining < (1 - FOLLOWED) * remaining[0]).nonzero()
    return int(enough[0]) if len(enough) else len(remaining) - 1


def ratio(on: str, pair: int | None = None) -> Mean:
    """Return force over Λ⟨ΔL⟩, a fit to all runs whose walkers stayed, with its error over the roads; one has none."""
    runs = [[push(name, one) for name in names(on) if stayed(name)] for one in pairs_of(pair)]
    return mean_of(torch.tensor([sum(float(p.force.value) for p in row) / sum(p.product for p in row) for row in runs]))


def excess(name: str) -> Mean:
    """Return the measured excess loss over that of linear theory at the same places, with its error over the roads."""
    ratios = []
    for pair in PAIRS:
        prediction, (low, high) = law(name, pair), let_go.sides(name, 0.3)
        assert prediction.excess_loss is not None
        where = kept(f"{name}/position")[pair][:, [low, high]].mean(-1)  # (R, 2)
        said = np.interp(where[:-1].numpy(), prediction.position.numpy(), prediction.excess_loss.value.numpy())
        ratios.append(kept(f"{name}/excess")[pair, 1:, [low, high]].mean() / said.mean())
    return mean_of(torch.stack(ratios))


def stayed(name: str) -> bool:
    """Whether fewer than a twentieth of the projections of a run were from outside the valley."""
    return float(kept(f"{name}/outside").mean()) < LEFT


class Pushes:
    """Force against what should make it, both axes logarithmic, and the line on which they are equal."""

    def __init__(self) -> None:
        self.figure = sheet.figure()
        self.ax = labelled(self.figure.add_axes((0.1, 0.13, 0.87, 0.79)), "", "", text("06.panel.force"))
        self.ax.set(xscale="log", yscale="log", ylim=FORCES)
        self.ax.title.set_fontsize(11.5)
        self.line = moving(self.ax, colour=BLACK, dash="--", width=1.5)
        self.equal = boxed(self.ax, text("06.label.equal"), BLACK, ha="right", va="top")
        self.points, self.keys = {}, {}
        self.gone = sheet.Points(self.ax, colour=GREY, marker="x", size=6)
        for on, (colour, marker, face) in KINDS.items():
            self.points[on] = sheet.Points(self.ax, colour=colour, marker=marker, size=6)
            self.points[on].points.set_markerfacecolor(face)
            self.keys[on] = boxed(self.ax, "", colour, va="top")
            self.keys[on].set_transform(self.ax.transAxes)
            self.keys[on].set_position((0.02, 1.03 - 0.06 * len(self.keys)))
        left = boxed(self.ax, text("06.label.left"), GREY, va="top", transform=self.ax.transAxes)
        left.set_position((0.02, 0.85))
        self.bet = moving(self.ax, colour=GREY, dash="", marker="_", ms=40, mew=4, alpha=0.8)
        self.guess = boxed(self.ax, text("say.prediction"), GREY, ha="right", va="center")

    def show(self, against: str, pair: int | None, bet: float | None) -> None:
        """Draw all runs on one road or on all."""
        name = option_text(against, "06.axis.temperature", "06.axis.excess", "06.axis.product")
        if self.ax.get_xlabel() != name:
            self.ax.set_xlim(LIMITS[against])
            self.ax.set_xlabel(name, fontsize=11)
        for on, points in self.points.items():
            words = option_text(on, "06.label.valley", "06.label.runaway")
            if against == "product":
                words += text("06.label.ratio", ratio=with_error(ratio(on, pair), ".2f"))
            self.keys[on].set_text(words)
            self.draw(points, [name for name in names(on) if stayed(name)], against, pair)
        self.draw(self.gone, [name for on in KINDS for name in names(on) if not stayed(name)], against, pair)
        for artist in (self.bet, self.guess):
            artist.set_visible(bet is not None)
        if bet is not None:  # how hard B = 16 is pushed, as a multiple of B = 64
            hot, cold = ([push(f"eta 0.02, B {size}", one) for one in pairs_of(pair)] for size in (16, 64))
            at = sum(place("eta 0.02, B 16", each, against) for each in hot) / len(hot)
            height = bet * sum(float(each.force.value) for each in cold) / len(cold)
            self.bet.set_data([at], [height])
            self.guess.set_position((0.75 * at, height))
        for artist in (self.line, self.equal):
            artist.set_visible(against == "product")
        self.line.set_data(FORCES, FORCES)
        self.equal.set_position((0.97 * FORCES[1], 0.3 * FORCES[1]))

    @staticmethod
    def draw(points: sheet.Points, runs: list[str], against: str, pair: int | None) -> None:
        """Draw some runs; a force that is not towards the own end has no place on this axis."""
        rows = [(run, push(run, one)) for run in runs for one in pairs_of(pair)]
        x = torch.tensor([place(run, each, against) for run, each in rows], dtype=torch.float64)
        value, error = (torch.stack([each.force[i] for _, each in rows]).double() for i in range(2))
        seen = (value > 0) & (x > 0)
        error = torch.minimum(error, 0.9 * value)  # a bar that reaches zero has no end on this axis
        points.show(x[seen], Mean(value[seen], error[seen]))


def place(run: str, found: Push, against: str) -> float:
    """Return where a run stands on the axis."""
    setting = let_go.settings()[run]
    clock = setting["learning_rate"] / (1 - setting["momentum"])
    return {"temperature": clock / setting["batch_size"], "excess": found.excess, "product": found.product}[against]


def pushes(seed: int) -> Explorer:
    """Look for what the push of the noise goes with."""
    picture = Pushes()

    def render(*, push_against: str, road_pair: int | None, ghost: float | None = None) -> tuple[Figure, str]:
        picture.show(push_against, road_pair, ghost)
        return picture.figure, sentence(push_against, road_pair)

    return Explorer(
        render,
        [switch("push_against", AGAINST), slider("road_pair", ALL, None)],
        title=text("06.push.title"),
        code=code,
    )


def code(*, push_against: str, road_pair: int | None) -> str:
    """Return the code that sets force and excess loss of one run side by side."""
    pair = (road_pair or 1) - 1
    return "\n".join(
        [
            "from entropic_edu import recorded",
            'kept, name = recorded.load("let_go"), "eta 0.02, B 128"',
            f'profile = kept["valley/pair{pair}/profile"]',
            "narrowing = profile.narrowing(learning_rate=0.02, momentum=0.9, project_every=15).value[7]  # near 0.3",
            f'excess = kept[f"{{name}}/excess"][{pair}, 1:, 2].mean()  # of walkers from 0.3, which stay near it',
            "print(float(narrowing * excess))  # the push towards 0, loss per length",
        ]
    )


def spread(against: str, pair: int | None) -> float:
    """Return by what factor forces scatter about a power law of what is on the axis, one standard deviation."""
    rows = [(place(run, each, against), float(each.force.value)) for on in KINDS for run in names(on)
            for each in (push(run, one) for one in pairs_of(pair))]  # fmt: skip
    x, y = (np.log([row[i] for row in rows if min(row) > 0]) for i in range(2))
    if against == "product":
        return float(np.exp(np.std(y - x)))
    return float(np.exp(np.std(y - np.polyval(np.polyfit(x, y, 1), x))))


def sentence(against: str, pair: int | None) -> str:
    """Return the sentence of a state."""
    count = len(pairs_of(pair)) * sum(len(names(on)) for on in KINDS)
    shown = {on: with_error(ratio(on, pair), ".2f") for on in KINDS}
    return option_text(
        against,
        "06.push.temperature",
        "06.push.excess",
        "06.push.product",
        pairs=pairs_named(pair),
        count=count,
        factor=spread(against, pair),
        **shown,
    )
