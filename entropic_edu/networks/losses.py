"""The losses of a network: each with its derivatives by the outputs, and with what label noise does to it.

A new loss is one class here. Outputs z are (..., N, C) for N samples; targets y are theirs, (N,) or (N, C). For outputs
of other shapes, (N,) or (N, T, V) or (N, C, H, W), there is ``Custom``, which differentiates by autograd.

Label noise draws class numbers anew, batch by batch. Its mean is a loss too: cross-entropy is linear in the
probabilities that are its targets, so the mean is the loss of the mean targets, (1 - p) e_y + p/C, as of label
smoothing (Szegedy et al. 2016, CVPR, section 7). ``averaged`` gives them, and all data are taken with them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal, Self, TypeGuard

import torch
import torch.nn.functional as F
from torch import Tensor

from . import loss_checks
from .layers import missing_derivative, pull_back, side_by_side

FEW_CLASSES = 32  # up to which a softmax over the last dimension is slow in torch

Criterion = Literal["cross_entropy", "mse"] | Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, kw_only=True)
class Loss(ABC):
    """A mean over samples of what outputs cost against targets."""

    name: str
    mean: Callable[[Tensor, Tensor], Tensor]  # over the samples of one network, outputs (N, C) and targets -> ()
    label_noise: float  # σ of the jitter of real targets, or the probability that a class is drawn anew
    classes: int = 0  # C that label noise draws from; 0 where it draws none

    @abstractmethod
    def slopes(self, z: Tensor, y: Tensor) -> Tensor:
        """Return the derivative of each sample's loss by its outputs (..., N, C), averaged over label noise."""

    @abstractmethod
    def curvature_rows(self, z: Tensor, y: Tensor) -> Tensor:
        """Return r_c (..., K, N, C) with Σ_c r_c r_cᵀ = H_out, the Hessian of a sample's loss by its outputs."""

    def gradient_rows(self, z: Tensor, y: Tensor) -> Tensor:
        """Return vectors (..., K, N, C) whose E Σ |Jᵀr|² is E|g|²; label noise adds, or splits, directions."""
        return self.slopes(z, y).unsqueeze(-3)

    def targets(self, y: Tensor, outputs: Tensor, what: str) -> Tensor:
        """Return targets as this loss takes them; ValueError if they do not fit the outputs (N, ...) of ``what``."""
        return y

    def jitter(self, y: Tensor, generator: torch.Generator, factor: float) -> Tensor:
        """Return targets with fresh label noise, ``factor`` times as strong if they are real numbers."""
        if not self.label_noise:
            return y
        if y.is_floating_point():
            return y + self.label_noise * factor * normal(y, generator)
        flip = torch.rand(y.shape, generator=generator, device=generator.device) < self.label_noise
        other = torch.randint(self.classes, y.shape, generator=generator, device=generator.device)
        return torch.where(flip.to(y.device), other.to(y.device), y)

    def averaged(self, y: Tensor, dtype: torch.dtype) -> Tensor:
        """Return targets whose loss is the mean over label noise: of class numbers (N, ...) shares (N, C, ...)."""
        return shares(y, self.classes, self.label_noise, dtype) if self.classes and not y.is_floating_point() else y

    def label_ratio(self, y: Tensor) -> float:
        """Return what the jitter adds to the covariance of one sample's gradient, in units of H.

        Drawn classes add Jᵀ(diag q - qqᵀ)J for shares q at each place, which is H where the softmax is q.
        """
        return 1 / y[0].numel() if self.classes else 0.0

    def general(self) -> Custom:
        """Return the same for outputs of any shape (N, ...)."""
        return Custom(name=self.name, mean=self.mean, label_noise=self.label_noise, classes=self.classes)

    def moved(self, device: torch.device, dtype: torch.dtype) -> Self:
        """Return the same with what its function holds on a device and in a dtype."""
        return replace(self, mean=loss_checks.moved(self.mean, device, dtype))


