"""Lesson 01: one trough ½hx². Noise does not average out: it keeps a cloud of walkers as wide as η/B says."""

from __future__ import annotations

import math

from entropic_edu.course import Chapter, Exercise, Question, stages

from . import bowl, cliff, collapse


def variance(learning_rate: float, batch_size: int, curvature: float, noise_scale: float) -> float:
    """Return ηs² / (B h (2 - ηh))."""
    return learning_rate * noise_scale**2 / (batch_size * curvature * (2 - learning_rate * curvature))


QUESTIONS = (
    Question("average", ("bottom", "walk", "cloud"), "cloud", {"bottom": "bottom", "walk": "walk"}),
    Question("double", ("wider", "narrower", "same"), "same", {"wider": "wider", "narrower": "narrower"}),
    Question("cliff", ("proportion", "bound", "shrinks"), "bound", {"proportion": "proportion", "shrinks": "shrinks"}),
)

EXERCISES = (
    Exercise(
        "variance",
        "1.1",
        variance,
        {
            "no_batch": lambda rate, batch, h, s: batch * variance(rate, batch, h, s),
            "batch_squared": lambda rate, batch, h, s: variance(rate, batch, h, s) / batch,
            "deviation": lambda rate, batch, h, s: math.sqrt(variance(rate, batch, h, s)),
            "no_curvature": lambda rate, batch, h, s: h * variance(rate, batch, h, s),
            "small_steps": lambda rate, batch, h, s: rate * s**2 / (2 * batch * h),
            "plus": lambda rate, batch, h, s: rate * s**2 / (batch * h * (2 + rate * h)),
            "no_rate": lambda rate, batch, h, s: variance(rate, batch, h, s) / rate,
            "scale": lambda rate, batch, h, s: variance(rate, batch, h, s) / s,
        },
        cases=((0.1, 16, 2.0, 1.5), (0.4, 4, 4.0, 1.0), (0.05, 64, 0.5, 2.0)),
    ),
    Exercise(
        "rate",
        "1.2",
        lambda: 0.2,
        {
            "same": lambda: 0.05,
            "root": lambda: 0.1,
            "inverse": lambda: 0.0125,
            "squared": lambda: 0.8,
        },
    ),
    Exercise(
        "largest",
        "1.3",
        lambda curvature: 2 / curvature,
        {
            "one_step": lambda h: 1 / h,
            "upside_down": lambda h: 2 * h,
            "half": lambda h: 1 / (2 * h),
            "root": lambda h: math.sqrt(2 / h),
            "no_curvature": lambda h: 2.0,
        },
        cases=((0.5,), (4.0,), (25.0,)),
    ),
)

CHAPTER = Chapter(
    number="01",
    questions=QUESTIONS,
    exercises=EXERCISES,
    explorers={"bowl": bowl.bowl, "collapse": collapse.collapse, "cliff": cliff.cliff},
    players={"hook": lambda seed: stages.stage(stages.bowl(seed))},
)
