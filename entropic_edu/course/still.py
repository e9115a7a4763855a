"""The picture of a live stage where no script runs, on GitHub or on paper: the same two crowds by ``ee.drift``."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from matplotlib.axes import Axes
from torch import Tensor

from entropic_edu.figures.pixels import captioned, png
from entropic_edu.figures.plots import BLACK, BLUE, DASHES, PURPLE, labelled
from entropic_edu.physics.noise import sustained_variance
from entropic_edu.recorded._diffusion import occupation
from entropic_edu.teaching import sheet
from entropic_edu.teaching.stage import Pane, Scene
from entropic_edu.teaching.strings import text

from . import floor
from .crowd import Crowd

WALKERS = 1000  # of each crowd: the numbers of one picture must bear being read; as many as the scene has are drawn
CELLS = torch.linspace(-2.6, 2.6, 242, dtype=torch.float64)
CENTRES, WIDE = 0.5 * (CELLS[1:] + CELLS[:-1]), CELLS[1] - CELLS[0]
LAW: dict[str, Any] = {"color": PURPLE, "ls": DASHES[2], "lw": 2}


def picture(scene: Scene) -> tuple[bytes, str]:
    """Return a scene's two crowds after its first steps, as a PNG, and what is to be read of them.

    Raises:
        ValueError: If walkers on a curve spread along it, of which only the page knows the law.
    """
    figure = sheet.figure(height=330)
    values = scene.setting(scene.panes[0]) | {"step": scene.warm}
    values |= {each.name: each.shown(each.default) for each in scene.sliders}
    for name, left, pane in zip("ab", (0.085, 0.585), scene.panes, strict=True):
        plan, below = (figure.add_axes((left, low, 0.4, high)) for low, high in ((0.5, 0.4), (0.16, 0.2)))
        labelled(plan, "", "", pane.label)
        labelled(below, scene.axis_label, "", "").set(xlim=scene.axis, xticks=scene.ticks)
        values[f"{name}_value"], values[f"{name}_law"] = _drawn(scene, pane, plan, below)
    known = {"walkers": max(WALKERS, scene.walkers), "shown": scene.shown or scene.walkers}
    sentence = text("stage.still", sentence=scene.sentence.format(**values), **known)
    taken = {value for pane in scene.panes for value in pane.set.values()}  # other sliders act on nothing here
    turned = [each for each in scene.sliders if not each.name.startswith("other") or each.name in taken]
    settings = " · ".join(f"{each.label} {each.shown(each.default)}" for each in turned)
    return captioned(png(figure), settings, sentence), sentence


def _drawn(scene: Scene, pane: Pane, plan: Axes, below: Axes) -> tuple[str, str]:
    """Draw a pane; return what was measured, with its error, and theory's number."""
    turned, count = scene.setting(pane), max(WALKERS, scene.walkers)
    crowd = Crowd(pane.valley, pane.walls, start=None, steps=scene.warm, walkers=count, records=1)
    places = torch.tensor(scene.places, dtype=torch.float64)
    starts = tuple(crowd.land.position(places)[torch.arange(count) % len(places)].clamp(0, 1).tolist())
    theta = floor.places(crowd.run(scene.seed + pane.draws, start=starts, walkers=1, **turned))[-1]
    drawn = _Drawn(scene, crowd, plan, below, turned)
    law, where = {"bowl": drawn.bowl, "plane": drawn.plane}.get(scene.view, drawn.above)(theta)
    below.hist(where, bins=40, range=scene.axis, density=True, color=BLUE)
    each = _each(scene, where) * scene.measure.scale
    value, error = float(each.mean()), float(each.std()) / len(each) ** 0.5
    digits = scene.measure.digits
    told = _minus(value, digits) if turned["batch_size"] is None else f"{_minus(value, digits)} ± {error:.{digits}f}"
    return told, _minus(law * scene.measure.scale, digits)


def _each(scene: Scene, where: Tensor) -> Tensor:
    """Return of each walker the number whose mean is told."""
    if scene.measure.between is not None:
        low, high = scene.measure.between
        return ((where > low) & (where < high)).double()
    begin = math.fsum(scene.places) / len(scene.places) if scene.measure.kind == "moved" else 0.0
    return {"square": where.square, "away": where.abs}.get(scene.measure.kind, lambda: where - begin)()


def _minus(number: float, digits: int) -> str:
    shown = f"{number:.{digits}f}"
    return shown.replace("-", "−") if float(shown) else shown.lstrip("-")