@dataclass(frozen=True, kw_only=True)
class CrossEntropy(Loss):
    """-log softmax(z)_y for class numbers y, or its mean over classes with weights y (N, C)."""

    name: str = "cross_entropy"
    mean: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy

    def __post_init__(self) -> None:
        if self.label_noise > 1:
            raise ValueError(f"label_noise is a probability for class targets, got {self.label_noise}.")

    def targets(self, y: Tensor, outputs: Tensor, what: str) -> Tensor:
        if outputs.ndim < 2:
            raise ValueError(
                "cross_entropy needs outputs (N, C), and the model has one number for each sample; for two classes "
                "take loss=nn.BCEWithLogitsLoss() with y.float()."
            )
        if not y.is_floating_point():
            return _labels(y, outputs, what)
        if y.ndim == 1:
            raise ValueError(f"cross_entropy needs class numbers of an integer type, got {y.dtype}; use y.long().")
        if y.shape[1:] != outputs.shape[1:]:
            raise ValueError(
                f"cross_entropy needs class numbers, or weights of classes of the outputs' shape {_rows(outputs)}, got "
                f"{what} targets {tuple(y.shape)} of {y.dtype}."
            )
        return y

    def means(self, z: Tensor, y: Tensor) -> Tensor:
        """Return the mean of each network, (P, N, C) -> (P,), for class numbers or shares that add up to 1."""
        logs = torch.log_softmax(z, -1) if z.shape[-1] > FEW_CLASSES else torch.log_softmax(z.mT, 1).mT
        if y.is_floating_point():
            return -(y * logs).sum(-1).mean(1)
        return -logs.gather(-1, y.expand(z.shape[:2])[..., None])[..., 0].mean(1)

    def mean_slopes(self, z: Tensor, y: Tensor) -> Tensor:
        """Return the derivative δ of each network's mean by its outputs, (P, N, C)."""
        p = _softmax(z)
        if y.is_floating_point():
            return p.sub_(y).div_(z.shape[-2])
        at = y.expand(p.shape[:-1])[..., None]
        return p.scatter_add_(-1, at, p.new_full((), -1.0).expand(at.shape)).div_(z.shape[-2])

    def slopes_along(self, z: Tensor, z_dot: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return δ and its derivative δ̇ along ż, for targets that all networks share."""
        p = torch.softmax(z, -1)
        p_dot = p * (z_dot - (p * z_dot).sum(-1, keepdim=True))
        if y.is_floating_point():
            return (p - y) / len(y), p_dot / len(y)
        at = y[None, :, None].expand(len(z), -1, 1)
        return p.scatter_add(-1, at, -torch.ones_like(z[..., :1])) / len(y), p_dot / len(y)

    def slopes(self, z: Tensor, y: Tensor) -> Tensor:
        weights = self._weights(z, y)
        return weights.sum(-1, keepdim=True) * torch.softmax(z, -1) - weights

    def curvature_rows(self, z: Tensor, y: Tensor) -> Tensor:
        p = torch.softmax(z, -1)
        rows = _class_rows(p, p)
        return rows * y.sum(-1, keepdim=True).sqrt() if y.is_floating_point() else rows

    def gradient_rows(self, z: Tensor, y: Tensor) -> Tensor:
        if not self.label_noise:
            return super().gradient_rows(z, y)
        # E|Jᵀ(p - e_c)|² over the classes c that the label may become
        return _class_rows(self._weights(z, y), torch.softmax(z, -1))

    def _weights(self, z: Tensor, y: Tensor) -> Tensor:
        """Return each sample's probability of classes as its target, (N, C)."""
        return y if y.is_floating_point() else shares(y, z.shape[-1], self.label_noise, z.dtype)


@dataclass(frozen=True, kw_only=True)
class SquaredError(Loss):
    """|z - y|²/C for targets y (N, C); class numbers become one-hot rows."""

    name: str = "mse"
    mean: Callable[[Tensor, Tensor], Tensor] = F.mse_loss

    def targets(self, y: Tensor, outputs: Tensor, what: str) -> Tensor:
        fits = y.shape[1:] == outputs.shape[1:]
        if not y.is_floating_point():
            if fits and outputs.ndim != 2:
                return y.to(outputs.dtype)
            return F.one_hot(_labels(y, outputs, what), outputs.shape[1]).movedim(-1, 1).to(outputs.dtype)
        if not fits:
            one = "y[:, 0]" if outputs.ndim == 1 else "y[:, None]"
            raise ValueError(
                f"mse needs targets of the outputs' shape {_rows(outputs)}, got {tuple(y.shape)}; for one output use "
                f"{one}."
            )
        return y

    def means(self, z: Tensor, y: Tensor) -> Tensor:
        return (z - y).square().mean((-2, -1))

    def mean_slopes(self, z: Tensor, y: Tensor) -> Tensor:
        return (z - y) * (2 / (z.shape[-1] * z.shape[-2]))

    def slopes_along(self, z: Tensor, z_dot: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return 2 * (z - y) / y.numel(), 2 * z_dot / y.numel()

    def slopes(self, z: Tensor, y: Tensor) -> Tensor:
        return (z - y) * (2 / z.shape[-1])

    def curvature_rows(self, z: Tensor, y: Tensor) -> Tensor:
        classes = z.shape[-1]
        return torch.mul(_eye(z), (2 / classes) ** 0.5).expand(*z.shape[:-2], classes, *z.shape[-2:])

    def gradient_rows(self, z: Tensor, y: Tensor) -> Tensor:
        rows = super().gradient_rows(z, y)
        if not self.label_noise:
            return rows
        # ∂ℓ/∂z = (2/C)(z - y - σξ), and E ξξᵀ = 1
        return torch.cat([rows, self.label_noise * (2 / z.shape[-1]) ** 0.5 * self.curvature_rows(z, y)], -3)

    def label_ratio(self, y: Tensor) -> float:
        return 2 * self.label_noise**2 / y.shape[-1]

    def general(self) -> Custom:
        return replace(super().general(), squared=True)


def is_written_out(loss: Loss, y: Tensor) -> TypeGuard[CrossEntropy | SquaredError]:
    """Return whether a loss has derivatives for stacks, and knows what label noise does, with such targets."""
    return isinstance(loss, SquaredError) or (isinstance(loss, CrossEntropy) and not y.is_floating_point())


def knows_label_noise(loss: Loss, y: Tensor) -> bool:
    """Return whether a loss has gradient rows with label noise, for such targets."""
    return is_written_out(loss, y) or (isinstance(loss, Custom) and loss.squared)


class NotConvexError(ValueError):
    """A loss has negative curvature in the outputs, so that there are no vectors r with Σ r rᵀ = H_out."""


@dataclass(frozen=True, kw_only=True)
class Custom(Loss):
    """A callable (outputs, targets) -> scalar that is a mean over samples, of outputs (N, ...); by autograd."""

    squared: bool = False  # whether it is |z - y|² over the number of a sample's outputs, whose label noise is known
    loops: set[str] = field(default_factory=set, repr=False, compare=False)  # as in ``layers.side_by_side``

    def general(self) -> Custom:
        return self

    def slopes(self, z: Tensor, y: Tensor) -> Tensor:
        y = self.averaged(y, z.dtype)
        together = partial(torch.vmap(torch.func.grad(self._one)), z, y)
        return side_by_side(together, lambda: self._singly(z, y, False), self.loops, "samples")

    def gradient_rows(self, z: Tensor, y: Tensor) -> Tensor:
        rows = self.slopes(z, y)[None]
        if not (self.label_noise and self.squared):
            return rows
        return torch.cat([rows, self.label_noise * (2 / z[0].numel()) ** 0.5 * self.curvature_rows(z, y)])

    def label_ratio(self, y: Tensor) -> float:
        return 2 * self.label_noise**2 / y[0].numel() if self.squared else super().label_ratio(y)

    def curvature_rows(self, z: Tensor, y: Tensor) -> Tensor:
        def one(flat: Tensor, y: Tensor) -> Tensor:
            return self._one(flat.view(z.shape[1:]), y)

        together = partial(torch.vmap(torch.func.jacrev(torch.func.grad(one))), z.reshape(len(z), -1), y)
        hessians = side_by_side(together, lambda: self._singly(z, y, True), self.loops, "samples")
        values, vectors = torch.linalg.eigh(hessians)  # (N, C), (N, C, C) with vectors in columns
        # round-off of p - p² in the Hessian of a softmax is not concavity
        if values.min() < -1e-4 * values.abs().max() - 10 * torch.finfo(z.dtype).eps:
            raise NotConvexError(
                f"The loss {self.name!r} is not convex in the outputs (smallest eigenvalue of its Hessian "
                f"{float(values.min()):.3g}), so it has no Gauss-Newton factors; use hutchinson_trace."
            )
        return torch.mul(vectors, values.clamp(min=0).sqrt().unsqueeze(-2)).permute(2, 0, 1).reshape(-1, *z.shape)

    def _singly(self, z: Tensor, y: Tensor, twice: bool) -> Tensor:
        """Return the slopes of each sample (N, ...), or ``twice`` its Hessian by flat outputs (N, M, M)."""
        found = []
        for one, target in zip(z.split(1), y.split(1), strict=True):
            with torch.enable_grad():
                leaf = one.detach().clone().requires_grad_()
                loss = self.mean(leaf, target) + 0 * leaf.sum()  # a sample that does not count depends on nothing
                loss = loss * leaf.new_ones(()).requires_grad_()  # as missing_derivative asks
                slope = torch.autograd.grad(loss, leaf, create_graph=twice)[0]
            if twice:
                if missing_derivative(slope):
                    raise ValueError(f"The loss {self.name!r} has no second derivative by the outputs.")
                units = torch.eye(leaf.numel()).to(leaf).view(-1, *leaf.shape)
                slope = pull_back(slope, [leaf], units)[0].view(1, leaf.numel(), leaf.numel())
            found.append(slope)
        return torch.cat(found)

    def _one(self, z: Tensor, y: Tensor) -> Tensor:
        return self.mean(z[None], y[None])


def loss_of(criterion: Criterion, label_noise: float = 0.0) -> Loss:
    """Return the loss of a name or a callable."""
    if criterion in ("cross_entropy", F.cross_entropy):
        return CrossEntropy(label_noise=label_noise)
    if criterion in ("mse", F.mse_loss):
        return SquaredError(label_noise=label_noise)
    if not callable(criterion):
        raise ValueError(f'loss must be "cross_entropy", "mse" or a callable(outputs, targets), got {criterion!r}.')
    name = f"custom {getattr(criterion, '__name__', 'loss')}"  # apart from the two that are built in
    return Custom(name=name, mean=criterion, label_noise=label_noise)


def drawing(loss: Loss, y: Tensor, outputs: torch.Size) -> Loss:
    """Return the loss with the classes that its label noise draws from, as many as there are outputs (N, C, ...).

    Raises:
        ValueError: If nobody knows the mean over the draws, so that noisy gradients had no full-batch objective.
    """
    if not loss.label_noise or y.is_floating_point():
        return loss
    if loss.name != "cross_entropy":
        raise ValueError(
            "label_noise with class numbers needs a loss whose mean over the drawn classes is known, "
            f'loss="cross_entropy" or "mse", got {loss.name!r}; or redraw labels once, before Network.'
        )
    return replace(loss, classes=outputs[1])


def shares(y: Tensor, classes: int, noise: float, dtype: torch.dtype, axis: int = 1) -> Tensor:
    """Return the probabilities of the ``classes`` that class numbers have with label noise, along a new ``axis``."""
    any_class = noise / classes
    rest = torch.full((*y.shape[:axis], classes, *y.shape[axis:]), any_class, dtype=dtype, device=y.device)
    return rest.scatter_(axis, y.unsqueeze(axis), 1 - noise + any_class)


def normal(like: Tensor, generator: torch.Generator) -> Tensor:
    """Return normal numbers of the shape, dtype and device of a tensor, drawn where the generator lives."""
    return torch.randn(like.shape, generator=generator, device=generator.device, dtype=like.dtype).to(like.device)


def _labels(y: Tensor, outputs: Tensor, what: str) -> Tensor:
    classes = outputs.shape[1]
    if y.shape[1:] != outputs.shape[2:] or int(y.min()) < 0 or int(y.max()) >= classes:
        shape = ", ".join(["N", *map(str, outputs.shape[2:])]) + ("," if outputs.ndim == 2 else "")
        axis = f" (axis 1 of {_rows(outputs)}; for classes last take F.cross_entropy(z.flatten(0, 1), y.flatten()))"
        raise ValueError(
            f"The {what} labels must be class numbers 0 to {classes - 1} of shape ({shape}), since the model has "
            f"{classes} outputs{axis if outputs.ndim == 3 else ''}; got {int(y.min())} to {int(y.max())} of shape "
            f"{tuple(y.shape)}."
        )
    return y.long()


def _rows(outputs: Tensor) -> str:
    """Say a shape in words."""
    return f"(N, {', '.join(map(str, outputs.shape[1:]))})" if outputs.ndim > 1 else "(N,)"


def _class_rows(weights: Tensor, p: Tensor) -> Tensor:
    """Return √w_c (e_c - p), (..., C, N, C): with w = p they square to diag(p) - ppᵀ, without cancellation."""
    return weights.mT.sqrt().unsqueeze(-1) * (_eye(p) - p.unsqueeze(-3))


def _eye(z: Tensor) -> Tensor:
    return torch.eye(z.shape[-1], dtype=z.dtype, device=z.device).unsqueeze(1)  # (C, 1, C)


def _softmax(z: Tensor) -> Tensor:
    """Softmax over the last dimension; over few classes torch's is several times faster with the classes in front."""
    if z.shape[-1] > FEW_CLASSES:
        return torch.softmax(z, -1)
    return torch.softmax(z.movedim(-1, 0).contiguous(), 0).movedim(0, -1).contiguous()
