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

from .noise import Noise, Shape, named, require_batch, require_steps, sustained_variance
from .probe import Profile
from .valley import Valley

__all__ = ["Prediction", "occupation", "predict", "sustained_variance"]


@dataclass(frozen=True, eq=False)
class Prediction:
    """Predicted mean velocity along a road, in lengths per step, at the profile's positions (n,).

    Attributes:
        position: Positions in [0, 1].
        velocity: Mean velocity; positive towards position 1.
        velocity_error: Its standard error from the random probes of the spectrum.
        energy: The part that the slope of the objective makes.
        noise: The part that noise makes.
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
        rate = self.velocity.double().numpy() / self.length
        grid = self.position.double().numpy()
        now, at = float(start), 0
        out: list[float] = []
        for step in steps.tolist():
            pieces = max(1, int((step - at) // 10))
            for _ in range(pieces):
                now = min(1.0, max(0.0, now + float(np.interp(now, grid, rate)) * (step - at) / pieces))
            at = step
            out.append(now)
        return torch.tensor(out, dtype=torch.float64)


def predict(
    profile: Profile,
    *,
    batch_size: int | None,
    learning_rate: float,
    momentum: float = 0.0,
    project_every: int | None = 15,
    noise: str | Noise | None = None,
    temperature: float | None = None,
) -> Prediction:
    """Predict the mean velocity of ``drift`` along a road from its profile, with no free constant.

    The covariance of the gradient noise is what the noise model says of the profile. For "minibatch" on a network that
    is c(s)H/B with the measured c = tr C / tr H: exact for label noise under squared loss at interpolation, and an
    assumption for sampling noise. Valid for spreads small enough that the loss across the road is quadratic.

    Args:
        profile: Measured road.
        batch_size: B; None for no noise.
        learning_rate: η.
        momentum: m of heavy ball.
        project_every: k free steps between projections; None for walkers that are never projected.
        noise: As in ``drift``: "minibatch", "label", "isotropic", "none", or a noise model.
        temperature: T of isotropic noise.

    Raises:
        ValueError: If batch size, learning rate, momentum, noise or project_every is none, or a step is past the
            stability limit.

    References:
        Blanc et al. (2020), COLT; Damian, Ma & Lee (2021), NeurIPS, for label noise: -(ησ²/4B)∇tr H at small ηh.

    Example:
        >>> import entropic_edu as ee, torch
        >>> land = ee.valleys.Waist()
        >>> road, g = ee.Path(land.floor(21)), torch.Generator().manual_seed(0)
        >>> profile = ee.probe(land, road, points=21, generator=g)
        >>> law = ee.predict(profile, batch_size=4, learning_rate=0.1)
        >>> [round(float(x), 2) for x in law.track(0.4, torch.tensor([0, 2000]))]  # away from the narrow middle
        [0.4, 0.2]
    """
    require_steps(learning_rate, momentum)
    if batch_size is not None:
        require_batch(batch_size)
    if project_every is not None and project_every < 1:
        raise ValueError(f"project_every must be at least 1, got {project_every}; None never projects.")
    model = named(noise, batch_size, temperature)
    strength, shape = model.covariance(profile, learning_rate, momentum)
    position = profile.position.double()
    along = (position * profile.length).numpy()
    eta = learning_rate / (1 - momentum)
    energy = -eta * torch.as_tensor(np.gradient(profile.loss.double().numpy(), along))
    if not bool(strength.any()):
        zero = torch.zeros_like(energy)
        return Prediction(position, energy, zero, energy, zero, profile.length)
    potential = _potential(profile, learning_rate, momentum, project_every, shape)
    sums = _traces(profile, potential)  # (n, V)
    slopes = torch.as_tensor(np.gradient(sums.double().numpy(), along, axis=0))
    each = -0.5 * eta * strength[:, None] * slopes
    count = each.shape[1]
    error = each.std(1) / count**0.5 if count > 1 else torch.zeros_like(energy)
    pushed = each.mean(1)
    return Prediction(position, energy + pushed, error, energy, pushed, profile.length)


def _traces(profile: Profile, potential: Callable[[Tensor], Tensor]) -> Tensor:
    """Return tr Ψ(H) per probe, (n, V); the part of Ψ that is a straight line is taken from the measured trace.

    Ψ is nearly straight for curvature-shaped noise, and the trace is exact on piecewise-linear nets: what is left to
    the probes is small, and so is its error.
    """
    nodes, weights = profile.nodes.double(), profile.weights.double()
    slope = float((weights * nodes * potential(nodes)).sum() / (weights * nodes**2).sum())
    rest = profile.dim * (weights * (potential(nodes) - slope * nodes)).sum(-1)
    return slope * profile.trace.double()[:, None] + rest


def _potential(
    profile: Profile, learning_rate: float, momentum: float, steps: int | None, shape: Shape
) -> Callable[[Tensor], Tensor]:
    """Return Ψ with Ψ'(h) = u(h)φ(h), u being the shape of the noise.

    Then ½ (strength) d tr Ψ(H)/ds = ½ Σ Var(hᵢ) dhᵢ/ds: only the spectrum along the road is needed.
    """
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


def occupation(
    land: Valley,
    edges: Tensor,
    *,
    start: float | Tensor,
    steps: Tensor,
    batch_size: int,
    learning_rate: float,
    momentum: float = 0.0,
) -> Tensor:
    """Return the share of walkers in each cell of a straight valley's floor as time goes by, in isotropic noise.

    Once a walker has settled across the floor, its motion along it is diffusion at T in the free energy F, the
    Smoluchowski equation ∂P/∂t = ∂/∂y (P ∂F/∂y + T ∂P/∂y), with t = η/(1-m) for each step. F holds what finite steps
    add to the spread: F = f + (T/2)(ln h - ln(1 - ηh/2)), which is f + (T/2) ln h for small steps (and the correction
    is exact for m = 0 only). The ends of ``edges`` reflect. The cells exchange walkers at the rates of Scharfetter and
    Gummel, which keep exp(-F/T) stationary on any grid.

    Args:
        land: A straight valley with isotropic noise.
        edges: Of the cells, evenly spaced, (n + 1,).
        start: Coordinate y of release, or the share of walkers in each cell, (n,).
        steps: Steps at which to tell, evenly spaced from 0, (R,).
        batch_size: B.
        learning_rate: η.
        momentum: m.

    Returns:
        Shares, (R, n), float64; each row adds up to 1.

    Raises:
        ValueError: If the noise is not isotropic, or a step is too large for the steepest wall on the grid.

    References:
        Scharfetter & Gummel (1969), IEEE Transactions on Electron Devices 16, 64: the rates.
    """
    if land.noise != "isotropic":
        raise ValueError(f'Only noise="isotropic" has a free energy; this valley\'s noise is {land.noise!r}.')
    edges = edges.double()
    y, cell = 0.5 * (edges[1:] + edges[:-1]), float(edges[1] - edges[0])
    h, temperature = land.curvature_across(y), land.temperature(batch_size, learning_rate, momentum)
    if not float(learning_rate * h.max()) < 2:
        raise ValueError(f"η·h = {float(learning_rate * h.max()):.3g} at the steepest wall; it must stay below 2.")
    finite = (1 - 0.5 * learning_rate * h).log() if momentum == 0 else torch.zeros_like(h)
    energy = land.floor_loss(y) / temperature + 0.5 * (h.log() - finite)  # F/T
    rise = energy.diff()
    up, down = _bernoulli(rise), _bernoulli(-rise)
    hop = torch.diag(up, -1) + torch.diag(down, 1)
    hop = (hop - torch.diag(hop.sum(0))) * (temperature / cell**2)  # columns add up to 0: no walker is lost
    if isinstance(start, Tensor):
        shares = start.double()
    else:
        shares = torch.zeros_like(y)
        shares[(y - start).abs().argmin()] = 1.0
    between = float(steps[1] - steps[0]) * learning_rate / (1 - momentum) if len(steps) > 1 else 0.0
    forward = torch.matrix_exp(hop * between)
    rows = [shares]
    for _ in steps[1:]:
        rows.append(forward @ rows[-1])
    return torch.stack(rows)


def _bernoulli(x: Tensor) -> Tensor:
    """X / (eˣ - 1), which is 1 at 0."""
    small = x.abs() < 1e-6
    safe = torch.where(small, torch.ones_like(x), x).clamp(max=500)
    return torch.where(small, 1 - 0.5 * x, safe / safe.expm1())
