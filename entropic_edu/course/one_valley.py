"""Lesson 01: one trough ½hx². Noise does not average out: it keeps a cloud of walkers as wide as η/B says."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import product
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.text import Text
from torch import Tensor

from entropic_edu import stage
from entropic_edu.optimizers import DivergenceError, StabilityWarning
from entropic_edu.player import Panel, Player
from entropic_edu.plots import BLACK, BLUE, PURPLE, RED, labelled
from entropic_edu.release import Release
from entropic_edu.results import Result
from entropic_edu.snapshot import Snapshot, Stream
from entropic_edu.stage import GREY, INK, Mean, moving
from entropic_edu.strings import text
from entropic_edu.valleys import Waist
from entropic_edu.widgets import Explorer, Work, png, slider, switch

from . import Chapter, Exercise, Question
from .crowd import SWITCH, Crowd

RATES = (0.05, 0.1, 0.2, 0.4)
CURVATURES = (0.5, 1.0, 2.0, 4.0)
STEPS, FINER_STEPS, FINER_WALKERS = 400, 2000, 2048
LATE = 0.75  # the spread is measured in the last quarter of a run: it has settled by then at all settings
HALF = 1.2  # limits of x, both ways
TOP = 1.3  # of the densities, in units of the exact law's peak


@cache
def trough(curvature: float, steps: int = STEPS, walkers: int = 256) -> Crowd:
    """Return the crowds of this lesson: walls of one curvature h, isotropic noise with s = 1, released on the floor."""
    walls = {"g_wide": curvature, "g_narrow": curvature}
    return Crowd("Waist", walls, steps=steps, walkers=walkers, records=steps // 8)


def exact_variance(curvature: float, batch_size: int | None, learning_rate: float) -> float:
    """Return ηs² / (B h (2 - ηh)), the stationary variance of x for steps of any size; 0 where there is no noise."""
    if batch_size is None:
        return 0.0
    land = Waist(g_wide=curvature, g_narrow=curvature)
    return float(land.stationary_variance(torch.zeros(1, dtype=torch.float64), batch_size, learning_rate))


def across(release: Release) -> Tensor:
    """Return the distance x from the floor, (R, W), in float64."""
    assert release.theta is not None  # Crowd asks for it
    return release.theta[..., 0].double()


def late(release: Release) -> Tensor:
    """Return x in the last quarter of the steps, (records, W)."""
    return across(release)[release.step > LATE * int(release.step[-1])]


def spread(x: Tensor) -> Mean:
    """Return the mean of x² over records and walkers, with the error over the crowds; one walker has no error."""
    each = x.square().mean(0)
    return Mean(each.mean(), torch.tensor(math.nan)) if len(each) < stage.CROWDS else stage.over_crowds(each)


def shown(x: Tensor, crowd: str) -> Tensor:
    """Return the walkers that the switch ``crowd`` leaves: all of them, or the first."""
    return x[:, :1] if crowd == "one" else x


# --- words ---------------------------------------------------------------------------------------------------------


def _setting(batch_size: int | None, learning_rate: float, noise: str) -> str:
    batch = text("01.batch.all") if batch_size is None else text("01.batch.some", batch_size=batch_size)
    heat = "off" if batch_size is None else noise
    return text("01.setting", batch=batch, learning_rate=learning_rate, noise=text(f"01.noise.{heat}"))


def _measured(mean: Mean) -> str:
    """Return a mean with its error, both to the digit that is in doubt: the error's first, or second after a 1."""
    value, error = float(mean.value), float(mean.error)
    if not math.isfinite(error):
        return text("01.one_run", value=_number(value))
    if not error:
        return _number(value)
    power = 0 if 1e-3 <= abs(value) < 1e4 else math.floor(math.log10(abs(value)))
    scale = 10.0**power
    digits = max(0, -math.floor(math.log10(error / scale / 2)))
    both = text("01.measured", value=f"{value / scale:.{digits}f}", error=f"{error / scale:.{digits}f}")
    return both if power == 0 else f"({both}){_tenth(power)}"


def _number(value: float) -> str:
    """Return a number to three digits, with a power of ten where it is far from 1."""
    mantissa, _, power = f"{value:.3g}".partition("e")
    return f"{mantissa}{_tenth(int(power))}" if power else mantissa


