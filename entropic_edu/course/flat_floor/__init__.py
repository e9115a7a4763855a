"""Lesson 02: a floor at zero loss whose walls tighten; noise pushes walkers to the wide part."""

from __future__ import annotations

from entropic_edu.course import Chapter, Question, stages

from . import histogram, own
from .exercises import EXERCISES

QUESTIONS = [
    Question("where", ("stays", "falls", "rises"), "falls", {"stays": 1 / 3, "falls": 1 / 6, "rises": 1 / 2}),
    Question("rarer", ("equal", "four", "sixteen"), "four", {"equal": 0.0, "four": 0.5, "sixteen": 1.0}),
    Question("cooled", ("both", "hill", "neither", "pinch"), "hill"),
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
