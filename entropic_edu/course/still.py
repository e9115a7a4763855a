"""The picture of a live stage where no script runs, on GitHub or on paper: the same two crowds by ``ee.drift``."""

from __future__ import annotations

import math
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
CENTRES = 0.5 * (CELLS[1:] + CELLS[:-1])


def picture(scene: Scene) -> tuple[bytes, str]:
    """Return a scene's two crowds after its first steps, as a PNG, and what is to be read of them.

    Raises:
        ValueError: If walkers on a curve spread along it, of which only the page knows the law.
    """
    figure = sheet.figure(height=330)
    values = scene.setting(scene.panes[0]) | {"step": scene.warm}
    values |= {each.name: each.shown(each.default) for each in scene.sliders}
    for place, pane in enumerate(scene.panes):
        plan, below = (
            figure.add_axes((0.085 + 0.5 * place, low, 0.4, high)) for low, high in ((0.5, 0.4), (0.16, 0.2))
        )
        labelled(plan, "", "", pane.label)
        labelled(below, scene.axis_label, "", "").set(xlim=scene.axis, xticks=scene.ticks)
        value, law = _drawn(scene, pane, plan, below)
        values |= {f"{'ab'[place]}_value": value, f"{'ab'[place]}_law": law}
    sentence = text(
        "stage.still",
        sentence=scene.sentence.format(**values),
        walkers=_count(scene),
        shown=scene.shown or scene.walkers,
    )
    settings = " · ".join(
        f"{each.label} {each.shown(each.default)}" for each in scene.sliders if _turned(scene, each.name)
    )
    return captioned(png(figure), settings, sentence), sentence


def _count(scene: Scene) -> int:
    return max(WALKERS, scene.walkers)


def _turned(scene: Scene, name: str) -> bool:
    """Return whether a slider acts on what is shown."""
    taken = {value for pane in scene.panes for value in pane.set.values()}
    return not name.startswith("other") or name in taken


def _drawn(scene: Scene, pane: Pane, plan: Axes, below: Axes) -> tuple[str, str]:
    """Draw a pane; return what was measured, with its error, and theory's number."""
    crowd = Crowd(pane.valley, pane.walls, start=None, steps=scene.warm, walkers=_count(scene), records=1)
    turned = scene.setting(pane)
    places = torch.tensor(scene.places, dtype=torch.float64)
    starts = tuple(crowd.land.position(places)[torch.arange(_count(scene)) % len(places)].clamp(0, 1).tolist())
    theta = floor.places(crowd.run(scene.seed + pane.draws, start=starts, walkers=1, **turned))[-1]
    if scene.view == "bowl":
        law, each = _bowl(scene, crowd, theta, plan, below, turned), theta[:, 0]
    elif scene.view == "plane":
        law, each = _plane(scene, crowd, theta, plan, below, turned), _balance(theta)
    else:
        law, each = _floor(scene, crowd, theta, plan, below, turned), theta[:, 1]
    below.hist(each, bins=40, range=scene.axis, density=True, color=BLUE)
    each = _each(scene, each) * scene.measure.scale
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


def _bowl(scene: Scene, crowd: Crowd, theta: Tensor, plan: Axes, below: Axes, turned: dict[str, Any]) -> float:
    """Draw a bowl from the side, and return the variance that theory expects."""
    wall = torch.linspace(*scene.axis, 121, dtype=torch.float64)
    plan.plot(wall, crowd.land.loss(torch.stack([wall, torch.zeros_like(wall)], -1)), color=BLACK, lw=2)
    seen = theta[: scene.shown or scene.walkers]
    plan.scatter(seen[:, 0], crowd.land.loss(seen), s=18, c=BLUE, edgecolors="white", lw=0.6, zorder=3)
    plan.set(xlim=scene.axis, ylim=scene.across)
    if turned["batch_size"] is None:
        return 0.0
    h = crowd.land.curvature_across(torch.zeros(1, dtype=torch.float64))
    law = float(sustained_variance(h, turned["learning_rate"], turned["momentum"]) / turned["batch_size"])
    gauss = (-0.5 * wall.square() / law).exp() / math.sqrt(2 * math.pi * law)
    below.plot(wall, gauss, color=PURPLE, ls=DASHES[2], lw=2)
    return law


