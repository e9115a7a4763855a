"""Lesson 03: a slope against entropy, two shapes of noise, and the curve uv = 1 on which label noise finds balance."""

from __future__ import annotations

import math
from collections.abc import Callable

from entropic_edu.course import Chapter, Exercise, Question, stages

from . import own

QUESTIONS = [
    Question("turn", ("never", "cold", "middle", "hot"), "middle"),
    Question("narrow", ("same", "weaker", "stronger"), "stronger"),
    Question("label", ("stays", "balance", "larger"), "balance"),
]


def _push_ratio(isotropic: Callable[[float], float], curvature: Callable[[float], float]) -> Callable[..., float]:
    """Return an answer to exercise 3.2, given how it makes a ratio of pushes of the ratio of curvatures."""
    rules = {"isotropic": isotropic, "curvature": curvature}
    return lambda shape, narrow, wide: rules[shape](narrow / wide)


BATCHES = (4, 8, 16, 32, 64, 128, 256, None)

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
    explorers={"own": own.own},
    players={
        "cold": lambda seed: stages.stage(stages.tilted(seed, (64, 128, 256, None), 256, None)),
        "turn": lambda seed: stages.stage(stages.tilted(seed, BATCHES, 256, 64, stop=240)),
        "shape": lambda seed: stages.stage(stages.shapes(seed, stop=120)),
        "balance": lambda seed: stages.stage(stages.curve(seed, stop=960)),
    },
)
