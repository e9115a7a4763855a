"""What everything stands on: a scalar function of one flat parameter vector.

A two-dimensional valley and a network on CIFAR-10 are the same kind of object here, so each algorithm is
written once, tested on surfaces whose answers are known, and used on both.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor


def device() -> torch.device:
    """Return the fastest device at hand: CUDA, else Apple's MPS, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


@contextmanager
def full_precision() -> Iterator[None]:
    """Compute float32 as float32 inside: no TensorFloat-32, which keeps ten bits of each factor on some GPUs."""
    places: tuple[Any, Any] = (torch.backends.cuda.matmul, torch.backends.cudnn)
    before = [place.allow_tf32 for place in places]
    for place in places:
        place.allow_tf32 = False
    try:
        yield
    finally:
        for place, allowed in zip(places, before, strict=True):
            place.allow_tf32 = allowed


class Landscape(ABC):
    """A loss L(θ) of one flat vector θ, shape (D,), with the noise that a batch of size B puts on its gradient.

    A subclass says how to compute the loss, how to draw one batch, and the gradient on it; ``gradient`` joins them.

    Attributes:
        dim: Number of parameters D.
        weight_decay: Coefficient λ of the term ½λ‖θ‖² that ``loss`` already holds; 0 where there is none.
    """

    dim: int
    weight_decay: float = 0.0

    @abstractmethod
    def loss(self, theta: Tensor) -> Tensor:
        """Return the whole objective on all data, (D,) -> () or (P, D) -> (P,); torch.func differentiates it."""

    @abstractmethod
    def draw(self, batch_size: int, generator: torch.Generator, rows: int | None = None) -> Any:
        """Draw what is random in one step: one batch for all (``rows=None``) or one for each of ``rows`` walkers."""

    @abstractmethod
    def gradient_on(self, theta: Tensor, batch: Any | None) -> Tensor:
        """Return the gradient on one drawn batch, or on all data where ``batch`` is None; the shape of ``theta``."""

    @torch.no_grad()
    def loss_and_gradient_on(self, theta: Tensor, batch: Any | None) -> tuple[Tensor, Tensor]:
        """Return loss and gradient on one batch that all rows share, (P,) and (P, D)."""
        return self.loss(theta), self.gradient_on(theta, batch)

    @abstractmethod
    def initial(self, generator: torch.Generator) -> Tensor:
        """Return a random start, shape (D,)."""

    @property
    def signature(self) -> str:
        """What tells this landscape's parameters from those of another with as many; a path remembers it."""
        return type(self).__name__

    def steps_per_epoch(self, batch_size: int | None) -> int:
        """Return the steps that ``epoch`` yields; 1 on a landscape without data."""
        return 1

    def epoch(
        self, batch_size: int | None, generator: torch.Generator, rows: int | None = None
    ) -> Iterator[Any | None]:
        """Yield the batches of one pass through the data, for ``gradient_on``; None stands for all data."""
        yield None if batch_size is None else self.draw(batch_size, generator, rows)

    def pieces(self, weight_decay: bool = True) -> list[Callable[[Tensor], Tensor]]:
        """Return functions (D,) -> () that add up to ``loss``; large data come in several, so that memory is bounded.

        Args:
            weight_decay: Whether the term ½λ‖θ‖² is among them.
        """
        return [self.loss]

    def gradient(
        self,
        theta: Tensor,
        batch_size: int | None = None,
        generator: torch.Generator | None = None,
        *,
        shared: bool = False,
    ) -> Tensor:
        """Return the gradient of the loss, or its noisy estimate from one batch.

        Args:
            theta: One parameter vector (D,) or several (P, D).
            batch_size: Samples B in the batch; None takes all data, without noise.
            generator: Source of the batch; needed where ``batch_size`` is given.
            shared: Whether all rows of ``theta`` see one batch; otherwise each draws its own.

        Returns:
            Gradient, the shape of ``theta``.

        Raises:
            ValueError: If ``theta`` belongs to another landscape, or a batch is asked for without a generator.
        """
        self.check(theta)
        if batch_size is None:
            return self.gradient_on(theta, None)
        if generator is None:
            raise ValueError(
                f"batch_size={batch_size} draws a random batch and needs a generator; "
                "pass generator=torch.Generator().manual_seed(0), or batch_size=None for all data."
            )
        rows = None if shared or theta.ndim == 1 else len(theta)
        return self.gradient_on(theta, self.draw(batch_size, generator, rows))

    def check(self, theta: Tensor) -> None:
        """Raise a ValueError unless ``theta`` has shape (D,) or (P, D) for this landscape, and its kind of numbers."""
        self.check_shape(theta)
        own = getattr(self, "dtype", None)  # a network computes in one precision, a valley in any
        if not theta.is_floating_point() or (own is not None and theta.dtype != own):
            wanted = own or "a floating-point type"
            raise ValueError(f"theta is of {theta.dtype}, wanted {wanted}; theta.to(land.initial(generator)) converts.")

    def check_shape(self, theta: Tensor) -> None:
        """Raise a ValueError unless ``theta`` has shape (D,) or (P, D) for this landscape."""
        if theta.ndim not in (1, 2) or theta.shape[-1] != self.dim:
            raise ValueError(
                f"This landscape has {self.dim} parameters and takes theta of shape ({self.dim},) or (P, {self.dim}), "
                f"got {tuple(theta.shape)}; was it made for another model?"
            )
