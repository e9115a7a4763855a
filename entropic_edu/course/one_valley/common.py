"""What the three explorers share: the trough and what is read from it, words, and where the walkers are."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from torch import Tensor

from entropic_edu.course import floor
from entropic_edu.course.crowd import Crowd
from entropic_edu.figures.plots import BLUE, PURPLE, RED, labelled
from entropic_edu.physics.mean import Mean
from entropic_edu.physics.release import Release
from entropic_edu.physics.valleys import Waist
from entropic_edu.teaching.sheet import moving
from entropic_edu.teaching.strings import option_text, text

STEPS = 400
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
    return Mean(each.mean(), torch.tensor(math.nan)) if len(each) < floor.CROWDS else floor.over_crowds(each)


def shown(x: Tensor, crowd: str) -> Tensor:
    """Return the walkers that the switch ``crowd`` leaves: all of them, or the first."""
    return x[:, :1] if crowd == "one" else x


def let_go(seed: int, bowl_curvature: float, **turned: Any) -> Release:
    """Return the release at these controls."""
    return trough(bowl_curvature).run(seed, **turned)


def run_of(turned: Mapping[str, Any]) -> dict[str, Any]:
    """Return the controls that a run depends on."""
    return {name: value for name, value in turned.items() if name != "crowd"}


def exact_at(
    *, batch_size: int | None, learning_rate: float, bowl_curvature: float, noise: str = "on", **_: Any
) -> float:
    """Return the exact variance at these controls."""
    return exact_variance(bowl_curvature, batch_size if noise != "off" else None, learning_rate)


# --- words ---------------------------------------------------------------------------------------------------------


def sentence(key: str, x: Tensor, release: Release, variance: float, **turned: Any) -> str:
    """Return what a picture says of the walkers at ``x`` and of the exact ``variance``."""
    x = shown(x, turned["crowd"])
    return text(
        key,
        setting=_setting(turned["batch_size"], turned["learning_rate"], turned.get("noise", "on")),
        curvature=turned["bowl_curvature"],
        walkers=how_many(x.shape[1]),
        steps=int(release.step[-1]),
        measured=measured(spread(x)),
        exact=rounded(variance),
        temperature=rounded(0.5 * turned["learning_rate"] / (turned["batch_size"] or math.inf)),
        ratio=rounded(turned["learning_rate"] / (turned["batch_size"] or math.inf)),
        product=measured(spread(x) * turned["bowl_curvature"]),
        product_exact=rounded(variance * turned["bowl_curvature"]),
    )


def compared(key: str, mean: Mean, pinned: Mapping[str, Any]) -> str:
    """Return what is said of the pinned run."""
    return text(
        key,
        setting=_setting(pinned["batch_size"], pinned["learning_rate"], pinned.get("noise", "on")),
        curvature=pinned["bowl_curvature"],
        measured=measured(mean),
    )


def _setting(batch_size: int | None, learning_rate: float, noise: str) -> str:
    batch = text("01.batch.all") if batch_size is None else text("01.batch.some", batch_size=batch_size)
    heat = "off" if batch_size is None else noise
    return text(
        "01.setting",
        batch=batch,
        learning_rate=learning_rate,
        noise=option_text(heat, "01.noise.on", "01.noise.off", "01.noise.late"),
    )


def measured(mean: Mean) -> str:
    """Return a mean with its error, both to the digit that is in doubt: the error's first, or second after a 1."""
    value, error = float(mean.value), float(mean.error)
    if not math.isfinite(error):
        return text("01.one_run", value=rounded(value))
    if not error:
        return rounded(value)
    power = 0 if 1e-3 <= abs(value) < 1e4 else math.floor(math.log10(abs(value)))
    scale = 10.0**power
    digits = max(0, -math.floor(math.log10(error / scale / 2)))
    both = text("01.measured", value=f"{value / scale:.{digits}f}", error=f"{error / scale:.{digits}f}")
    return both if power == 0 else f"({both}){_tenth(power)}"


def rounded(value: float) -> str:
    """Return a number to three digits, with a power of ten where it is far from 1."""
    mantissa, _, power = f"{value:.3g}".partition("e")
    return f"{mantissa}{_tenth(int(power))}" if power else mantissa


def _tenth(power: int) -> str:
    """Return a power of ten as a factor."""
    return " · 10" + str(power).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


def how_many(count: int) -> str:
    """Name a number of walkers in a sentence."""
    if count == 1:
        return text("01.walkers.one")
    return text("01.walkers.eight", crowds=floor.CROWDS, each=count // floor.CROWDS)


# --- panels --------------------------------------------------------------------------------------------------------


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
