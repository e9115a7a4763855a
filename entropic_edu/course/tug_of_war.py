"""Lesson 03: a slope against entropy, two shapes of noise, and the curve uv = 1 on which label noise finds balance."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from torch import Tensor

from entropic_edu import stage
from entropic_edu.plots import BLACK, BLUE, DASHES, PURPLE, RED, labelled
from entropic_edu.release import Release
from entropic_edu.results import Result
from entropic_edu.snapshot import Snapshot
from entropic_edu.stage import GREY, Mean, moving, over_crowds
from entropic_edu.strings import text
from entropic_edu.theory import occupation
from entropic_edu.valleys import Hyperbola, Valley
from entropic_edu.widgets import Explorer, Work, slider, switch

from . import Chapter, Exercise, Question
from .crowd import SWITCH, Crowd

if TYPE_CHECKING:
    from entropic_edu.player import Player

SLOPE = 0.0215
WALLS = {
    "slope": SLOPE,
    "g_wide": 0.375,
    "g_narrow": 24.0,  # ηh stays below 0.72
    "width": 0.7,
    "half_length": 1.2,
    "noise_scale": 6.0,
}
ALONG, ACROSS = (-1.6, 1.6), (-1.0, 1.0)
BINS = torch.linspace(-1.5, 1.5, 13, dtype=torch.float64)
SHOWN = 96  # walkers on a plan


# --- common to the rounds --------------------------------------------------------------------------------------------


def along(release: Release) -> Tensor:
    """Return the coordinates y of all walkers on a straight floor, (R, W), float64."""
    assert release.theta is not None  # Crowd asks for it
    return release.theta[..., 1].double()


def batch_of(batch_size: int | None, noise: str) -> int | None:
    """Return B where there is noise; None where the learner has none of it."""
    return None if noise == "off" else batch_size


def settled(release: Release, noise: str) -> Tensor:
    """Return the records, (R,), from which the cloud across the floor has had a quarter of the run to settle."""
    share = {"on": 0.25, "late": 0.75, "off": 0.0}[noise]
    return release.step >= share * int(release.step[-1])


def _setting(turned: Mapping[str, Any], shape: str = "isotropic") -> str:
    batch_size, noise = turned["batch_size"], turned["noise"]
    data = text("03.batch.all") if batch_size is None else text("03.batch.some", batch_size=batch_size)
    kind = "off" if batch_size is None else noise
    noise = text(f"03.noise.{shape}.{kind}")
    return text("03.setting", data=data, learning_rate=turned["learning_rate"], noise=noise)


def _exact(values: Tensor) -> Mean:
    return Mean(values, torch.zeros_like(values))


def _trusted(mean: Mean, largest: float) -> Mean:
    """Leave out points that too few walkers made: their errors would fill the panel."""
    return Mean(mean.value.masked_fill(mean.error > largest, torch.nan), mean.error)


def _label(ax: Axes, words: str, colour: str, **where: Any) -> Text:
    name: Text = ax.text(0, 0, words, color=colour, fontsize=stage.SMALL, va="center", animated=True, zorder=5, **where)
    name.set_bbox({"facecolor": "white", "alpha": 0.8, "lw": 0, "pad": 1})  # readable where it crosses a line
    return name


# --- round 1: break-even ---------------------------------------------------------------------------------------------

BATCHES = (8, 16, 32, 64, 128, 256, None)
RATES = (0.015, 0.02, 0.03)
TIME = 4.8  # η times the steps: walkers of one temperature then go equally far
EACH = 2048  # walkers: the displacement must be told from the random walk along the floor
CELLS = torch.linspace(-4, 4, 162, dtype=torch.float64)
CENTRES = 0.5 * (CELLS[1:] + CELLS[:-1])
COLDEST = 3.5e-5  # where the axis of η/B shows 0
HEATS = torch.logspace(math.log10(4e-5), math.log10(6e-3), 11, dtype=torch.float64)  # η/B of the theory line


@cache
def tilted(learning_rate: float, walkers: int = EACH) -> Crowd:
    """Return the crowds of round 1, released at y = 0 in isotropic noise."""
    steps = round(TIME / learning_rate)
    return Crowd("Tilted", WALLS, start=0.5, steps=steps, walkers=walkers, records=8)


def displacement(learning_rate: float, ratio: float, noise: str = "on") -> float:
    """Return the mean displacement along y that theory expects at the end of a run.

    Walkers that have settled across the floor diffuse along it in the free energy (``occupation``); what is missing
    while the cloud first widens, η·½h'Σ(⟨x²⟩ - ⟨x²⟩ₜ) = ½h'⟨x²⟩ / (h(2 - ηh)), is added at y = 0.

    Args:
        learning_rate: η.
        ratio: η/B, 0 for none.
        noise: "on", "off" or "late".
    """
    crowd = tilted(learning_rate)
    noisy = {"on": crowd.steps, "late": crowd.steps - crowd.steps // 2, "off": 0}[noise] if ratio > 0 else 0
    begin = -SLOPE * learning_rate * (crowd.steps - noisy)
    if noisy == 0:
        return begin
    # a batch of one, and noise as much weaker as the batch is larger: B need then be no whole number
    scale = WALLS["noise_scale"] * math.sqrt(ratio / learning_rate)
    land = Crowd("Tilted", WALLS | {"noise_scale": scale}).land
    upper = int(torch.searchsorted(CENTRES, begin))
    share = float((begin - CENTRES[upper - 1]) / (CENTRES[upper] - CENTRES[upper - 1]))
    start = torch.zeros_like(CENTRES)
    start[upper - 1], start[upper] = 1 - share, share
    ends = occupation(
        land, CELLS, start=start, steps=torch.tensor([0, noisy]), batch_size=1, learning_rate=learning_rate
    )
    y = torch.tensor([begin], dtype=torch.float64)
    h = land.curvature_across(y)
    missed = 0.5 * land.curvature_across(y, 1) * land.stationary_variance(y, 1, learning_rate)
    return float(ends[-1] @ CENTRES + missed / (h * (2 - learning_rate * h)))


@cache
def expected(learning_rate: float, noise: str) -> Tensor:
    """Return ``displacement`` at each of ``HEATS``, (11,)."""
    return torch.tensor([displacement(learning_rate, float(ratio), noise) for ratio in HEATS], dtype=torch.float64)


def threshold(learning_rate: float) -> float:
    """Return the η/B at which the mean force at y = 0 vanishes, for steps of this size."""
    land: Any = tilted(learning_rate).land
    zero = torch.zeros(1, dtype=torch.float64)
    finite = 1 - 0.5 * learning_rate * land.curvature_across(zero)  # larger steps spread more, so less T will do
    return float(land.break_even_temperature(zero) * finite) * 2 / land.noise_scale**2


def crossing(heat: Tensor, moved: Tensor) -> float:
    """Return the heat at which the displacement passes 0, on straight lines between the points; NaN if it does not."""
    sides = (moved > 0).int().diff().nonzero()
    if len(sides) == 0:
        return math.nan
    i = int(sides[0])
    return float(heat[i] - moved[i] * (heat[i + 1] - heat[i]) / (moved[i + 1] - moved[i]))


@dataclass(frozen=True, eq=False)
class Sweep(Result):
    """The displacement at several batch sizes.

    Attributes:
        ratio: η/B, ascending, (n,).
        each: Mean displacement of each of the eight crowds, (n, 8).
    """

    ratio: Tensor
    each: Tensor

    @property
    def mean(self) -> Mean:
        """Mean over the crowds and its error, (n,)."""
        return over_crowds(self.each) if len(self.ratio) else Mean(self.ratio, self.ratio)

    @property
    def threshold(self) -> Mean:
        """Where the mean crosses 0, with the jackknife's error over the crowds; NaN where it does not."""
        count = stage.CROWDS
        others = [crossing(self.ratio, (self.each.sum(1) - one) / (count - 1)) for one in self.each.T]
        spread = torch.tensor(others, dtype=torch.float64)
        error = ((count - 1) / count * (spread - spread.mean()).square().sum()).sqrt()
        return Mean(torch.tensor(crossing(self.ratio, self.mean.value), dtype=torch.float64), error)


