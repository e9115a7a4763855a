"""Fourth verb: let walkers go on the road, with noise, and see where they drift."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from .landscape import Landscape
from .path import Path
from .probe import Profile
from .release import Release
from .results import detached
from .snapshot import Progress, Snapshot, Stream, verb
from .steps import Optimizer, Stepper, check_finite, warn_if_unstable
from .theory import Prediction, predict
from .valleys import require_batch, require_steps

Noise = Literal["minibatch", "none", "isotropic", "label"]


def effective_temperature(batch_size: int | None, learning_rate: float, momentum: float = 0.0) -> float:
    """Return η / ((1-m) B), the one number through which batch size and learning rate act; 0 for all data.

    Raises:
        ValueError: If batch size, learning rate or momentum is none.
    """
    require_steps(learning_rate, momentum)
    if batch_size is not None:
        require_batch(batch_size)
    return 0.0 if batch_size is None else learning_rate / ((1 - momentum) * batch_size)


@verb
def drift(
    land: Landscape,
    path: Path,
    *,
    generator: torch.Generator,
    start: float | Sequence[float] = 0.3,
    batch_size: int | None = 16,
    learning_rate: float = 0.1,
    momentum: float = 0.9,
    walkers: int = 16,
    steps: int = 2000,
    project_every: int | None = 15,
    optimizer: Optimizer = "sgd",
    noise: Noise | None = None,
    temperature: float | None = None,
    same_noise: bool = False,
    valley_radius: float | None = None,
    undo_excursions: bool = False,
    record_every: int | None = None,
    noisy_steps: range | None = None,
    keep_theta: bool = False,
    profile: Profile | None = None,
    progress: Progress = None,
) -> Stream[Release]:
    """Release walkers on a path: k free steps of noisy descent, then back to the nearest point, and again.

    The projection puts a walker on the path and leaves it only the momentum along it. What is random in a step depends
    on the seed and the number of the step alone: two calls whose generators have the same seed are twins that share
    every draw, also where they differ in learning rate or projection, and a smaller batch then holds the first samples
    of the larger one.

    Args:
        land: The landscape; use the one that training and connecting saw, so that no other force is mistaken for noise.
        path: The path, on this landscape.
        generator: Source of all noise.
        start: Position of release in [0, 1]; several give ``walkers`` to each.
        batch_size: Samples B each walker draws in a step; None takes all data.
        learning_rate: η.
        momentum: m of heavy ball or Nesterov, β₁ of Adam.
        walkers: Walkers at each start.
        steps: Steps each walker takes.
        project_every: k free steps between projections; None never projects.
        optimizer: "sgd", "nesterov" or "adam".
        noise: "minibatch" (the default where there is a batch size), "none" (the default where there is none),
            "isotropic" (all data and white noise: Langevin at ``temperature``), or "label" (all data with jittered
            targets, as strong as in batches of B: label noise without sampling noise).
        temperature: T of the isotropic noise, whose stationary law is exp(-L/T) for small steps.
        same_noise: Whether all walkers see the same draws.
        valley_radius: Distance from the path past which a walker counts as outside; None takes a tenth of the path.
        undo_excursions: Whether a walker found outside at a projection is put back to where the last projection put it,
            so that no excursion out of the valley can carry it along the road.
        record_every: Steps between records; None makes about 60 records, at projections.
        noisy_steps: The steps, counted from 1, on which there is noise; all others take the gradient of all data. None
            means every step. ``range(501, 1001)`` switches the noise on after 500 steps and off after 1,000.
        keep_theta: Whether the release also holds where in parameter space the walkers stood.
        profile: The path's profile; the release then holds what ``predict`` makes of it (SGD and heavy ball only).
        progress: True for a bar with the time left, or a callable given each snapshot.

    Returns:
        The Release. (``ee.stream.drift`` yields a snapshot at each record.)

    Raises:
        ValueError: If a setting is out of range or the path belongs to another model.
        DivergenceError: If a walker becomes infinite or NaN.

    Warns:
        StabilityWarning: If η·λ_max is past the limit where the walkers start.

    References:
        Projected SGD on a path: Di Carlo, Goddard & Schwab (2025), arXiv:2512.06297, section on path-constrained SGD.
    """
    path.check(land)
    noise = noise or ("none" if batch_size is None else "minibatch")
    _check(land, noise, batch_size, temperature, walkers, steps, project_every)
    if not (noisy_steps is None or isinstance(noisy_steps, range)):
        raise ValueError(f"noisy_steps is a range of step numbers, such as range(501, 1001), got {noisy_steps!r}.")
    if noisy_steps is not None and profile is not None:
        raise ValueError("The drift is predicted for noise on every step; drop profile= or noisy_steps=.")
    if undo_excursions and project_every is None:
        raise ValueError(
            "undo_excursions acts at projections, and project_every=None never projects; give it a number."
        )
    starts = [float(start)] if isinstance(start, int | float) else [float(s) for s in start]
    if not starts:
        raise ValueError("start is empty; give a position in [0, 1], or several.")
    begun = torch.tensor(starts, dtype=path.pivots.dtype).repeat_interleave(walkers)
    theta = path.at(begun.to(path.pivots.device))
    radius = 0.1 * path.length if valley_radius is None else float(valley_radius)
    every = record_every or _even_records(steps, project_every)
    stepper = Stepper(theta, optimizer, learning_rate, momentum)
    warn_if_unstable(land, theta, optimizer, learning_rate, momentum)
    slope = _Slope(land, noise, batch_size, learning_rate, momentum, temperature, same_noise, generator, noisy_steps)
    log = _Log(begun, radius, keep_theta)
    hot = (
        float(temperature or 0) if noise == "isotropic" else effective_temperature(batch_size, learning_rate, momentum)
    )
    recipe = {
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "momentum": momentum,
        "project_every": project_every,
        "optimizer": optimizer,
        "noise": noise,
        "undo_excursions": undo_excursions,
        "noisy_steps": None if noisy_steps is None else [noisy_steps.start, noisy_steps.stop, noisy_steps.step],
    }

    expected = None if profile is None else _expected(profile, recipe, temperature)

    def snapshot(step: int) -> Snapshot[Release]:
        kept = len(log.steps)
        return Snapshot(
            step,
            steps,
            f"mean position {float(log.position[-1].mean()):.3f}",
            lambda: log.release(kept, hot if noise != "none" else 0.0, path.length, recipe, expected, step >= steps),
        )

    here = begun.to(theta.device)  # where the last projection put each walker
    log.add(0, begun, torch.zeros_like(begun), _losses(land, theta), theta)
    yield snapshot(0)
    for step in range(1, steps + 1):
        stepper.step(slope(stepper.position, step))
        projects = project_every is not None and step % project_every == 0
        if projects or step % every == 0 or step == steps:
            where = path.project(stepper.position)
            log.see(where.distance)
            if undo_excursions and projects:
                where = where._replace(position=torch.where(where.distance > radius, here, where.position))
            free = stepper.position.clone() if step % every == 0 or step == steps else None
            if projects:
                if not bool(where.distance.isfinite().all()):  # such a walker has no position to be put back to
                    check_finite(land, stepper.position, theta, step, learning_rate)
                here = where.position
                stepper.place(path.at(here))
                stepper.keep_momentum_along(path.tangent(here))
            if free is not None:
                check_finite(land, free, theta, step, learning_rate)
                log.add(step, where.position, where.distance, _losses(land, free), free)
                yield snapshot(step)


@torch.no_grad()
def _losses(land: Landscape, theta: Tensor) -> Tensor:
    chunk = max(32, 100_000 // land.dim)  # of a network as many as memory bears, of a valley all at once
    return torch.cat([land.loss(some) for some in theta.split(chunk)])


class _Slope:
    """The noisy gradient of each walker, as a function of where they are and of the step's number."""

    def __init__(
        self,
        land: Landscape,
        noise: Noise,
        batch_size: int | None,
        learning_rate: float,
        momentum: float,
        temperature: float | None,
        same_noise: bool,
        generator: torch.Generator,
        noisy_steps: range | None,
    ) -> None:
        self.land, self.noise, self.batch_size, self.same_noise = land, noise, batch_size, same_noise
        self.noisy_steps = noisy_steps
        # a step θ ← θ - η(∇L + ξ) has T = η var(ξ) / (2(1-m))
        self.width = math.sqrt(2 * (temperature or 0.0) * (1 - momentum) / learning_rate)
        self.generator = torch.Generator(generator.device)
        self.seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))

    def __call__(self, theta: Tensor, step: int) -> Tensor:
        if self.noise == "none" or (self.noisy_steps is not None and step not in self.noisy_steps):
            return self.land.gradient_on(theta, None)
        self.generator.manual_seed(self.seed + step)
        rows = None if self.same_noise else len(theta)
        if self.noise == "minibatch":
            assert self.batch_size is not None
            return self.land.gradient_on(theta, self.land.draw(self.batch_size, self.generator, rows))
        if self.noise == "label":
            draw = getattr(self.land, "draw_labels")  # noqa: B009  (networks have it; _check has made sure)
            return self.land.gradient_on(theta, draw(self.batch_size, self.generator, rows))
        slope = self.land.gradient_on(theta, None)
        shape = theta.shape if rows is not None else theta.shape[1:]
        kick = torch.randn(shape, generator=self.generator, device=self.generator.device, dtype=theta.dtype)
        return slope + self.width * kick.to(theta.device)


