"""Lesson 03: a slope against entropy, two shapes of noise, and the curve uv = 1 on which label noise finds balance."""

from __future__ import annotations

import math
from collections.abc import Callable

from entropic_edu.course import Chapter, Exercise, Question, stages

from . import balance, dial, own, shape
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
    own.SHIFT,
    own.BREAK_EVEN,
    Exercise(
        "ratio",
        "3.3",
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
    own.LABEL_STEP,
]

CHAPTER = Chapter(
    "03",
    questions=QUESTIONS,
    exercises=EXERCISES,
    explorers={"dial": dial.dial, "shape": shape.shape, "balance": balance.balance, "own": own.own},
    players={
        "cold": lambda seed: stages.stage(stages.tilted(seed, WALLS, (64, 128, 256, None), 256, None)),
        "hot": lambda seed: stages.stage(stages.tilted(seed, WALLS, dial.BATCHES, 256, 8)),
    },
)
