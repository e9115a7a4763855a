"""Lesson 05: the road is flat, yet narrower in the middle; which eigenvalues do it, what is scale, what it takes."""

from __future__ import annotations

from entropic_edu.course import Chapter, Question

from . import hook, own, regimes, road, scale, spectrum, steps
from .exercises import EXERCISES

QUESTIONS = [
    Question(
        "middle",
        ("falls", "stays", "doubles", "tenfold"),
        "doubles",
        {"falls": 0.5, "stays": 1.0, "doubles": 2.5, "tenfold": 10.0},
    ),
    Question("which", ("one", "large", "all"), "all", spectrum.GHOSTS),
    Question("factor", ("nothing", "breaks", "trace"), "trace"),
    Question("switch", ("noise", "labels", "normalisation", "decay"), "noise"),
]


CHAPTER = Chapter(
    "05",
    questions=QUESTIONS,
    exercises=EXERCISES,
    explorers={
        "flat": hook.flat,
        "bump": road.road,
        "spectrum": spectrum.spectrum,
        "steps": steps.steps,
        "scale": scale.scale,
        "own": own.own,
        "map": regimes.regimes,
    },
)
