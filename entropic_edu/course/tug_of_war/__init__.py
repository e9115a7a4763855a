"""Lesson 03: a slope against entropy, two shapes of noise, and the curve uv = 1 on which label noise finds balance."""

from __future__ import annotations

import math
from collections.abc import Callable

from entropic_edu.course import Chapter, Exercise, Question, stages

from . import balance, dial, shape
from .common import WALLS

QUESTIONS = [
    Question(
        "turn",
        ("never", "cold", "middle", "hot"),
        "middle",
        {"never": math.inf, "cold": math.sqrt(128 * 256), "middle": math.sqrt(16 * 32), "hot": math.sqrt(2 * 4)},
    ),
    Question("narrow", ("same", "weaker", "stronger"), "stronger", {"same": 0, "weaker": -1, "stronger": 1}),
    Question(
        "label", ("stays", "balance", "larger"), "balance", {"stays": balance.BEGIN, "balance": 0.25, "larger": 1.25}
    ),
]


def _push_ratio(isotropic: Callable[[float], float], curvature: Callable[[float], float]) -> Callable[..., float]:
    """Return an answer to exercise 3.2, given how it makes a ratio of pushes of the ratio of curvatures."""
    rules = {"isotropic": isotropic, "curvature": curvature}
    return lambda shape, narrow, wide: rules[shape](narrow / wide)


EXERCISES = [
    Exercise(
        "break_even",
        "3.1",
        truth=lambda slope, curvature, curvature_slope: -2 * slope * curvature / curvature_slope,
        wrong={
            "half": lambda slope, curvature, curvature_slope: -slope * curvature / curvature_slope,
            "sign": lambda slope, curvature, curvature_slope: 2 * slope * curvature / curvature_slope,
            "inverted": lambda slope, curvature, curvature_slope: -2 * slope * curvature_slope / curvature,
            "absolute": lambda slope, curvature, curvature_slope: -2 * slope / curvature_slope,
            "quarter": lambda slope, curvature, curvature_slope: -0.5 * slope * curvature / curvature_slope,
        },
        cases=[(0.02, 4.0, -8.0), (0.05, 10.0, -2.5), (-0.01, 3.0, 6.0)],
    ),
    Exercise(
        "ratio",
        "3.2",
        truth=_push_ratio(lambda times: 1.0, lambda times: times),
        wrong={
            "swapped": _push_ratio(lambda times: times, lambda times: 1.0),
            "bath": _push_ratio(lambda times: 1.0, lambda times: 1.0),
            "steeper": _push_ratio(lambda times: times, lambda times: times),
            "inverted": _push_ratio(lambda times: 1.0, lambda times: 1 / times),
            "root": _push_ratio(lambda times: 1.0, lambda times: math.sqrt(times)),
        },
        cases=[("isotropic", 16.0, 1.0), ("curvature", 16.0, 1.0), ("curvature", 9.0, 4.0), ("isotropic", 5.0, 2.0)],
    ),
    Exercise(
        "curvature",
        "3.3",
        truth=lambda u: u**2 + u**-2,
        wrong={
            "equal": lambda u: 2 * u**2,
            "entry_u": lambda u: u**-2,
            "entry_v": lambda u: u**2,
            "product": lambda u: 2.0,
            "squared_sum": lambda u: (u + 1 / u) ** 2,
        },
        cases=[(2.5,), (0.5,), (1.0,)],
    ),
]

CHAPTER = Chapter(
    "03",
    questions=QUESTIONS,
    exercises=EXERCISES,
    explorers={"dial": dial.dial, "shape": shape.shape, "balance": balance.balance},
    players={
        "cold": lambda seed: stages.stage(stages.tilted(seed, WALLS, (64, 128, 256, None), 256, None)),
        "hot": lambda seed: stages.stage(stages.tilted(seed, WALLS, dial.BATCHES, 256, 8)),
    },
)