SWEPT = (0.25, 0.4, 0.63, 1.0, 1.6, 2.5)  # times the threshold, about: whole batch sizes are taken
REPEATS = 5  # runs at each


def sweep(seed: int, learning_rate: float) -> Iterator[Snapshot[Sweep]]:
    """Yield the sweep over batch sizes as it grows: all batch sizes once, then again with other draws."""
    sizes = [round(learning_rate / (factor * threshold(learning_rate))) for factor in SWEPT]
    ratio = torch.tensor([learning_rate / size for size in sizes], dtype=torch.float64)
    sums = torch.zeros(len(sizes), stage.CROWDS, dtype=torch.float64)
    counts = torch.zeros(len(sizes), 1)
    total = len(sizes) * REPEATS

    def snapshot(done: int, note: str) -> Snapshot[Sweep]:
        seen = counts[:, 0] > 0
        found, complete = (sums / counts)[seen], done == total
        return Snapshot(done, total, note, lambda: Sweep(ratio[seen], found, complete=complete))

    yield snapshot(0, "")
    for run in range(total):
        place = run % len(sizes)
        release = tilted(learning_rate).run(seed + run, batch_size=sizes[place], learning_rate=learning_rate)
        sums[place] += along(release)[-1].unflatten(0, (stage.CROWDS, -1)).mean(1)
        counts[place] += 1
        yield snapshot(run + 1, text("03.dial.note", batch_size=sizes[place]))


