"""Noise models: what a step adds to the gradient, what that does to a cloud of walkers, and what it is called.

``drift`` asks a model for the noisy gradient of a step; ``predict`` asks the same model for its covariance along a
road. A model of your own is a class with these two methods; docs/design.md walks through one.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from .crowd import Crowd
from .landscape import Landscape
from .settings import is_number, require_batch, require_steps

if TYPE_CHECKING:
    from .path import Path
    from .probe import Profile

NAMES = ("minibatch", "none", "isotropic", "label")


def effective_temperature(batch_size: int | None, learning_rate: float, momentum: float = 0.0) -> float:
    """Return η / ((1-m) B), the one number through which batch size and learning rate act; 0 for all data.

    Example:
        >>> ee.effective_temperature(batch_size=16, learning_rate=0.25, momentum=0.5)
        0.03125
    """
    require_steps(learning_rate, momentum)
    if batch_size is not None:
        require_batch(batch_size)
    return 0.0 if batch_size is None else learning_rate / ((1 - momentum) * batch_size)


def sustained_variance(
    curvature: Tensor, learning_rate: float, momentum: float = 0.0, steps: int | None = None
) -> Tensor:
    """Return φ(h): the variance across a valley ½hx² per unit variance of the gradient noise, for heavy-ball SGD.

    It is the mean over ``steps`` after a start at rest on the floor (one stretch between two projections), by the exact
    recursion of the covariance; or, with None, the stationary value η(1+m)/(h(1-m)(2(1+m)-ηh)), where there is one.
    """
    h, eta, m = curvature.double(), learning_rate, momentum
    if steps is None:
        if not bool(((h > 0) & (eta * h < 2 * (1 + m))).all()):
            raise ValueError(
                f"A stationary spread needs 0 < eta h < {2 * (1 + m):g}, got eta h from {float((eta * h).min()):.3g} "
                f"to {float((eta * h).max()):.3g}; lower learning_rate, or give the steps between projections."
            )
        return (eta * (1 + m) / (h * (1 - m) * (2 * (1 + m) - eta * h))).to(curvature)
    xx = xv = vv = total = torch.zeros_like(h)
    for _ in range(steps):  # v ← m v + h x + ξ, x ← x - η v
        total = total + xx
        new_vv = m * m * vv + 2 * m * h * xv + h * h * xx + 1
        new_xv = m * xv + h * xx
        xx, xv, vv = xx - 2 * eta * new_xv + eta**2 * new_vv, new_xv - eta * new_vv, new_vv
    return (total / steps).to(curvature)


def white(curvature: Tensor) -> Tensor:
    """Return the variance of noise in a direction of curvature h where it is the same in all: a heat bath."""
    return torch.ones_like(curvature)


def curved(curvature: Tensor) -> Tensor:
    """Return the same, up to a strength, for a covariance in proportion to H, as label noise has it on a floor."""
    return curvature


SHAPES = {"isotropic": white, "curvature": curved}


class Covariance(NamedTuple):
    """Covariance of a step's gradient noise along a road: ``strength`` (n,) times ``shape`` of the curvature."""

    strength: Tensor
    shape: Callable[[Tensor], Tensor]


class RoadPoint:
    """Where the last projection put each walker, at positions (W,), and what there is there, once it is asked for."""

    def __init__(self, land: Landscape, path: Path, position: Tensor) -> None:
        self.land, self.path, self.position = land, path, position

    @cached_property
    def theta(self) -> Tensor:
        """The points of the road, (W, D)."""
        return self.path.at(self.position)

    @cached_property
    def gradient(self) -> Tensor:
        """The gradient of all data there, (W, D)."""
        return self.land.gradient_on(self.theta, None)


class Step(NamedTuple):
    """A step that a walker takes: its number, counted from 1, a generator seeded for it alone, η and m.

    ``road`` is where the last projection put each walker; None where there are none.
    """

    number: int
    generator: torch.Generator
    learning_rate: float
    momentum: float
    road: RoadPoint | None = None


