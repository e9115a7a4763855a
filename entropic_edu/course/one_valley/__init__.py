"""Lesson 01: one trough ½hx². Noise does not average out: it keeps a cloud of walkers as wide as η/B says."""

from __future__ import annotations

from entropic_edu.course import Chapter, Question, stages

from . import cliff, collapse, own
from .exercises import EXERCISES

QUESTIONS = (
    Question("average", ("bottom", "walk", "cloud"), "cloud"),
    Question("double", ("wider", "narrower", "same"), "same", {"wider": 2.0, "narrower": 0.5}),
    Question("cliff", ("proportion", "bound", "shrinks"), "bound", {"proportion": "proportion", "shrinks": "shrinks"}),
)

CHAPTER = Chapter(
    number="01",
    questions=QUESTIONS,
    exercises=EXERCISES,
    explorers={"collapse": collapse.collapse, "cliff": cliff.cliff, "own": own.own},
    players={
        "hook": lambda seed: stages.stage(stages.bowl(seed)),
        "bowl": lambda seed: stages.stage(stages.bowl(seed, beside="batch")),
    },
)
