"""What theory says of the drift, with no free constant: from a measured profile to a velocity along the road.

Across the road a walker spreads with variance Var(h) in each direction of curvature h. Where those curvatures grow
along the road, the spread costs loss, and the mean force is

    f(s) = -dL/ds - ½ Σᵢ Var(hᵢ) dhᵢ/ds.

A noise model says the covariance q(s) u(h) of the gradient noise in a direction of curvature h (``noise.Covariance``).
Then Var(h) = q u(h) φ(h), where φ(h) is the variance that gradient noise of variance 1 sustains: η/(h(2-ηh)) for plain
SGD at rest, and less soon after a projection, which sets it to 0 (``noise.sustained_variance``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .noise import Noise, effective_temperature, named, sustained_variance
from .probe import Profile

__all__ = ["Prediction", "predict", "sustained_variance"]


@dataclass(frozen=True, eq=False)
class Prediction:
    """Predicted mean velocity along a road, in lengths per step, at the profile's positions (n,).

    Attributes:
        position: Positions in [0, 1].
        velocity, velocity_error: Mean, positive towards position 1, and its standard error from the random probes.
        energy, noise: The parts of the velocity that the slope of the objective and the noise make.
        length: Arc length of the path.
    """

    position: Tensor
    velocity: Tensor
    velocity_error: Tensor
    energy: Tensor
    noise: Tensor
    length: float

    def track(self, start: float, steps: Tensor) -> Tensor:
        """Return the predicted mean position at the given steps (R,), by integrating the velocity from ``start``."""
        rate, grid = self.velocity.double().numpy() / self.length, self.position.double().numpy()
        now, at, track = float(start), 0, []
        for step in steps.tolist():
            pieces = max(1, int((step - at) // 10))
            for _ in range(pieces):
                now = min(1.0, max(0.0, now + float(np.interp(now, grid, rate)) * (step - at) / pieces))
            at = step
            track.append(now)
        return torch.tensor(track, dtype=torch.float64)


def predict(
    profile: Profile,
    *,
    batch_size: int | None,
    learning_rate: float,
    momentum: float = 0.0,
    project_every: int | None = 15,
    noise: str | Noise | None = None,
) -> Prediction:
    """Predict the mean velocity of ``drift`` along a road from its profile, with no free constant.

    The covariance of the gradient noise is what the noise model says of the profile. Valid for spreads small enough
    that the loss across the road is quadratic.

    Args:
        profile: Measured road.
        batch_size, learning_rate, momentum, project_every, noise: As in ``drift``.

    References:
        Blanc et al. (2020), COLT; Damian, Ma & Lee (2021), NeurIPS, for label noise: -(ησ²/4B)∇tr H at small ηh.

    Example:
        >>> land = ee.valleys.Waist()
        >>> profile = ee.probe(land, ee.Path(land.floor(21)), points=21, generator=torch.Generator())
        >>> law = ee.predict(profile, batch_size=4, learning_rate=0.1)
        >>> [round(float(x), 2) for x in law.track(0.4, torch.tensor([0, 40, 80]))]  # away from the narrow middle
        [0.4, 0.34, 0.28]
    """
    effective_temperature(batch_size, learning_rate, momentum)  # checks all three
    if project_every is not None and project_every < 1:
        raise ValueError(f"project_every must be at least 1, got {project_every}; None never projects.")
    model = named(noise, batch_size)
    strength, shape = model.covariance(profile, learning_rate, momentum)
    position = profile.position.double()
    eta = learning_rate / (1 - momentum)

    def slope(values: Tensor) -> Tensor:
        return torch.as_tensor(np.gradient(values.double().numpy(), (position * profile.length).numpy(), axis=0))

    energy = -eta * slope(profile.loss)
    if not bool(strength.any()):
        zero = torch.zeros_like(energy)
        return Prediction(position, energy, zero, energy, zero, profile.length)
    potential = _potential(profile, learning_rate, momentum, project_every, shape)
    each = -0.5 * eta * strength[:, None] * slope(_traces(profile, potential))  # (n, V)
    count = each.shape[1]
    error = each.std(1) / count**0.5 if count > 1 else torch.zeros_like(energy)
    pushed = each.mean(1)
    return Prediction(position, energy + pushed, error, energy, pushed, profile.length)


def _traces(profile: Profile, potential: Callable[[Tensor], Tensor]) -> Tensor:
    """Return tr Ψ(H) per probe, (n, V); the straight part of Ψ, often nearly all, from the exacter measured trace."""
    nodes, weights = profile.nodes.double(), profile.weights.double()
    slope = float((weights * nodes * potential(nodes)).sum() / (weights * nodes**2).sum())
    rest = profile.dim * (weights * (potential(nodes) - slope * nodes)).sum(-1)
    return slope * profile.trace.double()[:, None] + rest


def _potential(
    profile: Profile, learning_rate: float, momentum: float, steps: int | None, shape: Callable[[Tensor], Tensor]
) -> Callable[[Tensor], Tensor]:
    """Return Ψ with Ψ'(h) = u(h)φ(h): q d tr Ψ(H)/ds is Σ Var(hᵢ) dhᵢ/ds, and needs only spectra along the road."""
    shift = profile.weight_decay  # the walker feels the whole objective's curvature
    low, high = float(profile.nodes.min()), float(profile.nodes.max())
    grid = torch.linspace(min(low, 0.0), high, 4001, dtype=torch.float64)
    felt = grid + shift
    limit = 2 * (1 + momentum)
    if learning_rate * (high + shift) >= limit:
        raise ValueError(
            f"Nothing can be predicted past the stability limit: learning_rate * lambda_max = {learning_rate:g} * "
            f"{high + shift:.3g} = {learning_rate * (high + shift):.3g}, the limit is {limit:g}; lower learning_rate."
        )
    if steps is None:
        felt = felt.clamp(min=1e-3 * high)  # directions flatter than this never come to rest
    spread = sustained_variance(felt, learning_rate, momentum, steps)
    sums = torch.cumulative_trapezoid(shape(grid.clamp(min=0)) * spread, grid)
    table = torch.cat([sums.new_zeros(1), sums]).numpy()
    return lambda h: torch.as_tensor(np.interp(h.double().numpy(), grid.numpy(), table))
