"""Lesson 02: a floor at zero loss whose walls tighten; noise pushes walkers to the wide part."""

from __future__ import annotations

import math

from entropic_edu.course import Chapter, Exercise, Question, stages

from . import histogram, own

QUESTIONS = [
    Question("where", ("stays", "falls", "rises"), "falls", {"stays": 1 / 3, "falls": 1 / 6, "rises": 1 / 2}),
    Question("rarer", ("equal", "four", "sixteen"), "four", {"equal": 0.0, "four": 0.5, "sixteen": 1.0}),
    Question("cooled", ("both", "hill", "neither", "pinch"), "hill"),
]

EXERCISES = [
    Exercise(
        "force",
        "2.1",
        truth=lambda curvature, slope, temperature: -0.5 * temperature * slope / curvature,
        wrong={
            "sign": lambda curvature, slope, temperature: 0.5 * temperature * slope / curvature,
            "half": lambda curvature, slope, temperature: -temperature * slope / curvature,
            "absolute": lambda curvature, slope, temperature: -0.5 * temperature * slope,
            "inverted": lambda curvature, slope, temperature: -0.5 * temperature * curvature / slope,
            "cold": lambda curvature, slope, temperature: -0.5 * slope / curvature,
            "energy": lambda curvature, slope, temperature: 0.5 * temperature * math.log(curvature),
            "minus_energy": lambda curvature, slope, temperature: -0.5 * temperature * math.log(curvature),
            "no_half_log": lambda curvature, slope, temperature: temperature * math.log(curvature),
        },
        cases=[(10.0, -26.0, 0.02), (1.5, 3.0, 0.1), (4.0, -1.0, 0.5)],
    ),
    own.WALK,
    own.FREE_ENERGY,
    Exercise(
        "rarer",
        "2.4",
        truth=lambda steeper, height, temperature: math.exp(-height / temperature) / math.sqrt(steeper),
        wrong={
            "root": lambda steeper, height, temperature: math.exp(-height / temperature) / steeper,
            "energy_only": lambda steeper, height, temperature: math.exp(-height / temperature),
            "entropy_only": lambda steeper, height, temperature: 1 / math.sqrt(steeper),
            "undivided": lambda steeper, height, temperature: math.exp(-height - 0.5 * temperature * math.log(steeper)),
            "sign": lambda steeper, height, temperature: math.exp(height / temperature) * math.sqrt(steeper),
            "warm": lambda steeper, height, temperature: math.exp(height / temperature) / math.sqrt(steeper),
            "more_room": lambda steeper, height, temperature: math.exp(-height / temperature) * math.sqrt(steeper),
            "double": lambda steeper, height, temperature: math.exp(-2 * height / temperature) / math.sqrt(steeper),
        },
        cases=[(16.0, 0.0, 0.1), (1.0, 0.2, 0.1), (4.0, 0.05, 0.025)],
    ),
]

CHAPTER = Chapter(
    "02",
    questions=QUESTIONS,
    exercises=EXERCISES,
    explorers={"histogram": histogram.histogram, "own": own.own},
    players={
        "waist": lambda seed: stages.stage(stages.waist(seed)),
        "narrow": lambda seed: stages.stage(stages.waist(seed, even=True, stop=480)),
        "barriers": lambda seed: stages.stage(stages.barriers(seed)),
    },
)
