"""Round 3: two weights with uv = 1, and the noise on the label that balances them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor

from entropic_edu.course import floor
from entropic_edu.course.crowd import SWITCH, Crowd
from entropic_edu.course.floor import over_crowds
from entropic_edu.figures.plots import BLACK, BLUE, DASHES, PURPLE, RED, labelled
from entropic_edu.physics.mean import Mean, exact
from entropic_edu.physics.release import Release
from entropic_edu.physics.valleys import Hyperbola, Valley
from entropic_edu.recorded._diffusion import occupation
from entropic_edu.teaching import sheet
from entropic_edu.teaching.explorer import Explorer, slider, switch
from entropic_edu.teaching.sheet import GREY
from entropic_edu.teaching.strings import option_text, text

from .common import TURNED, batch_of, setting_of, settled, trusted

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
        self.figure = sheet.figure()
        land = curve("label").land
        self.walkers, self.twins = self._plane(land)
        self.ax = ax = self.figure.add_axes((0.095, 0.125, 0.365, 0.195))
        labelled(ax, text("axis.step"), "", text("03.panel.mean")).title.set_fontsize(11)
        ax.set(xlim=(0, curve("label").steps), ylim=(-0.1, 1.3))
        ax.axhline(0, color=GREY, lw=1)
        self.bands = {
            "ghost": sheet.Band(ax, colour=GREY, dash=(0, (3, 2)), width=4, label=text("say.prediction")),
            "theory": sheet.Band(ax, colour=PURPLE, dash=DASHES[2], label=text("say.theory")),
            "twin": sheet.Band(ax, colour=RED, dash="--", label=text("say.pinned")),
            "run": sheet.Band(ax),
        }
        self.bands["theory"].name.set_color(BLACK)
        self.bands["theory"].line.set_zorder(4)  # on top: where theory is right the two lines coincide
        right = [self.figure.add_axes((0.64, bottom, 0.345, 0.185)) for bottom in floor.RIGHT]
        self.triptych = floor.Triptych(right, land, (-0.3, 1.3), drift=5.0)
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
        dark = {"facecolor": "black", "alpha": 0.5, "lw": 0, "pad": 1}  # the field is bright there
        ax.text(1.3, 2.1, text("03.label.balance"), fontsize=sheet.SMALL, color="white", zorder=2, bbox=dark)
        ax.text(3.5, 1.0, text("03.label.floor"), fontsize=sheet.SMALL, color="white", ha="right", zorder=2, bbox=dark)
        labelled(ax, text("03.axis.u"), text("03.axis.v")).set(xlim=WEIGHTS[0], ylim=WEIGHTS[1])
        twins = ax.scatter([], [], s=16, c="none", edgecolors=RED, lw=1.2, animated=True, zorder=3)
        walkers = ax.scatter([], [], s=18, c=BLUE, edgecolors="white", lw=0.6, animated=True, zorder=4)
        return walkers, twins

    def show(self, release: Release, shown: Mean, law: Tensor, twin: tuple[Release, Mean] | None) -> None:
        """Draw walkers, their mean against the step, and theory."""
        self.walkers.set_offsets(floor.last(release)[::3].numpy())
        self.twins.set_offsets(torch.empty(0, 2).numpy() if twin is None else floor.last(twin[0])[::3].numpy())
        self.bands["run"].show(release.step, shown, text("03.label.run"))
        self.bands["theory"].show(release.step, exact(law))
        self.bands["twin"].show(release.step, None if twin is None else twin[1])

    def show_drift(self, release: Release, land: Hyperbola, noise: str, batch_size: int | None, rate: float) -> None:
        """Draw the drift of y, per 1,000 steps."""
        rows, y = settled(release, noise), self.triptych.y
        where, speed = floor.velocity(imbalance(release)[rows], release.step[rows], self.bins)
        law = torch.zeros_like(y) if batch_size is None else 1000 * velocity_of_y(land, y, batch_size, rate)
        self.triptych.show(law, where, trusted(speed * 1000, 1.5))

    def predicted(self, ghost: float | None, step: Tensor) -> None:
        """Draw where a prediction ends, on a straight line from the release."""
        ends = None if ghost is None else exact(torch.tensor([BEGIN, ghost], dtype=torch.float64))
        self.bands["ghost"].show(step[[0, -1]], ends)
        sheet.part(*self.bands.values())


def balance(seed: int) -> Explorer:
    """All points of uv = 1 fit the datum; noise on the label finds the one that is least curved."""
    picture = Balance()

    def run(turned: Mapping[str, Any]) -> tuple[Release, Mean]:
        release = curve(KINDS[turned["noise_source"]]).run(seed, **{name: turned[name] for name in TURNED})
        y = imbalance(release)
        alone = y[:, : y.shape[1] // floor.CROWDS].mean(1)
        return release, {"eight": over_crowds(y), "one": exact(alone)}[turned["crowd"]]

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
        words = option_text(
            turned["crowd"],
            "03.balance.eight",
            "03.balance.one",
            setting=setting_of(turned, kind),
            steps=int(release.step[-1]),
            mean=float(y.value[-1]),
            error=float(y.error[-1]),
            law=float(law[-1]),
            curvature=float(land.curvature_across(y.value[-1])),
        )
        if twin is not None and pinned is not None:
            setting = setting_of(pinned, KINDS[pinned["noise_source"]])
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
