"""Round 1: five valleys that look alike, and what can be measured on them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from entropic_edu.course import floor
from entropic_edu.figures.pixels import png
from entropic_edu.figures.plots import BLACK, BLUE, DASHES, PURPLE, RED, labelled
from entropic_edu.physics.release import Release
from entropic_edu.recorded.look_alikes import cases
from entropic_edu.recorded.look_alikes.cases import BATCHES, LETTERS, RATES, Case
from entropic_edu.recorded.look_alikes.measure import BINS, CELLS, Measured, measured
from entropic_edu.teaching import sheet
from entropic_edu.teaching.explorer import Explorer, Work, slider, switch
from entropic_edu.teaching.sheet import GREY, moving
from entropic_edu.teaching.strings import option_text, text

from .kept import crowds, data_of, story, story_narrow, story_push, story_push_ends, with_error

ALONG, ACROSS = (0.6, 3.6), (-0.8, 0.8)
MEASURES = ("walkers", "kicks", "double")
MIDDLES = 0.5 * (BINS[1:] + BINS[:-1])
Y = torch.linspace(*ALONG, 121, dtype=torch.float64)


class Field:
    """The plan: one picture of the loss that changes with the case, and the walkers on it."""

    def __init__(self, figure: Figure, box: tuple[float, float, float, float] = (0.095, 0.56, 0.45, 0.39)) -> None:
        ax = figure.add_axes(box)
        ax.set(xlim=ALONG, ylim=ACROSS)
        labelled(ax, text("axis.along"), text("axis.across"))
        levels = np.zeros((161, 321))
        self.image = ax.imshow(
            levels, extent=(*ALONG, *ACROSS), origin="lower", aspect="auto", cmap="cividis_r", vmin=0, vmax=1, zorder=0
        )
        self.image.set_animated(True)
        ax.plot([1, 3], [0, 0], color=BLACK, lw=1, ls=(0, (4, 4)), zorder=1, animated=True)
        self.twins = ax.scatter([], [], s=16, c="none", edgecolors=RED, lw=1.2, animated=True, zorder=3)
        self.walkers = ax.scatter([], [], s=18, c=BLUE, edgecolors="white", lw=0.6, animated=True, zorder=4)
        x, y = torch.linspace(*ACROSS, 161), torch.linspace(*ALONG, 321)
        grid = torch.stack(torch.meshgrid(x, y, indexing="ij"), -1).reshape(-1, 2)
        self.levels = {letter: _levels(cases.land(letter).loss(grid)).reshape(161, 321).numpy() for letter in LETTERS}

    def show(self, letter: str, walkers: Tensor, twins: Tensor | None) -> None:
        """Draw a case, its walkers, and those of a pinned run as open circles."""
        self.image.set_data(self.levels[letter])
        self.walkers.set_offsets(walkers.flip(-1).numpy())
        self.twins.set_offsets(np.empty((0, 2)) if twins is None else twins.flip(-1).numpy())


def _levels(loss: Tensor) -> Tensor:
    """Twelve steps of the root of the loss, evenly spaced, from 0 to 1."""
    root = (loss - loss.min()).sqrt()
    return (12 * root / root.quantile(0.97)).floor().clamp(max=11) / 11


class Picture:
    """One figure for each measure of the panel below: plan and panel at the left, curvature, spread, push at the right.

    Args:
        measure: What the panel below the plan shows: "walkers", "kicks" or "double".
    """

    def __init__(self, measure: str) -> None:
        self.figure, self.measure = sheet.figure(), measure
        self.field = Field(self.figure)
        ax = self.ax = self.figure.add_axes((0.095, 0.125, 0.375, 0.215))
        labelled(
            ax, text("axis.along"), "", option_text(measure, "10.panel.walkers", "10.panel.kicks", "10.panel.double")
        ).set(xlim=ALONG)
        ax.title.set_fontsize(11)
        if measure == "double":
            ax.set(yscale="log", ylim=(0.3, 3e4))
            ax.set_yticks([1, 100, 1e4], ["1", "100", "10,000"])
            ax.minorticks_off()
        else:
            ax.set_ylim(0, 1.3 if measure == "walkers" else 3.6)
        self.points, self.other = sheet.Points(ax), sheet.Points(ax, colour=RED, marker="s", size=5)
        self.other.points.set(mfc="none", mew=1.5, ms=8)  # so that both are seen where they agree
        self.law = moving(ax, colour=PURPLE, dash=DASHES[2])
        self.names = [sheet.end_label(ax, "", colour) for colour in (BLUE, RED)]
        self.law_name = sheet.end_label(ax, text("10.label.story"), PURPLE)
        self.ghost = moving(ax, colour=GREY, dash=(0, (3, 2)), width=4, alpha=0.8)
        self.bet = ax.text(
            0.63, 1.16, text("say.prediction"), color=GREY, fontsize=sheet.SMALL, va="center", animated=True
        )
        self._right()

    def _right(self) -> None:
        axes = [self.figure.add_axes((0.645, bottom, 0.275, 0.185)) for bottom in floor.RIGHT]
        words = (text("panel.curvature"), text("10.panel.spread"), text("10.panel.push"))
        for ax, title in zip(axes, words, strict=True):
            labelled(ax, text("axis.along") if ax is axes[2] else "", "", title).set(xlim=ALONG)
            ax.title.set_fontsize(11)
        for ax in axes[:2]:
            ax.set_yscale("log")
            ax.tick_params(labelbottom=False)
        axes[0].set(ylim=(0.4, 80))
        axes[0].set_yticks([1, 10], ["1", "10"])
        axes[1].set(ylim=(0.07, 12))
        axes[1].set_yticks([0.1, 1, 10], ["0.1", "1", "10"])
        axes[2].set(ylim=(-0.3, 1.6))
        for ax in axes:
            ax.minorticks_off()
        self.curvature = moving(axes[0], colour=RED)
        axes[1].axhline(1, color=PURPLE, ls=DASHES[2], lw=2)
        ink = sheet.INK[PURPLE]
        axes[1].text(3.65, 1, text("10.label.story"), color=ink, fontsize=sheet.SMALL, va="center")
        axes[2].axhline(0, color=GREY, lw=1)
        self.push_law = moving(axes[2], colour=PURPLE, dash=DASHES[2])
        self.push_name = sheet.end_label(axes[2], text("10.label.story"), PURPLE)
        hollow: dict[str, Any] = {"mfc": "none", "mew": 1.5}
        self.measured = [sheet.Points(ax, size=5) for ax in axes[1:]]
        self.twin = [moving(ax, colour=RED, dash="", marker="o", ms=7, **hollow) for ax in axes[1:]]

    def show(self, letter: str, measures: Measured, law: Tensor | None, twin: Measured | None) -> None:
        """Draw a case, what the story says of it, and a pinned run.

        Args:
            letter: Of the case.
            measures: What was measured.
            law: Walkers per length as the story has them, (20,); None without noise.
            twin: What was measured in the pinned run.
        """
        land = cases.land(letter)
        self.field.show(letter, measures.walkers, None if twin is None else twin.walkers)
        self.curvature.set_data(Y.numpy(), land.curvature_across(Y).numpy())
        inside = Y[(Y >= 1) & (Y <= 3)]
        push = story_push(land, inside)
        self.push_law.set_data(inside.numpy(), push.numpy())
        self.push_name.set_position((3.65, float(push[-1])))
        for points, mean in zip(self.measured, (measures.spread, measures.push), strict=True):
            points.show(MIDDLES, mean)
        for line, name in zip(self.twin, ("spread", "push"), strict=True):
            line.set_data(([], []) if twin is None else (MIDDLES.numpy(), getattr(twin, name).value.numpy()))
        self._below(land, measures, law)

    def _below(self, land: Case, measures: Measured, law: Tensor | None) -> None:
        at = 0.5 * (CELLS[1:] + CELLS[:-1]) if self.measure == "walkers" else MIDDLES
        first = {"walkers": measures.density, "kicks": measures.along, "double": measures.twice}[self.measure]
        self.points.show(at, first)
        self.other.show(at, measures.across if self.measure == "kicks" else None)
        drawn = law is not None and self.measure == "walkers"
        self.law.set_data(([], []) if law is None or not drawn else (at.numpy(), law.numpy()))
        self.law_name.set_visible(drawn)
        if law is not None:
            self.law_name.set_position((3.65, max(0.1, float(law[-1]))))
        for name in self.names:
            name.set_visible(self.measure == "kicks" and law is not None)
        ends = [float(mean.value[mean.value.isfinite()][-1:].sum()) for mean in (measures.along, measures.across)]
        low = max(0.3, min(ends))
        heights = (low, max(low + 0.55, max(ends)))
        for name, word, end in zip(self.names, ("along", "across"), ends, strict=True):
            name.set_text(option_text(word, "10.label.along", "10.label.across"))
            name.set_position((3.2, heights[int(end > min(ends) or (word == "across" and ends[0] == ends[1]))]))

    def predicted(self, ghost: float | None) -> None:
        """Draw the share of the walkers that was predicted for the left half, as two levels."""
        shown = ghost is not None and self.measure == "walkers"
        self.ghost.set_visible(shown)
        self.bet.set_visible(shown)
        if ghost is not None:
            self.ghost.set_data([1, 2, 2, 3], [ghost, ghost, 1 - ghost, 1 - ghost])


def opening(seed: int) -> Explorer:
    """Return the explorer of the five valleys before the first step: what one can see without measuring."""
    figure = sheet.figure()
    field = Field(figure, (0.095, 0.5, 0.875, 0.46))
    ax = figure.add_axes((0.095, 0.125, 0.875, 0.215))
    labelled(ax, text("axis.along"), "", text("panel.curvature")).set(xlim=ALONG, yscale="log", ylim=(0.4, 80))
    ax.set_yticks([1, 10], ["1", "10"])
    ax.minorticks_off()
    curvature = moving(ax, colour=RED)

    def render(*, case: str) -> tuple[Figure, str]:
        land = cases.land(case)
        field.show(case, land.floor(49), None)
        curvature.set_data(Y.numpy(), land.curvature_across(Y).numpy())
        left, right = (float(h) for h in land.curvature_across(torch.tensor([cases.START, cases.END])))
        return figure, text("10.opening.sentence", case=case, left=left, right=right)

    return Explorer(
        render,
        [switch("case", tuple(LETTERS))],
        title=text("10.opening.title"),
        code=lambda case: (
            "from entropic_edu.recorded.look_alikes import cases\n"
            f'land = cases.land("{case}")\n'
            "h = land.curvature_across(torch.tensor([1.0, 3.0]))"
        ),
    )


def gallery(seed: int) -> Explorer:
    """Return the explorer of five valleys that look alike: which of them fails, and how."""
    pictures = {measure: Picture(measure) for measure in MEASURES}
    for picture in pictures.values():
        png(picture.figure)  # now, so that no turn of a control waits for what never changes

    def render(
        *,
        case: str,
        batch_size: int | None,
        learning_rate: float,
        measure: str,
        ghost: float | None = None,
        pinned: dict[str, Any] | None = None,
    ) -> tuple[Figure, str]:
        measures = crowds(LETTERS[case], batch_size, learning_rate)
        twin = None
        if pinned is not None:
            twin = crowds(LETTERS[pinned["case"]], pinned["batch_size"], pinned["learning_rate"])
        words = sentence(case, measures, batch_size, learning_rate, measure, text("10.cases.recorded"), cases.STEPS)
        if twin is not None and pinned is not None:
            setting = {name: pinned[name] for name in ("case", "learning_rate")}
            left = with_error(twin.spread_ends, 0)
            words += " " + text("10.cases.twin", **setting, data=data_of(pinned["batch_size"]), left=left)
        return drawn(pictures[measure], case, measures, batch_size, learning_rate, ghost, twin), words

    def live(
        release: Release, *, case: str, batch_size: int | None, learning_rate: float, measure: str
    ) -> tuple[Figure, str]:
        measures = measured(cases.land(case), release)
        made = text("10.cases.computed", seed=seed + 1)
        words = sentence(case, measures, batch_size, learning_rate, measure, made, int(release.step[-1]))
        return drawn(pictures[measure], case, measures, batch_size, learning_rate), words

    return Explorer(
        render,
        [
            switch("case", tuple(LETTERS)),
            slider("batch_size", BATCHES, 16),
            slider("learning_rate", RATES, 0.04),
            switch("measure", MEASURES),
        ],
        title=text("10.cases.title"),
        code=lambda measure, case, **turned: code_of(case, 0, **turned),
        work=Work(
            stream=lambda case, measure, **turned: cases.stream(cases.land(case), seed + 1, **turned),
            show=live,
            units=lambda **turned: cases.STEPS,
            frame=live,
        ),
    )


def drawn(
    picture: Picture,
    case: str,
    measures: Measured,
    batch_size: int | None,
    learning_rate: float,
    ghost: float | None = None,
    twin: Measured | None = None,
) -> Figure:
    """Draw a case, what the story says of it, a bet and a pinned run; return the figure."""
    picture.predicted(ghost)
    picture.show(case, measures, None if batch_size is None else story(LETTERS[case], batch_size, learning_rate), twin)
    return picture.figure


def sentence(
    case: str, measures: Measured, batch_size: int | None, learning_rate: float, measure: str, made: str, steps: int
) -> str:
    """Say what was measured on a case, and what the story says of it."""
    setting = text(
        "10.cases.setting", case=case, data=data_of(batch_size), learning_rate=learning_rate, steps=steps, made=made
    )
    share = {"narrow": 100 * float(measures.narrow.value), "error": 100 * float(measures.narrow.error)}
    if batch_size is None:
        return f"{setting} {text('10.cases.still', moved=float(measures.moved.value), **share)}"
    land, law = cases.land(case), story_narrow(LETTERS[case], batch_size, learning_rate)
    ends = {"left": with_error(measures.spread_ends, 0), "right": with_error(measures.spread_ends, 1)}
    push = story_push_ends(land)
    more = {
        "walkers": lambda: text(
            "10.cases.walkers",
            left=with_error(measures.push_ends, 0),
            right=with_error(measures.push_ends, 1),
            a=push[0],
            b=push[1],
        ),
        "kicks": lambda: text(
            "10.cases.kicks", left=with_error(measures.along_ends, 0), right=with_error(measures.along_ends, 1)
        ),
        "double": lambda: text("10.cases.double", ratio=with_error(measures.doubled)),
    }[measure]()
    share["law"] = 100 * law
    # the story's share is for the whole run
    return f"{setting} {text('10.cases.noisy' if steps == cases.STEPS else '10.cases.running', **share, **ends)} {more}"


def code_of(letter: str, seed: int, batch_size: int | None, learning_rate: float) -> str:
    """Return the lines that make a case's crowds anew, and measure them."""
    return (
        "from entropic_edu.recorded.look_alikes import cases, measure\n"
        f'land, generator = cases.land("{letter}"), torch.Generator().manual_seed({seed})\n'
        f"settings = cases.settings(batch_size={batch_size}, learning_rate={learning_rate})  # of 768 walkers\n"
        "release = ee.drift(land, ee.Path(land.floor(2)), generator=generator, **settings)\n"
        "found = measure.measured(land, release)"
    )