class _Log:
    """Records as they come in."""

    def __init__(self, start: Tensor, radius: float, keep_theta: bool) -> None:
        self.start, self.radius = start, radius
        self.theta: list[Tensor] | None = [] if keep_theta else None
        self.steps: list[int] = []
        self.position: list[Tensor] = []
        self.distance: list[Tensor] = []
        self.loss: list[Tensor] = []
        self.outside = torch.zeros(len(start))
        self.seen = 0

    def see(self, distance: Tensor) -> None:
        self.outside = self.outside + (distance.cpu() > self.radius)
        self.seen += 1

    def add(self, step: int, position: Tensor, distance: Tensor, loss: Tensor, theta: Tensor) -> None:
        self.steps.append(step)
        self.position.append(detached(position))
        self.distance.append(detached(distance))
        self.loss.append(detached(loss))
        if self.theta is not None:
            self.theta.append(detached(theta))

    def release(
        self,
        records: int,
        temperature: float,
        length: float,
        recipe: dict[str, Any],
        expected: Prediction | None,
        complete: bool,
    ) -> Release:
        step = torch.tensor(self.steps[:records])
        tracks = None if expected is None else [expected.track(float(s), step) for s in self.start.unique()]
        return Release(
            step=step,
            position=torch.stack(self.position[:records]),
            distance=torch.stack(self.distance[:records]),
            loss=torch.stack(self.loss[:records]),
            start=self.start.clone(),
            outside=self.outside / max(1, self.seen),
            temperature=temperature,
            valley_radius=self.radius,
            length=length,
            recipe=recipe,
            theta=None if self.theta is None else torch.stack(self.theta[:records]),
            predicted=None if tracks is None else torch.stack(tracks, 1),
            complete=complete,
        )