class Noise(ABC):
    """A noise model, and the name by which releases and messages call it."""

    name: ClassVar[str]
    batch_size: int | None = None  # samples B that a step draws
    noisy_steps: range | None = None  # numbers of the steps that are noisy, counted from 1; None means all

    def batch(self, land: Landscape, step: Step, walkers: int) -> Any | None:
        """Return the batch whose gradient is the noisy one, all data (None) here; what is random comes from the step.

        A noise that does more than choose what a step sees says so in ``gradient``.
        """
        return None

    def gradient(self, land: Landscape, theta: Tensor, step: Step) -> Tensor:
        """Return the noisy gradient of each walker, (P, D) -> (P, D); all that is random comes from the step."""
        return land.gradient_on(theta, self.batch(land, step, len(theta)))

    def force(self, crowd: Crowd, step: Step) -> tuple[Tensor, float]:
        """Return the same in a crowd's order of numbers, and the weight decay that it lacks, see ``Crowd.slope``."""
        assert crowd.land is not None
        if type(self).gradient is Noise.gradient:
            return crowd.slope(self.batch(crowd.land, step, crowd.shape[0]))
        return crowd.ordered(self.gradient(crowd.land, crowd.position, step)), 0.0

    def loss_and_force(self, crowd: Crowd, step: Step) -> tuple[Tensor, Tensor]:
        """Return it with all weight decay, and the walkers' data loss before the step (W,), or its mean over draws."""
        assert crowd.land is not None
        if type(self).gradient is Noise.gradient:
            return crowd.loss_and_gradient(self.batch(crowd.land, step, crowd.shape[0]))
        with torch.no_grad():
            loss = crowd.land.data_loss(crowd.position)
        return loss, crowd.ordered(self.gradient(crowd.land, crowd.position, step))

    def gives_loss(self, land: Landscape) -> bool:
        """Return whether ``loss_and_force`` costs no more than ``force``."""
        return type(self).gradient is Noise.gradient and land.gives_loss

    @abstractmethod
    def covariance(self, profile: Profile, learning_rate: float, momentum: float) -> Covariance:
        """Return the covariance of the gradient noise at each point of a measured road."""

    def temperature(self, learning_rate: float, momentum: float) -> float:
        """Return the one number that a release calls its temperature."""
        return effective_temperature(self.batch_size, learning_rate, momentum)

    def check(self, land: Landscape) -> None:  # noqa: B027  (most noises suit any landscape)
        """Raise a ValueError where the landscape cannot have such noise."""


class Silent(Noise):
    """No noise: every step takes the gradient of all data."""

    name = "none"

    def covariance(self, profile: Profile, learning_rate: float, momentum: float) -> Covariance:
        return Covariance(torch.zeros_like(profile.position.double()), white)


@dataclass(frozen=True)
class Batches(Noise):
    """Noise of batches of B samples, which each walker draws for itself."""

    batch_size: int

    def __post_init__(self) -> None:
        require_batch(self.batch_size)


class Minibatch(Batches):
    """What the landscape's own batches add.

    ``predict`` takes the measured trace of the covariance, in the shape that the landscape says: that of H for
    networks. This is exact for label noise under squared loss at interpolation, and an assumption elsewhere.
    """

    name = "minibatch"

    def batch(self, land: Landscape, step: Step, walkers: int) -> Any:
        return land.draw(self.batch_size, step.generator, walkers)

    def covariance(self, profile: Profile, learning_rate: float, momentum: float) -> Covariance:
        shape = SHAPES[profile.noise_shape]
        whole = profile.trace if shape is curved else torch.full_like(profile.trace, profile.dim)
        return Covariance((profile.noise / whole).double() / self.batch_size, shape)


class Kicks(Noise):
    """Noise that is added to the gradient of all data."""

    @abstractmethod
    def kick(self, land: Landscape, theta: Tensor, step: Step) -> Tensor:
        """Return what is added for each walker, (P, D) -> (P, D); all that is random comes from the step."""

    def gradient(self, land: Landscape, theta: Tensor, step: Step) -> Tensor:
        return land.gradient_on(theta, None) + self.kick(land, theta, step)

    def loss_and_force(self, crowd: Crowd, step: Step) -> tuple[Tensor, Tensor]:
        assert crowd.land is not None
        loss, gradient = crowd.loss_and_gradient(None)
        return loss, gradient + crowd.ordered(self.kick(crowd.land, crowd.position, step))

    def gives_loss(self, land: Landscape) -> bool:
        return land.gives_loss


class OfTheRoad(Kicks, Minibatch):
    """The noise that a walker's batches have on the road: a control, in which noise cannot feed itself.

    The kick is the batch's gradient less that of all data, both where the last projection put the walker; the walker
    itself moves in the true landscape. So the noise is what linear theory assumes. A step costs two gradients of all
    data and one of the batch; the draws are those of ``Minibatch``.

    Example:
        >>> land = ee.valleys.Waist(noise="curvature")
        >>> settings = {"learning_rate": 0.02, "steps": 300, "generator": torch.Generator().manual_seed(0)}
        >>> release = ee.drift(land, ee.Path(land.floor(21)), noise=ee.noise.OfTheRoad(4), start=0.4, **settings)
        >>> float(release.mean_position[-1]) < 0.4  # away from the narrow middle
        True
    """

    name = "of the road"

    def kick(self, land: Landscape, theta: Tensor, step: Step) -> Tensor:
        if step.road is None:
            raise ValueError(
                "The noise of the road is that where the last projection put the walkers, and project_every=None has "
                "no projections; give it a number."
            )
        return land.gradient_on(step.road.theta, self.batch(land, step, len(theta))) - step.road.gradient


