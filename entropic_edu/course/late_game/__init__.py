"""Lesson 07: children of one training run, the two barriers between them, and what their mean is worth."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from entropic_edu.course import Chapter, Given, Question
from entropic_edu.teaching.slips import solved

from . import average, barriers, hill, race, slopes
from .measures import even_batch, order, share

QUESTIONS = [
    Question("order", ("curvature", "together", "loss"), "loss", {"curvature": 2.0, "together": 1.0, "loss": 0.5}),
    Question(
        "force", ("always", "late", "never"), "never", {"always": (2.0, 2.0), "late": (0.1, 2.8), "never": (0.4, 0.4)}
    ),
    Question("mean", ("ruin", "little", "better"), "better", {"ruin": -50.0, "little": -10.0, "better": 5.0}),
]


def mean_gain(accuracy: Callable[[Tensor], Tensor], networks: Tensor) -> float:
    """Return by how many percentage points the mean of networks (n, D) reads better than they do on average."""
    return float(100 * (accuracy(networks.mean(0, keepdim=True))[0] - accuracy(networks).mean()))


def _reads(theta: Tensor) -> Tensor:
    """Return a made-up accuracy, (n, D) -> (n,): best near (1, 1)."""
    return 0.9 - 0.2 * (theta - 1).square().sum(-1) / theta.shape[-1]


# in the solutions
_HIGHER, _LAST, _OVER = "torch.maximum(curves[..., 0], curves[..., -1])", "int(above[-1]) + 1", "[*Mean.over(later)]"
SHARE = solved(
    "7.1",
    share,
    [
        (torch.tensor([[[0.1, 0.9, 0.5, 0.6, 0.3], [0.2, 0.1, 0.6, 0.5, 0.4]],
                       [[0.3, 0.4, 0.5, 1.3, 0.2], [0.1, 0.5, 0.2, 0.3, 0.3]]]),),
        (torch.tensor([[[5.0, 9.0, 6.0], [4.0, 6.0, 2.0], [3.0, 3.0, 2.0]],
                       [[6.0, 7.0, 4.0], [3.0, 8.0, 5.0], [2.0, 3.0, 4.0]]]),),
    ],
    range=(_HIGHER, "curves.amin(-1)"),
    mean=(_HIGHER, "0.5 * (curves[..., 0] + curves[..., -1])"),
    start=(_HIGHER, "curves[..., 0]"),
    middle=("curves.amax(-1)", "curves[..., curves.shape[-1] // 2]"),
    top=(f" - {_HIGHER}", ""),
    each_first=(").mean(0)", ")", "height / height[0]", "(height / height[:, :1]).mean(0)"),
    mean_curve=("height = (", "curves = curves.mean(0)\n    height = (", ").mean(0)\n", ")\n"),
    raw=("height / height[0]", "height"),
)  # fmt: skip
ORDER = solved(
    "7.2",
    order,
    [
        (
            torch.tensor([0, 60, 120, 240, 480]),
            torch.tensor([[1.2, 0.3, 0.05, 0.02, 0.0], [0.9, 0.05, 0.2, 0.05, 0.0], [0.9, 0.4, 0.3, 0.04, 0.0]]),
            torch.tensor([[1.1, 0.8, 0.4, 0.06, 0.0], [1.0, 0.3, 0.3, 0.2, 0.04], [0.9, 0.7, 0.05, 0.12, 0.0]]),
        ),
        (
            torch.tensor([5, 10, 40, 100]),
            torch.tensor([[1.0, 0.5, 0.3, 0.05], [1.1, 0.09, 0.12, 0.01]]),
            torch.tensor([[0.9, 0.08, 0.05, 0.01], [1.2, 0.4, 0.3, 0.02]]),
        ),
    ],
    once=(_LAST, "int((height < LEVELS['share']).nonzero()[0])"),
    early=(_LAST, "int(above[-1])"),
    deviation=(_OVER, "[later.mean(), later.std()]"),
    apart=(_OVER, "[later.mean(), sum(torch.stack([*map(gone, x)]).var() / len(x) for x in (loss, trace)) ** 0.5]"),
    of_mean=(_OVER, "[gone(trace.mean(0)) - gone(loss.mean(0)), Mean.over(later).error]"),
)  # fmt: skip
EVEN = solved(
    "7.3",
    even_batch,
    [
        (torch.tensor([0.02, 0.1, 0.3]), torch.tensor([23.0, 50.0, 75.0]), torch.tensor([4.0, 20.0, 60.0]), 0.05, 0.9),
        (torch.tensor([0.1, 0.15, 0.25, 0.4]), torch.tensor([4.0, 9.0, 7.0, 12.0]), torch.tensor([2.0, 3.0, 6.0, 4.0]),
         0.1, 0.8),
    ],
    name="even",
    whole=("0.25", "0.5"),
    no_momentum=("(2 * (1 - momentum))", "2"),
    one_temperature=("rise = ", "heat = heat.mean().expand_as(heat)\n    rise = "),
    start=("0.25 * (heat[1:] + heat[:-1])", "0.5 * heat[:-1]"),
    noise_for_heat=("* noise / trace", "* noise"),
    upside_down=("rise / (loss[-1] - loss[0])", "(loss[-1] - loss[0]) / rise"),
    top=(" - loss[0]", ""),
)  # fmt: skip
GAIN = solved(
    "7.4",
    mean_gain,
    [
        (Given(_reads, "accuracy on new digits"), torch.tensor([[1.5, 0.2], [0.4, 1.3], [0.8, 2.0]])),
        (Given(_reads, "accuracy on new digits"), torch.tensor([[0.0, 1.0, 1.0], [1.2, 0.5, 2.0]])),
    ],
    name="gain",
    wrong_axis=("networks.mean(0, keepdim=True)", "networks.mean(1)[:, None]"),
    best=("accuracy(networks).mean()", "accuracy(networks).max()"),
    first_two=("networks.mean(0", "networks[:2].mean(0"),
    accuracy=(" - accuracy(networks).mean()", ""),
)
EXERCISES = [SHARE, ORDER, EVEN, GAIN]

CHAPTER = Chapter(
    "07",
    questions=QUESTIONS,
    exercises=EXERCISES,
    explorers={
        "hill": hill.hill,
        "barriers": barriers.barriers,
        "race": race.race,
        "slopes": slopes.slopes,
        "average": average.average,
    },
)