def _expected(profile: Profile, recipe: dict[str, Any], temperature: float | None) -> Prediction:
    if recipe["optimizer"] != "sgd":
        raise ValueError(
            f'The drift is predicted for optimizer="sgd" only, got {recipe["optimizer"]!r}; drop profile=.'
        )
    return predict(
        profile,
        batch_size=recipe["batch_size"],
        learning_rate=recipe["learning_rate"],
        momentum=recipe["momentum"],
        project_every=recipe["project_every"],
        noise=recipe["noise"],
        temperature=temperature,
    )


def _even_records(steps: int, project_every: int | None) -> int:
    """Steps between records: about 60 records, each at a projection."""
    unit = project_every or 1
    return unit * max(1, round(steps / (60 * unit)))


def _check(
    land: Landscape,
    noise: str,
    batch_size: int | None,
    temperature: float | None,
    walkers: int,
    steps: int,
    project_every: int | None,
) -> None:
    if noise not in ("minibatch", "none", "isotropic", "label"):
        raise ValueError(f'noise must be "minibatch", "none", "isotropic" or "label", got {noise!r}.')
    if noise in ("minibatch", "label") and batch_size is None:
        raise ValueError(f'noise="{noise}" needs a batch_size, got None; pass batch_size=16, or noise="none".')
    if (noise == "isotropic") != (temperature is not None) or (temperature is not None and temperature < 0):
        raise ValueError(
            f'noise="isotropic" needs a temperature >= 0 and no other noise takes one; got noise="{noise}", '
            f"temperature={temperature}."
        )
    if noise == "label" and (not hasattr(land, "draw_labels") or not getattr(land, "label_noise", 0)):
        raise ValueError('noise="label" needs a Network with label_noise > 0; pass label_noise=0.1 to Network.')
    if walkers < 1 or steps < 1 or (project_every is not None and project_every < 1):
        raise ValueError(
            f"walkers, steps and project_every must be at least 1, got {walkers}, {steps} and {project_every}; "
            "project_every=None never projects."
        )