class Label(Batches):
    """Label noise without sampling noise: all data with jittered targets, as strong as in batches of B."""

    name = "label"

    def batch(self, land: Landscape, step: Step, walkers: int) -> Any:
        return land.draw_labels(self.batch_size, step.generator, walkers)

    def covariance(self, profile: Profile, learning_rate: float, momentum: float) -> Covariance:
        strength = torch.full_like(profile.position.double(), profile.label_ratio) / self.batch_size
        return Covariance(strength, curved)

    def check(self, land: Landscape) -> None:
        if not land.label_ratio:
            raise ValueError(
                'noise="label" needs a Network with label_noise > 0 and real targets under loss="mse" or class numbers '
                'under "cross_entropy"; pass label_noise=0.1 to Network, or take noise="minibatch".'
            )


class Isotropic(Kicks):
    """White noise ξ on the gradient of all data: Langevin dynamics, whose stationary law is exp(-L/T) for small steps.

    The temperature, in units of the loss, is T = η var(ξ) / (2(1-m)).
    """

    name = "isotropic"

    def __init__(self, temperature: float) -> None:
        if not is_number(temperature) or not 0 <= temperature < math.inf:
            raise ValueError(f"A temperature is finite and not negative, got {temperature!r}.")
        self._temperature = float(temperature)

    def temperature(self, learning_rate: float, momentum: float) -> float:
        return self._temperature

    def variance(self, learning_rate: float, momentum: float) -> float:
        """Return the variance of ξ in each direction."""
        return 2 * self._temperature * (1 - momentum) / learning_rate

    def kick(self, land: Landscape, theta: Tensor, step: Step) -> Tensor:
        kick = torch.randn(theta.shape, generator=step.generator, device=step.generator.device, dtype=theta.dtype)
        return math.sqrt(self.variance(step.learning_rate, step.momentum)) * kick.to(theta.device)

    def covariance(self, profile: Profile, learning_rate: float, momentum: float) -> Covariance:
        strength = torch.full_like(profile.position.double(), self.variance(learning_rate, momentum))
        return Covariance(strength, white)


@dataclass(frozen=True)
class During(Noise):
    """Another noise on some steps alone, counted from 1; all others take the gradient of all data.

    ``During(noise, range(501, 1001))`` switches it on after 500 steps and off after 1,000.
    """

    noise: Noise
    noisy_steps: range

    def __post_init__(self) -> None:
        if not isinstance(self.noisy_steps, range):
            raise ValueError(f"steps is a range of step numbers, such as range(501, 1001), got {self.noisy_steps!r}.")
        for name in ("name", "batch_size"):  # what acts is what a release calls it
            object.__setattr__(self, name, getattr(self.noise, name))

    def gradient(self, land: Landscape, theta: Tensor, step: Step) -> Tensor:
        return self._acting(step).gradient(land, theta, step)

    def loss_and_force(self, crowd: Crowd, step: Step) -> tuple[Tensor, Tensor]:
        return self._acting(step).loss_and_force(crowd, step)

    def gives_loss(self, land: Landscape) -> bool:
        return self.noise.gives_loss(land)

    def _acting(self, step: Step) -> Noise:
        return self.noise if step.number in self.noisy_steps else Silent()

    def covariance(self, profile: Profile, learning_rate: float, momentum: float) -> Covariance:
        raise ValueError("The drift is predicted for noise on every step; predict it for During.noise instead.")

    def temperature(self, learning_rate: float, momentum: float) -> float:
        return self.noise.temperature(learning_rate, momentum)

    def check(self, land: Landscape) -> None:
        self.noise.check(land)


def named(noise: str | Noise | None, batch_size: int | None) -> Noise:
    """Return the model that a verb's arguments mean: ``noise``, or the one of that name.

    None is "minibatch" where there is a batch size and else "none".
    """
    if isinstance(noise, Noise):
        return noise
    name = noise or ("none" if batch_size is None else "minibatch")
    if name not in NAMES:
        raise ValueError(f"noise must be {', '.join(map(repr, NAMES))} or a model of ee.noise, got {noise!r}.")
    if name == "isotropic":
        raise ValueError("Isotropic noise needs a temperature; pass noise=ee.noise.Isotropic(temperature=0.01).")
    if name == "none":
        return Silent()
    if batch_size is None:
        raise ValueError(f'noise="{name}" needs a batch_size, got None; pass batch_size=16, or noise="none".')
    return Minibatch(batch_size) if name == "minibatch" else Label(batch_size)
