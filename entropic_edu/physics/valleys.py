"""Valleys with known answers: two-dimensional landscapes on which each law of the course can be checked by hand.

A valley gives the loss on its floor and the curvature across it; ``Valley`` has what follows from them, and explains
the settings that all share. ``Hyperbola`` is the smallest "network" with a curve of minima.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from .valley import Kind, Valley, symmetric

__all__ = ["DoubleWell", "Hyperbola", "Pinch", "Tilted", "Valley", "Waist"]


@dataclass(eq=False, kw_only=True)
class Waist(Valley):
    """A floor at zero loss between walls that tighten in the middle: all entropy, no energy.

    h(y) = g_wide + (g_narrow - g_wide) exp(-y² / 2w²). The default makes the middle four times narrower.

    Args:
        g_wide: Curvature far from the middle.
        g_narrow: Curvature at y = 0.
        width: Length w over which the walls tighten.

    Example:
        >>> land = ee.valleys.Waist(g_wide=1.0, g_narrow=16.0)
        >>> middle = land.floor(3)[1]
        >>> float(land.loss(middle)), land.hessian(middle).tolist()  # steep across, flat along
        (0.0, [[16.0, 0.0], [0.0, 0.0]])
    """

    g_wide: float = 1.0
    g_narrow: float = 16.0
    width: float = 0.35

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_positive("g_wide", "g_narrow", "width")

    def curvature_across(self, y: Tensor, order: int = 0) -> Tensor:
        base = self.g_wide if order == 0 else 0.0
        return base + (self.g_narrow - self.g_wide) * _bump(y, self.width, order)

    def _across(self, y: Tensor) -> tuple[Tensor, Tensor]:
        rise = (self.g_narrow - self.g_wide) * _bump(y, self.width, 0)
        return rise + self.g_wide, rise * y * (-1 / self.width**2)


@dataclass(eq=False, kw_only=True)
class Pinch(Waist):
    """A uniform floor with one short narrow place at y = 0, which noise must squeeze through: an entropic barrier.

    The barrier is (T/2) ln(g_narrow / g_wide), the same share of T at every temperature: heat moves a walker faster,
    but makes the pinch no easier to pass.

    Example:
        >>> land, y = ee.valleys.Pinch(), torch.tensor([0.0, 0.5])
        >>> [round(float(f / T), 2) for T in (0.1, 0.2) for f in land.free_energy(y, T).diff()]  # ln 4, at every T
        [-1.39, -1.39]
    """

    width: float = 0.08


@dataclass(eq=False, kw_only=True)
class DoubleWell(Waist):
    """Two minima at y = -1 and 1 behind an energy barrier, f(y) = barrier (y² - 1)²: the control beside ``Pinch``.

    Args:
        barrier: Height of the floor at y = 0 above the minima.
        g_wide: Curvature across the floor far from the top.
        g_narrow: Curvature at the top, y = 0; where equal to ``g_wide`` (the default) the width is constant.
        width: Length over which the walls change.

    Example:
        >>> land = ee.valleys.DoubleWell(barrier=0.25)
        >>> land.loss(land.floor(3)).tolist()
        [0.0, 0.25, 0.0]
    """

    barrier: float = 0.02
    g_wide: float = 4.0
    g_narrow: float = 4.0
    half_length: float = field(default=1.0, init=False)
    end_curvature: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_positive("barrier")

    def floor_loss(self, y: Tensor, order: int = 0) -> Tensor:
        if order == 0:
            return self.barrier * (y.square() - 1).square()
        return 4 * self.barrier * (y * (y.square() - 1) if order == 1 else 3 * y.square() - 1)


@dataclass(eq=False, kw_only=True)
class Tilted(Valley):
    """A sloping floor whose walls widen uphill, f(y) = slope · y: energy pulls down to -y, entropy up to +y.

    ln h(y) goes from ln g_narrow to ln g_wide as ½(1 + tanh(y / w)): both are reached far out only.

    Args:
        slope: Loss per unit of y.
        g_wide: Curvature far up, at large y.
        g_narrow: Curvature far down.
        width: Length w over which the walls widen.

    Example:
        >>> land, y = ee.valleys.Tilted(noise_scale=3.0), torch.zeros(1)
        >>> [bool(land.mean_force(y, batch_size=size, learning_rate=0.1) > 0) for size in (2, 64)]  # only heat climbs
        [True, False]
    """

    slope: float = 0.01
    g_wide: float = 1.0
    g_narrow: float = 16.0
    width: float = 0.7

    def __post_init__(self) -> None:
        super().__post_init__()
        self.require_positive("slope", "g_wide", "g_narrow", "width")
        if self.g_narrow <= self.g_wide:
            raise ValueError(
                f"Walls widen uphill, so g_narrow > g_wide; got g_narrow={self.g_narrow}, g_wide={self.g_wide}."
            )

    def floor_loss(self, y: Tensor, order: int = 0) -> Tensor:
        tilt = self.slope * y if order == 0 else torch.full_like(y, self.slope if order == 1 else 0.0)
        return tilt + super().floor_loss(y, order)

    def curvature_across(self, y: Tensor, order: int = 0) -> Tensor:
        half = 0.5 * math.log(self.g_narrow / self.g_wide)
        t = (y / self.width).tanh()
        h = math.sqrt(self.g_narrow * self.g_wide) * (-half * t).exp()
        if order == 0:
            return h
        rate = -half * (1 - t.square()) / self.width  # h'/h
        return h * rate if order == 1 else h * (rate.square() - 2 * t * rate / self.width)

    def break_even_temperature(self, y: Tensor) -> Tensor:
        """Return the T of ``temperature`` at which the mean force at y is zero; hotter walkers climb.

        Isotropic noise: -2 f' h/h'. Noise shaped like the curvature: -2 f'/h' for small steps; at m = 0 finite ones
        need (1 - ηh/2) times that.
        """
        balance = -2 * self.floor_loss(y, 1) / self.curvature_across(y, 1)
        return balance * self.curvature_across(y) if self.noise == "isotropic" else balance


@dataclass(eq=False, kw_only=True)
class Hyperbola(Valley):
    """L(u, v) = ½(uv - 1)², a linear network of two weights and one sample; its minima are the curve uv = 1.

    θ = (u, v), and the coordinate along the floor is y = ln u: the point (eʸ, e⁻ʸ). The curvature across it is
    h = u² + v² = 2 cosh 2y, flattest at u = v = 1, and (ds/dy)² = h as well. Off the floor gradient flow keeps
    u² - v², so a walker belongs to the y with 2 sinh 2y = u² - v².

    Label noise jitters the target 1 by ε ~ N(0, s²/B): the gradient is (uv - 1 - ε)(v, u), and its covariance on the
    floor is exactly s²H/B. One step multiplies u² - v² by 1 - η²(uv - 1 - ε)²: noise alone carries walkers to u = v.

    Args:
        half_length: The floor runs from ln u = -half_length to ln u = half_length.
        noise: "label" or "isotropic".
        noise_scale: Standard deviation s of the label jitter, or of one sample's gradient noise.

    Example:
        >>> land = ee.valleys.Hyperbola()
        >>> [round(float(uv), 4) for uv in land.floor(5).prod(-1)]
        [1.0, 1.0, 1.0, 1.0, 1.0]
    """

    kinds = ("label", "isotropic")

    noise: Kind = "label"
    end_curvature: float = field(default=0.0, init=False)

    def loss(self, theta: Tensor) -> Tensor:
        self.check(theta)
        return 0.5 * (theta.prod(-1) - 1).square()

    def gradient_on(self, theta: Tensor, batch: Tensor | None) -> Tensor:
        residual = theta.prod(-1) - 1
        if batch is not None and self.noise == "label":
            residual = residual - self.noise_scale * batch.to(theta)
        gradient = residual[..., None] * theta.flip(-1)
        if batch is not None and self.noise == "isotropic":
            gradient = gradient + self.noise_scale * batch.to(theta)
        return gradient

    def hessian(self, theta: Tensor) -> Tensor:
        self.check(theta)
        u, v = theta.unbind(-1)
        return symmetric(v.square(), 2 * u * v - 1, u.square())

    def curvature_across(self, y: Tensor, order: int = 0) -> Tensor:
        return 2.0 ** (1 + order) * ((2 * y).sinh() if order == 1 else (2 * y).cosh())

    def point(self, y: Tensor) -> Tensor:
        return torch.stack([y.exp(), (-y).exp()], -1)

    def metric(self, y: Tensor) -> Tensor:
        return self.curvature_across(y)

    def position(self, y: Tensor) -> Tensor:
        return 0.5 * (1 + self._arc_length(y) / self._arc_length(torch.full_like(y, self.half_length)))

    def coordinate(self, position: Tensor) -> Tensor:
        wanted = (2 * position - 1) * self._arc_length(torch.full_like(position, self.half_length))
        y = self.half_length * (2 * position - 1)
        for _ in range(12):  # Newton; s(y) is odd, steep and convex for y > 0, so it cannot miss
            y = y - (self._arc_length(y) - wanted) / self.metric(y).sqrt()
        return y

    def _arc_length(self, y: Tensor) -> Tensor:
        """Arc length from u = v = 1 by Gauss-Legendre quadrature; 40 nodes are round-off exact for |y| < 3."""
        nodes, weights = (torch.as_tensor(a).to(y) for a in np.polynomial.legendre.leggauss(40))
        inside = 0.5 * (1 + nodes) * y[..., None]  # (..., 40)
        return 0.5 * y * (self.metric(inside).sqrt() * weights).sum(-1)


def _bump(y: Tensor, width: float, order: int) -> Tensor:
    """exp(-y² / 2w²) or its derivative by y of order 1 or 2."""
    z = y / width
    bump = (-0.5 * z.square()).exp()
    if order == 0:
        return bump
    return -z / width * bump if order == 1 else (z.square() - 1) / width**2 * bump
