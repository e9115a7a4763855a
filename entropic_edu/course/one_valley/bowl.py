"""Round 1: noise against the pull of the wall."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from matplotlib.figure import Figure
from matplotlib.text import Text
from torch import Tensor

from entropic_edu.course.crowd import SWITCH
from entropic_edu.figures.plots import BLUE, PURPLE, RED, labelled
from entropic_edu.physics.mean import Mean
from entropic_edu.physics.release import Release
from entropic_edu.physics.snapshot import Stream
from entropic_edu.teaching import sheet
from entropic_edu.teaching.explorer import Explorer, Work, slider, switch
from entropic_edu.teaching.sheet import GREY, moving
from entropic_edu.teaching.strings import option_text, text

from .common import (
    HALF,
    LATE,
    STEPS,
    Cloud,
    across,
    compared,
    exact_at,
    late,
    let_go,
    rounded,
    run_of,
    sentence,
    shown,
    spread,
    trough,
)

LABEL_KEYS = ("01.label.band", "01.label.walker", "01.label.law", "01.label.twin", "01.label.ghost")

# --- round 1 -------------------------------------------------------------------------------------------------------

RATES = (0.05, 0.1, 0.2, 0.4)
CURVATURES = (0.5, 1.0, 2.0, 4.0)
FINER_STEPS, FINER_WALKERS = 2000, 2048


class Bowl:
    """x against the step at the left, where the walkers are at late times at the right."""

    def __init__(self, steps: int) -> None:
        self.figure, self.steps = sheet.figure(), steps
        self.ax = self.figure.add_axes((0.095, 0.12, 0.51, 0.8))
        self.ax.set(xlim=(0, steps), ylim=(-HALF, HALF))
        labelled(self.ax, text("axis.step"), text("01.axis.x"), text("01.panel.time"))
        self.ax.axhline(0, color=GREY, lw=1, zorder=0)
        self.ax.axvspan(LATE * steps, steps, ymin=0, ymax=0.02, color=GREY)
        self.ax.text(
            (1 + LATE) / 2 * steps, -0.94 * HALF, text("01.label.late"), color=GREY, fontsize=sheet.SMALL, ha="center"
        )
        self.ghosts = [moving(self.ax, colour=GREY, dash=(0, (3, 2)), width=4) for _ in range(2)]
        self.band = sheet.Band(self.ax)
        self.walkers = [moving(self.ax, width=0.8, alpha=0.8) for _ in range(4)]
        self.law = [moving(self.ax, colour=PURPLE, dash="--") for _ in range(2)]
        self.twin = [moving(self.ax, colour=RED, dash=":", width=2.5) for _ in range(2)]
        words = [("band", BLUE), ("walker", BLUE), ("law", PURPLE), ("twin", RED), ("ghost", GREY)]
        self.names = {word: sheet.end_label(self.ax, option_text(word, *LABEL_KEYS), colour) for word, colour in words}
        self.cloud = Cloud(self.figure.add_axes((0.79, 0.12, 0.19, 0.8)))
        self.cloud.ax.tick_params(labelleft=False)  # the axis is the left panel's

    def show(
        self,
        release: Release,
        crowd: str,
        variance: float,
        twin: Release | None,
        ghost: Callable[[Tensor], Tensor] | None,
    ) -> None:
        """Draw a release, all or one walker, beside the exact variance, a pinned release and a prediction."""
        step, x = release.step.double(), across(release)
        one, deviation = crowd == "one", x.square().mean(1).sqrt()
        for number, line in enumerate(self.walkers):
            line.set_data(step.numpy(), x[:, number].numpy())
            line.set_visible(number == 0 or not one)
            line.set_linewidth(1.5 if one else 0.8)
        self.band.show(step, None if one else Mean(torch.zeros_like(step), deviation))
        self.band.line.set_visible(False)  # the middle of the band is no measured mean
        law = torch.full_like(step, math.sqrt(variance))
        ends: dict[str, float | None] = {"law": -float(law[-1]), "twin": None, "ghost": None}
        ends |= {"band": None if one else float(law[-1]), "walker": float(x[-1, 0]) if one else None}
        _both(self.law, step, law)
        known = None if twin is None else across(twin).square().mean(1).sqrt()
        ends["twin"] = None if known is None else float(known[-1])
        _both(self.twin, step, known)
        predicted = None if ghost is None else ghost(step)
        _both(self.ghosts, step, predicted)
        ends["ghost"] = None if predicted is None else float(predicted[-1].clamp(max=0.9 * HALF))
        _apart([(self.names[word], end) for word, end in ends.items()], 1.02 * self.steps, 0.13)
        self.cloud.show(shown(late(release), crowd), variance, None if twin is None else late(twin))


def _both(lines: Sequence[Any], x: Tensor, height: Tensor | None) -> None:
    """Draw a height above and below the axis, or neither."""
    for line, side in zip(lines, (1, -1), strict=True):
        line.set_visible(height is not None)
        if height is not None:
            line.set_data(x.numpy(), side * height.numpy())


def _apart(names: Sequence[tuple[Text, float | None]], x: float, gap: float) -> None:
    """Put labels at x beside their heights, at least ``gap`` from each other; None takes one off the picture."""
    for name, height in names:
        name.set_visible(height is not None)
    wanted = sorted([(height, name) for name, height in names if height is not None], key=lambda pair: pair[0])
    placed: list[float] = []
    for height, _ in wanted:
        placed.append(max([height, *[below + gap for below in placed[-1:]]]))
    shift = sum(height - at for (height, _), at in zip(wanted, placed, strict=True)) / max(1, len(wanted))
    for (_, name), at in zip(wanted, placed, strict=True):
        name.set_position((x, at + shift))


def _predicted(ghost: str | None, batch_size: int | None, learning_rate: float) -> Callable[[Tensor], Tensor] | None:
    """Return the deviation of x that a misconception expects at each step."""
    kick = 0.0 if batch_size is None else learning_rate / math.sqrt(batch_size)  # ηs/√B, one step's
    laws: dict[str, Callable[[Tensor], Tensor]] = {
        "bottom": lambda step: kick / (1 + step).sqrt(),  # kicks average like a mean of independent numbers
        "walk": lambda step: kick * step.sqrt(),
    }
    return laws.get(ghost or "")


def bowl(seed: int) -> Explorer:
    """Noise against the pull of the wall: the cloud has a fixed width."""
    live, longer = Bowl(STEPS), Bowl(FINER_STEPS)

    def draw(picture: Bowl, release: Release, pinned: dict[str, Any] | None, ghost: str | None, **turned: Any) -> str:
        twin = None if pinned is None else let_go(seed, **run_of(pinned))
        variance = exact_at(**turned)
        expected = _predicted(ghost, turned["batch_size"], turned["learning_rate"])
        picture.show(release, turned["crowd"], variance, twin, expected)
        words = sentence("01.bowl.cloud" if variance else "01.bowl.still", late(release), release, variance, **turned)
        if expected is not None:
            end = float(expected(release.step[-1].double()).square())
            words = f"{words} {text('01.bowl.guess', guess=rounded(end))}"
        return words if twin is None else f"{words} {compared('01.bowl.pinned', spread(late(twin)), pinned or {})}"

    def render(*, pinned: dict[str, Any] | None = None, ghost: str | None = None, **turned: Any) -> tuple[Figure, str]:
        return live.figure, draw(live, let_go(seed, **run_of(turned)), pinned, ghost, **turned)

    def finer(*, crowd: str, bowl_curvature: float, **turned: Any) -> Stream[Release]:
        return trough(bowl_curvature, FINER_STEPS, FINER_WALKERS).stream(seed, **turned)

    def show(release: Release, **turned: Any) -> tuple[Figure, str]:
        return longer.figure, draw(longer, release, None, None, **turned)

    return Explorer(
        render,
        [
            slider("batch_size", (1, 4, 16, 64, 256, None), 4),
            slider("learning_rate", RATES, 0.2),
            slider("bowl_curvature", CURVATURES, 1.0),
            switch("noise", SWITCH),
            switch("crowd", ("eight", "one")),
        ],
        title=text("01.bowl.title"),
        code=lambda *, bowl_curvature, crowd, **turned: trough(bowl_curvature).code(seed, **turned),
        work=Work(finer, show, lambda **turned: FINER_STEPS),
    )
