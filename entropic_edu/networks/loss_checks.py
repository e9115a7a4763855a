"""Whether a loss is what landscapes need, a mean over samples; and weighted losses of torch made into one."""

from __future__ import annotations

import copy
import functools
import warnings
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from entropic_edu.physics.results import first_line
from entropic_edu.physics.snapshot import warn

from .inputs import Inputs, each, mapped


class SoftmaxWarning(UserWarning):
    """Probabilities go into a cross-entropy that takes scores."""


class Weighted(nn.Module):
    """A weighted mean Σwℓ/Σw of torch as a mean over samples, with the Σw of all data.

    Samples count w·N/Σw each, so that parts of the data add up to the whole; on all data it is torch's own number. On a
    drawn batch, torch divides by that batch's weights; here the mean over batches is the gradient on all data.

    Args:
        criterion: ``nn.CrossEntropyLoss`` or ``nn.NLLLoss`` with weights or a class that is ignored.
        y: All targets, class numbers (N, ...).
    """

    mean_weight: Tensor

    def __init__(self, criterion: nn.CrossEntropyLoss | nn.NLLLoss, y: Tensor) -> None:
        super().__init__()
        self.weight, self.ignore_index = criterion.weight, criterion.ignore_index
        if y.dtype == torch.bool:
            raise ValueError("The loss takes class numbers, got targets of torch.bool; use y.long().")
        counted = y[y != self.ignore_index]
        least, most = (int(counted.min()), int(counted.max())) if counted.numel() else (0, 0)
        if self.weight is not None and not 0 <= least <= most < len(self.weight):
            raise ValueError(
                f"The loss has {len(self.weight)} class weights, so classes are 0 to {len(self.weight) - 1}; the "
                f"targets go from {least} to {most}. Give a weight for each class, or count from 0."
            )
        self.total = copy.deepcopy(criterion)
        self.total.reduction = "sum"
        self.register_buffer("mean_weight", self.denominator(y).double() / len(y))
        if not self.mean_weight > 0:
            raise ValueError(
                f"The weights of the loss add up to 0 over all {len(y)} targets (ignore_index={self.ignore_index}); "
                "give samples that count."
            )

    def numerator(self, z: Tensor, y: Tensor) -> Tensor:
        """Return Σwℓ over samples, ()."""
        result: Tensor = self.total(z, y)
        return result

    def denominator(self, y: Tensor) -> Tensor:
        """Return Σw over samples, ()."""
        counts = y != self.ignore_index
        return counts.sum() if self.weight is None else (self.weight[y * counts] * counts).sum()

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        return self.numerator(z, y) / (self.mean_weight.to(z.dtype) * len(y))


def as_mean(criterion: Any, y: Tensor) -> Any:
    """Return a loss whose parts add up: ``Weighted`` for weighted losses of torch on targets y, others as they are."""
    if not isinstance(criterion, nn.CrossEntropyLoss | nn.NLLLoss):
        return criterion
    if not y.is_floating_point() and bool((y == criterion.ignore_index).all()):
        raise ValueError(
            f"All {len(y)} targets are {criterion.ignore_index}, which the loss ignores, so there is nothing to learn; "
            "give targets that count, or another ignore_index."
        )
    if criterion.reduction != "mean":
        return criterion
    if y.is_floating_point() or (criterion.weight is None and not bool((y == criterion.ignore_index).any())):
        return criterion  # a plain mean, also of probabilities of classes
    return Weighted(criterion, y)


def telling(y: Tensor, most: int = 64) -> Tensor:
    """Return indices of samples that show whether a loss is a plain mean: of every class, sorted by class."""
    index = torch.arange(min(most, len(y)), device=y.device) * len(y) // min(most, len(y))
    if y.is_floating_point():
        return index
    rows = y.reshape(len(y), -1)
    firsts = [(rows == label).any(1).nonzero()[:1, 0] for label in rows.unique()[:most]]
    index = torch.cat([index, *firsts]).unique()
    return index[rows[index, 0].argsort(stable=True)]


