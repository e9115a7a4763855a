"""What a model takes: one tensor, several in a tuple, or several by name; and how it is called with them."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from entropic_edu.physics.results import first_line

Inputs = Tensor | tuple[Tensor, ...] | dict[str, Tensor]


def each(inputs: Inputs) -> list[Tensor]:
    """Return the tensors, in their order."""
    if isinstance(inputs, Tensor):
        return [inputs]
    return list(inputs.values() if isinstance(inputs, dict) else inputs)


def mapped(function: Callable[[Tensor], Tensor], inputs: Inputs) -> Inputs:
    """Return function(tensor) of each: indexing, moving, expanding, as of one."""
    return alike(inputs, map(function, each(inputs)))


def split(inputs: Inputs, rows: int, dim: int = 0) -> list[Inputs]:
    """Return parts of at most ``rows`` samples, which lie along ``dim``."""
    return [alike(inputs, some) for some in zip(*(t.split(rows, dim) for t in each(inputs)), strict=True)]


def joined(parts: Sequence[Inputs]) -> Inputs:
    """Return parts one after the other; several inputs by name may come in any order.

    Raises:
        ValueError: If their samples differ in shape, or in which inputs they have.
    """
    first = parts[0]
    kinds = [sorted(part) if isinstance(part, dict) else len(each(part)) for part in parts]
    other = next((kind for kind in kinds if kind != kinds[0]), None)
    if other is not None:
        raise ValueError(f"The samples differ in their inputs, {kinds[0]} and {other}; give each the same.")
    if isinstance(first, dict):
        parts = [{name: part[name] for name in first} for part in parts if isinstance(part, dict)]
    columns = list(zip(*map(each, parts), strict=True))
    for column in columns:
        shapes = {tuple(t.shape[1:]) for t in column}
        if len(shapes) > 1:
            raise ValueError(f"The samples differ in shape, {sorted(shapes)[:3]}; pad or crop them to one shape.")
    return alike(first, map(torch.cat, columns))


def alike(inputs: Inputs, tensors: Iterable[Tensor]) -> Inputs:
    """Return tensors in the form of ``inputs``: alone, as a tuple, or by the same names."""
    if isinstance(inputs, Tensor):
        return next(iter(tensors))
    return dict(zip(inputs, tensors, strict=True)) if isinstance(inputs, dict) else tuple(tensors)


def arguments(model: nn.Module, inputs: Inputs) -> tuple[tuple[Any, ...], dict[str, Tensor]]:
    """Return positional and keyword arguments for a call of the model.

    A tuple is given as so many arguments, and a dict by name, where ``forward`` takes them; else as one argument.

    Example:
        >>> class Sum(nn.Module):
        ...     def forward(self, a, b):
        ...         return a + b
        >>> args, named = arguments(Sum(), {"a": torch.ones(1), "b": torch.ones(1)})
        >>> Sum()(*args, **named)
        tensor([2.])
    """
    if isinstance(inputs, Tensor):
        return (inputs,), {}
    args, named = ((), inputs) if isinstance(inputs, dict) else (inputs, {})
    try:
        inspect.signature(model.forward).bind(*args, **named)
    except TypeError:
        return (inputs,), {}
    return args, named


def call(model: nn.Module, inputs: Inputs) -> Any:
    """Return what the model returns on these inputs.

    Raises:
        ValueError: If it cannot take them; the message has their shapes and torch's own words.
    """
    args, named = arguments(model, inputs)
    try:
        return model(*args, **named)
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        came = ", ".join(f"{tuple(t.shape)} of {t.dtype}" for t in each(inputs))
        raise ValueError(
            f"{type(model).__name__} failed on {len(each(inputs)[0])} of your samples, inputs {came}: "
            f"{first_line(error)}. Each sample must pass by itself, and inputs need the shape and dtype that forward "
            "wants: (B, C, H, W) for convolutions, floats for layers, integers (x.long()) for embeddings."
        ) from error


def channels_last(model: nn.Module, x: Tensor) -> Tensor:
    """Return pictures (N, C, H, W) in the layout in which CPU convolutions are faster, where forward can take it."""
    other = x.contiguous(memory_format=torch.channels_last)
    try:
        call(model, other[[0, -1]])
    except ValueError:  # x.view(len(x), -1) wants rows as they came
        return x.contiguous()
    return other


class Numbered:
    """Several inputs behind one tensor: a model that is given numbers of samples looks their inputs up.

    A landscape indexes, splits, expands and maps over one tensor x. With several inputs that tensor holds the numbers
    0 to N - 1, and this forward pre-hook turns them into arguments, in the precision of the parameters.

    Args:
        inputs: All samples, (N, ...) each.
    """

    def __init__(self, inputs: Inputs) -> None:
        self.inputs = inputs

    def __deepcopy__(self, memo: dict[int, Any]) -> Numbered:
        return self  # copies of a model share the data

    def __call__(self, model: nn.Module, args: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        (numbers,), like = args, next(model.parameters())

        def pick(t: Tensor) -> Tensor:
            t = t[numbers.to(t.device)]
            return t.to(like.device, like.dtype) if t.is_floating_point() else t.to(like.device)

        return arguments(model, mapped(pick, self.inputs))


def one_tensor(model: nn.Module, *data: Inputs) -> tuple[nn.Module, list[Tensor]]:
    """Return a model that takes one tensor, and that tensor for each of several sets of data.

    Of several inputs, the tensor is the samples' numbers, and the model a copy that looks them up.
    """
    if all(isinstance(inputs, Tensor) for inputs in data):
        return model, [inputs for inputs in data if isinstance(inputs, Tensor)]
    model = copy.deepcopy(model)
    model.register_forward_pre_hook(Numbered(joined(data)), with_kwargs=True)
    sizes = [len(each(inputs)[0]) for inputs in data]
    return model, list(torch.arange(sum(sizes)).split(sizes))
