"""Lesson 00: a thing that moves, one run against eight, and twins that share every random draw."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import mean, pstdev, stdev

from entropic_edu.course import Chapter, Question, stages
from entropic_edu.teaching.slips import solved

from . import seeds, twins


def standard_error(values: Sequence[float]) -> float:
    """Return the standard error of the mean of some values."""
    return stdev(values) / math.sqrt(len(values))


def shrink(before: float, after: float) -> float:
    """Return the factor between two standard errors, from the numbers of runs behind them."""
    return math.sqrt(before / after)


_ROOT = "math.sqrt(before / after)"
CHAPTER = Chapter(
    "00",
    questions=[
        Question("again", ("right", "left", "open", "middle"), "open", {"right": 0.9, "left": -0.9, "middle": 0.0}),
        Question("twin", ("unrelated", "scaled", "identical"), "scaled"),
    ],
    exercises=[
        solved(
            "0.1",
            standard_error,
            [([0.9, -0.7, 0.8, 0.6, -0.9, 0.2, -0.4, 0.7],), ([1.0, 3.0, 4.0],), ([2.0, 2.5, 1.0, 4.0, 3.5],)],
            wrong={"deviation": stdev, "plain": pstdev, "mean": mean},
            count=("math.sqrt(len(values))", "len(values)"),
            variance=("stdev(values) / math.sqrt(len(values))", "stdev(values) ** 2 / len(values)"),
            population=("stdev", "pstdev"),
            range=("stdev(values) / math.sqrt(len(values))", "max(values) - min(values)"),
        ),
        solved(
            "0.2",
            shrink,
            [(16.0, 64.0), (1.0, 100.0), (256.0, 4.0)],
            root=(_ROOT, "before / after"),
            inverse=(_ROOT, "math.sqrt(after / before)"),
            both=(_ROOT, "after / before"),
            unchanged=(_ROOT, "1.0"),
            square=(_ROOT, "(before / after) ** 2"),
        ),
    ],
    explorers={"seeds": seeds.seeds, "twins": twins.twins},
    players={"crowd": lambda seed: stages.stage(stages.waist(seed))},
)
