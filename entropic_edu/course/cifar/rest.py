"""Round 3: are the ends at rest? The objective along the road, and how far descent without noise moves an end."""

from __future__ import annotations

import torch
from matplotlib.figure import Figure
from torch import Tensor

from entropic_edu import recorded
from entropic_edu.figures.plots import BLACK, GREEN
from entropic_edu.physics.train import Run
from entropic_edu.recorded import cifar10
from entropic_edu.teaching import sheet
from entropic_edu.teaching.explorer import Explorer, slider, switch
from entropic_edu.teaching.sheet import GREY, Band, moving
from entropic_edu.teaching.strings import option_text, text

from . import live
from .common import ALL, PAIRS, STARTS, even, named, of_start, over_pairs, panel, times, written

PARTS = ("objective", "data_loss", "decay")
LAST = float(times("no noise")[-1])


def part(name: str) -> Tensor:
    """Return a part of the objective along the roads of all pairs, above the mean of the two ends, (P, 49)."""
    loss, objective = cifar10.every("road_loss"), cifar10.every("road_objective")
    values = {"objective": objective, "data_loss": loss, "decay": objective - loss}[name]
    return values - values[:, [0, -1]].mean(1, keepdim=True)


def ends(which: str) -> Tensor:
    """Return what the story says of the ends after descent, (P, 2): "moved", or "nearest_position"."""
    kept = recorded.load("cifar10")
    return torch.tensor([kept[f"pair{pair}/figures"]["ends"][which] for pair in PAIRS], dtype=torch.float64)


def inwards() -> Tensor:
    """Return how far along the road descent has taken the ends of each pair inwards, the mean of both, (P,)."""
    near = ends("nearest_position")
    return 0.5 * (near[:, 0] + 1 - near[:, 1])


class Rest:
    """The objective along the road at the left; at the right how far ends and walkers move, against flow time."""

    def __init__(self) -> None:
        self.figure = sheet.figure()
        left = panel(
            self.figure, (0.085, 0.125, 0.36, 0.79), text("09.panel.part"), text("09.axis.position"), xlim=(0, 1)
        )
        left.set_ylim(-0.045, 0.02)
        left.axhline(0, color=GREY, lw=1)
        self.singles = [moving(left, colour=GREY, width=1, alpha=0.6) for _ in PAIRS]
        self.part = Band(left)
        place = (0.57, 0.125, 0.25, 0.79)
        right = panel(self.figure, place, text("09.panel.moved"), text("09.axis.time"), xlim=(0, 1.06 * LAST))
        right.set(ylim=(0, 0.2))
        at_most = recorded.load("cifar10")["pair0/figures"]["ends"]["at_most"]
        right.axhline(at_most, color=GREY, ls="--", lw=1.2)
        right.text(10, 1.02 * at_most, text("09.label.at_rest"), fontsize=sheet.SMALL, va="bottom")
        self.noisy, self.still = Band(right), Band(right, colour=BLACK, dash=":")
        self.ends = moving(right, colour=BLACK, dash="", marker="s", ms=6, mfc="white")
        self.name = sheet.end_label(right, text("09.label.ends"), BLACK)
        self.bet = moving(right, colour=GREY, width=4, dash=(0, (3, 2)))
        self.now = moving(right, colour=GREEN, marker="D", ms=4)

    def show(self, name: str, pair: int | None, ghost: float | None) -> None:
        """Draw a part of the objective, walkers and ends of one pair or of all, and a bet on the ends."""
        each, chosen = part(name), slice(None) if pair is None else slice(pair - 1, pair)
        for number, line in enumerate(self.singles, start=1):
            line.set_data(even(each.shape[1]).numpy(), each[number - 1].numpy())
            line.set_visible(number != pair)
        self.part.show(even(each.shape[1]), over_pairs(each, pair))
        for band, run, words in (
            (self.noisy, "hot", text("09.label.noisy")),
            (self.still, "no noise", text("09.label.still")),
        ):
            away = torch.stack([(of_start(run, start) - start).abs() for start in STARTS]).mean(0)
            band.show(times(run), over_pairs(away, pair), words)
            band.name.set_x(1.08 * LAST)
        moved = ends("moved")[chosen].flatten()
        self.ends.set_data([LAST] * len(moved), moved.numpy())
        self.name.set_position((1.08 * LAST, float(moved.mean())))
        if abs(float(self.noisy.name.get_position()[1]) - float(moved.mean())) < 0.012:
            self.noisy.name.set_y(float(moved.mean()) + 0.014)
        self.bet.set_data(([], []) if ghost is None else ([0.6 * LAST, LAST], [ghost, ghost]))
        self.now.set_data([], [])


def rest(seed: int) -> Explorer:
    """Are the ends at rest? What the objective does along the road, and how far descent takes an end."""
    picture = Rest()
    gone: list[tuple[float, float]] = []  # of the descent that goes now: flow time, and share of the road

    def render(*, objective_part: str, cifar_pair: int | None, ghost: float | None = None) -> tuple[Figure, str]:
        picture.show(objective_part, cifar_pair, ghost)
        return picture.figure, sentence(objective_part, cifar_pair)

    def show(run: Run, *, objective_part: str, cifar_pair: int | None) -> tuple[Figure, str]:
        pair = cifar_pair or 1
        time, moved = live.moved(run, pair - 1)
        gone[:] = [each for each in gone if each[0] < time] + [(time, moved)]
        picture.show(objective_part, pair, None)
        picture.now.set_data(*zip(*gone, strict=True))
        kept = float(ends("moved")[pair - 1].mean())
        return picture.figure, text("09.rest.live", pair=pair, time=time, moved=100 * moved, kept=100 * kept)

    work = live.work(
        text("09.rest.what"),
        lambda land, cifar_pair, **_: live.settled(land, (cifar_pair or 1) - 1),
        show,
        lambda **_: cifar10.STORY.control.steps,
        frame=True,
    )
    controls = [switch("objective_part", PARTS), slider("cifar_pair", ALL, None)]
    return Explorer(render, controls, title=text("09.rest.title"), code=lines, work=work)


def sentence(name: str, pair: int | None) -> str:
    """Say how far ends move, how much of it is along the road, and how deep the well of the objective is."""
    low = part(name).amin(1)
    return text(
        "09.rest.sentence",
        pairs=named(pair),
        moved=written(over_pairs(100 * ends("moved").mean(1), pair), ".1f"),
        inwards=written(over_pairs(100 * inwards(), pair), ".1f"),
        part=option_text(name, "09.part.objective", "09.part.data_loss", "09.part.decay"),
        low=written(over_pairs(low, pair) * -1, ".3f"),
    )


def lines(*, objective_part: str, cifar_pair: int | None) -> str:
    """Return code that reads how far the ends of a pair move."""
    return "\n".join(
        [
            "from entropic_edu import recorded",
            f'figures = recorded.load("cifar10")["pair{(cifar_pair or 1) - 1}/figures"]',
            'print(figures["ends"])  # moved: share of the road; well: of the objective, below the lower end',
        ]
    )