def check_loss(criterion: Any, outputs: Tensor, targets: Tensor) -> None:
    """Refuse a loss that is no mean over samples.

    Args:
        criterion: Function (outputs, targets) -> scalar; "cross_entropy" and "mse" need no check but for what
            they are given.
        outputs: The model's on some samples, (n, ...).
        targets: Theirs; ``telling`` chooses samples.

    Raises:
        ValueError: If it is a class, fails, is no scalar, not finite, has no derivative, or if shares of parts do not
            add up to the whole: sums, weighted means, losses of pairs.

    Warns:
        SoftmaxWarning: If the outputs are probabilities and the loss is a cross-entropy.
    """
    if isinstance(criterion, type):
        raise ValueError(f"The loss is the class {criterion.__name__}; pass an instance, {criterion.__name__}().")
    _warn_of_softmax(criterion, outputs)
    if not callable(criterion):
        return
    _value(criterion, outputs, targets)
    z = _spread(outputs)
    try:
        whole = _value(criterion, z, targets)
    except ValueError:  # outside of what the loss takes
        z = outputs
        whole = _value(criterion, z, targets)
    if abs(whole - _value(criterion, z, targets)) > 0:
        raise ValueError("The loss differs between two equal calls; it must not draw random numbers.")
    number = len(z)
    if number > 1:
        third = max(1, number // 3)
        for sizes in ([third, number - third], [1] * number):
            _check_parts(criterion, z, targets, whole, sizes)


def _check_parts(criterion: Any, z: Tensor, y: Tensor, whole: float, sizes: list[int]) -> None:
    parts = [_value(criterion, *part) for part in zip(z.split(sizes), y.split(sizes), strict=True)]
    shares = sum(size * value for size, value in zip(sizes, parts, strict=True)) / len(z)
    near = min(100 * torch.finfo(z.dtype).eps, 0.05) * (abs(whole) + max(map(abs, parts)))
    if abs(whole - shares) <= near:
        return
    if abs(whole - sum(parts)) <= near:
        raise ValueError(
            "The loss is a sum over samples and must be their mean, or steps and noise depend on how many there are; "
            'take reduction="mean".'
        )
    shapes = f"outputs {tuple(z.shape)} and targets {tuple(y.shape)}"
    if z.numel() == y.numel() and z.shape != y.shape:
        raise ValueError(f"The loss pairs every output with every target: {shapes}; give targets as {_fitting(z, y)}.")
    raise ValueError(
        f"The loss is no mean over samples: on {len(z)} samples it is {whole:.6g}, and its {len(parts)} parts give "
        f"{shares:.6g}. For class weights or ignored classes pass nn.CrossEntropyLoss(weight=..., "
        "ignore_index=...) itself; losses that compare samples with each other have no landscape of this kind."
    )


def _value(criterion: Callable[[Tensor, Tensor], Any], z: Tensor, y: Tensor) -> float:
    """The loss as a number, or what is wrong with it."""
    z = z.detach().requires_grad_()
    shapes = f"outputs {tuple(z.shape)} of {z.dtype} and targets {tuple(y.shape)} of {y.dtype}"
    try:
        with warnings.catch_warnings(), torch.enable_grad():
            warnings.simplefilter("ignore")  # of broadcasting, which is refused below
            loss = criterion(z, y)
            if isinstance(loss, Tensor) and loss.shape == () and loss.requires_grad:
                torch.autograd.grad(loss, z)  # which may fail where the loss does not
    except (RuntimeError, ValueError, TypeError, IndexError, AttributeError, AssertionError) as error:
        fits = f"; give targets as {_fitting(z, y)}" if z.numel() == y.numel() and z.shape != y.shape else ""
        fits = fits or ("; give y.float()" if z.shape == y.shape and not y.is_floating_point() else "")
        raise ValueError(f"The loss failed on {shapes}: {first_line(error)}{fits}.") from error
    if not isinstance(loss, Tensor) or loss.shape != ():
        came = f"shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else type(loss).__name__
        raise ValueError(
            f"The loss must be one number, a tensor of shape (), and is of {came} for {shapes}; take "
            'reduction="mean", or lambda z, y: loss(z, y).mean().'
        )
    if not loss.requires_grad:
        raise ValueError(
            "The loss has no derivative by the outputs; leave out argmax, rounding, .item() and .detach()."
        )
    if not loss.isfinite():
        raise ValueError(f"The loss is {loss.item()} for {shapes}; logarithms of 0 are a usual cause.")
    return loss.item()


def _fitting(z: Tensor, y: Tensor) -> str:
    return (
        "y[:, None]" if z.ndim == y.ndim + 1 and z.shape[-1] == 1 else f"y.reshape(-1, {str(list(z.shape[1:]))[1:-1]})"
    )


def _spread(z: Tensor) -> Tensor:
    """Outputs moved at random, since equal ones show nothing; probabilities stay within 0 and 1."""
    generator = torch.Generator().manual_seed(0)
    if z.min() > 0 and z.max() <= 1:
        return z.lerp(torch.rand(z.shape, generator=generator).to(z), 0.5)
    return z + torch.randn(z.shape, generator=generator).to(z) * (1 + z.abs().mean())


def _warn_of_softmax(criterion: Any, z: Tensor) -> None:
    entropy = criterion in ("cross_entropy", F.cross_entropy) or isinstance(criterion, nn.CrossEntropyLoss)
    entropy = entropy or (isinstance(criterion, Weighted) and isinstance(criterion.total, nn.CrossEntropyLoss))
    if not entropy or z.ndim < 2 or z.shape[1] < 2 or z.shape[0] < 2 or z.min() < 0:
        return
    if torch.allclose(z.sum(1), z.new_ones(()), rtol=0, atol=1e-3):
        warn(
            "The model's outputs are probabilities (each row adds up to 1), and cross-entropy takes scores and does "
            "its own softmax; leave out the final softmax, or the loss stays high and training is slow.",
            SoftmaxWarning,
        )


def moved(criterion: Any, device: torch.device | None = None, dtype: torch.dtype | None = None) -> Any:
    """Return a loss whose tensors are on a device and, if of floating point, in a dtype; itself where it has none.

    Args:
        criterion: An ``nn.Module`` or a ``functools.partial`` with tensors; those in a closure cannot be reached.
        device: Where; None leaves them.
        dtype: In what; None leaves them.
    """

    def place(value: Any) -> Any:
        if isinstance(value, Tensor):
            return value.to(device, dtype if value.is_floating_point() else None)
        return moved(value, device, dtype) if isinstance(value, nn.Module) else value

    if isinstance(criterion, nn.Module):
        return copy.deepcopy(criterion).to(device=device, dtype=dtype)
    if isinstance(criterion, functools.partial):
        keywords = {name: place(value) for name, value in criterion.keywords.items()}
        return functools.partial(moved(criterion.func, device, dtype), *map(place, criterion.args), **keywords)
    return criterion


@torch.no_grad()
def mixes_samples(forward: Callable[[Inputs], Tensor], x: Inputs) -> bool:
    """Return whether the first sample's output depends on which samples come with it, beyond round-off.

    Args:
        forward: The network as a landscape computes it on the whole data.
        x: Inputs (N, ...).
    """
    number = len(each(x)[0])
    if number < 2:
        return False
    few = mapped(lambda t: t[[0, number // 2]], x)
    together, alone = forward(few), forward(mapped(lambda t: t[:1], few))
    if len(together) != 2 or together[:1].shape != alone.shape:
        return True
    near = torch.finfo(alone.dtype).eps ** 0.5 * float(together.abs().max())  # kernels differ with the batch
    return not bool((together[:1] - alone).abs().max() <= near)
