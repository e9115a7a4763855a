"""Lesson 03: a slope against entropy, two shapes of noise, and the curve uv = 1 on which label noise finds balance."""

from __future__ import annotations

from entropic_edu.course import Chapter, Question, stages

from . import own
from .exercises import EXERCISES

QUESTIONS = [
    Question("turn", ("never", "cold", "middle", "hot"), "middle"),
    Question("narrow", ("same", "weaker", "stronger"), "stronger"),
    Question("label", ("stays", "balance", "larger"), "balance"),
]


BATCHES = (4, 8, 16, 32, 64, 128, 256, None)

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