def _tenth(power: int) -> str:
    """Return a power of ten as a factor."""
    return " · 10" + str(power).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def _walkers(count: int) -> str:
    if count == 1:
        return text("01.walkers.one")
    return text("01.walkers.eight", crowds=stage.CROWDS, each=count // stage.CROWDS)


# --- panels --------------------------------------------------------------------------------------------------------


def _name(ax: Axes, words: str, colour: str) -> Text:
    """Return a label for the end of a line; ``_apart`` puts it there."""
    name: Text = ax.text(
        0, 0, words, color=INK.get(colour, colour), fontsize=stage.SMALL, va="center", animated=True, clip_on=False
    )
    return name


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


class Cloud:
    """Where the walkers are at late times: bars lying on their sides, the exact Gaussian, and a pinned run's outline.

    Heights are in units of the exact law's peak, so that a wide cloud and a narrow one both fit.
    """

    def __init__(self, ax: Axes, half: float = HALF) -> None:
        self.ax = ax
        ax.set(xlim=(0, TOP), ylim=(-half, half), xticks=(0, 0.5, 1))
        labelled(ax, text("01.axis.density"), "", text("01.panel.cloud"))
        self.bars = PolyCollection([], facecolor=BLUE, alpha=0.45, lw=0, animated=True)
        ax.add_collection(self.bars, autolim=False)
        self.law = moving(ax, colour=PURPLE, dash="--")
        self.twin = moving(ax, colour=RED, dash=":")

    def show(self, x: Tensor, variance: float, twin: Tensor | None = None) -> None:
        """Draw the walkers at ``x``, the Gaussian of this variance, and the pinned run's walkers at ``twin``."""
        unit = math.sqrt(variance) or 0.02  # without noise there is no width to go by
        edges = torch.linspace(-4.5, 4.5, 28, dtype=torch.float64) * unit
        height = _heights(x, edges, unit)
        corners = [edges[:-1], edges[:-1], edges[1:], edges[1:]]
        ends = [torch.zeros_like(height), height, height, torch.zeros_like(height)]
        self.bars.set_verts(list(torch.stack([torch.stack(ends, 1), torch.stack(corners, 1)], -1).numpy()))
        where = torch.linspace(-4.5, 4.5, 181, dtype=torch.float64) * math.sqrt(variance)
        self.law.set_data((-0.5 * (where / unit).square()).exp().numpy(), where.numpy())
        self.law.set_visible(variance > 0)
        self.twin.set_visible(twin is not None)
        if twin is not None:
            own = float(twin.square().mean().sqrt()) or 0.02
            edges = torch.linspace(-4.5, 4.5, 28, dtype=torch.float64) * own
            outline = _heights(twin, edges, own).repeat_interleave(2)
            self.twin.set_data(outline.numpy(), edges.repeat_interleave(2)[1:-1].numpy())


def _heights(x: Tensor, edges: Tensor, unit: float) -> Tensor:
    """Return the densities of x between ``edges`` over the peak of a Gaussian of deviation ``unit``."""
    share = torch.histogram(x.flatten().contiguous(), edges).hist / x.numel()
    return (share / (edges[1] - edges[0]) * unit * math.sqrt(2 * math.pi)).clamp(max=TOP)


# --- the hook ------------------------------------------------------------------------------------------------------

HOOK_STEPS, HOOK_NOISE = 360, range(61, 301)  # noise comes on after 60 steps and goes after 300


def hook(seed: int) -> Player:
    """A crowd in a bowl: at rest, then with noise, then without."""
    crowd = trough(1.0, HOOK_STEPS, 64)
    release = crowd.run(seed, batch_size=1, learning_rate=0.1, noisy_steps=HOOK_NOISE, record_every=3)
    x = across(release)
    figure = stage.figure()
    bowl = figure.add_axes((0.09, 0.42, 0.89, 0.5))
    below = figure.add_axes((0.09, 0.13, 0.89, 0.17))
    wall = torch.linspace(-0.8, 0.8, 201)
    bowl.plot(wall, crowd.land.loss(torch.stack([wall, torch.zeros_like(wall)], -1)), color=BLACK, lw=2)
    bowl.set(xlim=(-0.8, 0.8), ylim=(-0.02, 0.32))
    bowl.tick_params(labelbottom=False)
    below.set(xlim=(-0.8, 0.8), ylim=(0, 4))
    labelled(bowl, "", text("01.axis.loss"), text("01.panel.bowl"))
    labelled(below, text("01.axis.x"), text("01.axis.crowd"), "")
    panels = [
        Panel("plan", bowl.get_position().bounds, bowl.get_xlim(), bowl.get_ylim()),
        Panel("histogram", below.get_position().bounds, below.get_xlim(), below.get_ylim()),
    ]
    return Player(
        torch.stack([x, release.loss.double()], -1),
        along=x,
        step=release.step.tolist(),
        background=png(figure),
        width=760,
        height=460,
        panels=panels,
        sentences=[
            text(
                f"01.hook.{_phase(step)}",
                step=step,
                deviation=float(here.square().mean().sqrt()),
                first=HOOK_NOISE.start,
                last=HOOK_NOISE.stop - 1,
            )
            for step, here in zip(release.step.tolist(), x, strict=True)
        ],
        title=text("01.hook.title"),
    )


def _phase(step: int) -> str:
    """Return what happens at a step of the hook: "before" the noise, "during" it or "after" it."""
    return "before" if step < HOOK_NOISE.start else "during" if step < HOOK_NOISE.stop else "after"


# --- round 1 -------------------------------------------------------------------------------------------------------


class Bowl:
    """x against the step at the left, where the walkers are at late times at the right."""

    def __init__(self, steps: int) -> None:
        self.figure, self.steps = stage.figure(), steps
        self.ax = self.figure.add_axes((0.095, 0.12, 0.51, 0.8))
        self.ax.set(xlim=(0, steps), ylim=(-HALF, HALF))
        labelled(self.ax, text("axis.step"), text("01.axis.x"), text("01.panel.time"))
        self.ax.axhline(0, color=GREY, lw=1, zorder=0)
        self.ax.axvspan(LATE * steps, steps, ymin=0, ymax=0.02, color=GREY)
        self.ax.text(
            (1 + LATE) / 2 * steps, -0.94 * HALF, text("01.label.late"), color=GREY, fontsize=stage.SMALL, ha="center"
        )
        self.ghosts = [moving(self.ax, colour=GREY, dash=(0, (3, 2)), width=4) for _ in range(2)]
        self.band = stage.Band(self.ax)
        self.walkers = [moving(self.ax, width=0.8, alpha=0.8) for _ in range(4)]
        self.law = [moving(self.ax, colour=PURPLE, dash="--") for _ in range(2)]
        self.twin = [moving(self.ax, colour=RED, dash=":", width=2.5) for _ in range(2)]
        words = [("band", BLUE), ("walker", BLUE), ("law", PURPLE), ("twin", RED), ("ghost", GREY)]
        self.names = {word: _name(self.ax, text(f"01.label.{word}"), colour) for word, colour in words}
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
        twin = None if pinned is None else let_go(seed, **_run(pinned))
        variance = _exact(**turned)
        expected = _predicted(ghost, turned["batch_size"], turned["learning_rate"])
        picture.show(release, turned["crowd"], variance, twin, expected)
        said = _said("01.bowl.cloud" if variance else "01.bowl.still", late(release), release, variance, **turned)
        if expected is not None:
            end = float(expected(release.step[-1].double()).square())
            said = f"{said} {text('01.bowl.guess', guess=_number(end))}"
        return said if twin is None else f"{said} {_compared('01.bowl.pinned', spread(late(twin)), pinned or {})}"

    def render(*, pinned: dict[str, Any] | None = None, ghost: str | None = None, **turned: Any) -> tuple[Figure, str]:
        return live.figure, draw(live, let_go(seed, **_run(turned)), pinned, ghost, **turned)

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


@lru_cache(maxsize=16)
def let_go(seed: int, bowl_curvature: float, **turned: Any) -> Release:
    """Return the release at these controls; kept, for a pinned run is drawn beside each of its twins."""
    return trough(bowl_curvature).run(seed, **turned)


def _run(turned: Mapping[str, Any]) -> dict[str, Any]:
    """Return the controls that a run depends on."""
    return {name: value for name, value in turned.items() if name != "crowd"}


def _exact(
    *, batch_size: int | None, learning_rate: float, bowl_curvature: float, noise: str = "on", **_: Any
) -> float:
    return exact_variance(bowl_curvature, batch_size if noise != "off" else None, learning_rate)


def _said(key: str, x: Tensor, release: Release, variance: float, **turned: Any) -> str:
    x = shown(x, turned["crowd"])
    return text(
        key,
        setting=_setting(turned["batch_size"], turned["learning_rate"], turned.get("noise", "on")),
        curvature=turned["bowl_curvature"],
        walkers=_walkers(x.shape[1]),
        steps=int(release.step[-1]),
        measured=_measured(spread(x)),
        exact=_number(variance),
        temperature=_number(0.5 * turned["learning_rate"] / (turned["batch_size"] or math.inf)),
        ratio=_number(turned["learning_rate"] / (turned["batch_size"] or math.inf)),
        product=_measured(_times(spread(x), turned["bowl_curvature"])),
        product_exact=_number(variance * turned["bowl_curvature"]),
    )


def _compared(key: str, mean: Mean, pinned: Mapping[str, Any]) -> str:
    return text(
        key,
        setting=_setting(pinned["batch_size"], pinned["learning_rate"], pinned.get("noise", "on")),
        curvature=pinned["bowl_curvature"],
        measured=_measured(mean),
    )


def _times(mean: Mean, factor: float) -> Mean:
    return Mean(factor * mean.value, factor * mean.error)


# --- round 2 -------------------------------------------------------------------------------------------------------

GRID_BATCHES, GRID_RATES, GRID_CURVATURES = (1, 2, 4, 8, 16, 32, 64), (0.05, 0.1, 0.2, 0.4), (0.5, 1.0, 2.0)
MEASURED_BATCHES = (1, 4, 16, 64)  # of the whole grid, so that the button answers in a few seconds
DOUBLED = {"wider": 2.0, "narrower": 0.5}  # what a misconception expects of the variance when η and B double


@dataclass(frozen=True, eq=False)
class Grid(Result):
    """The mean of x² at many settings.

    Attributes:
        batch_size: B, (n,).
        learning_rate: η, (n,).
        curvature: h, (n,).
        variance: Mean of x² over walkers and late steps, (n,).
        error: Standard error over eight crowds, (n,).
    """

    batch_size: Tensor
    learning_rate: Tensor
    curvature: Tensor
    variance: Tensor
    error: Tensor

    @property
    def ratio(self) -> Tensor:
        """η/B, (n,)."""
        return self.learning_rate / self.batch_size

    @property
    def exact(self) -> Tensor:
        """The exact law ηs²/(Bh(2 - ηh)) with s = 1, (n,)."""
        return self.ratio / (self.curvature * (2 - self.learning_rate * self.curvature))


def measure(seed: int, settings: Sequence[tuple[int, float, float]]) -> Stream[Grid]:
    """Yield what was measured so far, one setting (B, η, h) after the other, each with draws of its own."""
    rows: list[list[float]] = []

    def snapshot(note: str) -> Snapshot[Grid]:
        kept = torch.tensor(rows, dtype=torch.float64).reshape(-1, 5)
        done = len(kept)
        return Snapshot(done, len(settings), note, lambda: Grid(*kept.unbind(1), complete=done == len(settings)))

    yield snapshot("")
    for number, (batch_size, learning_rate, curvature) in enumerate(settings):
        release = trough(curvature).run(seed + number, batch_size=batch_size, learning_rate=learning_rate)
        found = spread(late(release))
        rows.append([batch_size, learning_rate, curvature, float(found.value), float(found.error)])
        yield snapshot(
            text("01.collapse.note", batch_size=batch_size, learning_rate=learning_rate, curvature=curvature)
        )


class Collapse:
    """h·⟨x²⟩ against η/B at the left, the cloud of the present settings at the right."""

    def __init__(self) -> None:
        self.figure = stage.figure()
        self.ax = ax = self.figure.add_axes((0.105, 0.125, 0.5, 0.8))
        ax.set(xscale="log", yscale="log", xlim=(5e-4, 0.8), ylim=(1.5e-4, 0.8))
        labelled(ax, text("01.axis.ratio"), text("01.axis.product"), text("01.panel.collapse"))
        ratio = torch.tensor([5e-4, 0.8])
        ax.plot(ratio, ratio / 2, color=PURPLE, lw=2, ls="--", zorder=1)
        ax.text(0.0045, 0.0011, text("01.label.line"), color=INK.get(PURPLE, PURPLE), fontsize=stage.SMALL, ha="left")
        self.guess = moving(ax, colour=GREY, dash="", marker="s", ms=13, mfc="none", mew=3)
        self.guessed = _name(ax, text("01.label.ghost"), GREY)
        self.grid = [moving(ax, colour=BLACK, dash="", marker=marker, ms=5, mfc="none") for marker in "ovs"]
        self.grid_names = [_name(ax, text("01.label.curvature", h=h), BLACK) for h in GRID_CURVATURES]
        self.error = moving(ax, width=2)
        self.twin = moving(ax, colour=RED, dash="", marker="o", ms=15, mfc="none", mew=2)
        self.twin_name = _name(ax, text("01.label.twin"), RED)
        self.point = moving(ax, dash="", marker="o", ms=8)
        self.cloud = Cloud(self.figure.add_axes((0.735, 0.125, 0.245, 0.8)), 0.8)

    def show(
        self, ratio: float, product: Mean, twin: tuple[float, float] | None, ghost: tuple[float, float] | None
    ) -> None:
        """Draw the present point, the pinned one and the predicted one, each as (η/B, h·⟨x²⟩)."""
        value, error = float(product.value), float(product.error.nan_to_num(0.0))
        self.point.set_data([ratio], [value])
        self.error.set_data([ratio, ratio], [max(value - error, 1e-6), value + error])
        self._mark(self.twin, self.twin_name, twin)
        self._mark(self.guess, self.guessed, ghost)
        self.show_grid(None)

    def _mark(self, mark: Any, name: Text, at: tuple[float, float] | None) -> None:
        mark.set_visible(at is not None)
        name.set_visible(at is not None)
        if at is not None:
            mark.set_data([at[0]], [at[1]])
            above = at[1] > 0.8 * at[0]  # the label goes to the side where the line is not
            name.set(ha="right" if above else "left")
            name.set_position((at[0] * (0.72 if above else 1.4), at[1] * (1 if above else 0.85)))

    def show_grid(self, grid: Grid | None) -> None:
        """Draw all measured settings, each curvature with a mark of its own; None takes them off."""
        marks = zip(self.grid, self.grid_names, GRID_CURVATURES, (0.5, 0.36, 0.26), strict=True)
        for mark, name, curvature, height in marks:
            mark.set_visible(grid is not None)
            name.set_visible(grid is not None)
            name.set_position((0.0011, height))
            if grid is not None:
                mine = grid.curvature == curvature
                product = (curvature * grid.variance)[mine]
                key = torch.tensor([0.0008], dtype=torch.float64), torch.tensor([height], dtype=torch.float64)
                mark.set_data(torch.cat([grid.ratio[mine], key[0]]).numpy(), torch.cat([product, key[1]]).numpy())


def collapse(seed: int) -> Explorer:
    """All settings on one line: only η/B counts, as a temperature."""
    picture = Collapse()
    start: dict[str, Any] = {"batch_size": 8, "learning_rate": 0.1, "bowl_curvature": 1.0}

    def point(release: Release, **turned: Any) -> tuple[float, Mean]:
        product = _times(spread(shown(late(release), turned["crowd"])), turned["bowl_curvature"])
        return turned["learning_rate"] / turned["batch_size"], product

    def render(*, pinned: dict[str, Any] | None = None, ghost: str | None = None, **turned: Any) -> tuple[Figure, str]:
        release, variance = let_go(seed, **_run(turned)), _exact(**turned)
        twin = None if pinned is None else let_go(seed, **_run(pinned))
        beside = None if twin is None else point(twin, **(pinned or {}) | {"crowd": "eight"})
        guess = DOUBLED.get(ghost or "")
        expected = None if guess is None else (start["learning_rate"] / start["batch_size"], guess * _exact(**start))
        picture.show(
            *point(release, **turned), None if beside is None else (beside[0], float(beside[1].value)), expected
        )
        picture.cloud.show(shown(late(release), turned["crowd"]), variance, None if twin is None else late(twin))
        said = _said("01.collapse.point", late(release), release, variance, **turned)
        if expected is not None:
            said = f"{said} {text('01.collapse.guess', guess=_number(expected[1]))}"
        return (
            picture.figure,
            said if beside is None else f"{said} {_compared('01.collapse.pinned', beside[1], pinned or {})}",
        )

    settings = list(product(MEASURED_BATCHES, GRID_RATES, GRID_CURVATURES))

    def show(grid: Grid, **turned: Any) -> tuple[Figure, str]:
        render(**turned)
        picture.show_grid(grid)
        off = (grid.variance / grid.exact - 1).abs()
        return picture.figure, text(
            "01.collapse.grid" if len(off) else "01.collapse.nothing",
            settings=len(off),
            walkers=_walkers(256),
            steps=STEPS,
            off=100 * float(off.mean()) if len(off) else 0.0,
            near=int((off * grid.exact < 2 * grid.error).sum()),
            above=100 * float((grid.variance * grid.curvature / grid.ratio * 2).max() - 1) if len(off) else 0.0,
        )

    return Explorer(
        render,
        [
            slider("batch_size", GRID_BATCHES, start["batch_size"]),
            slider("learning_rate", GRID_RATES, start["learning_rate"]),
            slider("bowl_curvature", GRID_CURVATURES, start["bowl_curvature"]),
            switch("crowd", ("eight", "one")),
        ],
        title=text("01.collapse.title"),
        code=lambda *, bowl_curvature, crowd, **turned: trough(bowl_curvature).code(seed, **turned),
        work=Work(lambda **turned: measure(seed, settings), show, lambda **turned: len(settings)),
    )


# --- round 3 -------------------------------------------------------------------------------------------------------

PRODUCTS = (0.1, 0.5, 1.0, 1.5, 1.8, 1.95, 2.0, 2.05, 2.2)  # ηh
CLIFF_STEPS, CLIFF_BATCH = 100, 16
CLIFF = Crowd("Waist", {"g_wide": 1.0, "g_narrow": 1.0}, steps=CLIFF_STEPS, records=CLIFF_STEPS)  # h = 1: ηh is η


def variance_after(steps: Tensor, learning_rate: float, batch_size: int = CLIFF_BATCH) -> Tensor:
    """Return the mean of x² after ``steps`` from x = 0, where h = s = 1: also where it never settles.

    x' = (1 - η) x - ηξ adds η²/B in each step to (1 - η)² times what there was.
    """
    kept = (1 - learning_rate) ** 2
    kick = learning_rate**2 / batch_size
    if math.isclose(kept, 1):
        return kick * steps.double()
    return kick * (1 - kept ** steps.double()) / (1 - kept)


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
        self.figure = stage.figure()
        self.ax = ax = self.figure.add_axes((0.1, 0.125, 0.4, 0.8))
        ax.set(yscale="log", xlim=(0, 2.4), ylim=(1e-3, 30))
        labelled(ax, text("01.axis.edge"), text("01.axis.variance"), text("01.panel.cliff"))
        below = torch.linspace(0.02, 1.998, 400, dtype=torch.float64)
        self.exact = below / (CLIFF_BATCH * (2 - below))
        whole = torch.linspace(0.02, 2.4, 100, dtype=torch.float64)
        ax.plot(below, self.exact, color=PURPLE, lw=2, ls="--")
        ax.plot(whole, whole / (2 * CLIFF_BATCH), color=BLACK, lw=1.5, ls=":")
        ax.axvline(2, color=RED, lw=1.5, ls="-.")
        ax.text(0.3, 0.13, text("01.label.exact"), color=INK.get(PURPLE, PURPLE), fontsize=stage.SMALL, ha="left")
        ax.text(1.2, 0.022, text("01.label.small"), color=BLACK, fontsize=stage.SMALL, ha="left")
        ax.text(1.95, 0.0014, text("01.label.edge"), color=INK.get(RED, RED), fontsize=stage.SMALL, ha="right")
        self.ghosts = {name: guess(whole) for name, guess in GUESSES.items()}
        self.whole = whole
        self.ghost = moving(ax, colour=GREY, dash=(0, (3, 2)), width=4)
        self.ghost_name = _name(ax, text("01.label.ghost"), GREY)
        self.gone_name = _name(ax, text("01.label.gone"), BLUE)
        self.error = moving(ax, width=2)
        self.point = moving(ax, dash="", marker="o", ms=9)
        self.gone = moving(ax, dash="", marker="^", ms=13)
        self.time = self.figure.add_axes((0.615, 0.125, 0.365, 0.8))
        self.time.set(xlim=(0, CLIFF_STEPS), ylim=(-3, 3))
        labelled(self.time, text("axis.step"), text("01.axis.x"), text("01.panel.walker"))
        self.band = stage.Band(self.time)
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
        said = text(
            f"01.cliff.{regime(edge)}",
            edge=edge,
            batch_size=CLIFF_BATCH,
            walkers=_walkers(x.shape[1]),
            steps=end,
            measured=_measured(mean),
            exact=_number(exact),
            small=_number(edge / (2 * CLIFF_BATCH)),
            factor=abs(1 - edge),
            power=_number(float(f"{abs(1 - edge) ** 200:.0e}")),
            kick=_number(edge**2 / CLIFF_BATCH),
        )
        if guess is not None:
            said = f"{said} {text('01.cliff.guess', guess=_number(guess(edge)))}"
        return picture.figure, said

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


# --- questions and exercises ---------------------------------------------------------------------------------------


def variance(learning_rate: float, batch_size: int, curvature: float, noise_scale: float) -> float:
    """Return ηs² / (B h (2 - ηh))."""
    return learning_rate * noise_scale**2 / (batch_size * curvature * (2 - learning_rate * curvature))


QUESTIONS = (
    Question("average", ("bottom", "walk", "cloud"), "cloud", {"bottom": "bottom", "walk": "walk"}),
    Question("double", ("wider", "narrower", "same"), "same", {"wider": "wider", "narrower": "narrower"}),
    Question("cliff", ("proportion", "bound", "shrinks"), "bound", {"proportion": "proportion", "shrinks": "shrinks"}),
)

EXERCISES = (
    Exercise(
        "variance",
        "1.1",
        variance,
        {
            "no_batch": lambda rate, batch, h, s: batch * variance(rate, batch, h, s),
            "batch_squared": lambda rate, batch, h, s: variance(rate, batch, h, s) / batch,
            "deviation": lambda rate, batch, h, s: math.sqrt(variance(rate, batch, h, s)),
            "no_curvature": lambda rate, batch, h, s: h * variance(rate, batch, h, s),
            "small_steps": lambda rate, batch, h, s: rate * s**2 / (2 * batch * h),
            "plus": lambda rate, batch, h, s: rate * s**2 / (batch * h * (2 + rate * h)),
            "no_rate": lambda rate, batch, h, s: variance(rate, batch, h, s) / rate,
            "scale": lambda rate, batch, h, s: variance(rate, batch, h, s) / s,
        },
        cases=((0.1, 16, 2.0, 1.5), (0.4, 4, 4.0, 1.0), (0.05, 64, 0.5, 2.0)),
    ),
    Exercise(
        "rate",
        "1.2",
        lambda: 0.2,
        {
            "same": lambda: 0.05,
            "root": lambda: 0.1,
            "inverse": lambda: 0.0125,
            "squared": lambda: 0.8,
        },
    ),
    Exercise(
        "largest",
        "1.3",
        lambda h: 2 / h,
        {
            "one_step": lambda h: 1 / h,
            "upside_down": lambda h: 2 * h,
            "half": lambda h: 1 / (2 * h),
            "root": lambda h: math.sqrt(2 / h),
            "no_curvature": lambda h: 2.0,
        },
        cases=((0.5,), (4.0,), (25.0,)),
    ),
)

CHAPTER = Chapter(
    number="01",
    questions=QUESTIONS,
    exercises=EXERCISES,
    explorers={"bowl": bowl, "collapse": collapse, "cliff": cliff},
    players={"hook": hook},
)
