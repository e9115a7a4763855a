"""Gradients of batches of CNNs on a CUDA device, where there is one: ours against a plain loop and vmap there.

Ours records a gradient once for each shape as CUDA graphs. Products are in float32, not TF32, the limit's too.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import torch
from torch import nn

import entropic_edu as ee

from .gradients import SPARED, flops, gradient_ways, images, starts
from .run import Row, measure

MODELS: dict[str, Callable[[], nn.Module]] = {
    "small CNN": ee.models.small_cnn,
    "ResNet-20, group norm": lambda: ee.models.resnet20("group"),
}


def rows(small: bool = False) -> Iterator[Row]:
    """Yield a row for each model, number of networks and batch size; ``small`` computes on any device."""
    if not (small or torch.cuda.is_available()):
        return
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    sizes = [(2, 4)] if small else itertools.product((8, 32), (16, 64, 256))
    for (name, make), (networks, size) in itertools.product(MODELS.items(), sizes):
        land = images(make(), 8 if small else 1024).to(device)
        ours, peers = gradient_ways(land, starts(land, networks), size, own=True, jax=False)
        work = networks * size * flops(land.model, land.x[:1])
        stage = f"{device.type}: {name}, {networks} networks, B {size}"
        yield measure(stage, ours, peers, small=small, flops=work, note=SPARED, device=device)
