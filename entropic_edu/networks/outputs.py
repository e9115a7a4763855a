"""What a model returns: the tensor that the loss sees, and how many of its entries are right."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Outputs = Callable[[Any], Tensor]  # what a model returns -> the tensor that the loss sees
Accuracy = Callable[[Tensor, Tensor], Tensor | float]  # (outputs, targets) -> share of right samples

_LOGITS = (nn.BCEWithLogitsLoss, nn.MultiLabelSoftMarginLoss, nn.SoftMarginLoss)  # zero lies between both labels


def tensor_of(result: Any, outputs: Outputs | None = None) -> Tensor:
    """Return the tensor that the loss sees of what a model returns.

    A tensor is itself. Of a tuple or list it is the first tensor; of a mapping or an object the ``logits``; of a
    mapping with one tensor that one. A function ``outputs`` says otherwise.

    Args:
        result: What the model returns.
        outputs: Takes it and returns the tensor.

    Raises:
        ValueError: If there is none by these rules, or it is of integers.

    Example:
        >>> tensor_of({"logits": torch.ones(2), "hidden": torch.zeros(3)})
        tensor([1., 1.])
    """
    try:
        chosen = _chosen(result) if outputs is None else outputs(result)
    except Exception as error:
        raise ValueError(
            f"outputs= failed on what the model returns, {type(result).__name__}: {type(error).__name__} {error}; give "
            "a function that takes it and returns the tensor that the loss sees."
        ) from error
    if not isinstance(chosen, Tensor):
        keys = f" with the keys {list(result)}" if isinstance(result, Mapping) else ""
        by = "" if outputs is None else f", of which outputs= made {type(chosen).__name__}"
        raise ValueError(
            f"The model returns {type(result).__name__}{keys}{by}; wanted a tensor, a tuple whose first tensor counts, "
            'or .logits. Choose by outputs=, such as lambda r: r["out"].'
        )
    if not chosen.is_floating_point():
        raise ValueError(
            f"The model returns numbers of {chosen.dtype}, which have no derivative; return scores, not class numbers."
        )
    return chosen


def _chosen(result: Any) -> Any:
    if isinstance(result, Tensor):
        return result
    if isinstance(result, Mapping):
        tensors = [value for value in result.values() if isinstance(value, Tensor)]
        return result.get("logits", tensors[0] if len(tensors) == 1 else None)
    if isinstance(getattr(result, "logits", None), Tensor):
        return result.logits
    if isinstance(result, tuple | list):
        return next((value for value in result if isinstance(value, Tensor)), None)
    return None


@dataclass(frozen=True)
class Chosen:
    """A forward hook that returns what ``tensor_of`` finds."""

    outputs: Outputs | None

    def __call__(self, model: nn.Module, args: Any, result: Any) -> Tensor:
        return tensor_of(result, self.outputs)


def returning_tensor(model: nn.Module, outputs: Outputs | None = None) -> nn.Module:
    """Return a copy of a model that returns the tensor that the loss sees."""
    model = copy.deepcopy(model)
    model.register_forward_hook(Chosen(outputs))
    return model


@dataclass(frozen=True)
class Scoring:
    """How to tell right outputs from wrong ones.

    Attributes:
        kind: "classes", where the largest output counts; "labels", each entry for itself against a threshold; or
            "custom".
        axis: Of the classes, from the end.
        threshold: Above it an output says 1.
        ignored: A class number that does not count.
        shape: Of one sample's outputs, of kind "labels".
        function: Gives the share of right samples, of kind "custom".
    """

    kind: str
    axis: int = -1
    threshold: float = 0.0
    ignored: int | None = None
    shape: tuple[int, ...] = ()
    function: Accuracy | None = None

    def right(self, z: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Return how many are right and how many count, so that parts of the data add up.

        Args:
            z: Outputs (..., N, C), (..., N, C, *d), (..., N, T, V) or (..., N).
            y: Targets (N, ...).

        Returns:
            Both with the leading dimensions of z: () for outputs of one network, (P,) for P.
        """
        if self.function is not None:
            share = self.function(z, y)
            if not isinstance(share, float | int) and getattr(share, "shape", None) != ():
                raise ValueError(
                    f"accuracy= must give one number, the share of right samples, and gave {type(share).__name__} of "
                    f"shape {tuple(getattr(share, 'shape', ('?',)))}; take its mean."
                )
            share = torch.as_tensor(share, dtype=torch.float64, device=z.device)
            return share * len(y), share.new_tensor(len(y))
        if self.kind == "classes":
            y = y.argmax(self.axis) if y.is_floating_point() else y
            guess = z.argmax(self.axis)
            counts = torch.ones_like(y, dtype=torch.bool) if self.ignored is None else y != self.ignored
        else:
            guess, y = z > self.threshold, (y > 0.5).reshape(len(y), *self.shape)
            counts = torch.ones_like(y)
        right = ((guess == y) & counts).flatten(-y.ndim).sum(-1)
        return right, counts.sum().expand(right.shape)