class Dial:
    """Plan and triptych of the tilted valley; below the plan the displacement against η/B."""

    def __init__(self) -> None:
        self.scene = stage.Stage(tilted(RATES[0]).land, along=ALONG, across=ACROSS, drift=2.5, loss=(-0.04, 0.05))
        for rate in RATES:  # now, so that no turn of a control waits for it
            expected(rate, "on"), expected(rate, "late")
        self.ax = ax = self.scene.panel
        labelled(ax, text("03.axis.heat"), "", text("03.panel.moved")).title.set_fontsize(11)
        ax.set(xscale="log", xlim=(2e-5, 6e-3), ylim=(-0.15, 0.25))
        ax.set_xticks([COLDEST, 1e-4, 1e-3], ["0", "0.0001", "0.001"])
        ax.minorticks_off()
        ax.axhline(0, color=GREY, lw=1)
        self.theory = moving(ax, colour=PURPLE, dash=DASHES[2])
        self.edge = moving(ax, colour=BLACK, dash=":", width=1.5)
        self.ghost = moving(ax, colour=GREY, dash=(0, (3, 2)), width=4, alpha=0.8)
        self.points = stage.Points(ax)
        self.twin = moving(ax, colour=RED, dash="", marker="o", ms=8, mfc="none", mew=1.5)
        beside = {"transform": ax.get_yaxis_transform(), "clip_on": False}
        self.names = {
            "theory": _label(ax, text("say.theory"), BLACK, **beside),
            "run": _label(ax, text("03.label.run"), BLUE, ha="center"),
            "sweep": _label(ax, text("03.label.sweep"), BLUE, ha="right"),
            "edge": _label(ax, text("03.dial.edge"), BLACK, ha="center"),
            "ghost": _label(ax, text("say.prediction"), GREY, ha="center"),
            "twin": _label(ax, text("say.pinned"), RED, ha="center"),
        }

    def threshold(self, learning_rate: float, noise: str) -> None:
        """Draw what theory says at this η."""
        curve, edge = expected(learning_rate, noise), threshold(learning_rate)
        self.theory.set_data(HEATS.numpy(), curve.numpy())
        seen = HEATS[curve < 0.24][-1], curve[curve < 0.24][-1]
        self.names["theory"].set_position((1.015, float(seen[1])))
        self.edge.set_data([edge, edge], [-0.15, 0.2])
        self.names["edge"].set_position((edge, 0.225))

    def predicted(self, ghost: float | None, learning_rate: float) -> None:
        """Draw a bet: the batch size at which the crowd turns round, or infinity for never."""
        shown = ghost is not None
        self.ghost.set_visible(shown)
        self.names["ghost"].set_visible(shown)
        if ghost is None:
            return
        low, high = self.ax.get_xlim()
        if math.isinf(ghost):
            self.ghost.set_data([low, high], [-SLOPE * TIME] * 2)
            self.names["ghost"].set_position((1e-3, -SLOPE * TIME - 0.025))
        else:
            at = min(max(learning_rate / ghost, low), high)
            self.ghost.set_data([at, at], [-0.15, 0.11])
            self.names["ghost"].set_position((at, 0.135))

    def show(
        self, release: Release, moved: Mean, turned: Mapping[str, Any], twin: tuple[Release, Mean, float] | None
    ) -> None:
        """Draw a release and its pinned twin."""
        batch_size, learning_rate = batch_of(turned["batch_size"], turned["noise"]), turned["learning_rate"]
        self.scene.plan.show(stage.last(release)[:SHOWN], None if twin is None else stage.last(twin[0])[:SHOWN])
        self.threshold(learning_rate, turned["noise"])
        at = heat(turned)
        self.points.show(torch.tensor([at]), Mean(moved.value[None], moved.error.nan_to_num()[None]))
        height = min(0.2, float(moved.value))
        self.names["run"].set_position((at, height + 0.045))
        self.names["run"].set_visible(True)
        self.names["sweep"].set_visible(False)
        self.twin.set_data(([], []) if twin is None else ([twin[2]], [float(twin[1].value)]))
        self.names["twin"].set_visible(twin is not None)
        if twin is not None:
            self.names["twin"].set_position((twin[2], max(-0.08, min(0.2, float(twin[1].value))) - 0.055))
        show_drift(self.scene.triptych, release, turned["noise"], batch_size, learning_rate, 0.4)

    def sweep(self, found: Sweep, learning_rate: float) -> None:
        """Draw the points of a sweep and theory, and no single run."""
        self.scene.plan.show(torch.empty(0, 2))
        self.scene.triptych.show(None)
        self.predicted(None, learning_rate)
        self.threshold(learning_rate, "on")
        self.points.show(found.ratio, found.mean)
        self.twin.set_data([], [])
        for name in ("run", "twin"):
            self.names[name].set_visible(False)
        self.names["sweep"].set_visible(len(found.ratio) > 0)
        for at, height in zip(found.ratio[-1:], found.mean.value[-1:], strict=True):
            self.names["sweep"].set_position((0.9 * float(at), float(height) + 0.03))


def show_drift(
    triptych: stage.Triptych, release: Release, noise: str, batch_size: int | None, learning_rate: float, largest: float
) -> None:
    """Draw the drift along a straight floor: theory, and what the walkers did once their cloud had settled."""
    rows = settled(release, noise)
    where, speed = stage.velocity(along(release)[rows], release.step[rows], BINS)
    law = 1000 * learning_rate * stage.force(triptych.land, triptych.y, batch_size, learning_rate)
    triptych.show(law, where, _trusted(speed * 1000, largest))


def heat(turned: Mapping[str, Any]) -> float:
    """Return η/B as the axis shows it."""
    batch_size = batch_of(turned["batch_size"], turned["noise"])
    return COLDEST if batch_size is None else turned["learning_rate"] / batch_size


