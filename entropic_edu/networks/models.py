"""Small networks that train in seconds, as plain ``nn.Sequential`` chains without hidden state, and ResNet-20."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from entropic_edu.physics.settings import require_counts

Norm = Literal["group", "batch"]


def mlp(
    *widths: int, activation: Callable[[], nn.Module] = nn.ReLU, norm: Literal["layer"] | None = None
) -> nn.Sequential:
    """Return linear layers with an activation between each two; ``mlp(64, 64, 64, 10)`` is the net for the digits.

    Args:
        widths: Units of each layer, from inputs (N, widths[0]) to outputs (N, widths[-1]).
        activation: Makes each activation, e.g. ``nn.Tanh`` or ``nn.GELU`` for a smooth loss; ReLU has kinks.
        norm: "layer" for hidden layers without bias and LayerNorm without scale and shift before each activation, so
            that the scale of their weights does not change the outputs; or None.

    Raises:
        ValueError: If fewer than two widths are given, one is not positive, or ``norm`` is unknown.

    Example:
        >>> model = mlp(64, 64, 64, 10)
        >>> sum(p.numel() for p in model.parameters())
        8970
    """
    if len(widths) < 2:
        raise ValueError(f"An MLP needs at least two positive widths, got {widths}; try mlp(64, 64, 10).")
    for width in widths:
        require_counts(width=width)
    if norm not in (None, "layer"):
        raise ValueError(f'norm must be "layer" or None, got {norm!r}.')
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(widths[:-1]):
        normed = [] if norm is None else [nn.LayerNorm(outputs, elementwise_affine=False)]
        layers += [nn.Linear(inputs, outputs, bias=norm is None), *normed, activation()]
    return nn.Sequential(*layers, nn.Linear(widths[-2], widths[-1]))


def small_cnn(
    channels: Sequence[int] = (16, 32, 32),
    classes: int = 10,
    activation: Callable[[], nn.Module] = nn.ReLU,
    norm: Literal["group"] | None = None,
) -> nn.Sequential:
    """Return a small convolutional net for images of 3 x 32 x 32; 19,466 parameters by default.

    Blocks of convolution 3 x 3, norm, activation and 2 x 2 max pooling; then one linear layer.

    Args:
        channels: Channels after each block, one to five blocks.
        classes: Number of outputs.
        activation: Makes each activation.
        norm: "group" for GroupNorm (8 groups, or as many as divide both 8 and the channels), or None.

    Returns:
        Model from images (N, 3, 32, 32) to outputs (N, classes).

    Raises:
        ValueError: If five halvings of the image are not enough for the blocks, or ``norm`` is unknown.

    Example:
        >>> import torch
        >>> small_cnn((8, 16), classes=3)(torch.zeros(5, 3, 32, 32)).shape
        torch.Size([5, 3])
    """
    require_counts(classes=classes)
    if not 1 <= len(channels) <= 5:
        raise ValueError(f"Each block halves 32 x 32 images, so small_cnn takes 1 to 5 channels, got {len(channels)}.")
    if norm not in (None, "group"):
        raise ValueError(f'norm must be "group" or None, got {norm!r}; batch norm would make the loss depend on more.')
    layers: list[nn.Module] = []
    for inputs, outputs in zip((3, *channels), channels, strict=False):
        normed = [] if norm is None else [_norm(norm, outputs)]
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1), *normed, activation(), nn.MaxPool2d(2)]
    side = 32 >> len(channels)  # pixels left along each edge
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels[-1] * side * side, classes))


def normed_cnn(
    channels: Sequence[int] = (24, 48, 96),
    classes: int = 10,
    size: int = 16,
    activation: Callable[[], nn.Module] = nn.ReLU,
) -> nn.Sequential:
    """Return a convolutional net whose layers are normalised, for images of 3 x size x size; 27,538 parameters.

    Each convolution has stride 2 (the first 3 x 3, padded; the others 2 x 2), no bias, and after it GroupNorm of one
    group without scale and shift, so that the scale of its weights does not change the outputs; then the activation.
    One linear layer is last.

    Args:
        channels: Channels after each convolution.
        classes: Number of outputs.
        size: Pixels along each edge of the images; each convolution halves it.
        activation: Makes each activation.

    Returns:
        Model from images (N, 3, size, size) to outputs (N, classes).

    Raises:
        ValueError: If there are no channels, or the convolutions cannot halve the images as often.

    Example:
        >>> import torch
        >>> normed_cnn(size=32)(torch.zeros(5, 3, 32, 32)).shape
        torch.Size([5, 10])
    """
    require_counts(classes=classes, size=size)
    if not channels or size % 2 ** len(channels):
        raise ValueError(
            f"Each of the {len(channels)} convolutions (at least 1) halves images whose edge is a multiple of "
            f"{2 ** len(channels)} pixels, got size={size}."
        )
    layers: list[nn.Module] = []
    for inputs, outputs in zip((3, *channels), channels, strict=False):
        kernel, padding = (2, 0) if layers else (3, 1)
        layers += [nn.Conv2d(inputs, outputs, kernel, 2, padding, bias=False), nn.GroupNorm(1, outputs, affine=False)]
        layers.append(activation())
    side = size >> len(channels)  # pixels left along each edge
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels[-1] * side * side, classes))


def resnet20(
    norm: Norm = "group", width: int = 16, classes: int = 10, activation: Callable[[], nn.Module] = nn.ReLU
) -> nn.Module:
    """Return the ResNet of 20 layers for images of 3 x 32 x 32; 269,722 parameters by default.

    A convolution 3 x 3, three stages of three residual blocks with ``width``, 2·width and 4·width channels on 32 x 32,
    16 x 16 and 8 x 8 pixels, the mean over pixels, and one linear layer. Shortcuts hold no parameters: where a stage
    halves the image they take every second pixel and fill up with channels of zeros (option A of the paper).

    Args:
        norm: "batch", as in the paper, which needs ``Network(..., batch_norm="reestimate")``, or "group", as in
            ``small_cnn``, with as many parameters.
        width: Channels of the first stage.
        classes: Number of outputs.
        activation: Makes each activation.

    Returns:
        Model from images (N, 3, H, W), H and W of at least 4 pixels, to outputs (N, classes).

    Raises:
        ValueError: If ``norm`` is unknown, or ``width`` or ``classes`` is not positive.

    Example:
        >>> import torch
        >>> resnet20(width=4)(torch.zeros(2, 3, 32, 32)).shape
        torch.Size([2, 10])

    References:
        He, Zhang, Ren & Sun (2016), CVPR, section 4.2. Weights start as torch's constructors draw them, not as there.
    """
    if norm not in ("group", "batch"):
        raise ValueError(f'norm must be "group" or "batch", got {norm!r}.')
    require_counts(width=width, classes=classes)
    channels = [width] * 4 + [2 * width] * 3 + [4 * width] * 3
    blocks = [Residual(inputs, outputs, norm, activation) for inputs, outputs in itertools.pairwise(channels)]
    first = [_convolution(3, width), _norm(norm, width), activation()]
    return nn.Sequential(*first, *blocks, MeanOverPixels(), nn.Linear(4 * width, classes))


class Residual(nn.Module):
    """Two convolutions 3 x 3 added to their input; with more outputs than inputs, the image is halved."""

    def __init__(self, inputs: int, outputs: int, norm: Norm, activation: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.new = outputs - inputs  # channels
        self.first, self.first_norm = _convolution(inputs, outputs, 2 if self.new else 1), _norm(norm, outputs)
        self.second, self.second_norm = _convolution(outputs, outputs), _norm(norm, outputs)
        self.inner, self.outer = activation(), activation()

    def forward(self, x: Tensor) -> Tensor:
        h = self.inner(self.first_norm(self.first(x)))
        h = self.second_norm(self.second(h))
        if self.new:
            x = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 0, self.new))
        return self.outer(h + x)


class MeanOverPixels(nn.Module):
    """Channels (N, C, H, W) -> their means (N, C); torch's own pooling has no fast rule under vmap."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((-2, -1))


def _convolution(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)  # the norm after it has a shift


def _norm(norm: Norm, channels: int) -> nn.Module:
    return nn.BatchNorm2d(channels) if norm == "batch" else nn.GroupNorm(math.gcd(8, channels), channels)
