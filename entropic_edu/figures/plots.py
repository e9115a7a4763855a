"""Pictures of results: each function draws on an Axes, labels it with quantity and unit, and returns it.

Colours are Okabe and Ito's, and nothing is told by colour alone. Without pyplot, any thread may draw.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from entropic_edu.networks.network import Network
from entropic_edu.physics.path import Path
from entropic_edu.physics.probe import Profile
from entropic_edu.physics.release import Release
from entropic_edu.physics.spawn import Family
from entropic_edu.physics.train import Run

BLACK, BLUE, SKY, GREEN = "#000000", "#0072B2", "#56B4E9", "#009E73"
ORANGE, RED, PURPLE = "#E69F00", "#D55E00", "#CC79A7"
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)), (0, (1, 3)))
_SIZE = 11  # points
_BY: dict[str, Any] = {"textcoords": "offset points", "ha": "center"}  # words beside a point
_POSITION = "position on the path (share of its length)"


def axes(width: float = 6.4, height: float = 4.2) -> Axes:
    """Return the axes of a new figure that no window manager knows."""
    return Figure(figsize=(width, height), layout="constrained").subplots()


def labelled(ax: Axes, x: str, y: str, title: str = "") -> Axes:
    """Name both axes, each quantity with its unit, and give the panel a title; return the axes."""
    ax.set_xlabel(x, fontsize=_SIZE)
    ax.set_ylabel(y, fontsize=_SIZE)
    if title:
        ax.set_title(title, fontsize=_SIZE + 1, loc="left")
    ax.tick_params(labelsize=_SIZE - 1)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def end_labels(ax: Axes, labels: Sequence[tuple[float, float, str, str]], gap: float = 0.055) -> None:
    """Write names at the ends of lines, (x, y, text, colour), moved apart so that none covers another.

    >>> ax = axes()
    >>> end_labels(ax, [(1.0, 0.5, "loss", BLUE), (1.0, 0.5, "trace", RED)], gap=0.1)
    >>> [round(float(word.get_position()[1]), 3) for word in ax.texts]
    [0.5, 0.6]
    """
    low, high = ax.get_ylim()
    free = -float("inf")  # above what is written already
    for x, y, text, colour in sorted(labels, key=lambda label: label[1]):
        at = max(y, free)
        free = at + gap * (high - low)
        ax.text(x, at, text, color=colour, fontsize=_SIZE - 0.5, va="center")


def path(
    result: Path, ax: Axes | None = None, *, colour: str = BLUE, dash: object = "-", label: str | None = None
) -> Axes:
    """Draw the objective along a path; a second path on the same axes takes another colour, dash and label.

    >>> line = Path(torch.eye(3), losses=torch.tensor([0.1, 0.4, 0.2]))
    >>> ax = path(line, label="straight line")
    >>> ax.get_title(loc="left")
    'The road (given)'
    """
    ax = ax or axes()
    if result.losses is None:
        raise ValueError("This path has no measured losses; use connect.measured(land, path) first.")
    where, height = result.marks.numpy(), result.losses.numpy()
    ax.plot(where, height, color=colour, ls=dash, lw=2)
    ax.plot(where[[0, -1]], height[[0, -1]], "o", color=BLACK)
    if label is not None:
        top = int(height[1:-1].argmax()) + 1
        ax.annotate(label, (where[top], height[top]), xytext=(0, 6), color=colour, fontsize=_SIZE, **_BY)
    ax.set_ylim(0, 1.15 * max(ax.get_ylim()[1] / 1.15, float(height.max())))
    state = ", not converged" if result.converged is False else ""
    return labelled(ax, _POSITION, "objective", f"The road ({result.method}{state})")


def run(result: Run, ax: Axes | None = None) -> Axes:
    """Draw the objective against the step.

    >>> import entropic_edu as ee
    >>> land = ee.valleys.Waist()
    >>> run(ee.train(land, generator=torch.Generator().manual_seed(0), batch_size=8, epochs=2)).get_yscale()
    'log'
    """
    ax = ax or axes()
    steps = result.history.step
    for losses, dash in zip(result.history.loss.reshape(len(steps), -1).T, cycle(DASHES), strict=False):
        ax.plot(steps, losses, color=BLUE, ls=dash, lw=2)
    ax.set_yscale("log")
    return labelled(ax, "step", "objective", "Training")


def profile(result: Profile, ax: Axes | None = None, *, raw: Profile | None = None) -> Axes:
    """Draw height and width of the road, each over the mean of its two ends, with error bars of the trace.

    ``raw`` is the profile of the same road as it was built, before ``match_norms``: its trace is drawn beside.

    >>> import entropic_edu as ee
    >>> land = ee.valleys.Waist()
    >>> measured = ee.probe(land, Path(land.floor(5)), generator=torch.Generator().manual_seed(0), points=5)
    >>> profile(measured).get_ylabel()
    'value / mean of the two ends'
    """
    ax = ax or axes()
    ax.axhline(1, color="0.75", lw=1)
    labels = []
    if raw is not None:
        ratio = raw.trace / raw.trace[[0, -1]].mean()
        ax.plot(raw.position, ratio, color=BLACK, ls=DASHES[4], lw=1.5)
        middle = len(ratio) // 2
        ax.annotate("trace, as built", (raw.position[middle], ratio[middle]), xytext=(0, 6), fontsize=_SIZE, **_BY)
    for name, values, colour, dash in (
        ("trace" if raw is None else "trace, norms matched", result.trace, RED, "-"),
        ("λmax", result.top_eigenvalue, ORANGE, "--"),
        ("adaptive trace", result.adaptive_trace, PURPLE, "-."),
        ("objective", result.loss, BLUE, ":"),
    ):
        if (base := float(values[[0, -1]].mean())) > 0:
            ax.plot(result.position, values / base, color=colour, ls=dash, lw=2)
            labels.append((1.02, float(values[-1]) / base, name, colour))
    base = float(result.trace[[0, -1]].mean())
    low, high = (result.trace - result.trace_error) / base, (result.trace + result.trace_error) / base
    ax.fill_between(result.position, low, high, color=RED, alpha=0.2, lw=0)
    ax.set_ylim(0, None)
    end_labels(ax, labels)
    return labelled(ax, _POSITION, "value / mean of the two ends", "Height and width of the road")


def release(
    result: Release, ax: Axes | None = None, *, colour: str = BLUE, dash: object = "-", time: bool = False
) -> Axes:
    """Draw the mean position of each start, in ``dash``, with a band of one standard error, and every walker thinly.

    With ``time`` the abscissa is η/(1-m) times the step instead of the step.

    >>> import entropic_edu as ee
    >>> land, generator = ee.valleys.Waist(), torch.Generator().manual_seed(0)
    >>> walkers = ee.drift(land, Path(land.floor(5)), generator=generator, batch_size=8, learning_rate=0.01, steps=20)
    >>> release(walkers, time=True).get_xlabel()
    'time η/(1-m) · step'
    """
    ax = ax or axes()
    x = (result.time if time else result.step).numpy()
    ax.plot(x, result.position.numpy(), color=colour, lw=0.5, alpha=0.15)
    for mean, error in zip(result.mean_position.T, result.position_error.T, strict=True):
        ax.plot(x, mean, color=colour, ls=dash, lw=2)
        ax.fill_between(x, mean - error, mean + error, color=colour, alpha=0.25, lw=0)
    ax.set_ylim(-0.02, 1.02)
    return labelled(ax, "time η/(1-m) · step" if time else "step", "position on the path", "Let go on the road")


def family(result: Family, ax: Axes | None = None) -> Axes:
    """Draw loss and trace barrier, each over its value at the ends, against the step of spawning."""
    ax = ax or axes()
    for name, curve, colour, dash in (("data loss", result.data_loss, BLUE, "-"), ("trace", result.trace, RED, "--")):
        values = result.relative_to_end(curve)
        mean = values.mean(0)
        ax.plot(result.at, mean, color=colour, ls=dash, lw=2, marker="o", label=name)
        if len(values) > 1:
            error = values.std(0) / len(values) ** 0.5
            ax.fill_between(result.at, mean - error, mean + error, color=colour, alpha=0.25, lw=0)
    ax.legend(frameon=False, fontsize=_SIZE)
    ax.set_xscale("symlog", linthresh=10)
    return labelled(ax, "step k at which the children part", "barrier / value at the ends", "The late game")


@dataclass(frozen=True)
class Plane:
    """A plane through the two ends and the middle of a path, with orthonormal axes."""

    origin: Tensor  # first end of the path, (D,)
    axes: Tensor  # two unit vectors, (2, D); the first points to the other end

    @classmethod
    def through(cls, road: Path) -> Plane:
        """Return the plane through start, end and middle of ``road``."""
        a, b, middle = road.pivots[0], road.pivots[-1], road.at(0.5)
        first = (b - a) / (b - a).norm()
        second = (middle - a) - ((middle - a) @ first) * first
        if not float(second.norm()) > 0:  # a straight path: any direction across it will do
            second = torch.ones_like(a) - (torch.ones_like(a) @ first) * first
        return cls(a, torch.stack([first, second / second.norm()]))

    def coordinates(self, theta: Tensor) -> Tensor:
        """Return where points (P, D) fall on the plane, (P, 2)."""
        return (theta - self.origin) @ self.axes.T

    def points(self, coordinates: Tensor) -> Tensor:
        """Return the points (P, D) of the plane at ``coordinates`` (P, 2)."""
        return self.origin + coordinates @ self.axes


def plane(land: Network, road: Path, ax: Axes | None = None, resolution: int = 33) -> Axes:
    """Draw the data loss on the plane through three points of a path, with the path's shadow on it.

    >>> import entropic_edu as ee
    >>> land = ee.Network(ee.models.mlp(2, 3, 2), torch.eye(2), torch.tensor([0, 1]))
    >>> ends = torch.stack([torch.zeros(land.dim), torch.ones(land.dim)])
    >>> plane(land, Path(ends), resolution=5).get_title(loc="left")
    'The road bends round the hill'
    """
    ax = ax or axes()
    flat = Plane.through(road)
    shadow = flat.coordinates(road.pivots).cpu()
    low, high = shadow.min(0).values, shadow.max(0).values
    margin = 0.18 * float((high - low).max())
    u, v = (torch.linspace(float(a) - margin, float(b) + margin, resolution) for a, b in zip(low, high, strict=True))
    grid = torch.cartesian_prod(u, v).to(road.pivots)
    with torch.no_grad():
        losses = torch.cat([land.data_loss(flat.points(some)) for some in torch.split(grid, 32)])
    height = losses.reshape(resolution, resolution).T.clamp(min=1e-6).cpu().numpy()
    lowest = max(height.min(), 1e-4)
    levels = np.geomspace(lowest, max(height.max(), 1.1 * lowest), 13)  # the loss may be the same all over the plane
    shown = ax.contourf(u, v, height, levels=levels, norm="log", cmap="cividis", extend="min")
    bar = ax.figure.colorbar(shown, ax=ax, format="%.2g", ticks=levels[::3], location="bottom", shrink=0.8, aspect=30)
    bar.set_label("data loss (log scale)", fontsize=_SIZE)
    bar.ax.tick_params(labelsize=_SIZE - 1)
    ends = shadow[[0, -1]]
    ax.plot(*ends.T, color="white", ls="--", lw=1.5)
    ax.plot(*shadow.T, color="white", lw=3.5)
    ax.plot(*shadow.T, color=RED, lw=2)
    ax.plot(*ends.T, "o", color="white", mec=BLACK, ms=9)
    for name, end in zip("AB", ends.tolist(), strict=True):
        ax.annotate(name, end, xytext=(0, -16), color="white", fontsize=_SIZE + 1, fontweight="bold", **_BY)
    ax.set_aspect("equal")
    return labelled(ax, "along A to B (length in θ)", "across (length in θ)", "The road bends round the hill")
