"""Two small networks that train in seconds, as plain ``nn.Sequential`` chains without hidden state."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Literal

from torch import nn


def mlp(*widths: int, activation: Callable[[], nn.Module] = nn.ReLU) -> nn.Sequential:
    """Return linear layers with an activation between each two.

    ``mlp(64, 64, 64, 10)`` is the net for the digits, with 8,970 parameters. Its weights are those that torch's
    constructors draw; ``Network.initial(generator)`` draws them anew.

    Args:
        widths: Units of each layer, inputs first and outputs last.
        activation: Makes each activation, e.g. ``nn.Tanh`` or ``nn.GELU`` for a smooth loss; ReLU has kinks.

    Returns:
        Model from inputs (N, widths[0]) to outputs (N, widths[-1]).

    Raises:
        ValueError: If fewer than two widths are given, or one is not positive.
    """
    if len(widths) < 2 or min(widths) < 1:
        raise ValueError(f"An MLP needs at least two positive widths, got {widths}; try mlp(64, 64, 10).")
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(widths):
        layers += [nn.Linear(inputs, outputs), activation()]
    return nn.Sequential(*layers[:-1])


def small_cnn(
    channels: Sequence[int] = (16, 32, 32),
    classes: int = 10,
    activation: Callable[[], nn.Module] = nn.ReLU,
    norm: Literal["group"] | None = None,
) -> nn.Sequential:
    """Return a small convolutional net for images of 3 x 32 x 32; 19,466 parameters by default.

    One block for each entry of ``channels``: convolution 3 x 3, norm, activation, 2 x 2 max pooling; then one linear
    layer. No batch norm: its statistics would make the loss depend on more than θ.

    Args:
        channels: Channels after each block, one to five blocks.
        classes: Number of outputs.
        activation: Makes each activation.
        norm: "group" for GroupNorm with 8 groups (the largest number of groups that divides both 8 and the channels),
            or None.

    Returns:
        Model from images (N, 3, 32, 32) to outputs (N, classes).

    Raises:
        ValueError: If five halvings of the image are not enough for the blocks, or ``norm`` is unknown.
    """
    if not 1 <= len(channels) <= 5:
        raise ValueError(f"Each block halves 32 x 32 images, so small_cnn takes 1 to 5 channels, got {len(channels)}.")
    if norm not in (None, "group"):
        raise ValueError(f'norm must be "group" or None, got {norm!r}; batch norm would make the loss depend on more.')
    layers: list[nn.Module] = []
    for inputs, outputs in zip((3, *channels), channels, strict=False):
        layers.append(nn.Conv2d(inputs, outputs, 3, padding=1))
        if norm == "group":
            layers.append(nn.GroupNorm(math.gcd(8, outputs), outputs))
        layers += [activation(), nn.MaxPool2d(2)]
    side = 32 >> len(channels)  # pixels left along each edge
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels[-1] * side * side, classes))