def dial(seed: int) -> Explorer:
    """Turn the batch size until the crowd turns round."""
    picture = Dial()

    def run(turned: Mapping[str, Any]) -> tuple[Release, Mean]:
        release = tilted(turned["learning_rate"]).run(seed, **{name: turned[name] for name in TURNED})
        y = along(release)[-1]
        one = y[: EACH // stage.CROWDS]
        alone = Mean(one.mean(), torch.tensor(math.nan, dtype=torch.float64))
        return release, {"eight": over_crowds(y), "one": alone}[turned["crowd"]]

    def render(
        *, pinned: dict[str, Any] | None = None, ghost: float | None = None, **turned: Any
    ) -> tuple[Figure, str]:
        release, moved = run(turned)
        twin = None if pinned is None else (*run(pinned), heat(pinned))
        picture.predicted(ghost, turned["learning_rate"])
        picture.show(release, moved, turned, twin)
        batch_size = batch_of(turned["batch_size"], turned["noise"])
        ratio = 0.0 if batch_size is None else turned["learning_rate"] / batch_size
        words = text(
            f"03.dial.{turned['crowd']}",
            setting=_setting(turned),
            steps=int(release.step[-1]),
            moved=float(moved.value),
            error=float(moved.error),
            law=displacement(turned["learning_rate"], ratio, turned["noise"]),
            heat=ratio,
            edge=threshold(turned["learning_rate"]),
        )
        if twin is not None and pinned is not None:
            setting = _setting(pinned)
            words += " " + text("03.dial.twin", setting=setting, moved=float(twin[1].value))
        return picture.scene.figure, words

    def show(found: Sweep, *, learning_rate: float, **turned: Any) -> tuple[Figure, str]:
        picture.sweep(found, learning_rate)
        between = found.threshold
        law = crossing(HEATS, expected(learning_rate, "on"))
        return picture.scene.figure, text(
            "03.dial.sweep" if bool(between.value.isfinite()) else "03.dial.short",
            count=len(found.ratio),
            learning_rate=learning_rate,
            walkers=EACH // stage.CROWDS,
            found=1000 * float(between.value),
            error=1000 * float(between.error),
            law=1000 * law,
            edge=1000 * threshold(learning_rate),
            batch_size=learning_rate / law,
        )

    return Explorer(
        render,
        [
            slider("batch_size", BATCHES, 64),
            slider("learning_rate", RATES, 0.02),
            switch("noise", SWITCH),
            switch("crowd", ("eight", "one")),
        ],
        title=text("03.dial.title"),
        code=lambda crowd, **turned: tilted(turned["learning_rate"]).code(seed, **turned),
        work=Work(
            stream=lambda learning_rate, **turned: sweep(seed, learning_rate),
            show=show,
            units=lambda **turned: len(SWEPT) * REPEATS,
        ),
    )


TURNED = ("batch_size", "learning_rate", "noise")


# --- round 2: whose noise? -------------------------------------------------------------------------------------------

SHAPES = ("isotropic", "curvature")
PLACES = {"all": None, "narrow": 0.175, "mouth": 0.67}  # positions of release
NARROW, MOUTH = (-0.98, -0.58), (0.21, 0.61)  # round y = -0.78, where h = 16, and y = 0.41, where h = 1


@cache
def shaped(shape: str, release: str) -> Crowd:
    """Return the crowds of round 2."""
    return Crowd("Tilted", WALLS | {"noise": shape}, start=PLACES[release], steps=400, walkers=512, records=25)


def speed_between(
    release: Release,
    land: Valley,
    noise: str,
    batch_size: int | None,
    learning_rate: float,
    window: tuple[float, float],
) -> tuple[Mean, float]:
    """Return the drift in a stretch of the floor, length per 1,000 steps, and theory's mean at the same walkers."""
    rows = settled(release, noise)
    y = along(release)[rows]
    _, speed = stage.velocity(y, release.step[rows], torch.tensor(window, dtype=torch.float64))
    here = y[:-1][(y[:-1] > window[0]) & (y[:-1] <= window[1])]
    if len(here) == 0:
        return Mean(speed.value[0], speed.error[0]), math.nan
    law = 1000 * learning_rate * stage.force(land, here, batch_size, learning_rate).mean()
    return Mean(1000 * speed.value[0], 1000 * speed.error[0]), float(law)


def spread_across(release: Release, noise: str, edges: Tensor = BINS) -> tuple[Tensor, Mean]:
    """Return ⟨x²⟩ in bins of y, with its error over the crowds."""
    assert release.theta is not None
    late = release.theta[settled(release, noise)].double()
    x, y = late.unbind(-1)
    where = torch.bucketize(y.contiguous(), edges) - 1
    count = len(edges) - 1
    inside = (where >= 0) & (where < count)
    crowd = torch.arange(stage.CROWDS).repeat_interleave(y.shape[1] // stage.CROWDS).expand_as(where)
    cell = (crowd * count + where)[inside]
    total = torch.zeros(stage.CROWDS * count, dtype=torch.float64).index_add_(0, cell, x[inside].square())
    seen = torch.zeros_like(total).index_add_(0, cell, torch.ones(len(cell), dtype=torch.float64))
    each = (total / seen).unflatten(0, (stage.CROWDS, count))
    full = (seen.unflatten(0, (stage.CROWDS, count)) > 0).all(0)  # bins that every crowd has seen
    centres = 0.5 * (edges[1:] + edges[:-1])
    hidden = ~full
    return centres, Mean(
        each.mean(0).masked_fill(hidden, torch.nan), (each.std(0) / stage.CROWDS**0.5).masked_fill(hidden, torch.nan)
    )


class Shape:
    """Plan and triptych of the tilted valley; below the plan the spread ⟨x²⟩ along the floor."""

    def __init__(self) -> None:
        self.scene = stage.Stage(
            shaped("isotropic", "all").land, along=ALONG, across=ACROSS, drift=5.5, loss=(-0.04, 0.05)
        )
        self.ax = ax = self.scene.panel
        labelled(ax, text("axis.along"), "", text("03.panel.spread")).title.set_fontsize(11)
        ax.set(xlim=ALONG, yscale="log", ylim=(1e-4, 1))
        ax.set_yticks([1e-4, 1e-2, 1])
        ax.minorticks_off()
        self.laws = {shape: moving(ax, width=1.5) for shape in SHAPES}
        self.points = stage.Points(ax)
        self.names = {shape: _label(ax, text(f"03.shape.{shape}_law"), BLACK) for shape in SHAPES}
        bottom = self.scene.triptych.axes[2]
        self.ghost = moving(bottom, colour=GREY, dash=(0, (3, 2)), width=4, alpha=0.8)
        self.bet = _label(bottom, text("say.prediction"), GREY)
        self.bet.set_position((-1.5, -3.9))

    def show(self, release: Release, turned: Mapping[str, Any], ghost: int | None, twin: Release | None) -> None:
        """Draw a release, a pinned one, and the push that was predicted for shaped noise."""
        batch_size, learning_rate = batch_of(turned["batch_size"], turned["noise"]), turned["learning_rate"]
        lands = {shape: shaped(shape, "all").land for shape in SHAPES}
        triptych = self.scene.triptych
        triptych.land = lands[turned["noise_shape"]]
        self.scene.plan.show(stage.last(release)[::5], None if twin is None else stage.last(twin)[::5])
        show_drift(triptych, release, turned["noise"], batch_size, learning_rate, 1.2)
        for shape, line in self.laws.items():
            mine = shape == turned["noise_shape"]
            line.set_visible(batch_size is not None)
            self.names[shape].set_visible(batch_size is not None)
            line.set(color=PURPLE if mine else GREY, linestyle=DASHES[2] if mine else DASHES[3])
            self.names[shape].set_color(BLACK if mine else GREY)
            if batch_size is not None:
                variance = lands[shape].stationary_variance(triptych.y, batch_size, learning_rate)
                line.set_data(triptych.y.numpy(), variance.numpy())
                self.names[shape].set_position((ALONG[0] + 0.05, 3.2 * float(variance[0])))
        where, spread = spread_across(release, turned["noise"])
        self.points.show(where, None if batch_size is None else spread)
        self.predicted(ghost, batch_size, learning_rate)

    def predicted(self, ghost: int | None, batch_size: int | None, learning_rate: float) -> None:
        """Draw the bet: the isotropic push times this power of h, and the slope."""
        shown = ghost is not None and batch_size is not None
        self.ghost.set_visible(shown)
        self.bet.set_visible(shown)
        if ghost is None or batch_size is None:
            return
        y, land = self.scene.triptych.y, shaped("isotropic", "all").land
        push = stage.force(land, y, batch_size, learning_rate) + SLOPE
        law = push * land.curvature_across(y) ** ghost - SLOPE
        self.ghost.set_data(y.numpy(), (1000 * learning_rate * law).numpy())


def shape(seed: int) -> Explorer:
    """The same valley in a heat bath and in noise shaped like the curvature."""
    picture = Shape()

    def run(turned: Mapping[str, Any]) -> Release:
        crowd = shaped(turned["noise_shape"], turned["release"])
        return crowd.run(seed, **{name: turned[name] for name in TURNED})

    def render(*, pinned: dict[str, Any] | None = None, ghost: int | None = None, **turned: Any) -> tuple[Figure, str]:
        release, twin = run(turned), None if pinned is None else run(pinned)
        picture.show(release, turned, ghost, twin)
        words = text(
            "03.shape.sentence",
            setting=_setting(turned, turned["noise_shape"]),
            place=text(f"03.place.{turned['release']}"),
            steps=int(release.step[-1]),
            narrow=measured(release, turned, NARROW),
            mouth=measured(release, turned, MOUTH),
        )
        if twin is not None and pinned is not None:
            setting = _setting(pinned, pinned["noise_shape"])
            words += " " + text("03.shape.twin", setting=setting, narrow=measured(twin, pinned, NARROW))
        return picture.scene.figure, words

    def measured(release: Release, turned: Mapping[str, Any], window: tuple[float, float]) -> str:
        batch_size = batch_of(turned["batch_size"], turned["noise"])
        land = shaped(turned["noise_shape"], "all").land
        found, law = speed_between(release, land, turned["noise"], batch_size, turned["learning_rate"], window)
        _, spread = spread_across(release, turned["noise"], torch.tensor(window, dtype=torch.float64))
        met = bool((found.error + spread.error[0]).isfinite())
        return text(
            "03.shape.measured" if met else "03.shape.nobody",
            speed=float(found.value),
            error=float(found.error),
            law=law,
            spread=float(spread.value[0]),
        )

    def code(*, noise_shape: str, release: str, **turned: Any) -> str:
        return shaped(noise_shape, release).code(seed, **turned)

    return Explorer(
        render,
        [
            switch("noise_shape", SHAPES, "curvature"),
            slider("batch_size", (16, 32, 64, 128, None), 32),
            slider("learning_rate", (0.01, 0.02), 0.02),
            switch("release", tuple(PLACES)),
            switch("noise", SWITCH),
        ],
        title=text("03.shape.title"),
        code=code,
    )


# --- round 3: uv = 1 -------------------------------------------------------------------------------------------------

KINDS: dict[str, Any] = {"labels": "label", "isotropic": "isotropic"}
HALF = 1.4  # of the floor, in ln u
BEGIN = math.log(2.5)  # y of release
WEIGHTS = (0.0, 3.6), (0.0, 2.4)  # limits of u and v
ARC = torch.linspace(-3.8, 3.8, 154, dtype=torch.float64)  # cells by arc length; at the ends ηh is 1.6 at most


@cache
def curve(kind: str) -> Crowd:
    """Return the crowds of round 3, released at u = 2.5 on the curve uv = 1."""
    land = Hyperbola(half_length=HALF)
    start = round(float(land.position(torch.tensor(BEGIN, dtype=torch.float64))), 5)
    return Crowd("Hyperbola", {"half_length": HALF, "noise": kind}, start=start, steps=480)


def imbalance(release: Release) -> Tensor:
    """Return y of all walkers, the coordinate to which gradient flow would take them: 2 sinh 2y = u² - v²; (R, W)."""
    assert release.theta is not None
    u, v = release.theta.double().unbind(-1)
    return 0.5 * (0.5 * (u.square() - v.square())).asinh()


class Unrolled(Valley):
    """The hyperbola as a straight floor of the same arc length and curvature: what isotropic noise sees of it."""

    def __init__(self, land: Hyperbola) -> None:
        super().__init__(noise="isotropic", noise_scale=land.noise_scale, half_length=land.half_length)
        self.land = land

    def log_weight(self, s: Tensor) -> Tensor:
        """Return y = ln u at arc length s from u = v = 1."""
        whole = float(self.land._arc_length(torch.tensor(self.land.half_length, dtype=torch.float64)))
        return self.land.coordinate(0.5 * (1 + s / whole))

    def curvature_across(self, y: Tensor, order: int = 0) -> Tensor:
        if order > 0:
            raise ValueError(f"Only the curvature itself is known by arc length, order 0; got {order}.")
        return self.land.curvature_across(self.log_weight(y))


def velocity_of_y(land: Hyperbola, y: Tensor, batch_size: int, learning_rate: float) -> Tensor:
    """Return the mean change of y in one step, (n,).

    Label noise: η² s²/B tanh 2y / (2 - ηh), from the law of one step, u² - v² times 1 - η²(uv - 1 - ε)². Isotropic
    noise also shakes walkers along the curve, where y is no straight ruler: that adds Itô's -½T h'/h².
    """
    h, slope = land.curvature_across(y), land.curvature_across(y, 1)
    pull = -0.5 * slope * land.stationary_variance(y, batch_size, learning_rate)
    bend = {"label": 0.0, "isotropic": -0.5 * land.temperature(batch_size, learning_rate)}[land.noise]
    return learning_rate * (pull + bend * slope / h) / land.metric(y)


def _label_track(land: Hyperbola, noisy: Tensor, batch_size: int, learning_rate: float) -> Tensor:
    y, out = torch.tensor(BEGIN, dtype=torch.float64), [BEGIN]
    for steps in noisy.diff().tolist():
        y = y + steps * velocity_of_y(
            land, y + 0.5 * steps * velocity_of_y(land, y, batch_size, learning_rate), batch_size, learning_rate
        )  # midpoint rule
        out.append(float(y))
    return torch.tensor(out, dtype=torch.float64)


def _isotropic_track(land: Hyperbola, noisy: Tensor, batch_size: int, learning_rate: float) -> Tensor:
    flat = Unrolled(land)
    start = float(land._arc_length(torch.tensor(BEGIN, dtype=torch.float64)))
    every = noisy[noisy.diff(prepend=noisy[:1] - 1) > 0]  # steps of noise, each once
    shares = occupation(flat, ARC, start=start, steps=every, batch_size=batch_size, learning_rate=learning_rate)
    mean = shares @ flat.log_weight(0.5 * (ARC[1:] + ARC[:-1]))
    return mean[torch.bucketize(noisy, every)]


TRACKS: dict[str, Callable[[Hyperbola, Tensor, int, float], Tensor]] = {
    "label": _label_track,
    "isotropic": _isotropic_track,
}


def track(kind: str, step: Tensor, batch_size: int | None, learning_rate: float, noise: str) -> Tensor:
    """Return the mean of y that theory expects at each of ``step``, (R,)."""
    crowd = curve(kind)
    quiet = {"on": 0, "late": crowd.steps // 2, "off": crowd.steps}[noise]
    if batch_size is None or noise == "off":
        return torch.full((len(step),), BEGIN, dtype=torch.float64)
    land: Any = crowd.land
    return TRACKS[kind](land, (step - quiet).clamp(min=0), batch_size, learning_rate)


class Balance:
    """The plane of the two weights with the curve uv = 1, ln u against the step, and the triptych against ln u."""

    def __init__(self) -> None:
        self.figure = stage.figure()
        land = curve("label").land
        self.walkers, self.twins = self._plane(land)
        self.ax = ax = self.figure.add_axes((0.095, 0.125, 0.365, 0.195))
        labelled(ax, text("axis.step"), "", text("03.panel.mean")).title.set_fontsize(11)
        ax.set(xlim=(0, curve("label").steps), ylim=(-0.1, 1.3))
        ax.axhline(0, color=GREY, lw=1)
        self.bands = {
            "ghost": stage.Band(ax, colour=GREY, dash=(0, (3, 2)), width=4, label=text("say.prediction")),
            "theory": stage.Band(ax, colour=PURPLE, dash=DASHES[2], label=text("say.theory")),
            "twin": stage.Band(ax, colour=RED, dash="--", label=text("say.pinned")),
            "run": stage.Band(ax),
        }
        self.bands["theory"].name.set_color(BLACK)
        self.bands["theory"].line.set_zorder(4)  # on top: where theory is right the two lines coincide
        right = [self.figure.add_axes((0.64, bottom, 0.345, 0.185)) for bottom in stage.RIGHT]
        self.triptych = stage.Triptych(right, land, (-0.3, 1.3), drift=5.0)
        labelled(right[2], text("03.axis.log_weight"), "", text("03.panel.drift"))
        right[2].title.set_fontsize(11)
        self.bins = torch.linspace(-0.3, 1.3, 17, dtype=torch.float64)

    def _plane(self, land: Valley) -> tuple[Any, Any]:
        ax = self.figure.add_axes((0.095, 0.535, 0.45, 0.415))
        u, v = torch.linspace(*WEIGHTS[0], 181), torch.linspace(*WEIGHTS[1], 121)
        grid = torch.stack(torch.meshgrid(v, u, indexing="ij"), -1).flip(-1).reshape(-1, 2)
        height = land.loss(grid).sqrt().reshape(len(v), len(u))
        levels = torch.linspace(0, 2.0, 13).tolist()
        ax.contourf(u, v, height.clamp(max=1.999), levels=levels, cmap="cividis_r", zorder=0)
        floor = land.point(torch.linspace(-1.2, 1.6, 201))
        ax.plot(*floor.T, color=BLACK, lw=1.2, ls=(0, (4, 4)), zorder=1)
        ax.plot([1], [1], "+", color=BLACK, ms=12, mew=2, zorder=2)
        ax.text(1.08, 1.14, text("03.label.balance"), fontsize=stage.SMALL, color=BLACK, zorder=2)
        ax.text(3.2, 0.5, text("03.label.floor"), fontsize=stage.SMALL, color=BLACK, ha="right", zorder=2)
        labelled(ax, text("03.axis.u"), text("03.axis.v")).set(xlim=WEIGHTS[0], ylim=WEIGHTS[1])
        twins = ax.scatter([], [], s=16, c="none", edgecolors=RED, lw=1.2, animated=True, zorder=3)
        walkers = ax.scatter([], [], s=18, c=BLUE, edgecolors="white", lw=0.6, animated=True, zorder=4)
        return walkers, twins

    def show(self, release: Release, shown: Mean, law: Tensor, twin: tuple[Release, Mean] | None) -> None:
        """Draw walkers, their mean against the step, and theory."""
        self.walkers.set_offsets(stage.last(release)[::3].numpy())
        self.twins.set_offsets(torch.empty(0, 2).numpy() if twin is None else stage.last(twin[0])[::3].numpy())
        self.bands["run"].show(release.step, shown, text("03.label.run"))
        self.bands["theory"].show(release.step, _exact(law))
        self.bands["twin"].show(release.step, None if twin is None else twin[1])

    def show_drift(self, release: Release, land: Hyperbola, noise: str, batch_size: int | None, rate: float) -> None:
        """Draw the drift of y, per 1,000 steps."""
        rows, y = settled(release, noise), self.triptych.y
        where, speed = stage.velocity(imbalance(release)[rows], release.step[rows], self.bins)
        law = torch.zeros_like(y) if batch_size is None else 1000 * velocity_of_y(land, y, batch_size, rate)
        self.triptych.show(law, where, _trusted(speed * 1000, 1.5))

    def predicted(self, ghost: float | None, step: Tensor) -> None:
        """Draw where a prediction ends, on a straight line from the release."""
        ends = None if ghost is None else _exact(torch.tensor([BEGIN, ghost], dtype=torch.float64))
        self.bands["ghost"].show(step[[0, -1]], ends)
        stage.part(*self.bands.values())


def balance(seed: int) -> Explorer:
    """All points of uv = 1 fit the datum; noise on the label finds the one that is least curved."""
    picture = Balance()

    def run(turned: Mapping[str, Any]) -> tuple[Release, Mean]:
        release = curve(KINDS[turned["noise_source"]]).run(seed, **{name: turned[name] for name in TURNED})
        y = imbalance(release)
        alone = y[:, : y.shape[1] // stage.CROWDS].mean(1)
        return release, {"eight": over_crowds(y), "one": _exact(alone)}[turned["crowd"]]

    def render(
        *, pinned: dict[str, Any] | None = None, ghost: float | None = None, **turned: Any
    ) -> tuple[Figure, str]:
        kind = KINDS[turned["noise_source"]]
        batch_size, rate, noise = (turned[name] for name in TURNED)
        release, y = run(turned)
        law = track(kind, release.step, batch_size, rate, noise)
        twin = None if pinned is None else run(pinned)
        picture.show(release, y, law, twin)
        land: Any = curve(kind).land
        picture.show_drift(release, land, noise, batch_of(batch_size, noise), rate)
        picture.predicted(ghost, release.step)
        words = text(
            f"03.balance.{turned['crowd']}",
            setting=_setting(turned, kind),
            steps=int(release.step[-1]),
            mean=float(y.value[-1]),
            error=float(y.error[-1]),
            law=float(law[-1]),
            curvature=float(land.curvature_across(y.value[-1])),
        )
        if twin is not None and pinned is not None:
            setting = _setting(pinned, KINDS[pinned["noise_source"]])
            words += " " + text("03.balance.twin", setting=setting, mean=float(twin[1].value[-1]))
        return picture.figure, words

    def code(*, noise_source: str, crowd: str, **turned: Any) -> str:
        return curve(KINDS[noise_source]).code(seed, **turned)

    return Explorer(
        render,
        [
            switch("noise_source", tuple(KINDS)),
            slider("batch_size", (1, 2, 4, 8, 16, None), 2),
            slider("learning_rate", (0.02, 0.04, 0.08), 0.08),
            switch("noise", SWITCH),
            switch("crowd", ("eight", "one")),
        ],
        title=text("03.balance.title"),
        code=code,
    )


# --- the opening -----------------------------------------------------------------------------------------------------


def hook(seed: int, batch_size: int) -> Player:
    """Return a player of a crowd on the tilted floor."""
    crowd = Crowd("Tilted", WALLS, start=0.5, steps=480, walkers=128, records=120)

    def sentence(step: int, y: Tensor) -> str:
        above = 100 * float((y > 0).double().mean())
        return text("03.hook.sentence", batch_size=batch_size, step=step, mean=float(y.mean()), above=above)

    return stage.play(
        crowd,
        seed,
        along=ALONG,
        across=ACROSS,
        drift=2.5,
        density=2.5,
        title=text("03.hook.title", batch_size=batch_size),
        sentence=sentence,
        batch_size=batch_size,
        learning_rate=0.02,
    )


# --- questions and exercises -----------------------------------------------------------------------------------------

QUESTIONS = [
    Question(
        "turn",
        ("never", "cold", "middle", "hot"),
        "middle",
        {"never": math.inf, "cold": math.sqrt(128 * 256), "middle": math.sqrt(16 * 32), "hot": math.sqrt(2 * 4)},
    ),
    Question("narrow", ("same", "weaker", "stronger"), "stronger", {"same": 0, "weaker": -1, "stronger": 1}),
    Question("label", ("stays", "balance", "larger"), "balance", {"stays": BEGIN, "balance": 0.0, "larger": 1.25}),
]


def _push_ratio(isotropic: Callable[[float], float], curvature: Callable[[float], float]) -> Callable[..., float]:
    """Return an answer to exercise 3.2, given how it makes a ratio of pushes of the ratio of curvatures."""
    rules = {"isotropic": isotropic, "curvature": curvature}
    return lambda shape, narrow, wide: rules[shape](narrow / wide)


EXERCISES = [
    Exercise(
        "break_even",
        "3.1",
        truth=lambda slope, curvature, curvature_slope: -2 * slope * curvature / curvature_slope,
        wrong={
            "half": lambda slope, curvature, curvature_slope: -slope * curvature / curvature_slope,
            "sign": lambda slope, curvature, curvature_slope: 2 * slope * curvature / curvature_slope,
            "inverted": lambda slope, curvature, curvature_slope: -2 * slope * curvature_slope / curvature,
            "absolute": lambda slope, curvature, curvature_slope: -2 * slope / curvature_slope,
            "quarter": lambda slope, curvature, curvature_slope: -0.5 * slope * curvature / curvature_slope,
        },
        cases=[(0.02, 4.0, -8.0), (0.05, 10.0, -2.5), (-0.01, 3.0, 6.0)],
    ),
    Exercise(
        "ratio",
        "3.2",
        truth=_push_ratio(lambda times: 1.0, lambda times: times),
        wrong={
            "swapped": _push_ratio(lambda times: times, lambda times: 1.0),
            "bath": _push_ratio(lambda times: 1.0, lambda times: 1.0),
            "steeper": _push_ratio(lambda times: times, lambda times: times),
            "inverted": _push_ratio(lambda times: 1.0, lambda times: 1 / times),
            "root": _push_ratio(lambda times: 1.0, lambda times: math.sqrt(times)),
        },
        cases=[("isotropic", 16.0, 1.0), ("curvature", 16.0, 1.0), ("curvature", 9.0, 4.0), ("isotropic", 5.0, 2.0)],
    ),
    Exercise(
        "curvature",
        "3.3",
        truth=lambda u: u**2 + u**-2,
        wrong={
            "equal": lambda u: 2 * u**2,
            "entry_u": lambda u: u**-2,
            "entry_v": lambda u: u**2,
            "product": lambda u: 2.0,
            "squared_sum": lambda u: (u + 1 / u) ** 2,
        },
        cases=[(2.5,), (0.5,), (1.0,)],
    ),
]

CHAPTER = Chapter(
    "03",
    questions=QUESTIONS,
    exercises=EXERCISES,
    explorers={"dial": dial, "shape": shape, "balance": balance},
    players={"cold": lambda seed: hook(seed, 256), "hot": lambda seed: hook(seed, 4)},
)
