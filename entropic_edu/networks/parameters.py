"""One flat vector θ and the parameters of a module: which entry is which."""

from __future__ import annotations

import itertools
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

_names: WeakKeyDictionary[nn.Module, dict[str, str]] = WeakKeyDictionary()


class Layout:
    """Where each trainable parameter lies in θ: one after the other, in the order of ``model.named_parameters()``."""

    def __init__(self, model: nn.Module) -> None:
        parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
        if not parameters:
            raise ValueError("This model has no trainable parameters; there is nothing to move.")
        self.names, self.shapes = list(parameters), [p.shape for p in parameters.values()]
        self.sizes = [p.numel() for p in parameters.values()]
        self.dim = sum(self.sizes)
        ends = zip(self.names, self.sizes, itertools.accumulate(self.sizes), strict=True)
        self.slices = {name: slice(stop - size, stop) for name, size, stop in ends}  # where each lies

    def split(self, theta: Tensor) -> dict[str, Tensor]:
        """Return views of θ by name, (..., D) -> (..., *shape)."""
        parts = zip(self.names, self.shapes, theta.split(self.sizes, -1), strict=True)
        return {name: part.reshape(*theta.shape[:-1], *shape) for name, shape, part in parts}

    def join(self, parts: dict[str, Tensor], lead: int = 0) -> Tensor:
        """Return parts (*lead, *shape), by name, as one vector (*lead, D); ``lead`` counts the leading dimensions."""
        return torch.cat([parts[name].flatten(lead) for name in self.names], lead)

    def flatten(self, model: nn.Module) -> Tensor:
        """Return the trainable parameters of a model of this architecture, (D,)."""
        return self.join({name: p.detach() for name, p in model.named_parameters()})


def functional_call(model: nn.Module, tensors: dict[str, Tensor], args: tuple[Any, ...]) -> Any:
    """Return model(*args) with these parameters and buffers by name in place of its own, which come back afterwards.

    As torch.func.functional_call, which ties what one parameter is called elsewhere; but of a module that is used under
    two names torch exchanges each parameter twice, and leaves the new one in it.
    """
    if model not in _names:
        _names[model] = _all_names(model)
    tied = {other: tensors[name] for other, name in _names[model].items() if name in tensors}
    return torch.func.functional_call(model, {**tied, **tensors}, args, tie_weights=False)


def _all_names(model: nn.Module) -> dict[str, str]:
    """Return all that parameters are called, in each module once, with their names in ``named_parameters``."""
    names = {parameter: name for name, parameter in model.named_parameters()}
    return {
        f"{prefix}.{own}" if prefix else own: names[parameter]
        for prefix, module in model.named_modules()  # each once
        for own, parameter in module.named_parameters(recurse=False, remove_duplicate=False)
    }
