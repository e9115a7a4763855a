"""Lesson 08: minima of one loss that generalise well and badly, which of them is flatter, and which way noise goes."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from entropic_edu.course import Chapter, Given, Question
from entropic_edu.teaching.slips import solved

from . import common, ends, measures, road, walk

QUESTIONS = [
    Question(
        "along",
        ("even", "wall", "hill", "late"),
        "late",
        {
            "even": [0.97, 0.91, 0.845, 0.78, 0.72],
            "wall": [0.97, 0.97, 0.845, 0.72, 0.72],
            "hill": [0.97, 0.7, 0.6, 0.65, 0.72],
            "late": [0.97, 0.97, 0.96, 0.93, 0.72],
        },
    ),
    Question("flatter", ("good", "same", "bad"), "bad", {"good": 0.4, "same": 1.5, "bad": 15.0}),
    Question("drift", ("stays", "bad", "good"), "good", {"stays": 0.95, "bad": 1.0, "good": 0.55}),
]


def _times(hessian: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda v: hessian.to(v) @ v


TILTED = torch.tensor([[1.0, -0.4, 0.0, 0.2], [-0.4, 2.0, 0.6, 0.0], [0.0, 0.6, 0.5, -0.3], [0.2, 0.0, -0.3, 4.0]])
SIGNS = torch.tensor([[1.0, 1.0, 1.0, 1.0], [1.0, -1.0, 1.0, -1.0], [1.0, 1.0, -1.0, -1.0], [1.0, -1.0, -1.0, 1.0]])
BORDER = solved(
    "8.1",
    road.border,
    [
        (
            torch.tensor([0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
            torch.tensor([[0.97, 0.96, 0.97, 0.94, 0.95, 0.70], [0.90, 0.89, 0.91, 0.88, 0.84, 0.65],
                          [0.94, 0.93, 0.93, 0.945, 0.85, 0.72], [0.88, 0.87, 0.885, 0.86, 0.85, 0.60]]),
        ),
        (
            torch.tensor([0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0]),
            torch.tensor([[0.95, 0.94, 0.95, 0.93, 0.90, 0.85, 0.70], [0.85, 0.835, 0.86, 0.84, 0.82, 0.74, 0.66],
                          [0.90, 0.888, 0.90, 0.91, 0.85, 0.83, 0.68]]),
        ),
    ],
    no_error=("2.8 *", "0 *"),
    deviation=("2.8 *", "2.8 * len(accuracy) ** 0.5 *"),
    unpaired=("fall.error.nan_to_num()", "((accuracy.var(0) + accuracy[:, 0].var()) / len(accuracy)) ** 0.5"),
    one_error=("2.8 *", "1.0 *"),
    first=("(~sure).nonzero().max()", "sure[1:].nonzero()[0]"),
)  # fmt: skip
ADAPTIVE = solved(
    "8.2",
    measures.adaptive,
    [
        (torch.tensor([2.0, 0.5, 1.0, 0.25]), Given(_times(TILTED), "H v"), SIGNS),
        (torch.tensor([1.0, 3.0, 0.5, 2.0]), Given(_times(TILTED.flip(0, 1)), "H v"), SIGNS),
    ],
    trace=("theta * probes", "probes"),
    first_power=("each @ product(each) for each in scaled", "each @ product(theta * each) for each in probes"),
    no_probe=("theta * probes", "theta.expand_as(probes)"),
    norm=("theta * probes", "theta.norm() * probes"),
    divided=("theta * probes", "probes / theta"),
    squared=("each @ product(each)", "(product(each) ** 2).sum()"),
)
TRACK = solved(
    "8.3",
    common.tracked,
    [
        (0.95, torch.tensor([0.0, 0.4, 0.7, 1.0]), torch.tensor([-0.002, -0.01, -0.05, -0.12]), 6),
        (0.3, torch.tensor([0.1, 0.5, 0.9]), torch.tensor([0.03, 0.01, -0.04]), 9),
    ],
    name="track",
    fixed=("np.interp(where[-1]", "np.interp(start"),
    reversed=("where[-1] + ", "where[-1] - "),
    nearest=("np.interp(where[-1], places, speeds)", "speeds[abs(places - where[-1]).argmin()]"),
    average=("np.interp(where[-1], places, speeds)", "speeds.mean()"),
)
EXERCISES = [BORDER, ADAPTIVE, TRACK]

CHAPTER = Chapter(
    "08",
    questions=QUESTIONS,
    exercises=EXERCISES,
    explorers={"ends": ends.ends, "road": road.road, "measures": measures.measures, "walk": walk.walk},
)
