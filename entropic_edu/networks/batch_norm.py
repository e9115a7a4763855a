"""Batch norm as a function of θ alone: its means and variances are those of the training inputs, at each θ anew.

A running average depends on the road to θ, and two networks joined by a straight line share no statistics on it
(Garipov et al. 2018, NeurIPS; Izmailov et al. 2018, UAI, "update_bn"). Derivatives of the loss go through them.
"""

from __future__ import annotations

import copy
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .modules import does_more, dropouts
from .parameters import functional_call

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
BatchNorm = Literal["refuse", "reestimate"]


class ReestimatedNorm(nn.Module):
    """A batch norm that takes the statistics of the batch at hand, or a mean and a variance that are given."""

    mean: Tensor | None  # (C,)
    var: Tensor | None  # (C,), of divisor n as in training
    noted: dict[str, Tensor] | None = None  # where it notes those of a batch, by the names of these buffers

    def __init__(self, name: str, norm: nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d | nn.SyncBatchNorm) -> None:
        super().__init__()
        self.name, self.weight, self.bias, self.eps = name, norm.weight, norm.bias, norm.eps
        self.register_buffer("mean", None)
        self.register_buffer("var", None)

    def forward(self, x: Tensor) -> Tensor:
        mean, var = self.mean, self.var
        if mean is None or var is None:
            if x.numel() == x.shape[1]:
                raise ValueError(
                    f"The batch norm {self.name!r} is given one value for each channel, which has no variance: it "
                    "needs at least 2 samples, so take batch_size >= 2 (and as many training inputs)."
                )
            if self.noted is None:
                return F.batch_norm(x, None, None, self.weight, self.bias, training=True, eps=self.eps)
            var, mean = torch.var_mean(x, [d for d in range(x.ndim) if d != 1], correction=0)
            if f"{self.name}.mean" in self.noted:
                raise ValueError(
                    f"The batch norm {self.name!r} is used twice in one pass, so it has no one mean; give each place a "
                    "batch norm of its own."
                )
            self.noted.update({f"{self.name}.mean": mean, f"{self.name}.var": var})
        scale = (var + self.eps).rsqrt()
        scale = scale if self.weight is None else scale * self.weight
        shift = -mean * scale if self.bias is None else self.bias - mean * scale
        over_channels = (-1, *[1] * (x.ndim - 2))
        return torch.addcmul(shift.view(over_channels), x, scale.view(over_channels))


def are_reestimated(batch_norm: str, statistics: int | None, freeze_buffers: bool) -> bool:
    """Check the options of batch norm, and return whether statistics are re-estimated; ValueError if they clash."""
    if batch_norm not in ("refuse", "reestimate"):
        raise ValueError(f'batch_norm must be "refuse" or "reestimate", got {batch_norm!r}.')
    if batch_norm == "reestimate" and freeze_buffers:
        raise ValueError(
            'Statistics are either stored or re-estimated: drop freeze_buffers=True or batch_norm="reestimate".'
        )
    if statistics is not None and statistics < 2:
        raise ValueError(f"A variance needs at least 2 inputs, got statistics={statistics}; None takes all.")
    return batch_norm == "reestimate"


def norm_names(model: nn.Module) -> list[str]:
    """Return the names of the batch norms of a model."""
    return [name for name, module in model.named_modules() if isinstance(module, NORMS)]


def refuse_hidden_state(model: nn.Module) -> None:
    """Raise a ValueError where batch norm or dropout makes the loss depend on more than θ."""
    if names := norm_names(model):
        raise ValueError(
            f"This model has batch norm in {names}, so its loss depends on batch statistics and not on theta "
            'alone; pass batch_norm="reestimate" to have statistics of the training inputs at each theta, replace '
            "batch norm by GroupNorm, or pass freeze_buffers=True to use its stored statistics."
        )
    if drops := dropouts(model):
        raise ValueError(
            f"This model has dropout in {drops}, so its loss is random even on all data; "
            "set p=0, or pass freeze_buffers=True to evaluate in eval mode."
        )


def with_reestimated(model: nn.Module) -> nn.Module:
    """Return a copy of the model with each batch norm replaced by one that keeps its parameters and their names.

    Raises:
        ValueError: If a batch norm does more than torch's own: a subclass, or one with hooks.
    """
    model = copy.deepcopy(model)
    made: dict[nn.Module, ReestimatedNorm] = {}
    for name, module in list(model.named_modules(remove_duplicate=False)):  # a norm that is used again has two names
        if isinstance(module, NORMS):
            if type(module) not in NORMS or does_more(module):
                raise ValueError(
                    f"The batch norm {name!r} ({type(module).__name__}) has hooks or a forward pass of its own, which "
                    "re-estimated statistics would replace; make it nn.BatchNorm2d (1d, 3d) and layers after it, or "
                    "pass freeze_buffers=True, which keeps it and its stored statistics."
                )
            model.set_submodule(name, made.setdefault(module, ReestimatedNorm(name, module)))
    return model


def statistics(model: nn.Module, parameters: dict[str, Tensor], x: Tensor) -> dict[str, Tensor]:
    """Return the means and variances in one pass of inputs ``x``, as in training, by the names of the norms' buffers.

    The tensors carry the graph, so derivatives by θ go through them. A ValueError says that one norm is used twice.
    """
    noted: dict[str, Tensor] = {}
    norms = [module for module in model.modules() if isinstance(module, ReestimatedNorm)]
    try:
        for norm in norms:
            norm.noted = noted
        functional_call(model, parameters, (x,))
    finally:
        for norm in norms:
            norm.noted = None
    return noted


def with_running(model: nn.Module, statistics: dict[str, Tensor]) -> nn.Module:
    """Return a plain model in eval mode, changed in place, that holds these statistics as its running ones."""
    model.eval()
    for name, module in model.named_modules():
        if isinstance(module, NORMS) and f"{name}.mean" in statistics:
            module.running_mean = statistics[f"{name}.mean"].detach()
            module.running_var = statistics[f"{name}.var"].detach()
    return model
