"""What theory says of the drift, with no free constant: from a measured profile to a velocity along the road.

Across the road a walker spreads with variance Var(h) in each direction of curvature h. Where those curvatures grow
along the road, the spread costs loss, and the mean force is

    f(s) = -dL/ds - ½ Σᵢ Var(hᵢ) dhᵢ/ds.

A noise model says the covariance q(s) u(h) of the gradient noise in a direction of curvature h (``noise.Covariance``).
Then Var(h) = q u(h) φ(h), where φ(h) is the variance that gradient noise of variance 1 sustains: η/(h(2-ηh)) for plain
SGD at rest, and less soon after a projection, which sets it to 0 (``noise.sustained_variance``).

The same spread gives a walker the excess loss ⟨ΔL⟩ = ½ Σᵢ Var(hᵢ) hᵢ. In the ratio of the two the strength q of the
noise drops out: it is the narrowing Λ(s) of the road. Whatever excess loss a walker carries, it is pushed by

    f(s) = -dL/ds - Λ(s) ⟨ΔL⟩.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from .mean import Mean, exact, over_columns, ratio
from .noise import Minibatch, Noise, Silent, effective_temperature, named, sustained_variance
from .release import Release, over_threshold
from .settings import require_counts

if TYPE_CHECKING:
    from .probe import Profile  # which asks here for its narrowing

__all__ = ["Prediction", "predict", "sustained_variance"]


@dataclass(frozen=True, eq=False)
class Prediction:
    """Predicted mean velocity along a road, in lengths per step, at the profile's positions (n,).

    Attributes:
        position: Positions in [0, 1].
        velocity, velocity_error: Mean, positive towards position 1, and its standard error: from the random probes and,
            where the excess loss was measured, from the walkers.
        energy, noise: The parts of the velocity that the slope of the objective and the noise make.
        length: Arc length of the path.
        narrowing, excess_loss: Λ, 1 over a length, and the ⟨ΔL⟩ that linear theory says or that was given, each with
            its standard error; None without either. A release's ⟨ΔL⟩ is NaN where no walker came.
        threshold, temperature: T* of the profile, if batches make the noise, and T of the noise.
        flow_time: η/(1-m).
        release: The walkers whose excess loss moves ``track``.
    """

    position: Tensor
    velocity: Tensor
    velocity_error: Tensor
    energy: Tensor
    noise: Tensor
    length: float
    narrowing: Mean | None = None
    excess_loss: Mean | None = None
    threshold: Tensor | None = None
    temperature: float = 0.0
    flow_time: float = 0.0
    release: Release | None = field(default=None, repr=False)

    def track(self, start: float, steps: Tensor) -> Tensor:
        """Return the predicted mean position at the given steps (R,), by integrating the velocity from ``start``.

        The excess loss of a release is taken as it was in time, the mean over its walkers of this start; the slope and
        the narrowing of the road are taken at the predicted position.

        Raises:
            ValueError: If the release has no walkers of this start, or ended before the last step.
        """
        return self._walk(start, steps, self._carried(start, steps).mean(1))

    def track_error(self, start: float, steps: Tensor) -> Tensor:
        """Return the standard error of ``track``, (R,): the jackknife's over walkers, and beside it the probes'.

        The probes' errors at all positions are taken to go together: the worst case.
        """
        carried = self._carried(start, steps)
        off = self._walk(start, steps, carried.mean(1), errors=1.0) - self._walk(start, steps, carried.mean(1))
        walkers = carried.shape[1]
        if walkers == 1:
            return off.abs()
        rest = [carried[:, torch.arange(walkers) != one].mean(1) for one in range(walkers)]
        each = torch.stack([self._walk(start, steps, excess) for excess in rest])
        return (off.square() + each.var(0) * (walkers - 1) ** 2 / walkers).sqrt()

    def summary(self) -> str:
        """Return one sentence that holds the prediction's numbers."""
        speed = 1000 / self.length * self.velocity[self.velocity.isfinite()]
        source = "linear theory" if self.release is None else "the measured excess loss"
        over = "" if self.threshold is None else over_threshold(self.temperature, self.threshold)
        return (
            f"Drift by {source} at temperature {self.temperature:.3g}{over}: {float(speed.min()):.3g} to "
            f"{float(speed.max()):.3g} road lengths in 1,000 steps."
        )

    def _carried(self, start: float, steps: Tensor) -> Tensor:
        """Return the excess loss of the release's walkers of a start, (R, W); one zero without a release."""
        if self.release is None or self.release.excess_loss is None:
            return torch.zeros(1, 1)
        own, last = self.release.starts, int(self.release.step[-1])
        nearest = own[(own - start).abs().argmin()]
        if abs(float(nearest) - start) > 1e-6:
            there = ", ".join(f"{float(each):g}" for each in own)
            raise ValueError(f"The release has walkers from {there}, and none from {start}; track one of these.")
        if int(steps.max()) > last:
            raise ValueError(f"The release ended after {last} steps, and a track of {int(steps.max())} was wanted.")
        return self.release.of(nearest, self.release.excess_loss)

    def _walk(self, start: float, steps: Tensor, excess: Tensor, errors: float = 0.0) -> Tensor:
        """Return the track for an excess loss in time (R,), all velocities moved by ``errors`` of the probes'."""
        rate, push = self.velocity + errors * self.velocity_error, torch.zeros_like(self.velocity)
        if self.release is not None and self.narrowing is not None:
            rate, push = self.energy, -self.flow_time * (self.narrowing.value + errors * self.narrowing.error)
        rates, pushes = (each.double().numpy() / self.length for each in (rate, push))
        grid = self.position.double().numpy()
        when = np.zeros(1) if self.release is None else self.release.step.double().numpy()
        spent = np.cumsum(
            np.diff(when, prepend=when[:1]) * excess.double().numpy()
        )  # excess loss times steps, until each
        now, at, track = float(start), 0.0, []
        for step in steps.tolist():
            pieces = max(1, int((step - at) // 10))
            marks = np.linspace(at, step, pieces + 1)
            costs = np.diff(np.interp(marks, when, spent))
            for cost in costs:
                moved = np.interp(now, grid, rates) * (step - at) / pieces + np.interp(now, grid, pushes) * cost
                now = min(1.0, max(0.0, now + float(moved)))
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
    excess_loss: Release | Tensor | float | None = None,
) -> Prediction:
    """Predict the mean velocity of ``drift`` along a road from its profile, with no free constant.

    Linear theory takes the covariance of the gradient noise from what the noise model says of the profile. It is valid
    for spreads so small that loss and noise across the road are those of a parabola. Past T* of the profile the noise
    feeds itself, and walkers carry more excess loss than that. Measured, it predicts the drift all the same:
    v = -η/(1-m) [∂L/∂s + Λ⟨ΔL⟩].

    Args:
        profile: Measured road.
        batch_size, learning_rate, momentum, project_every, noise: As in ``drift``.
        excess_loss: ⟨ΔL⟩ as a release measured it, or at each of the profile's positions (n,), or one number.

    Raises:
        ValueError: If a setting is out of range, or the release has other settings or holds no excess loss.

    References:
        Blanc et al. (2020), COLT; Damian, Ma & Lee (2021), NeurIPS, for label noise: -(ησ²/4B)∇tr H at small ηh.

    Example:
        >>> land = ee.valleys.Waist()
        >>> profile = ee.probe(land, ee.Path(land.floor(21)), points=21, generator=torch.Generator())
        >>> law = ee.predict(profile, batch_size=4, learning_rate=0.1)
        >>> [round(float(x), 2) for x in law.track(0.4, torch.tensor([0, 40, 80]))]  # away from the narrow middle
        [0.4, 0.34, 0.28]
        >>> twice = ee.predict(profile, batch_size=4, learning_rate=0.1, excess_loss=2 * law.excess_loss.value)
        >>> torch.allclose(twice.velocity, 2 * law.velocity)  # on a floor at one height
        True
    """
    effective_temperature(batch_size, learning_rate, momentum)  # checks all three
    model = named(noise, batch_size)
    strength, _ = model.covariance(profile, learning_rate, momentum)
    release = excess_loss if isinstance(excess_loss, Release) else None
    if release is not None:
        _check_settings(release, learning_rate=learning_rate, momentum=momentum, project_every=project_every)
    flow_time = learning_rate / (1 - momentum)
    energy = -flow_time * _slope(profile, profile.loss)
    about: dict[str, Any] = {
        "threshold": profile.threshold if type(model) is Minibatch else None,
        "temperature": model.temperature(learning_rate, momentum),
        "flow_time": flow_time,
        "release": release,
    }
    position = profile.position.double()
    if excess_loss is None and not bool(strength.any()):
        zero = torch.zeros_like(energy)
        return Prediction(position, energy, zero, energy, zero, profile.length, **about)
    growth, cost = _growth_and_cost(profile, model, learning_rate, momentum, project_every)
    narrowing = ratio(growth, cost)
    if excess_loss is None:
        push, carried = (over_columns(0.5 * strength[:, None] * each) for each in (growth, cost))
    else:
        carried = _measured(profile, excess_loss)
        push = Mean(
            narrowing.value * carried.value,
            torch.hypot(narrowing.error * carried.value, narrowing.value * carried.error),
        )
    pushed, error = push * -flow_time
    about |= {"narrowing": narrowing, "excess_loss": carried}
    return Prediction(position, energy + pushed, error, energy, pushed, profile.length, **about)


def narrowing_of(
    profile: Profile, learning_rate: float, momentum: float, project_every: int | None, noise: str | Noise | None
) -> Mean:
    """Return ``Profile.narrowing``."""
    growth, cost = _growth_and_cost(profile, named(noise, 1), learning_rate, momentum, project_every)
    return ratio(growth, cost)


def _check_settings(release: Release, **settings: float | None) -> None:
    """Raise a ValueError unless a release's excess loss goes with these settings."""
    if release.excess_loss is None:
        raise ValueError(
            "This release holds no excess loss: a former version made it, or batch norm's own statistics shift the "
            "loss of a batch. Make it again with ee.drift, on a network without batch norm."
        )
    for name, wanted in settings.items():
        if release.recipe.get(name, wanted) != wanted:
            raise ValueError(
                f"The release's walkers had {name}={release.recipe[name]}, and {name}={wanted} is to be predicted; "
                "give the settings of the release."
            )


def _measured(profile: Profile, excess_loss: Release | Tensor | float) -> Mean:
    """Return ⟨ΔL⟩ at a profile's positions (n,): of a release, of all that its walkers carried on their way past."""
    if not isinstance(excess_loss, Release):
        value = torch.as_tensor(excess_loss, dtype=torch.float64)
        if value.shape not in ((), profile.position.shape):
            raise ValueError(
                f"excess_loss is a Release, a number or a value at each of the profile's {len(profile.position)} "
                f"positions, got shape {tuple(value.shape)}."
            )
        return exact(value.expand(profile.position.shape))
    assert excess_loss.excess_loss is not None
    values, where = (
        torch.cat([excess_loss.of(start, each) for start in excess_loss.starts], 1).double()
        for each in (excess_loss.excess_loss[1:], excess_loss.position[:-1])
    )
    grid = profile.position.double()
    spacing = float(grid[1])  # from 0
    near = (1 - (where - grid[:, None, None]).abs() / spacing).clamp(min=0)  # (n, R, W)
    return ratio((near * values).sum(1), near.sum(1))


def _slope(profile: Profile, values: Tensor) -> Tensor:
    """Return the derivative of ``values`` (n, ...) by arc length."""
    along = (profile.position.double() * profile.length).numpy()
    return torch.as_tensor(np.gradient(values.double().numpy(), along, axis=0))


def _growth_and_cost(
    profile: Profile, model: Noise, learning_rate: float, momentum: float, steps: int | None
) -> tuple[Tensor, Tensor]:
    """Return d tr Ψ(H)/ds and tr[H u(H) φ(H)] per probe, (n, V) each: Σ Var(hᵢ) dhᵢ/ds and Σ Var(hᵢ) hᵢ over q.

    Without noise the shape is that of batches.
    """
    if steps is not None:  # which never projects
        require_counts(project_every=steps)
    _, shape = (Minibatch(1) if isinstance(model, Silent) else model).covariance(profile, learning_rate, momentum)
    potential, cost = _potential_and_cost(profile, learning_rate, momentum, steps, shape)
    return _slope(profile, _traces(profile, potential)), _traces(profile, cost)


def _traces(profile: Profile, potential: Callable[[Tensor], Tensor]) -> Tensor:
    """Return tr Ψ(H) per probe, (n, V); the straight part of Ψ, often nearly all, from the exacter measured trace."""
    nodes, weights = profile.nodes.double(), profile.weights.double()
    slope = float((weights * nodes * potential(nodes)).sum() / (weights * nodes**2).sum())
    rest = profile.dim * (weights * (potential(nodes) - slope * nodes)).sum(-1)
    return slope * profile.trace.double()[:, None] + rest


def _potential_and_cost(
    profile: Profile, learning_rate: float, momentum: float, steps: int | None, shape: Callable[[Tensor], Tensor]
) -> tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]:
    """Return Ψ with Ψ'(h) = u(h)φ(h), and h u(h)φ(h): both need only spectra along the road."""
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
    variance = shape(grid.clamp(min=0)) * spread
    sums = torch.cumulative_trapezoid(variance, grid)

    def table(values: Tensor) -> Callable[[Tensor], Tensor]:
        return lambda h: torch.as_tensor(np.interp(h.double().numpy(), grid.numpy(), values.numpy()))

    return table(torch.cat([sums.new_zeros(1), sums])), table(grid * variance)