def scoring_for(z: Tensor, y: Tensor, loss: Any, accuracy: Accuracy | None = None) -> Scoring | None:
    """Return how accuracy is measured, or None where it means nothing: real targets, or nothing that tells the axis.

    Args:
        z: Outputs of some samples.
        y: Their targets, as the loss takes them.
        loss: "cross_entropy", "mse", a module of torch, or a function (outputs, targets) -> scalar. One output for
            labels 0 and 1 has its threshold where the loss treats both alike.
        accuracy: Overrides all.
    """
    if accuracy is not None:
        return Scoring("custom", function=accuracy)
    entropy = loss in ("cross_entropy", F.cross_entropy) or isinstance(loss, nn.CrossEntropyLoss | nn.NLLLoss)
    ignored = int(loss.ignore_index) if isinstance(loss, nn.CrossEntropyLoss | nn.NLLLoss) else None
    if entropy and y.is_floating_point():  # probabilities of classes
        return Scoring("classes", 1 - z.ndim) if y.shape == z.shape else None
    if entropy:
        return Scoring("classes", 1 - z.ndim, ignored=-100 if ignored is None else ignored)
    if y.numel() == z.numel() and bool(((y == 0) | (y == 1)).all()):
        threshold = _threshold(z, y, loss)
        return None if threshold is None else Scoring("labels", threshold=threshold, shape=z.shape[1:])
    return None if y.is_floating_point() else _by_shape(z, y)


def _by_shape(z: Tensor, y: Tensor) -> Scoring | None:
    """Class numbers for a loss that is not known: the axis that the targets lack."""
    axes = [axis for axis in range(1, z.ndim) if z.shape[:axis] + z.shape[axis + 1 :] == y.shape and z.shape[axis] > 1]
    one = (axis for axis in axes if len(axes) == 1 and int(y.max()) < z.shape[axis])
    return next((Scoring("classes", axis - z.ndim) for axis in one), None)


def _threshold(z: Tensor, y: Tensor, loss: Any) -> float | None:
    """The output about which a loss is the mirror of itself for labels 0 and 1: 0 of logits, 1/2 of probabilities."""
    if isinstance(loss, _LOGITS) or loss is F.binary_cross_entropy_with_logits:
        return 0.0
    if isinstance(loss, nn.BCELoss) or loss is F.binary_cross_entropy:
        return 0.5
    squared = loss in ("mse", F.mse_loss) or isinstance(loss, nn.MSELoss)
    if (squared and y.is_floating_point()) or not callable(loss):  # real targets that happen to be 0 and 1
        return None
    with torch.no_grad():
        for threshold in (0.0, 0.5):
            above, below = torch.full_like(z, threshold + 0.1), torch.full_like(z, threshold - 0.1)
            try:
                right, wrong = (float(loss(above, label)) for label in (torch.ones_like(y), torch.zeros_like(y)))
                mirrored = float(loss(below, torch.zeros_like(y)))
            except (RuntimeError, ValueError, TypeError, IndexError):  # no such outputs, or no such targets
                continue
            if abs(right - mirrored) < 1e-3 * (wrong - right):
                return threshold
    return None
