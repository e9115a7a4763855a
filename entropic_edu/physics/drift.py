"""Fourth verb: let walkers go on the road, with noise, and see where they drift."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .landscape import Landscape, random_seed
from .mean import ratio
from .noise import Minibatch, Noise, RoadPoint, Step, named
from .path import Path, on
from .release import Release
from .results import detached
from .settings import is_number, require_counts
from .snapshot import Progress, Snapshot, Stream, verb
from .steps import Optimizer, Stepper, batch_sharpness, warn_if_unstable


@dataclass(frozen=True)
class Projections:
    """How walkers are put back on the road, for ``drift(project_every=...)``.

    Attributes:
        every: k free steps between projections; None never projects.
        undo_excursions: Whether a walker that is outside at a projection is put back to where the last one put it, at
            rest: nothing is left of its excursion.
        radius: Distance from the path past which a walker counts as outside; None takes a tenth of the path.

    Example:
        >>> ee.Projections(every=5, undo_excursions=True)
        Projections(every=5, undo_excursions=True, radius=None)
    """

    every: int | None = 15
    undo_excursions: bool = False
    radius: float | None = None

    def __post_init__(self) -> None:
        if self.every is not None:  # which never projects
            require_counts(project_every=self.every)
        if self.undo_excursions and self.every is None:
            raise ValueError("undo_excursions acts at projections, and project_every=None has none; give it a number.")
        if self.radius is not None and not (is_number(self.radius) and self.radius >= 0):  # NaN is refused too
            raise ValueError(f"radius is a distance from the path, 0 or more; got {self.radius!r}.")


@dataclass(frozen=True)
class Records:
    """What a release holds of its walkers, for ``drift(record_every=...)``.

    Example:
        >>> ee.Records(every=5, theta=True)
        Records(every=5, theta=True)
    """

    every: int | None = None  # steps between records; None makes about 60, at projections
    theta: bool = False  # whether it also holds where in parameter space the walkers stood

    def __post_init__(self) -> None:
        if self.every is not None:
            require_counts(record_every=self.every)


@verb
def drift(
    land: Landscape,
    path: Path | Sequence[Any],
    *,
    generator: torch.Generator,
    start: float | Sequence[float] = 0.3,
    batch_size: int | None = 16,
    learning_rate: float = 0.1,
    momentum: float = 0.9,
    walkers: int = 16,
    steps: int = 2000,
    project_every: int | Projections | None = 15,
    noise: str | Noise | None = None,
    optimizer: Optimizer = "sgd",
    record_every: int | Records | None = None,
    progress: Progress = None,
) -> Stream[Release]:
    """Release walkers on a path: k free steps of noisy descent, then back to the nearest point, and again.

    The projection leaves a walker only the momentum along the path. What is random in a step depends on the seed and
    the number of the step alone: two calls whose generators have the same seed are twins that share every draw, also
    where they differ in learning rate or projection, and a smaller batch then holds the first samples of the larger.

    Args:
        land: The landscape; use the one that training and connecting saw, so that no other force is mistaken for noise.
        path, generator: A path on this landscape, as in ``probe``, and the source of all noise.
        start: Position of release in [0, 1]; several give ``walkers`` to each.
        batch_size: Samples B each walker draws in a step; None takes all data.
        learning_rate, momentum, optimizer: As in ``train``.
        walkers, steps: Walkers at each start, and steps that each takes.
        project_every: k free steps between projections, or ``Projections`` with more to choose; None never projects.
        noise: "minibatch" (the default where there is a batch size), "none" (the default where there is none), "label",
            or a model, such as ``ee.noise.Isotropic(temperature)`` for Langevin dynamics, or one of your own.
        record_every: Steps between records, or ``Records`` to keep theta too; None makes about 60, at projections.
        progress: True for a bar with the time left, or a callable given each snapshot.

    Returns:
        The Release. (``ee.stream.drift`` yields a snapshot at each record.)

    Raises:
        ValueError: If a setting is out of range or the path belongs to another model.
        DivergenceError: If a walker becomes infinite or NaN; a StabilityWarning comes before, as in ``train``.

    References:
        Projected SGD on a path: Di Carlo, Goddard & Schwab (2025), arXiv:2512.06297, section on path-constrained SGD.

    Example:
        >>> land, g = ee.valleys.Waist(noise="curvature"), torch.Generator().manual_seed(0)
        >>> settings = {"batch_size": 2, "learning_rate": 0.02, "momentum": 0.0, "project_every": None}
        >>> release = ee.drift(land, ee.Path(land.floor(21)), start=0.4, steps=600, generator=g, **settings)
        >>> float(release.mean_position[-1]) < 0.3  # away from the narrow middle, on a floor at one height
        True
    """
    path = on(land, path)
    rule = project_every if isinstance(project_every, Projections) else Projections(project_every)
    model = named(noise, batch_size)
    model.check(land)
    keep = record_every if isinstance(record_every, Records) else Records(record_every)
    require_counts(walkers=walkers, steps=steps)
    begun = _starts(start, path).repeat_interleave(walkers)  # (W,)
    here = begun.to(path.pivots.device)  # where the last projection put each walker
    unit = rule.every or 1
    every = keep.every or unit * max(1, round(steps / (60 * unit)))
    stepper = Stepper(land.crowd(path.at(here)), optimizer, learning_rate, momentum)
    costs = _Costs(land, path, here, unit, each=model.gives_loss(land))
    warn_if_unstable(land, path.at(here[:1]), stepper)
    own = torch.Generator(generator.device)
    seed = random_seed(generator)
    radius = 0.1 * path.length if rule.radius is None else float(rule.radius)
    drawn = model.batch_size if isinstance(noise, Noise) else batch_size
    beside = _batches(land, path, model, stepper, own.manual_seed(seed), costs)
    beside |= {"temperature": model.temperature(learning_rate, momentum), "length": path.length}
    log = _Log(begun, radius, recipe=_recipe(model, drawn, stepper, rule), **beside)

    def look(step: int, where: Tensor, distance: Tensor, free: Tensor) -> Snapshot[Release]:
        stepper.check(land, step, free)
        row = [torch.tensor(step), where, distance, _losses(land.loss, free), costs.mean(), free]
        log.rows.append([detached(value) for value in row[: 5 + keep.theta]])
        note, records = f"mean position {float(where.mean()):.3f}", len(log.rows)
        return Snapshot(step, steps, note, lambda: log.release(records, step >= steps))

    road = RoadPoint(land, path, here) if rule.every else None
    yield look(0, begun, torch.zeros_like(begun), path.at(here))
    for step in range(1, steps + 1):
        moment = Step(step, own.manual_seed(seed + step), learning_rate, momentum, road)
        force, decay = costs.force(model, stepper, moment)
        stepper.step(force, decay=decay)
        projects = rule.every is not None and step % rule.every == 0
        records = step % every == 0 or step == steps
        if not (projects or records):
            continue
        free = stepper.position.clone()
        where, distance = path.project(free)
        log.see(distance)
        if projects:
            if not bool(distance.isfinite().all()):  # such a walker has no position to be put back to
                stepper.check(land, step, free)
            undone = (distance > radius) & rule.undo_excursions
            here = torch.where(undone, here, where)
            road = RoadPoint(land, path, here)
            stepper.place(path.at(here))
            stepper.keep_momentum_along(path.tangent(here).mul_(~undone[:, None]))
        costs.reach(where, here if projects else where)
        where = here if projects else where
        if records:
            yield look(step, where, distance, free)


def _starts(start: float | Sequence[float], path: Path) -> Tensor:
    try:
        starts = torch.as_tensor(start, dtype=torch.float64).reshape(-1).tolist()
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"start is a position in [0, 1], or several; got {start!r}.") from error
    if not starts:
        raise ValueError("start is empty; give a position in [0, 1], or several.")
    return torch.tensor(starts, dtype=path.pivots.dtype)


@torch.no_grad()
def _losses(loss: Callable[[Tensor], Tensor], theta: Tensor) -> Tensor:
    chunk = max(32, 100_000 // theta.shape[1])  # of a network as many as memory bears, of a valley all at once
    return torch.cat([loss(some) for some in theta.split(chunk)])


def _recipe(model: Noise, batch_size: int | None, stepper: Stepper, rule: Projections) -> dict[str, Any]:
    return {
        "batch_size": batch_size,
        "learning_rate": stepper.learning_rate,
        "momentum": stepper.momentum,
        "project_every": rule.every,
        "optimizer": stepper.kind,
        "noise": model.name,
        "undo_excursions": rule.undo_excursions,
        "noisy_steps": None if (some := model.noisy_steps) is None else [some.start, some.stop, some.step],
    }


def _batches(
    land: Landscape, path: Path, model: Noise, stepper: Stepper, generator: torch.Generator, costs: _Costs
) -> dict[str, Any]:
    """Return what a few batches at the ends and in the middle of the road say of its sharpness and its noise."""
    if not isinstance(model, Minibatch) or stepper.kind == "adam":
        return {}
    step = Step(0, generator, stepper.learning_rate, stepper.momentum)
    place = torch.tensor([0.0, 0.5, 1.0]).to(path.pivots)
    theta = path.at(place.repeat_interleave(5))  # 15 batches: 45 gradients, as many as two steps of most crowds take
    parts = theta.split(max(1, 33_554_432 // land.dim))
    looks = [batch_sharpness(land, part, model.batch(land, step, len(part))) for part in parts]
    each, gradient = (torch.cat(some).unflatten(0, (3, 5)) for some in zip(*looks, strict=True))
    noise = model.batch_size * gradient.var(1).sum(-1)  # of one sample
    weight = gradient.square().sum(-1)
    sharpness = ratio(each * weight, weight)
    found = {"sharpness": sharpness.value, "sharpness_error": sharpness.error}
    if type(model) is Minibatch:  # noise that can feed itself
        found["threshold"] = costs.height(place).mean() / noise.mean()
    return {name: detached(value) for name, value in found.items()}


class _Costs:
    """What the walkers' batches cost above the road, summed from record to record.

    The road's data loss is computed once at 65 even positions and interpolated between them, which is off by at most an
    eighth of its second difference. Between two projections a walker is taken to go evenly from one to the other; so
    what it wins by sliding down the road is no part of its excess loss. Where the loss does not come with the gradient,
    it is looked at in every fourth step, in other ones of each stretch, since the spread grows within it.
    """

    def __init__(self, land: Landscape, path: Path, start: Tensor, unit: int, *, each: bool) -> None:
        even = torch.linspace(0, 1, 65, dtype=path.pivots.dtype, device=path.pivots.device)
        self.road = _losses(land.data_loss, path.at(even))
        self.unit, self.spacing = unit, 1 if each else 4
        self.floor = self.height(start)  # of the road where each walker was seen last
        self.piece, self.number = torch.zeros_like(start), 0  # since then: losses that were looked at, and steps
        self.seen: list[int] = []  # after how many of these steps
        self.total, self.looks, self.last = torch.zeros_like(start), 0, torch.zeros_like(start)  # since a record

    def height(self, position: Tensor) -> Tensor:
        """Return the road's data loss at positions (W,)."""
        place = position * (len(self.road) - 1)
        before = place.long().clamp(0, len(self.road) - 2)  # NaN has no place
        return torch.lerp(self.road[before], self.road[before + 1], place - before)

    def force(self, model: Noise, stepper: Stepper, step: Step) -> tuple[Tensor, float]:
        """Return ``Noise.force`` of a step, and look at what it costs if it is this step's turn."""
        done, self.number = self.number, self.number + 1
        stretch, phase = divmod(step.number - 1, self.unit)
        if (stretch + phase) % self.spacing:
            return model.force(stepper.crowd, step)
        loss, force = model.loss_and_force(stepper.crowd, step)
        self.piece += loss
        self.seen.append(done)
        return force, 0.0

    def reach(self, where: Tensor, here: Tensor) -> None:
        """End a piece of the way at the nearest positions ``where`` (W,), and go on from ``here``."""
        floor, looks = self.height(where), len(self.seen)
        share = sum(self.seen) / self.number  # of the way, summed over the looks
        self.total += self.piece - (looks - share) * self.floor - share * floor
        self.looks += looks
        self.floor = floor if here is where else self.height(here)
        self.piece, self.seen, self.number = torch.zeros_like(self.piece), [], 0

    def mean(self) -> Tensor:
        """Return the mean since this was asked last, (W,); where no step was looked at, the one before it."""
        if self.looks:
            self.last = self.total / self.looks
            self.total, self.looks = torch.zeros_like(self.total), 0
        return self.last


class _Log:
    """Records as they come in: of each the step, position, distance, loss and perhaps theta."""

    def __init__(self, start: Tensor, radius: float, **beside: Any) -> None:
        self.start, self.radius, self.beside = start, radius, beside
        self.rows: list[list[Tensor]] = []
        self.outside, self.projections = torch.zeros(len(start)), 0

    def see(self, distance: Tensor) -> None:
        self.outside = self.outside + (distance.cpu() > self.radius)
        self.projections += 1

    def release(self, records: int, complete: bool) -> Release:
        step, position, distance, loss, excess_loss, *theta = map(torch.stack, zip(*self.rows[:records], strict=True))
        return Release(
            step=step,
            position=position,
            distance=distance,
            loss=loss,
            start=self.start.clone(),
            outside=self.outside / max(1, self.projections),
            valley_radius=self.radius,
            excess_loss=None if bool(excess_loss.isnan().any()) else excess_loss,
            theta=theta[0] if theta else None,
            complete=complete,
            **self.beside,
        )
