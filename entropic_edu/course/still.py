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
from entropic_edu.teaching.stage import Measure, Pane, Scene
from entropic_edu.teaching.strings import text

from . import floor
from .crowd import Crowd

WALKERS = 1000  # of each crowd: the numbers of one picture must bear being read; as many as the scene has are drawn
CELLS = torch.linspace(-2.6, 2.6, 242, dtype=torch.float64)
CENTRES = 0.5 * (CELLS[1:] + CELLS[:-1])


def picture(scene: Scene) -> tuple[bytes, str]:
    """Return a scene's two crowds after its first steps, as a PNG, and what is to be read of them.

    Raises:
        ValueError: If the scene is a plane, or its noise has no free energy.
    """
    if scene.view == "plane":
        raise ValueError("A plane of two weights has no picture that stands still; show it on a page.")
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
    sentence = text("stage.still", sentence=scene.sentence.format(**values), walkers=WALKERS, shown=scene.walkers)
    settings = " · ".join(
        f"{each.label} {each.shown(each.default)}" for each in scene.sliders if _turned(scene, each.name)
    )
    return captioned(png(figure), settings, sentence), sentence


def _turned(scene: Scene, name: str) -> bool:
    """Return whether a slider acts on what is shown."""
    taken = {value for pane in scene.panes for value in pane.set.values()}
    return not name.startswith("other") or name in taken


def _drawn(scene: Scene, pane: Pane, plan: Axes, below: Axes) -> tuple[str, str]:
    """Draw a pane; return what was measured, with its error, and theory's number."""
    crowd = Crowd(pane.valley, pane.walls, start=None, steps=scene.warm, walkers=WALKERS, records=1)
    turned = scene.setting(pane)
    places = torch.tensor(scene.places, dtype=torch.float64)
    starts = tuple(crowd.land.position(places)[torch.arange(WALKERS) % len(places)].clamp(0, 1).tolist())
    theta = floor.last(crowd.run(scene.seed + pane.draws, start=starts, walkers=1, **turned)).double()
    if scene.view == "bowl":
        law, each = _bowl(scene, crowd, theta, plan, below, turned), theta[:, 0]
    else:
        law, each = _floor(scene, crowd, theta, plan, below, turned), theta[:, 1]
    below.hist(each, bins=40, range=scene.axis, density=True, color=BLUE)
    each = _each(scene.measure, each) * scene.measure.scale
    value, error = float(each.mean()), float(each.std()) / WALKERS**0.5
    digits = scene.measure.digits
    told = _minus(value, digits) if turned["batch_size"] is None else f"{_minus(value, digits)} ± {error:.{digits}f}"
    return told, _minus(law * scene.measure.scale, digits)


def _each(measure: Measure, where: Tensor) -> Tensor:
    """Return of each walker the number whose mean is told."""
    if measure.between is not None:
        low, high = measure.between
        return ((where > low) & (where < high)).double()
    return {"square": where.square, "away": where.abs, "mean": where.clone}[measure.kind]()


def _minus(number: float, digits: int) -> str:
    shown = f"{number:.{digits}f}"
    return shown.replace("-", "−") if float(shown) else shown.lstrip("-")


def _bowl(scene: Scene, crowd: Crowd, theta: Tensor, plan: Axes, below: Axes, turned: dict[str, Any]) -> float:
    """Draw a bowl from the side, and return the variance that theory expects."""
    wall = torch.linspace(*scene.axis, 121, dtype=torch.float64)
    plan.plot(wall, crowd.land.loss(torch.stack([wall, torch.zeros_like(wall)], -1)), color=BLACK, lw=2)
    seen = theta[: scene.walkers]
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
    floor.Plan(plan, crowd.land, scene.axis, scene.across)
    seen = theta[: scene.walkers]
    plan.scatter(seen[:, 1], seen[:, 0], s=18, c=BLUE, edgecolors="white", lw=0.6, zorder=3)
    y = theta[:, 1]
    for side in [y] if scene.split is None else [y[y < scene.split], y[y >= scene.split]]:
        if len(side):
            plan.plot(side.mean(), 0, marker="D", ms=8, mfc="white", mec=BLACK, mew=2, zorder=4)
    for limit in scene.measure.between or ():
        plan.axvline(limit, color=BLACK, lw=1.2, ls=":")
    plan.set(xlim=scene.axis)
    if turned["batch_size"] is None:
        return float(_each(scene.measure, _slid(scene, crowd, turned)).mean())
    begin = torch.histogram(torch.tensor(scene.places, dtype=torch.float64), CELLS).hist
    steps = torch.tensor([0, scene.warm])
    shares = occupation(crowd.land, CELLS, start=begin / begin.sum(), steps=steps, **turned)[-1]
    below.plot(CENTRES, shares / (CELLS[1] - CELLS[0]), color=PURPLE, ls=DASHES[2], lw=2)
    return float(shares @ _each(scene.measure, CENTRES))


def _slid(scene: Scene, crowd: Crowd, turned: dict[str, Any]) -> Tensor:
    """Return where walkers without noise are in the end: on the floor, downhill."""
    y = torch.tensor(scene.places, dtype=torch.float64)
    speed = torch.zeros_like(y)
    for _ in range(scene.warm):
        speed = turned["momentum"] * speed + crowd.land.floor_loss(y, 1)
        y = y - turned["learning_rate"] * speed
    return y
