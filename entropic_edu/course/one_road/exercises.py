"""Exercises of lesson 04: the hill on a line, a sweep of the string method, and in how many ways units are renamed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from entropic_edu.course import Given
from entropic_edu.physics.path import Path
from entropic_edu.teaching.slips import solved


def climb(loss: Callable[[Tensor], Tensor], a: Tensor, b: Tensor) -> float:
    """Return how far the highest of 25 losses on the straight line lies above the higher end."""
    line = loss(torch.lerp(a, b, torch.linspace(0, 1, 25, dtype=a.dtype)[:, None]))
    return float(line.max() - torch.maximum(line[0], line[-1]))


def swept(pivots: Tensor, gradients: Tensor, step: float) -> Tensor:
    """Return the pivots after a sweep of the string method: the inner ones moved, then all spaced evenly."""
    moved = pivots.clone()
    moved[1:-1] -= step * gradients[1:-1]
    return Path(moved).resample(len(moved)).pivots


def relabellings(widths: Sequence[int]) -> float:
    """Return in how many ways the hidden units can be renamed."""
    return float(math.prod(math.factorial(width) for width in widths[1:-1]))


def _across(pivots: Tensor, gradients: Tensor, step: float) -> Tensor:
    """Return a sweep by the part of the gradient across the band."""
    along = torch.nn.functional.normalize(pivots[2:] - pivots[:-2], dim=1)
    rest = gradients.clone()
    rest[1:-1] -= (rest[1:-1] * along).sum(1, keepdim=True) * along
    return swept(pivots, rest, step)


def _ramp(theta: Tensor) -> Tensor:
    return theta.sum(-1) + 0.3


def _bumpy(theta: Tensor) -> Tensor:
    x, y = theta.unbind(-1)
    return 1 + 0.2 * x + 0.9 * (6.5 * y).sin()


_HIGHER, _SPACED = "torch.maximum(line[0], line[-1])", "Path(moved).resample(len(moved)).pivots"  # in the solutions
EXERCISES = [
    solved(
        "4.1",
        climb,
        [
            (Given(_bumpy, "bumpy"), torch.tensor([0.0, 0.0]), torch.tensor([1.0, 1.0])),
            (Given(_bumpy, "bumpy"), torch.tensor([1.0, 0.9]), torch.tensor([0.0, -0.1])),
            (Given(_ramp, "ramp"), torch.tensor([0.1, 0.2, 0.3]), torch.tensor([0.5, 0.2, 0.1])),
        ],
        name="hill",
        range=(_HIGHER, "line.min()"),
        start=(_HIGHER, "line[0]"),
        lower=("torch.maximum", "torch.minimum"),
        mean=(_HIGHER, "0.5 * (line[0] + line[-1])"),
        ratio=(f"- {_HIGHER}", f"/ {_HIGHER}"),
        top=(f"- {_HIGHER}", ""),
        middle=("line.max()", "line[12]"),
    ),
    solved(
        "4.2",
        swept,
        [
            (
                torch.tensor([[0.0, 0.0], [0.5, 1.0], [1.0, 1.2], [3.0, 0.0]]),
                torch.tensor([[0.3, 0.2], [0.5, -1.0], [-0.5, 1.0], [1.0, -1.0]]),
                0.2,
            ),
            (torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.5, 2.0], [6.0, 2.0], [6.0, 3.0]]), torch.zeros(5, 2), 0.1),
            (
                torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.5], [0.0, 0.0, 2.0]]),
                torch.tensor([[1.0, 1.0, 0.0], [2.0, -1.0, 0.5], [-1.0, 1.0, 1.0]]),
                0.3,
            ),
        ],
        name="sweep",
        wrong={"across": _across},
        uneven=(_SPACED, "moved"),
        ends=("moved[1:-1] -= step * gradients[1:-1]", "moved -= step * gradients"),
        uphill=("-= step", "+= step"),
        no_step=("step * gradients", "gradients"),
        still=("-= step", "-= 0 * step"),
        early=("pivots.clone()", "Path(pivots).resample(len(pivots)).pivots.clone()", _SPACED, "moved"),
        straight=("Path(moved)", "Path(pivots[[0, -1]])"),
    ),
    solved(
        "4.3",
        relabellings,
        [([4, 3, 5, 2],), ([2, 3, 3],), ([64, 32, 32, 10],)],
        sum=("math.prod", "sum"),
        ends=("widths[1:-1]", "widths"),
        first_only=("widths[1:-1]", "widths[1:2]"),
        together=("math.prod(math.factorial(width) for width in widths[1:-1])", "math.factorial(sum(widths[1:-1]))"),
        no_factorial=("math.factorial(width)", "width"),
    ),
]