@dataclass(frozen=True)
class _Drawn:
    """One half of the picture: ``bowl``, ``above`` and ``plane`` draw walkers (W, 2) in a valley, and theory beneath.

    Each returns theory's number and the coordinate of the walkers that is counted, (W,).
    """

    scene: Scene
    crowd: Crowd
    plan: Axes
    below: Axes
    turned: dict[str, Any]

    def dots(self, x: Tensor, y: Tensor) -> None:
        """Draw as many walkers as the scene shows."""
        shown = self.scene.shown or self.scene.walkers
        self.plan.scatter(x[:shown], y[:shown], s=18, c=BLUE, edgecolors="white", lw=0.6, zorder=3)

    def bowl(self, theta: Tensor) -> tuple[float, Tensor]:
        """A wall, from the side."""
        wall, land = torch.linspace(*self.scene.axis, 121, dtype=torch.float64), self.crowd.land
        self.plan.plot(wall, land.loss(torch.stack([wall, torch.zeros_like(wall)], -1)), color=BLACK, lw=2)
        self.dots(theta[:, 0], land.loss(theta))
        self.plan.set(xlim=self.scene.axis, ylim=self.scene.across)
        if self.turned["batch_size"] is None:
            return 0.0, theta[:, 0]
        h = land.curvature_across(torch.zeros(1, dtype=torch.float64))
        spread = sustained_variance(h, self.turned["learning_rate"], self.turned["momentum"])
        law = float(spread / self.turned["batch_size"])
        self.below.plot(wall, (-0.5 * wall.square() / law).exp() / math.sqrt(2 * math.pi * law), **LAW)
        return law, theta[:, 0]

    def above(self, theta: Tensor) -> tuple[float, Tensor]:
        """A floor, from above."""
        scene, (x, y) = self.scene, theta.T
        self.plan.set(xlim=scene.axis, ylim=scene.across)
        floor.field(self.plan, self.crowd.land)
        labelled(self.plan, "", text("axis.across"))
        self.dots(y, x)
        for side in [y] if scene.split is None else [y[y < scene.split], y[y >= scene.split]]:
            if len(side):
                self.plan.plot(side.mean(), 0, marker="D", ms=8, mfc="white", mec=BLACK, mew=2, zorder=4)
        for limit in scene.measure.between or ():
            self.plan.axvline(limit, color=BLACK, lw=1.2, ls=":")
        if self.turned["batch_size"] is None or self.crowd.land.noise != "isotropic":
            return self.drifted(), y
        at = (torch.tensor(scene.places, dtype=torch.float64) - CENTRES[0]) / WIDE
        cell, share = at.long(), at.frac()  # between two cells, so that the mean stays
        begin = torch.zeros_like(CENTRES).index_add_(0, cell, 1 - share).index_add_(0, cell + 1, share)
        steps = torch.tensor([0, scene.warm])
        shares = occupation(self.crowd.land, CELLS, start=begin / begin.sum(), steps=steps, **self.turned)[-1]
        self.below.plot(CENTRES, shares / WIDE, **LAW)
        return float(shares @ _each(scene, CENTRES)), y

    def plane(self, theta: Tensor) -> tuple[float, Tensor]:
        """The plane of two weights, with the curve of zero loss.

        Counted along uv = 1 is the coordinate that gradient flow keeps, 2 sinh 2y = u² - v².
        """
        land, (u, v) = self.crowd.land, theta.T
        if land.noise == "isotropic":
            raise ValueError("How walkers spread along a curve only the page tells; compare something else first.")
        (left, right), (low, high) = self.scene.plan or self.scene.axis, self.scene.across
        x, y = torch.linspace(left, right, 181), torch.linspace(low, high, 121)
        height = land.loss(torch.cartesian_prod(x, y)).sqrt().reshape(181, 121).T.clamp(max=1.999)
        self.plan.contourf(x, y, height, levels=torch.linspace(0, 2, 13).tolist(), cmap="cividis_r", zorder=0)
        curve = land.point(torch.linspace(-1.5, 1.5, 201)).T
        self.plan.plot(*curve, color=BLACK, lw=1.2, ls=(0, (4, 4)), zorder=1)
        self.dots(u, v)
        self.plan.set(xlim=(left, right), ylim=(low, high))
        return self.drifted(), 0.5 * (0.5 * (u.square() - v.square())).asinh()

    def drifted(self) -> float:
        """Draw where walkers are whose x² is its mean and whom no noise kicks along, and return theory's number.

        Each feels -f' - ½h'⟨x²⟩; ⟨x²⟩ follows the exact recursion of ⟨x²⟩, ⟨xv⟩ and ⟨v²⟩ from step to step.
        """
        land, rate, m = self.crowd.land, self.turned["learning_rate"], self.turned["momentum"]
        batch_size = self.turned["batch_size"]
        kick = 0.0 if batch_size is None else land.noise_scale**2 / batch_size  # times h
        y = torch.tensor(self.scene.places, dtype=torch.float64)
        speed, xx, xv, vv = torch.zeros(4, len(y), dtype=torch.float64)
        for _ in range(self.scene.warm):
            h = land.curvature_across(y)
            speed = m * speed + (land.floor_loss(y, 1) + 0.5 * land.curvature_across(y, 1) * xx) / land.metric(y)
            pull, fast = m * xv + h * xx, m * m * vv + 2 * m * h * xv + h * h * xx + kick * h
            xx, xv, vv = xx - 2 * rate * pull + rate**2 * fast, pull - rate * fast, fast
            y = y - rate * speed
        self.below.axvline(float(y.mean()), **LAW)
        return float(_each(self.scene, y).mean())
