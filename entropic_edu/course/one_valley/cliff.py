"""Round 3: the step that is too long, ηh = 2."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from entropic_edu.course.crowd import Crowd
from entropic_edu.figures.plots import BLACK, BLUE, PURPLE, RED, labelled
from entropic_edu.physics.mean import Mean
from entropic_edu.physics.release import Release
from entropic_edu.physics.snapshot import Snapshot
from entropic_edu.physics.steps import DivergenceError, StabilityWarning
from entropic_edu.teaching import sheet
from entropic_edu.teaching.explorer import Explorer, slider, switch
from entropic_edu.teaching.sheet import GREY, INK, moving
from entropic_edu.teaching.strings import option_text, text

from .common import across, how_many, measured, rounded, shown, spread

PRODUCTS = (0.1, 0.5, 1.0, 1.5, 1.8, 1.95, 2.0, 2.05, 2.2)  # ηh
CLIFF_STEPS, CLIFF_BATCH = 100, 16
CLIFF = Crowd("Waist", {"g_wide": 1.0, "g_narrow": 1.0}, steps=CLIFF_STEPS, records=CLIFF_STEPS)  # h = 1: ηh is η


def variance_after(steps: Tensor, learning_rate: float, batch_size: int = CLIFF_BATCH) -> Tensor:
    """Return the mean of x² after ``steps`` from x = 0, where h = s = 1: also where it never settles.

    x' = (1 - η) x - ηξ adds η²/B in each step to (1 - η)² times what there was.
    """
    factor = (1 - learning_rate) ** 2
    kick = learning_rate**2 / batch_size
    if math.isclose(factor, 1):
        return kick * steps.double()
    return kick * (1 - factor ** steps.double()) / (1 - factor)


@lru_cache(maxsize=16)
def until_it_falls(seed: int, learning_rate: float) -> Release:
    """Return a release on the trough of h = 1, up to where a walker was too far away to go on."""
    last: Snapshot[Release] | None = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", StabilityWarning)  # to go past the edge is the point of this picture
        try:
            for snapshot in CLIFF.stream(seed, batch_size=CLIFF_BATCH, learning_rate=learning_rate):
                last = snapshot
        except DivergenceError:
            pass  # the records up to there are what we came for
    assert last is not None  # every stream begins with a snapshot
    return last.result


def regime(learning_rate: float) -> str:
    """Return what walkers do where h = 1: "settles", "wanders" at the edge itself, or "falls" past it."""
    if math.isclose(learning_rate, 2):
        return "wanders"
    return "settles" if learning_rate < 2 else "falls"


GUESSES: dict[str, Callable[[Any], Any]] = {  # what a misconception expects of the mean of x² at ηh
    "proportion": lambda edge: edge / (2 * CLIFF_BATCH),
    "shrinks": lambda edge: 0.01 / edge,  # from where the exact law is at ηh = 0.5
}


class Cliff:
    """The spread against ηh at the left, one walker in time at the right."""

    def __init__(self) -> None:
        self.figure = sheet.figure()
        self.ax = ax = self.figure.add_axes((0.1, 0.125, 0.4, 0.8))
        ax.set(yscale="log", xlim=(0, 2.4), ylim=(1e-3, 30))
        labelled(ax, text("01.axis.edge"), text("01.axis.variance"), text("01.panel.cliff"))
        below = torch.linspace(0.02, 1.998, 400, dtype=torch.float64)
        self.exact = below / (CLIFF_BATCH * (2 - below))
        whole = torch.linspace(0.02, 2.4, 100, dtype=torch.float64)
        ax.plot(below, self.exact, color=PURPLE, lw=2, ls="--")
        ax.plot(whole, whole / (2 * CLIFF_BATCH), color=BLACK, lw=1.5, ls=":")
        ax.axvline(2, color=RED, lw=1.5, ls="-.")
        ax.text(0.3, 0.13, text("01.label.exact"), color=INK.get(PURPLE, PURPLE), fontsize=sheet.SMALL, ha="left")
        ax.text(0.95, 0.019, text("01.label.small"), color=BLACK, fontsize=sheet.SMALL, ha="left")
        ax.text(1.95, 0.0014, text("01.label.edge"), color=INK.get(RED, RED), fontsize=sheet.SMALL, ha="right")
        self.ghosts = {name: guess(whole) for name, guess in GUESSES.items()}
        self.whole = whole
        self.ghost = moving(ax, colour=GREY, dash=(0, (3, 2)), width=4)
        self.ghost_name = sheet.end_label(ax, text("01.label.ghost"), GREY)
        self.gone_name = sheet.end_label(ax, text("01.label.gone"), BLUE)
        self.error = moving(ax, width=2)
        self.point = moving(ax, dash="", marker="o", ms=9)
        self.gone = moving(ax, dash="", marker="^", ms=13)
        self.time = self.figure.add_axes((0.615, 0.125, 0.365, 0.8))
        self.time.set(xlim=(0, CLIFF_STEPS), ylim=(-3, 3))
        labelled(self.time, text("axis.step"), text("01.axis.x"), text("01.panel.walker"))
        self.band = sheet.Band(self.time)
        self.walker = moving(self.time, width=1.0)

    def show(self, release: Release, crowd: str, mean: Mean, learning_rate: float, ghost: str | None) -> None:
        """Draw the measured mean of x², or that there is none, and the walk of one walker."""
        settles = regime(learning_rate) == "settles"
        value, error = float(mean.value), float(mean.error.nan_to_num(0.0))
        self.point.set_data([learning_rate], [value])
        self.error.set_data([learning_rate] * 2, [max(value - error, 1e-6), value + error])
        self.gone.set_data([learning_rate], [18.0])
        self.gone_name.set(position=(1.85, 18.0), ha="right")
        for artist in (self.point, self.error, self.gone, self.gone_name):
            artist.set_visible(settles == (artist in (self.point, self.error)))
        line = self.ghosts.get(ghost or "")
        self.ghost.set_visible(line is not None)
        self.ghost_name.set_visible(line is not None)
        if line is not None:
            self.ghost.set_data(self.whole.numpy(), line.numpy())
            self.ghost_name.set_position((1.0, 0.36 * float(line[41])))
        x, step = across(release), release.step.double()
        deviation = x.square().mean(1).sqrt()
        self.band.show(step, None if crowd == "one" else Mean(torch.zeros_like(step), deviation))
        self.band.line.set_visible(False)
        self.walker.set_data(step.numpy(), x[:, 0].numpy())


def cliff(seed: int) -> Explorer:
    """The step that is too long: where ηh reaches 2 the spread has no bound."""
    picture = Cliff()

    def render(*, edge: float, crowd: str, ghost: str | None = None) -> tuple[Figure, str]:
        release = until_it_falls(seed, edge)
        half = across(release)[release.step > CLIFF_STEPS // 2]
        x = shown(half if regime(edge) == "settles" else across(release)[-1:], crowd)
        mean, end = spread(x), int(release.step[-1])
        picture.show(release, crowd, mean, edge, ghost)
        guess = GUESSES.get(ghost or "")
        exact = edge / (CLIFF_BATCH * (2 - edge)) if edge < 2 else float(variance_after(release.step[-1:], edge))
        words = option_text(
            regime(edge),
            "01.cliff.settles",
            "01.cliff.wanders",
            "01.cliff.falls",
            edge=edge,
            batch_size=CLIFF_BATCH,
            walkers=how_many(x.shape[1]),
            steps=end,
            measured=measured(mean),
            exact=rounded(exact),
            small=rounded(edge / (2 * CLIFF_BATCH)),
            factor=abs(1 - edge),
            power=rounded(float(f"{abs(1 - edge) ** 100:.0e}")),
            kick=rounded(edge**2 / CLIFF_BATCH),
        )
        if guess is not None:
            words = f"{words} {text('01.cliff.guess', guess=rounded(guess(edge)))}"
        return picture.figure, words

    def code(*, edge: float, crowd: str) -> str:
        # a run that falls is written down as long as it lasted
        end = int(until_it_falls(seed, edge).step[-1])
        return CLIFF.code(seed, batch_size=CLIFF_BATCH, learning_rate=edge, steps=end, record_every=1)

    return Explorer(
        render,
        [slider("edge", PRODUCTS, 0.5), switch("crowd", ("eight", "one"))],
        title=text("01.cliff.title"),
        code=code,
    )
