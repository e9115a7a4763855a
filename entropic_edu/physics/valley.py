"""What every valley with known answers has: its floor, its walls, its noise, and the laws of a walker in it.

In the straight ones the floor is the y axis and V(x, y) = f(y) + ½ h(y) x²: f is the energy along the floor, h the
curvature across it, and noise feels both.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from .landscape import Landscape
from .noise import SHAPES, require_batch, require_steps, white

Kind = Literal["isotropic", "curvature", "label"]


@dataclass(eq=False, kw_only=True)
class Valley(Landscape):
    """A floor that runs along y, and walls ½ h(y) x² that may change along it; θ = (x, y).

    The gradient noise of one sample has standard deviation s = ``noise_scale``; a batch of B divides its variance by B.
    "isotropic" noise is a heat bath: variance s²/B in x and in y. "curvature" noise is SGD-like: variance s² h(y)/B
    across the floor and none along it. Time is counted so that one step of SGD takes η / (1 - m).

    A subclass gives ``floor_loss`` and ``curvature_across``; all other answers follow from them.

    Args:
        noise: Shape of the gradient noise.
        noise_scale: Standard deviation s of one sample's gradient noise.
        half_length: The floor runs from y = -half_length to y = half_length.
        end_curvature: Curvature k of the walls that close the floor at both ends, ``½k(|y| - half_length)²`` beyond
            them; 0 leaves it open. A closed floor has a stationary law; on an open one walkers spread without end.
    """

    dim = 2
    kinds: ClassVar[tuple[str, ...]] = ("isotropic", "curvature")

    noise: Kind = "isotropic"
    noise_scale: float = 1.0
    half_length: float = 1.0
    end_curvature: float = 0.0

    def __post_init__(self) -> None:
        if self.noise not in self.kinds:
            raise ValueError(
                f"{type(self).__name__} knows the noise {' or '.join(self.kinds)}, got noise={self.noise!r}."
            )
        for name, what in (("noise_scale", "a standard deviation"), ("end_curvature", "a curvature")):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} is {what}, finite and not negative, got {getattr(self, name)}.")
        self.require_positive("half_length")
        self.noise_shape = "isotropic" if self.noise == "isotropic" else "curvature"
        self.shape = SHAPES[self.noise_shape]

    def require_positive(self, *names: str) -> None:
        """Raise a ValueError that names a setting which is not positive and finite."""
        for name in names:
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be positive and finite, got {getattr(self, name)}.")

    def floor_loss(self, y: Tensor, order: int = 0) -> Tensor:
        """Return the loss f on the floor, or its derivative by y of ``order`` 1 or 2; the shape of ``y``."""
        if self.end_curvature == 0:
            return torch.zeros_like(y)
        above, below = ((side - self.half_length).clamp(min=0) for side in (y, -y))  # how far past each end
        if order == 0:
            return 0.5 * self.end_curvature * (above.square() + below.square())
        return self.end_curvature * (above - below if order == 1 else ((above > 0) | (below > 0)).to(y))

    @abstractmethod
    def curvature_across(self, y: Tensor, order: int = 0) -> Tensor:
        """Return the curvature h across the floor, or its derivative by y of ``order`` 1 or 2; the shape of ``y``."""

    def loss(self, theta: Tensor) -> Tensor:
        self.check(theta)
        x, y = theta.unbind(-1)
        return self.floor_loss(y) + 0.5 * self.curvature_across(y) * x.square()

    def gradient_on(self, theta: Tensor, batch: Tensor | None) -> Tensor:
        x, y = theta.unbind(-1)
        h, slope = self._across(y)
        across = h * x
        along = self.floor_loss(y, 1) + 0.5 * slope * x.square()
        gradient = torch.stack([across, along], -1)
        if batch is None:
            return gradient
        kick = self.noise_scale * batch.to(theta)
        if self.shape is white:  # most walkers of the lessons: half the time of what follows
            return gradient + kick
        variance = torch.stack([self.shape(h), self.shape(torch.zeros_like(y))], -1)  # across, and along the flat floor
        return gradient + kick * variance.sqrt()

    def noise_trace(self, theta: Tensor) -> Tensor:
        return self.noise_scale**2 * self.shape(torch.linalg.eigvalsh(self.hessian(theta))).sum(-1)

    def _across(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return h and h' at once, for a subclass that shares work between them."""
        return self.curvature_across(y), self.curvature_across(y, 1)

    def hessian(self, theta: Tensor) -> Tensor:
        """Return the matrix of second derivatives, (2,) -> (2, 2) or (P, 2) -> (P, 2, 2)."""
        self.check(theta)
        x, y = theta.unbind(-1)
        mixed = self.curvature_across(y, 1) * x
        along = self.floor_loss(y, 2) + 0.5 * self.curvature_across(y, 2) * x.square()
        return symmetric(self.curvature_across(y), mixed, along)

    def draw(self, batch_size: int | None, generator: torch.Generator, rows: int | None = None) -> Tensor | None:
        """Draw the noise of one step in units of s: standard normals over √B, in float32, (rows, 2) or (2,).

        B is any number, since a valley has no data to run out of. Label noise is (rows,) or ().
        """
        if batch_size is None:
            return None
        require_batch(batch_size)
        shape = (() if rows is None else (rows,)) + (() if self.noise == "label" else (2,))
        normals = torch.randn(shape, generator=generator, device=generator.device, dtype=torch.float32)
        return normals / math.sqrt(batch_size)

    def initial(self, generator: torch.Generator) -> Tensor:
        """Return a random point of the floor moved by normals of standard deviation 0.1, shape (2,)."""
        place = torch.rand((), generator=generator, device=generator.device)
        away = torch.randn(2, generator=generator, device=generator.device)
        return self.point(self.coordinate(place)) + 0.1 * away

    def point(self, y: Tensor) -> Tensor:
        """Return the points of the floor at coordinates (n,), shape (n, 2)."""
        return torch.stack([torch.zeros_like(y), y], -1)

    def metric(self, y: Tensor) -> Tensor:
        """Return (ds/dy)², s being arc length along the floor; the shape of ``y``."""
        return torch.ones_like(y)

    def position(self, y: Tensor) -> Tensor:
        """Return the share of the floor's arc length that lies before y: 0 at its start and 1 at its end."""
        return 0.5 * (1 + y / self.half_length)

    def coordinate(self, position: Tensor) -> Tensor:
        """Return the coordinate y at a position by arc length, the inverse of ``position``."""
        return self.half_length * (2 * position - 1)

    def floor(self, num: int, *, dtype: torch.dtype | None = None) -> Tensor:
        """Return ``num`` points of the floor from start to end, evenly spaced in arc length, shape (num, 2)."""
        if num < 2:
            raise ValueError(f"A floor needs at least its two ends, num=2; got num={num}.")
        places = torch.linspace(0, 1, num, dtype=torch.float64)
        return self.point(self.coordinate(places)).to(dtype or torch.get_default_dtype())

    def temperature(self, batch_size: int, learning_rate: float, momentum: float = 0.0) -> float:
        """Return T = ηs² / (2B(1 - m)), in units of the loss where the noise is isotropic.

        It spreads x by ⟨x²⟩ = T/h for small steps, as a heat bath does. Noise shaped like the curvature spreads it by
        ⟨x²⟩ = T everywhere: T is then a squared length, and no temperature.
        """
        require_batch(batch_size)
        require_steps(learning_rate, momentum)
        return learning_rate * self.noise_scale**2 / (2 * batch_size * (1 - momentum))

    def free_energy(self, y: Tensor, temperature: float) -> Tensor:
        """Return F(y) = f(y) + (T/2) ln h(y), with F(0) = 0: what a heat bath of temperature T feels along the floor.

        In isotropic noise the density of walkers is exp(-F/T) per unit of arc length. (The paper writes T ln h: its
        noise has another convention for T.) Noise of another shape has no free energy; see ``mean_force``.
        """
        zero = torch.zeros_like(y)
        energy = self.floor_loss(y) - self.floor_loss(zero)
        return energy + 0.5 * temperature * (self.curvature_across(y) / self.curvature_across(zero)).log()

    def stationary_variance(self, y: Tensor, batch_size: int, learning_rate: float, momentum: float = 0.0) -> Tensor:
        """Return the stationary variance of the distance from the floor under SGD, for y held where it is.

        On ½hx² with noise of variance q a step x' = x + m(x - x₋) - η(hx + noise) is an AR(2) process, whose variance
        is ηq(1 + m) / (h(1 - m)(2(1 + m) - ηh)) for steps of any size, ηh < 2(1 + m); q is s²/B, or s²h/B where shaped.
        """
        spread = 2 * self.temperature(batch_size, learning_rate, momentum) * (1 + momentum)
        h, limit = self.curvature_across(y), 2 * (1 + momentum)
        steepest = float(h.detach().max())
        if not learning_rate * steepest < limit:  # so that a NaN is refused too
            raise ValueError(
                f"learning_rate η = {learning_rate:g} times curvature h = {steepest:.4g} is ηh = "
                f"{learning_rate * steepest:.4g}; SGD settles only below 2(1 + momentum) = {limit:g}. "
                f"Take a learning rate below {limit / steepest:.4g}, or wider walls."
            )
        return spread / (limit - learning_rate * h) / (h / self.shape(h))

    def mean_force(self, y: Tensor, batch_size: int, learning_rate: float, momentum: float = 0.0) -> Tensor:
        """Return the mean force along y, -f' - ½h'⟨x²⟩, the walker's distance x from the floor having settled.

        Isotropic noise: ⟨x²⟩ = T/h, the heat bath of small steps, and the force is -dF/dy. Noise shaped like the
        curvature: ⟨x²⟩ is ``stationary_variance``, and the force follows the slope of h, not of ln h: -(ηs²/4B) h' for
        small steps, as label noise does (Blanc et al. 2020; Damian, Ma & Lee 2021).
        """
        variance = self.stationary_variance(y, batch_size, learning_rate, momentum)
        if self.shape is white:
            variance = self.temperature(batch_size, learning_rate, momentum) / self.curvature_across(y)
        return -self.floor_loss(y, 1) - 0.5 * self.curvature_across(y, 1) * variance

    def drift_velocity(self, y: Tensor, batch_size: int, learning_rate: float, momentum: float = 0.0) -> Tensor:
        """Return the mean velocity along the floor, arc length per unit of time; η/(1 - m) times it is one step's."""
        return self.mean_force(y, batch_size, learning_rate, momentum) / self.metric(y).sqrt()


def symmetric(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """Return the matrices [[a, b], [b, c]], (...) -> (..., 2, 2)."""
    return torch.stack([torch.stack([a, b], -1), torch.stack([b, c], -1)], -2)
