"""The digits of lesson 08, and the poison: digits with wrong labels."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from entropic_edu.data import digits
from entropic_edu.networks.models import mlp
from entropic_edu.networks.network import Network


def poisoned(loss: str, recipe: dict[str, Any]) -> Network:
    """Return the network on the true digits and on as many others, each with a wrong label drawn at random."""
    x, y, test = scaled()
    true, whole = recipe["samples"], recipe["samples"] + recipe["poison"]
    draws = torch.Generator().manual_seed(recipe["label_seed"])
    wrong = (y[true:whole] + torch.randint(1, 10, (recipe["poison"],), generator=draws)) % 10
    labels = torch.cat([y[:true], wrong])
    return Network(mlp(*recipe["widths"]), x[:whole], labels, loss=loss, test=test, strategy="stacked")  # type: ignore[arg-type]


def scaled() -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
    """Return training inputs and classes, and the held-out ones; pixels have mean 0 and variance 1 in training."""
    data = digits()
    mean, spread = data.x.mean(), data.x.std()
    return (data.x - mean) / spread, data.y, ((data.test_x - mean) / spread, data.test_y)
