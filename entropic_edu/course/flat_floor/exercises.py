"""Exercises of lesson 02: the force of entropy, walkers on a flat floor, their free energy, and how rare they are.

The floor of 2.2 is a ring, so that no end wall takes part, and ln h is a cosine along it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import torch
from torch import Tensor

from entropic_edu.teaching.slips import solved
from entropic_edu.teaching.yours import draws

Along: TypeAlias = Callable[[Tensor], Tensor]


def tight(y: Tensor) -> Tensor:
    """Return h at y: 16 in the middle, 1 opposite."""
    return 4 * torch.exp(math.log(4) * torch.cos(math.pi * y))


def tight_slope(y: Tensor) -> Tensor:
    """Return h' at y."""
    return -math.pi * math.log(4) * torch.sin(math.pi * y) * tight(y)


def force(curvature: float, slope: float, temperature: float) -> float:
    """Return the mean force along a floor at zero loss."""
    return -0.5 * temperature * slope / curvature


def walk(x: Tensor, y: Tensor, kicks: Tensor, learning_rate: float, batch_size: int, h: Along, slope: Along) -> Tensor:
    """Return where walkers stand along the floor after each step, (S, W); kicks are (S, 2, W), across and along."""
    places = []
    for across, along in kicks / batch_size**0.5:
        pull, push = h(y) * x + across, 0.5 * slope(y) * x**2 + along
        x, y = x - learning_rate * pull, y - learning_rate * push
        places.append(y)
    return torch.stack(places)


def free_energy(y: Tensor, edges: Tensor, temperature: float) -> Tensor:
    """Return -T ln(count / largest count) for the bins between ``edges``, (n - 1,)."""
    counts = torch.histogram(y.flatten(), edges).hist
    return -temperature * torch.log(counts / counts.max())


def rarer(steeper: float, height: float, temperature: float) -> float:
    """Return how many times as many walkers are on a hill, between walls so many times as steep, as beside it."""
    return math.exp(-height / temperature) / math.sqrt(steeper)


_FORCE, _HEIGHT, _ROOT = "-0.5 * temperature * slope / curvature", "-height / temperature", "math.sqrt(steeper)"
_BOTH = "x, y = x - learning_rate * pull, y - learning_rate * push"
_ONE_AFTER_OTHER = "x = x - learning_rate * pull; y = y - learning_rate * (0.5 * slope(y) * x**2 + along)"
_LOG = "temperature * math.log(curvature)"

EXERCISES = [
    solved(
        "2.1",
        force,
        [(10.0, -26.0, 0.02), (1.5, 3.0, 0.1), (4.0, -1.0, 0.5)],
        sign=("-0.5", "0.5"),
        half=("-0.5 * ", "-"),
        absolute=(" / curvature", ""),
        inverted=("slope / curvature", "curvature / slope"),
        cold=(" * temperature", ""),
        energy=(_FORCE, f"0.5 * {_LOG}"),
        minus_energy=(_FORCE, f"-0.5 * {_LOG}"),
        no_half_log=(_FORCE, _LOG),
    ),
    solved(
        "2.2",
        walk,
        [
            (draws(1, 3), draws(2, 3), draws(3, 4, 2, 3), 0.02, 4, tight, tight_slope),
            (draws(4, 2), draws(5, 2), draws(6, 3, 2, 2), 0.05, 9, tight, tight_slope),
        ],
        no_push=("0.5 * slope(y) * x**2 + ", ""),
        whole=("0.5 * slope", "slope"),
        after=(_BOTH, _ONE_AFTER_OTHER),
        first_power=("x**2", "x"),
        no_batch=(" / batch_size**0.5", ""),
        batch=("batch_size**0.5", "batch_size"),
    ),
    solved(
        "2.3",
        free_energy,
        [
            (draws(7, 400) / 3, torch.linspace(-1, 1, 6, dtype=torch.float64), 0.1),
            (draws(8, 20, 30) / 2, torch.linspace(-1, 1, 5, dtype=torch.float64), 0.02),
        ],
        sign=("return -", "return "),
        cold=("temperature * torch", "torch"),
        half=("return -", "return -0.5 * "),
        decimal=("torch.log", "torch.log10"),
        linear=("-temperature * torch.log(counts / counts.max())", "temperature * (1 - counts / counts.max())"),
        share=("counts.max()", "counts.sum()"),
        raw=(" / counts.max()", ""),
    ),
    solved(
        "2.4",
        rarer,
        [(16.0, 0.0, 0.1), (1.0, 0.2, 0.1), (4.0, 0.05, 0.025)],
        root=(_ROOT, "steeper"),
        energy_only=(f" / {_ROOT}", ""),
        entropy_only=(f"math.exp({_HEIGHT})", "1"),
        undivided=(f"math.exp({_HEIGHT}) / {_ROOT}", "math.exp(-height - 0.5 * temperature * math.log(steeper))"),
        sign=("-height", "height", "/ math", "* math"),
        warm=("-height", "height"),
        more_room=("/ math", "* math"),
        double=("-height", "-2 * height"),
    ),
]
