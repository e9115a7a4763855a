"""The step rules of training and of walkers: torch.optim on a whole crowd of parameter vectors at once.

Every rule here works entry by entry, so one optimizer moves (D,) or (P, D) alike.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch import Tensor

from .crowd import Crowd
from .curvature import extreme_eigenvalues
from .landscape import Landscape
from .settings import require_steps
from .snapshot import warn

Optimizer = Literal["sgd", "nesterov", "adam"]
Schedule = Literal["cosine", "step", "constant"]


class StabilityWarning(UserWarning):
    """The step is too large for the curvature where it starts."""


class DivergenceError(ArithmeticError):
    """The loss became infinite or NaN, or left any sensible range."""


class Stepper:
    """A copy of parameter vectors, (D,) or (P, D), or a crowd, with the optimizer that moves them and its momentum.

    "sgd" is heavy ball where momentum > 0; of "adam" the momentum is β₁.
    """

    def __init__(self, theta: Tensor | Crowd, optimizer: Optimizer, learning_rate: float, momentum: float) -> None:
        require_steps(learning_rate, momentum)
        if optimizer == "nesterov" and momentum == 0:
            raise ValueError("nesterov needs momentum > 0, got 0; use optimizer='sgd' or momentum=0.9.")
        if optimizer not in ("sgd", "nesterov", "adam"):
            raise ValueError(f'optimizer must be "sgd", "nesterov" or "adam", got {optimizer!r}.')
        self.crowd = theta if isinstance(theta, Crowd) else Crowd(theta)
        self.kind, self.learning_rate, self.momentum = optimizer, learning_rate, momentum
        begun = self.position
        self._first = (begun if begun.ndim == 1 else begun[0]).clone()
        self._vast = 1e3 * (1 + begun.norm(dim=-1))  # a size that no sensible step leads to
        self._averages: list[Tensor] = []  # momentum and, of Adam, the average of squares; none before the first step
        self._adam = None
        if optimizer == "adam":
            self._leaf = self.crowd.numbers.detach().requires_grad_()  # the same memory
            self._adam = torch.optim.Adam([self._leaf], lr=learning_rate, betas=(momentum, 0.999))

    @property
    def position(self) -> Tensor:
        """The parameter vectors, apart from any graph; perhaps the same memory."""
        return self.crowd.position

    def step(self, gradient: Tensor, scale: float = 1.0, decay: float = 0.0) -> None:
        """Take one step along −gradient, in the crowd's order, with the learning rate times ``scale``.

        ``decay`` is the weight decay that the gradient lacks, see ``Crowd.slope``.
        """
        numbers, rate = self.crowd.numbers, self.learning_rate * scale
        if decay and (self._adam is not None or self.momentum == 0):
            gradient = gradient.add(numbers, alpha=decay)
        if self._adam is not None:
            self._leaf.grad = gradient
            self._adam.param_groups[0]["lr"] = rate
            self._adam.step()
            self._averages = [self._adam.state[self._leaf][name] for name in ("exp_avg", "exp_avg_sq")]
        elif self.momentum == 0:  # one line, and on a valley a quarter of the whole step's time
            numbers.add_(gradient, alpha=-rate)
        else:
            first = not self._averages
            if first:
                self._averages = [torch.empty_like(numbers)]
            # what torch.optim.SGD(fused=True) calls in the end: its own way there takes longer than the step of a small
            # network, and loads torch's compiler; other kernels round the last numbers of a vector otherwise, and after
            # 10,000 steps that is another minimum. tests/physics/test_train.py notices where the two differ.
            torch._fused_sgd_(
                [numbers], [gradient], self._averages, weight_decay=decay, momentum=self.momentum, dampening=0.0,
                lr=rate, nesterov=self.kind == "nesterov", maximize=False, is_first_step=first,
            )  # fmt: skip

    def place(self, theta: Tensor) -> None:
        """Move to ``theta`` and keep the momentum."""
        self.crowd.place(theta)

    def keep_momentum_along(self, tangent: Tensor) -> None:
        """Drop the momentum but for its part along the unit vectors ``tangent``, the shape of θ; all of it where 0."""
        if self._averages:
            along = (self.crowd.vectors(self._averages[0]) * tangent).sum(-1, keepdim=True)
            self._averages[0].copy_(self.crowd.ordered(along * tangent))

    def check(self, land: Landscape, step: int, theta: Tensor | None = None) -> None:
        """Raise a DivergenceError that names step, loss and η·λ_max, unless all of ``theta`` is finite and not vast.

        None looks at where the steps have come to.
        """
        theta = self.position if theta is None else theta
        fine = theta.norm(dim=-1) < self._vast  # which no NaN is
        if bool(fine.all()):
            return
        with torch.no_grad():
            loss = float(land.loss(theta[~fine][0] if theta.ndim == 2 else theta))
        product = self.learning_rate * sharpness(land, self._first)
        raise DivergenceError(
            f"The steps diverged by step {step}: loss {loss:.3g}, learning_rate * lambda_max = {product:.3g} where "
            "they started; lower learning_rate or momentum, or raise batch_size."
        )

    def state(self) -> Tensor:
        """Return the optimizer's memory, (S, *theta.shape): momentum, or Adam's two averages."""
        memory = [self.crowd.vectors(values) for values in self._averages]
        return torch.stack(memory) if memory else self.position.new_zeros(0, *self.position.shape)

    def restore(self, state: Tensor, steps: int) -> None:
        """Take over a memory that ``state`` returned after ``steps`` steps."""
        self._averages = [self.crowd.ordered(value.to(self.crowd.numbers, copy=True)) for value in state]
        if self._adam is not None and self._averages:
            step, (first, second) = torch.tensor(float(steps)), self._averages
            self._adam.state[self._leaf].update(step=step, exp_avg=first, exp_avg_sq=second)


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


def batch_limit(optimizer: Optimizer, learning_rate: float, momentum: float) -> float:
    """Return 2(1-m)/η, at which batch sharpness levels off under SGD with small batches; of Adam there is none.

    References:
        Momentum further constrains sharpness at the edge of stochastic stability (2026), arXiv:2604.14108. With large
        batches it levels off where λ_max does without noise, at 2(1+m)/η.
    """
    return math.inf if optimizer == "adam" else 2 * (1 - momentum) / learning_rate


def batch_sharpness(land: Landscape, theta: Tensor, batch: Any) -> tuple[Tensor, Tensor]:
    """Return gᵀHg/‖g‖² for gradient g and Hessian H of each row's own batch, (P,), and the gradients, (P, D).

    Hg is the central difference of the batch's gradient along g, over the root of round-off times 1 + ‖θ‖: two more
    gradients, on any landscape. In single precision that is short enough to pass few of a ReLU net's kinks.
    """
    gradient = land.gradient_on(theta, batch)
    along = gradient / gradient.norm(dim=-1, keepdim=True)
    step = torch.finfo(theta.dtype).eps ** 0.5 * (1 + theta.norm(dim=-1, keepdim=True))
    ahead, behind = (land.gradient_on(theta + side * step * along, batch) for side in (1, -1))
    return ((ahead - behind) * along).sum(-1) / (2 * step[:, 0]), gradient


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
