"""Layers whose scale changes no output: what stands before a norm, found by trying.

LayerNorm, GroupNorm and batch norm divide by the size of what comes in, so a layer without bias before one acts by its
direction alone; only the norm's ε sees its size (van Laarhoven 2017, arXiv:1706.05350). Its curvature goes as 1/‖w‖².
That a ReLU lets two layers trade their scales is another thing: of these neither may be scaled alone.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .engine import Engine, on_cpu, precision
from .losses import normal

_NEAR = 0.02  # what scaling changes beside turning: ε gives some 1e-5 to 1e-2, a bias or a scale of its own about 1
_FEW = 4  # samples, also to give batch norm its statistics


@torch.no_grad()
def scale_free(engine: Engine, theta: Tensor) -> dict[str, slice]:
    """Return where the parameter tensors lie in θ whose scale changes no output at any of several θ (P, D), by name.

    Each alone is doubled and halved, on a few samples in float64, and the change of the outputs is compared with that
    of a random turn of the same size. A tensor of zeros, and one that no output depends on, is none of them.
    """
    precise, generator = on_cpu(engine, precision(engine)), torch.Generator().manual_seed(0)  # any turn will do
    found, x, precise.seen = dict(precise.layout.slices), precise.few.x[:_FEW], precise.seen[:_FEW]
    for row in theta.detach().to("cpu", precise.layout.flatten(precise.model).dtype):
        before = precise.outputs(row, x)

        def change(part: slice, to: Tensor, row: Tensor = row, before: Tensor = before) -> Tensor:
            moved = row.clone()
            moved[part] = to
            return (precise.outputs(moved, x) - before).norm()

        for name, part in list(found.items()):
            w, turn = row[part], normal(row[part], generator)
            turned = change(part, w + turn * (w.norm() / turn.norm()))
            if not all(change(part, factor * w) < _NEAR * turned for factor in (2.0, 0.5)):
                del found[name]
    return found