def _floor(scene: Scene, crowd: Crowd, theta: Tensor, plan: Axes, below: Axes, turned: dict[str, Any]) -> float:
    """Draw a floor from above, and return what the sentence's number is by theory."""
    plan.set(xlim=scene.axis, ylim=scene.across)
    floor.field(plan, crowd.land)
    labelled(plan, "", text("axis.across"))
    seen = theta[: scene.shown or scene.walkers]
    plan.scatter(seen[:, 1], seen[:, 0], s=18, c=BLUE, edgecolors="white", lw=0.6, zorder=3)
    y = theta[:, 1]
    for side in [y] if scene.split is None else [y[y < scene.split], y[y >= scene.split]]:
        if len(side):
            plan.plot(side.mean(), 0, marker="D", ms=8, mfc="white", mec=BLACK, mew=2, zorder=4)
    for limit in scene.measure.between or ():
        plan.axvline(limit, color=BLACK, lw=1.2, ls=":")
    if turned["batch_size"] is None or crowd.land.noise != "isotropic":
        return _drifted(scene, crowd, below, turned)
    at = (torch.tensor(scene.places, dtype=torch.float64) - CENTRES[0]) / (CELLS[1] - CELLS[0])
    cell, share = at.long(), at.frac()  # between two cells, so that the mean stays
    begin = torch.zeros_like(CENTRES).index_add_(0, cell, 1 - share).index_add_(0, cell + 1, share)
    steps = torch.tensor([0, scene.warm])
    shares = occupation(crowd.land, CELLS, start=begin / begin.sum(), steps=steps, **turned)[-1]
    below.plot(CENTRES, shares / (CELLS[1] - CELLS[0]), color=PURPLE, ls=DASHES[2], lw=2)
    return float(shares @ _each(scene, CENTRES))


def _plane(scene: Scene, crowd: Crowd, theta: Tensor, plan: Axes, below: Axes, turned: dict[str, Any]) -> float:
    """Draw the plane of two weights with the curve of zero loss, and return theory's number."""
    if crowd.land.noise == "isotropic":
        raise ValueError("How walkers spread along a curve only the page tells; compare something else first.")
    (left, right), (low, high) = scene.plan or scene.axis, scene.across
    u, v = torch.linspace(left, right, 181), torch.linspace(low, high, 121)
    height = crowd.land.loss(torch.cartesian_prod(u, v)).sqrt().reshape(181, 121).T
    plan.contourf(u, v, height.clamp(max=1.999), levels=torch.linspace(0, 2, 13).tolist(), cmap="cividis_r", zorder=0)
    plan.plot(*crowd.land.point(torch.linspace(-1.5, 1.5, 201)).T, color=BLACK, lw=1.2, ls=(0, (4, 4)), zorder=1)
    seen = theta[: scene.shown or scene.walkers]
    plan.scatter(seen[:, 0], seen[:, 1], s=18, c=BLUE, edgecolors="white", lw=0.6, zorder=3)
    plan.set(xlim=(left, right), ylim=(low, high))
    return _drifted(scene, crowd, below, turned)


def _balance(theta: Tensor) -> Tensor:
    """Return the coordinate along uv = 1 that gradient flow keeps, 2 sinh 2y = u² - v², (W,)."""
    u, v = theta.unbind(-1)
    return 0.5 * (0.5 * (u.square() - v.square())).asinh()


def _drifted(scene: Scene, crowd: Crowd, below: Axes, turned: dict[str, Any]) -> float:
    """Draw where walkers are whose x² is its mean and whom no noise kicks along, and return theory's number.

    Each feels -f' - ½h'⟨x²⟩; ⟨x²⟩ follows the exact recursion of ⟨x²⟩, ⟨xv⟩ and ⟨v²⟩ from step to step.
    """
    land, rate, m = crowd.land, turned["learning_rate"], turned["momentum"]
    kick = 0.0 if turned["batch_size"] is None else land.noise_scale**2 / turned["batch_size"]  # times h
    y = torch.tensor(scene.places, dtype=torch.float64)
    speed, xx, xv, vv = torch.zeros(4, len(y), dtype=torch.float64)
    for _ in range(scene.warm):
        h = land.curvature_across(y)
        speed = m * speed + (land.floor_loss(y, 1) + 0.5 * land.curvature_across(y, 1) * xx) / land.metric(y)
        pull, fast = m * xv + h * xx, m * m * vv + 2 * m * h * xv + h * h * xx + kick * h
        xx, xv, vv = xx - 2 * rate * pull + rate**2 * fast, pull - rate * fast, fast
        y = y - rate * speed
    below.axvline(float(y.mean()), color=PURPLE, ls=DASHES[2], lw=2)
    return float(_each(scene, y).mean())
