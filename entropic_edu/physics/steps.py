"""The step rules of training and of walkers: torch.optim on a whole crowd of parameter vectors at once.

Every rule here works entry by entry, so one optimizer moves (D,) or (P, D) alike.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor
from torch.optim.sgd import sgd

from .curvature import extreme_eigenvalues
from .landscape import Landscape
from .noise import require_steps
from .snapshot import warn

Optimizer = Literal["sgd", "nesterov", "adam"]
Schedule = Literal["cosine", "step", "constant"]


class StabilityWarning(UserWarning):
    """The step is too large for the curvature where it starts."""


class DivergenceError(ArithmeticError):
    """The loss became infinite or NaN, or left any sensible range."""


class Stepper:
    """A copy of parameter vectors, (D,) or (P, D), with the optimizer that moves them and its momentum.

    "sgd" is heavy ball where momentum > 0; of "adam" the momentum is β₁.
    """

    def __init__(self, theta: Tensor, optimizer: Optimizer, learning_rate: float, momentum: float) -> None:
        require_steps(learning_rate, momentum)
        if optimizer == "nesterov" and momentum == 0:
            raise ValueError("nesterov needs momentum > 0, got 0; use optimizer='sgd' or momentum=0.9.")
        if optimizer not in ("sgd", "nesterov", "adam"):
            raise ValueError(f'optimizer must be "sgd", "nesterov" or "adam", got {optimizer!r}.')
        self.theta = theta.detach().clone().requires_grad_()
        self.kind, self.learning_rate, self.momentum = optimizer, learning_rate, momentum
        self._momentum: list[Tensor | None] = [None]  # of SGD; before its first step there is none
        self._fused = self.theta.device.type in ("cpu", "cuda")
        self._adam = None
        if optimizer == "adam":
            self._adam = torch.optim.Adam([self.theta], lr=learning_rate, betas=(momentum, 0.999))

    @property
    def position(self) -> Tensor:
        """The parameter vectors, apart from any graph; the same memory."""
        return self.theta.detach()

    def step(self, gradient: Tensor, scale: float = 1.0) -> None:
        """Take one step along −gradient with the learning rate times ``scale``."""
        if self.kind == "sgd" and self.momentum == 0:  # one line, and on a valley a quarter of the whole step's time
            self.position.add_(gradient, alpha=-self.learning_rate * scale)
            return
        if self._adam is not None:
            self.theta.grad = gradient
            self._adam.param_groups[0]["lr"] = self.learning_rate * scale
            self._adam.step()
            return
        # what torch.optim.SGD calls, exported beside it: the object takes longer than the step of a small network, and
        # the first of its kind loads torch's compiler; other kernels round the last numbers of a vector otherwise, and
        # after 10,000 steps that is another minimum
        sgd(
            [self.position], [gradient], self._momentum, weight_decay=0.0, momentum=self.momentum, dampening=0.0,
            lr=self.learning_rate * scale, nesterov=self.kind == "nesterov", maximize=False, has_sparse_grad=False,
            foreach=False, fused=self._fused,
        )  # fmt: skip

    def place(self, theta: Tensor) -> None:
        """Move to ``theta`` and keep the momentum."""
        self.position.copy_(theta)

    def keep_momentum_along(self, tangent: Tensor) -> None:
        """Drop the part of the momentum that is not along the unit vectors ``tangent``, the shape of θ."""
        memory = self._averages()
        if memory:
            memory[0].copy_((memory[0] * tangent).sum(-1, keepdim=True) * tangent)

    def _averages(self) -> list[Tensor]:
        """Return the momentum and, of Adam, the average of squares; none of them before the first step."""
        if self._adam is None:
            return [memory for memory in self._momentum if memory is not None]
        memory = self._adam.state[self.theta]
        return [memory[name] for name in ("exp_avg", "exp_avg_sq") if name in memory]

    def state(self) -> Tensor:
        """Return the optimizer's memory, (S, *theta.shape): momentum, or Adam's two averages."""
        memory = self._averages()
        return torch.stack(memory) if memory else self.position.new_zeros(0, *self.position.shape)

    def restore(self, state: Tensor, steps: int) -> None:
        """Take over a memory that ``state`` returned after ``steps`` steps."""
        memory = [value.to(self.theta, copy=True) for value in state]
        if self._adam is None:
            self._momentum = [memory[0] if memory else None]
        elif memory:
            step = torch.tensor(float(steps))
            self._adam.state[self.theta].update(step=step, exp_avg=memory[0], exp_avg_sq=memory[1])


def schedule_scale(schedule: Schedule, done: float) -> float:
    """Return the factor on the learning rate after the share ``done`` of all steps."""
    if schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * done))
    if schedule == "step":
        return float(0.2 ** sum(done >= mark for mark in (0.3, 0.6, 0.8, 0.9)))  # Di Carlo et al. 2025
    if schedule == "constant":
        return 1.0
    raise ValueError(f'schedule must be "cosine", "step" or "constant", got {schedule!r}.')


def stability_limit(optimizer: Optimizer, momentum: float) -> float:
    """Return the largest η·h at which full-batch steps on ½hx² still converge; of Adam there is none."""
    if optimizer == "adam":
        return math.inf
    return 2 * (1 + momentum) / (1 + 2 * momentum) if optimizer == "nesterov" else 2 * (1 + momentum)


def sharpness(land: Landscape, theta: Tensor) -> float:
    """Return the largest Hessian eigenvalue at the first of ``theta``, by a few Lanczos steps from a fixed start.

    NaN where torch has no second derivative of what the landscape computes.
    """
    point = (theta if theta.ndim == 1 else theta[0]).detach()
    try:
        return float(extreme_eigenvalues(land, point, steps=12, generator=torch.Generator().manual_seed(0)).largest)
    except (RuntimeError, MemoryError):
        return math.nan


def warn_if_unstable(land: Landscape, theta: Tensor, stepper: Stepper) -> None:
    """Warn where η·λ_max at the start is past the stability limit of the step rule."""
    limit, learning_rate = stability_limit(stepper.kind, stepper.momentum), stepper.learning_rate
    if not math.isinf(limit) and learning_rate * (steepest := sharpness(land, theta)) > limit:
        warn(
            f"learning_rate * lambda_max = {learning_rate:g} * {steepest:.3g} = {learning_rate * steepest:.3g} is past "
            f"the stability limit {limit:.3g} where the steps start; they may diverge. "
            f"A learning_rate below {limit / steepest:.2g} is stable here.",
            StabilityWarning,
        )


def check_finite(land: Landscape, theta: Tensor, start: Tensor, step: int, learning_rate: float) -> None:
    """Raise a DivergenceError that names step, loss and η·λ_max, unless all of ``theta`` is finite and not vast."""
    size, begun = theta.norm(dim=-1), start.norm(dim=-1)
    fine = size < 1e3 * (1 + begun)  # which no NaN is
    if bool(fine.all()):
        return
    with torch.no_grad():
        loss = float(land.loss(theta[~fine][0] if theta.ndim == 2 else theta))
    product = learning_rate * sharpness(land, start)
    raise DivergenceError(
        f"The steps diverged by step {step}: loss {loss:.3g}, learning_rate * lambda_max = {product:.3g} where they "
        "started; lower learning_rate or momentum, or raise batch_size."
    )
