"""What everything stands on: a scalar function of one flat parameter vector, be it a valley or a network.

So each algorithm is written once, tested on surfaces whose answers are known, and used on both.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from .crowd import Crowd
from .mean import Estimate


def random_signs(number: int, like: Tensor, generator: torch.Generator) -> Tensor:
    """Return random signs (number, D) for θ (..., D), drawn where the generator lives."""
    signs = torch.randint(2, (number, like.shape[-1]), generator=generator, device=generator.device)
    return (2 * signs - 1).to(like)


def random_seed(generator: torch.Generator) -> int:
    """Return a seed for generators of one's own, below 2⁶²."""
    return int(torch.randint(2**62, (), generator=generator, device=generator.device))


@torch.enable_grad()
def pulled_back(z: Tensor, leaves: Any, vector: Tensor, **options: Any) -> tuple[Tensor, ...]:
    """Return Jᵀv of z by leaves, as ``torch.autograd.grad(z, leaves, v)`` does.

    Told of v, torch first loads sympy, once in a process: most of a second.
    """
    return torch.autograd.grad((z * vector).sum(), leaves, **options)


class Landscape(ABC):
    """A loss L(θ) of one flat vector θ, shape (D,), with the noise that a batch of size B puts on its gradient.

    A subclass says how to compute the loss, how to draw one batch, and the gradient on it. All else follows, but where
    a subclass knows a faster or an exact way to curvature, trace or noise.

    Attributes:
        dim: Number of parameters D.
        weight_decay: Coefficient λ of the term ½λ‖θ‖² that ``loss`` already holds; 0 where there is none.
        num_samples: Number N of samples that a batch is drawn from; None where a batch may have any size.
        splits: Data on which ``accuracy`` can be measured, "train" and perhaps "test"; empty without classes.
        label_ratio: What label noise adds to the covariance of one sample's gradient, in units of H; 0 without.
        noise_shape: Shape of a batch's gradient noise, in ``noise.SHAPES``; "curvature" is an assumption for networks.
    """

    dim: int
    weight_decay: float = 0.0
    num_samples: int | None = None
    splits: tuple[str, ...] = ()
    label_ratio: float = 0.0
    noise_shape: str = "curvature"

    @property
    def gives_loss(self) -> bool:
        """Whether ``data_loss_and_gradient_on`` costs no more than the gradient."""
        return False

    @property
    def stacks(self) -> bool:
        """Whether products with the Hessians at many θ are computed together rather than one θ after the other."""
        return False

    @abstractmethod
    def loss(self, theta: Tensor) -> Tensor:
        """Return the whole objective on all data, (D,) -> () or (P, D) -> (P,); torch.func differentiates it."""

    @abstractmethod
    def draw(self, batch_size: int, generator: torch.Generator, rows: int | None = None) -> Any:
        """Draw what is random in one step: one batch for all (``rows=None``) or one for each of ``rows`` walkers."""

    def draw_labels(self, batch_size: int, generator: torch.Generator, rows: int | None = None) -> Any:
        """Draw label noise without sampling noise, as strong as in batches of B; a ValueError without labels."""
        raise ValueError(f'{type(self).__name__} has no labels to jitter; take noise="minibatch".')

    @abstractmethod
    def gradient_on(self, theta: Tensor, batch: Any | None) -> Tensor:
        """Return the gradient on one drawn batch, or on all data where ``batch`` is None; the shape of ``theta``."""

    @torch.no_grad()
    def loss_and_gradient_on(self, theta: Tensor, batch: Any | None) -> tuple[Tensor, Tensor]:
        """Return loss and gradient on one batch that all rows share, (P,) and (P, D)."""
        return self.loss(theta), self.gradient_on(theta, batch)

    @torch.no_grad()
    def data_loss_and_gradient_on(self, theta: Tensor, batch: Any | None) -> tuple[Tensor, Tensor]:
        """Return a loss whose mean over batches is ``data_loss``, here itself (NaN: none), and the gradient."""
        return self.data_loss(theta), self.gradient_on(theta, batch)

    def threads(self, samples: int | None) -> int | None:
        """Return on how many threads a step on batches of so many samples (None: all) is computed; None: torch's own.

        Small steps are not shared: threads mostly wait for each other, on a busy machine most of the time.
        """
        return 1

    def crowd(self, theta: Tensor) -> Crowd:
        """Return a copy of parameter vectors, (D,) or (P, D), that many steps are to move."""
        return Crowd(theta, self)

    @abstractmethod
    def initial(self, generator: torch.Generator) -> Tensor:
        """Return a random start, shape (D,)."""

    def vector(self, source: Any) -> Tensor:
        """Return the parameters of a run or an array as a vector (D,); of a network also those of a module."""
        theta = getattr(source, "theta", source)
        if isinstance(theta, np.ndarray):
            return torch.from_numpy(theta)
        if not isinstance(theta, Tensor):
            raise ValueError(f"Parameters come as a vector ({self.dim},) or a Run, got {type(source).__name__}.")
        return theta

    def data_loss(self, theta: Tensor) -> Tensor:
        """Return the loss without its weight-decay term, (D,) -> () or (P, D) -> (P,)."""
        loss = self.loss(theta)
        return loss - 0.5 * self.weight_decay * theta.square().sum(-1) if self.weight_decay else loss

    def accuracy(self, theta: Tensor, split: str = "train") -> Tensor:
        """Return the share of samples classified rightly, (D,) -> () or (P, D) -> (P,), on a split of ``splits``."""
        raise ValueError(f"{type(self).__name__} classifies nothing, so it has no accuracy; use loss(theta).")

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
        """Return functions (D,) -> () that add up to ``loss``, or to ``data_loss``; several, to bound memory."""
        return [self.loss]

    @sdpa_kernel(SDPBackend.MATH)  # fused attention kernels have no second derivative
    def hessian_vector_product(self, theta: Tensor, vector: Tensor, *, weight_decay: bool = True) -> Tensor:
        """Return Hv of ``loss``, or of ``data_loss`` without weight decay; ``curvature`` says more, and checks."""
        if theta.ndim == 2:
            rows = zip(theta, vector, strict=True)
            return torch.stack([self.hessian_vector_product(t, v, weight_decay=weight_decay) for t, v in rows])
        product = vector.new_zeros(vector.shape)
        for piece in self.pieces(weight_decay):
            with torch.enable_grad():  # torch.func does the same, but first loads torch's compiler: seconds
                here = theta.detach().requires_grad_()
                loss = piece(here)
                graph = loss.requires_grad
                gradient = torch.autograd.grad(loss, here, create_graph=True)[0] if graph else here.detach()
            if not gradient.requires_grad:  # the same everywhere
                continue
            for v, total in zip(vector.reshape(-1, self.dim), product.view(-1, self.dim), strict=True):
                # H is symmetric, so v ↦ Hv
                total += pulled_back(gradient, here, v, retain_graph=True, materialize_grads=True)[0]
        return product

    def hessian_at(self, theta: Tensor, *, weight_decay: bool = True) -> Callable[[Tensor], Tensor]:
        """Return v ↦ Hv as ``hessian_vector_product`` has it, for many products at θ.

        What they share may be kept for as long as this is held: at one θ (D,) a chain of convolutions keeps its passes
        over all data where they take at most 1 GB.
        """
        return lambda vector: self.hessian_vector_product(theta, vector, weight_decay=weight_decay)

    def has_exact_trace(self, generator: torch.Generator) -> bool:
        """Return whether ``trace`` needs no random probes for any D; the generator is for what has to be tried out."""
        return False

    @torch.no_grad()
    def trace(
        self,
        theta: Tensor,
        *,
        generator: torch.Generator,
        num_probes: int = 16,
        weight_decay: bool = True,
        scale: Tensor | None = None,
    ) -> Estimate:
        """Return tr H as ``curvature.hutchinson_trace``, but exactly where that is known or D <= ``num_probes``."""
        if self.dim > num_probes:
            return self.probed_trace(theta, random_signs(num_probes, theta, generator), weight_decay, scale)
        units = self.dim**0.5 * torch.eye(self.dim, dtype=theta.dtype, device=theta.device)
        exact = self.probed_trace(theta, units, weight_decay, scale)
        return Estimate(exact.value, torch.zeros_like(exact.error), exact.samples)

    def probed_trace(self, theta: Tensor, probes: Tensor, weight_decay: bool, scale: Tensor | None) -> Estimate:
        """Return the mean of vᵀHv over probes v (V, D), an estimate of ``trace`` if the mean of vvᵀ is I."""
        rows, samples = theta.reshape(-1, self.dim), []
        scales = rows.new_ones(rows.shape) if scale is None else scale.expand(theta.shape).reshape(rows.shape)
        for t, s in zip(rows, scales, strict=True):
            product = self.hessian_vector_product(t, s * probes, weight_decay=weight_decay)
            samples.append((s * product * probes).sum(1))
        return Estimate.of(torch.stack(samples).view(*theta.shape[:-1], -1))

    def noise_trace(self, theta: Tensor) -> Tensor:
        """Return the trace of the covariance of one sample's gradient, label noise included, (D,) -> () or (P,)."""
        return theta.new_zeros(theta.shape[:-1])

    def without_label_noise(self) -> Landscape:
        """Return the same objective, whose batches draw samples alone; itself where labels have no noise."""
        return self

    def scale_free(self, theta: Tensor) -> dict[str, slice]:
        """Return where the parts of θ lie whose scale changes nothing that data see, at (D,) or each of (P, D)."""
        return {}

    def subset(self, index: Tensor) -> Landscape:
        """Return the landscape of the samples at these indices (n,), all else as it is, or a ValueError."""
        raise ValueError(f"{type(self).__name__} has no samples to choose from; use it whole.")

    def to(self, where: torch.device | torch.dtype | str) -> Landscape:
        """Return the landscape on another device or in another dtype; itself where it follows θ."""
        return self

    def precise(self) -> Landscape:
        """Return the landscape in float64, on the CPU where its device has no such numbers."""
        device: torch.device | None = getattr(self, "device", None)
        land = self.to("cpu") if device is not None and device.type == "mps" else self
        return land if getattr(land, "dtype", None) == torch.float64 else land.to(torch.float64)

    def gradient(
        self,
        theta: Tensor,
        batch_size: int | None = None,
        generator: torch.Generator | None = None,
        *,
        shared: bool = False,
    ) -> Tensor:
        """Return the gradient, (D,) or (P, D), or its estimate from a batch of B: each row's own, or one ``shared``."""
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
        """Raise a ValueError unless ``theta`` has a shape and numbers of this landscape."""
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
