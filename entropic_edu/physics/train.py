"""First verb: find a minimum by SGD, and keep what it takes to go on from there."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field, replace
from pathlib import Path as File
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .landscape import Landscape
from .results import Result, behind_links, detached, finite
from .settings import require_counts, require_steps
from .snapshot import Progress, Snapshot, Stream, verb
from .steps import Optimizer, Schedule, Stepper, schedule_scale, warn_if_unstable

SETTINGS = ("batch_size", "learning_rate", "momentum", "epochs", "optimizer", "schedule")  # of a training


class History(NamedTuple):
    """The objective (E, ...) and the learning rate (E,) against the step (E,)."""

    step: Tensor
    loss: Tensor
    learning_rate: Tensor


@dataclass(frozen=True, eq=False)
class Run(Result):
    """A training run, finished or stopped.

    Attributes:
        theta: Parameters at the end, (D,), or (R, D) for several runs trained side by side.
        step, steps: Steps taken, and planned.
        recipe: The settings, as plain values.
        optimizer_state, generator_state: After the last step: momentum and the like, ``(S, *theta.shape)``; bytes.
        history_step, history_loss, history_learning_rate: See ``history``; E counts the epochs, and the start.

    Example:
        >>> land, g = ee.valleys.Hyperbola(), torch.Generator().manual_seed(0)
        >>> half = ee.train(land, epochs=100, stop_at=50, generator=g)
        >>> half.step, half.complete, len(half.history.loss)  # the start is recorded too
        (50, False, 51)
    """

    theta: Tensor
    step: int
    steps: int
    recipe: dict[str, Any] = field(default_factory=dict)
    optimizer_state: Tensor | None = None
    generator_state: Tensor | None = None
    history_step: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.long))
    history_loss: Tensor = field(default_factory=lambda: torch.zeros(0))
    history_learning_rate: Tensor = field(default_factory=lambda: torch.zeros(0))

    @property
    def history(self) -> History:
        """Loss and learning rate after each epoch."""
        return History(self.history_step, self.history_loss, self.history_learning_rate)

    @property
    def loss(self) -> Tensor:
        """The whole objective at the end, () or (R,)."""
        return self.history_loss[-1]

    def summary(self) -> str:
        losses = self.loss.reshape(-1)
        many = "" if len(losses) == 1 else f" to {float(losses.max()):.4g} in {len(losses)} runs"
        state = "complete" if self.complete else "stopped early"
        return f"Trained {self.step} of {self.steps} steps ({state}): objective {float(losses.min()):.4g}{many}."


@verb
def train(
    land: Landscape,
    *,
    generator: torch.Generator,
    batch_size: int | None = 64,
    learning_rate: float = 0.1,
    momentum: float = 0.9,
    epochs: int = 60,
    optimizer: Optimizer = "sgd",
    schedule: Schedule = "cosine",
    start: Any = None,
    runs: int | None = None,
    stop_at: int | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    resume: bool = False,
    progress: Progress = None,
) -> Stream[Run]:
    """Minimise the landscape's objective by SGD with shuffled batches.

    Args:
        land: The landscape; weight decay is part of it, not of the optimizer.
        generator: Source of the start and of the shuffles. The same seed gives the same run.
        batch_size: Samples B in a batch; an incomplete last one is dropped. None takes all data in every step.
        learning_rate, momentum: η at the beginning of the schedule; m of heavy ball or Nesterov, β₁ of Adam.
        epochs: Passes through the data (on a valley, which has none: steps).
        optimizer, schedule: "sgd", "nesterov" or "adam"; "cosine", "step" (/5 at 30, 60, 80, 90 %) or "constant".
        start: Where to begin, (D,) or (R, D), on a ``Network`` also a module or a state_dict; or a stopped Run to go on
            with; None draws ``land.initial``.
        runs: Train R independent runs side by side, much faster than one after another; theta is then (R, D).
        stop_at: Stop after this step (the schedule still spans all epochs); the Run is marked incomplete.
        checkpoint, resume: File to write after an epoch, at most every two seconds, and whether to go on from it if it
            exists; the result is the same as without the interruption.
        progress: True for a bar with the time left, or a callable given each snapshot.

    Returns:
        The Run; incomplete if it was stopped by Ctrl-C or ``stop_at``. (``ee.stream.train`` yields each epoch.)

    Raises:
        ValueError: If a setting is out of range, or the checkpoint belongs to other settings.
        DivergenceError: If θ becomes infinite or NaN; a StabilityWarning comes before, if η·λ_max is past the limit.

    Example:
        >>> land, g = ee.valleys.Hyperbola(), torch.Generator().manual_seed(0)
        >>> run = ee.train(land, batch_size=None, epochs=200, runs=3, generator=g)
        >>> tuple(run.theta.shape), bool((run.loss < 1e-6).all())
        ((3, 2), True)
    """
    if checkpoint is not None:
        behind_links(checkpoint)  # now rather than after the first epoch
    recipe = dict(zip(SETTINGS, (batch_size, learning_rate, momentum, epochs, optimizer, schedule), strict=True))
    run = _begin(land, recipe, generator, start, runs)
    if resume and checkpoint is not None and File(checkpoint).exists():
        run = _saved(land, checkpoint, run)
        assert run.generator_state is not None  # written after every epoch
        generator.set_state(run.generator_state)
    stepper = Stepper(land.crowd(run.theta), optimizer, learning_rate, momentum)
    if run.optimizer_state is not None:
        stepper.restore(run.optimizer_state, run.step)
    if run.step == 0:
        warn_if_unstable(land, run.theta, stepper)
    last = run.steps if stop_at is None else min(stop_at, run.steps)
    written = time.monotonic()
    yield _snapshot(run)
    try:
        while run.step < last:
            run = _epoch(land, stepper, run, generator, last)
            if checkpoint is not None and time.monotonic() - written > 2:
                run.save(checkpoint)
                written = time.monotonic()
            yield _snapshot(run)
    finally:  # also on Ctrl-C: the last whole epoch is not lost
        if checkpoint is not None and run.step > 0:
            run.save(checkpoint)


def _begin(land: Landscape, recipe: dict[str, Any], generator: torch.Generator, start: Any, runs: int | None) -> Run:
    """Return the run before its first step."""
    require_counts(epochs=recipe["epochs"])
    if runs is not None:  # which trains one run with theta of shape (D,)
        require_counts(runs=runs)
    schedule_scale(recipe["schedule"], 0.0)
    require_steps(recipe["learning_rate"], recipe["momentum"])
    if isinstance(start, Run):
        land.check(start.theta)
        if start.recipe != recipe:
            raise ValueError(
                f"The run to go on from was made with {start.recipe}, this call has {recipe}; use the same settings, "
                "or start=run.theta for a new run from there."
            )
        return start
    if start is not None:
        theta = land.vector(start).detach().clone()
    elif runs is None:
        theta = land.initial(generator)
    else:
        theta = torch.stack([land.initial(generator) for _ in range(runs)])
    land.check(theta)
    with torch.no_grad():
        loss = finite(land.loss(theta), "The loss at the start", "check the data and the start")
    return Run(
        theta=theta,
        step=0,
        steps=recipe["epochs"] * land.steps_per_epoch(recipe["batch_size"]),
        recipe=recipe,
        history_step=torch.zeros(1, dtype=torch.long),
        history_loss=detached(loss)[None],
        history_learning_rate=torch.full((1,), recipe["learning_rate"]),
        complete=False,
    )


def _saved(land: Landscape, checkpoint: str | os.PathLike[str], planned: Run) -> Run:
    """Return the run in the checkpoint, if it is one of this plan."""
    run = Run.load(checkpoint)
    if run.recipe != planned.recipe or run.theta.shape != planned.theta.shape or run.steps != planned.steps:
        raise ValueError(
            f"{checkpoint} was made with {run.recipe} for theta of shape {tuple(run.theta.shape)}, this call has "
            f"{planned.recipe} and {tuple(planned.theta.shape)}; use the same settings, or delete the file."
        )
    return replace(run, theta=run.theta.to(planned.theta))


def _epoch(land: Landscape, stepper: Stepper, run: Run, generator: torch.Generator, last: int) -> Run:
    """Go once through the data, or to the ``last`` step, and return the run as it then is."""
    step, scale, rate = run.step, 1.0, run.recipe["learning_rate"]
    rows = None if run.theta.ndim == 1 else len(run.theta)
    for batch in land.epoch(run.recipe["batch_size"], generator, rows):
        if step == last:
            break
        scale = schedule_scale(run.recipe["schedule"], step / run.steps)
        slope, decay = stepper.crowd.slope(batch)
        stepper.step(slope, scale, decay)
        step += 1
    stepper.check(land, step)
    with torch.no_grad():
        loss = land.loss(stepper.position)
    return replace(
        run,
        theta=stepper.position.clone(),
        step=step,
        optimizer_state=stepper.state(),
        generator_state=generator.get_state(),
        history_step=torch.cat([run.history_step, torch.tensor([step])]),
        history_loss=torch.cat([run.history_loss, detached(loss)[None]]),
        history_learning_rate=torch.cat([run.history_learning_rate, torch.tensor([rate * scale])]),
        complete=step >= run.steps,
    )


def _snapshot(run: Run) -> Snapshot[Run]:
    return Snapshot(run.step, run.steps, f"loss {float(run.loss.max()):.4g}", lambda: run)
